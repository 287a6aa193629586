"""Models as recipes: what to load and what to lay over it, never the weights. Nothing here imports torch.

A recipe is small, immutable and has a digest; loading a LoRA makes a new recipe and copies nothing. Weights are made
when a node first needs them, by whoever holds the pool of models.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Self, TypeAlias

from nodegraph.sockets.types import socket

Scalar: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Patch:
    """One change of a model: its kind (`lora`, `freeu`), its settings, and the digest of all else that it brings.

    path: the file it is read from, if any; where that lies does not matter, its `digest` does. payload: a value that
    it brings along (another recipe, a conditioning), of which `digest` is the digest.
    """

    kind: str
    digest: str = ""
    path: str = ""
    settings: tuple[tuple[str, Scalar], ...] = ()
    payload: object = field(default=None, compare=False, repr=False)

    def setting(self, name: str, default: Scalar) -> Scalar:
        return dict(self.settings).get(name, default)


@dataclass(frozen=True, slots=True)
class Handle:
    """A model as a recipe: a loader, the file or folder it reads, that file's digest, and changes in order.

    part: which network of the file: unet, vae, text_encoder, text_encoder_2, ... patches: changes of its weights.
    behaviours: changes of what is done with them. options: what is known of the model without its weights (noise
    schedule, kind of prediction) and small settings (clip skip).

    Two handles with the same `digest` do the same, wherever their files lie; two with the same `weights` have the same
    weights.
    """

    loader: str
    path: str
    content: str
    part: str
    patches: tuple[Patch, ...] = ()
    options: tuple[tuple[str, Scalar], ...] = ()
    behaviours: tuple[Patch, ...] = ()

    @property
    def digest(self) -> str:
        """Hex digest of everything that determines what the model does; paths are not part of it."""
        return _digest(self)

    @property
    def weights(self) -> str:
        """Hex digest of everything that determines the weights, patches included."""
        patches = [(patch.kind, patch.digest, patch.settings) for patch in self.patches]
        return _hex((type(self).__name__, self.loader, self.content, self.part, patches))

    def patched(self, patch: Patch) -> Self:
        """The same model with one more change of its weights; nothing is copied or loaded."""
        return replace(self, patches=(*self.patches, patch))

    def behaving(self, patch: Patch) -> Self:
        """The same weights with one more change of what is done with them."""
        return replace(self, behaviours=(*self.behaviours, patch))

    def unpatched(self) -> Self:
        """The model as its file holds it."""
        return replace(self, patches=(), behaviours=())

    def with_options(self, **options: Scalar) -> Self:
        """The same model with options set (clip skip, prediction type …)."""
        return replace(self, options=_merged(self.options, options))

    def option(self, name: str, default: Scalar) -> Scalar:
        return dict(self.options).get(name, default)


def _merged(options: tuple[tuple[str, Scalar], ...], more: dict[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted((dict(options) | more).items()))


def _digest(handle: Handle) -> str:
    behaviours = [(patch.kind, patch.digest, patch.settings) for patch in handle.behaviours]
    return _hex((handle.weights, handle.options, behaviours))


def _hex(recipe: object) -> str:
    return hashlib.sha256(repr(recipe).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Model(Handle):
    """The denoising network (a UNet) and how its noise is scheduled."""


@dataclass(frozen=True, slots=True)
class Clip(Handle):
    """A text encoder and its tokenizer; models with two of them (SDXL) have the other one as `second`."""

    second: Clip | None = None

    @classmethod
    def of(cls, first: Clip, *others: Clip) -> Clip:
        """One or two text encoders that work together."""
        (second,) = others or (None,)
        return first if second is None else replace(first, second=second)

    @property
    def digest(self) -> str:
        """Hex digest of everything that determines what both encoders do."""
        return _digest(self) if self.second is None else _hex((_digest(self), self.second.digest))

    def patched(self, patch: Patch) -> Self:
        """Both encoders with one more change of their weights."""
        second = None if self.second is None else self.second.patched(patch)
        return replace(self, patches=(*self.patches, patch), second=second)

    def with_options(self, **options: Scalar) -> Self:
        """Both encoders with options set."""
        second = None if self.second is None else self.second.with_options(**options)
        return replace(self, options=_merged(self.options, options), second=second)


@dataclass(frozen=True, slots=True)
class Vae(Handle):
    """The autoencoder between pictures and latents."""


@dataclass(frozen=True, slots=True)
class ControlNet(Handle):
    """A network that steers a UNet by a picture: a ControlNet or a T2I-Adapter."""


@dataclass(frozen=True, slots=True)
class ClipVision(Handle):
    """An encoder of pictures."""


@dataclass(frozen=True, slots=True)
class StyleModel(Handle):
    """A network that turns an encoded picture into words of a prompt."""


@dataclass(frozen=True, slots=True)
class Gligen(Handle):
    """A network that puts named things into boxes."""


@dataclass(frozen=True, slots=True)
class IPAdapter(Handle):
    """A network that makes a UNet attend to an encoded picture."""


@dataclass(frozen=True, slots=True)
class UpscaleModel(Handle):
    """A network that enlarges pictures."""


socket(Model, "MODEL", colour="#b39ddb", description="a denoising model")
socket(Clip, "CLIP", colour="#ffd500", description="a text encoder")
socket(Vae, "VAE", colour="#ff6e6e", description="an autoencoder")
socket(ControlNet, "CONTROL_NET", colour="#6ee7b7", description="a network that steers by a picture")
socket(ClipVision, "CLIP_VISION", colour="#a8dadc", description="an encoder of pictures")
socket(StyleModel, "STYLE_MODEL", colour="#c2ffae", description="turns an encoded picture into words of a prompt")
socket(Gligen, "GLIGEN", colour="#80a1c0", description="puts named things into boxes")
socket(IPAdapter, "IPADAPTER", colour="#d9a5f3", description="makes a model attend to a picture")
socket(UpscaleModel, "UPSCALE_MODEL", colour="#8fd3fe", description="enlarges pictures")

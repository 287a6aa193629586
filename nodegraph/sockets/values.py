"""The values that the built-in nodes exchange, as types. None of them imports torch.

Tensors are NewTypes of `torch.Tensor`, so that a type checker tells a picture from a mask; at run time they are
plain tensors. Models are recipes (`Handle`): what to load and which patches to lay over it, never the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NewType, NotRequired, Self, TypedDict

from nodegraph.sockets.types import socket

if TYPE_CHECKING:
    from torch import Tensor

#: float32 [B, H, W, C], values 0 … 1.
Image = NewType("Image", "Tensor")
#: float32 [B, H, W], values 0 … 1.
Mask = NewType("Mask", "Tensor")
#: list of (float32 [B, T, D], options): encoded prompts, ready to guide a model.
Conditioning = NewType("Conditioning", "list[tuple[Tensor, dict[str, Any]]]")
#: float32 [steps + 1], falling noise levels, the last one usually 0.
Sigmas = NewType("Sigmas", "Tensor")

socket(Image, "IMAGE", colour="#64b5f6", description="pictures")
socket(Mask, "MASK", colour="#81c784", description="masks")
socket(Conditioning, "CONDITIONING", colour="#ffa931", description="encoded prompts")
socket(Sigmas, "SIGMAS", colour="#b0bec5", description="noise levels")


class Latent(TypedDict):
    """Raw VAE latents (not scaled): `samples` [B, C, H/8, W/8]; `noise_mask` says where to paint."""

    samples: Tensor
    noise_mask: NotRequired[Tensor]
    batch_index: NotRequired[list[int]]


socket(Latent, "LATENT", colour="#ff9cf9", description="pictures in the model's latent space")


@dataclass(frozen=True, slots=True)
class Patch:
    """One change laid over a model's weights: its kind (`lora`), the digest of its file, and its settings."""

    kind: str
    digest: str
    path: str
    settings: tuple[tuple[str, str | int | float | bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Handle:
    """A model as a recipe: a loader, the file or folder it reads, that file's digest, and patches in order.

    Two handles with the same `digest` stand for the same weights, wherever their files lie.
    """

    loader: str
    path: str
    content: str
    part: str
    patches: tuple[Patch, ...] = ()
    options: tuple[tuple[str, str | int | float | bool], ...] = ()

    @property
    def digest(self) -> str:
        """Hex digest of everything that determines the weights; the path is not part of it."""
        patches = [(patch.kind, patch.digest, patch.settings) for patch in self.patches]
        recipe = repr((type(self).__name__, self.loader, self.content, self.part, patches, self.options))
        return hashlib.sha256(recipe.encode()).hexdigest()

    def patched(self, patch: Patch) -> Self:
        """The same model with one more patch on top; nothing is copied or loaded."""
        return replace(self, patches=(*self.patches, patch))

    def with_options(self, **options: str | int | float | bool) -> Self:
        """The same model with options set (clip skip, prediction type …)."""
        return replace(self, options=tuple(sorted((dict(self.options) | options).items())))

    def option(self, name: str, default: str | int | float | bool) -> str | int | float | bool:
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class Model(Handle):
    """The denoising network (a UNet) and how its noise is scheduled."""


@dataclass(frozen=True, slots=True)
class Clip(Handle):
    """The text encoder and its tokenizer."""


@dataclass(frozen=True, slots=True)
class Vae(Handle):
    """The autoencoder between pictures and latents."""


socket(Model, "MODEL", colour="#b39ddb", description="a denoising model")
socket(Clip, "CLIP", colour="#ffd500", description="a text encoder")
socket(Vae, "VAE", colour="#ff6e6e", description="an autoencoder")


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that an output node wrote: where it lies, and how clients ask for it.

    `type` names the folder that `subfolder` and `filename` are below: output, temp or input. `digest` is the SHA-256
    of the file's bytes in hex, filled in by the executor.
    """

    path: str
    filename: str
    subfolder: str
    type: str
    width: int = 0
    height: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """What an output node returns instead of values: the files it wrote, and anything else to show."""

    files: tuple[SavedFile, ...] = ()
    shown: Mapping[str, object] | None = None

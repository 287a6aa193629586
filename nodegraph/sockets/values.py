"""The data that the built-in nodes exchange, as types. None of them imports torch.

Tensors are NewTypes of `torch.Tensor`, so that a type checker tells a picture from a mask; at run time they are
plain tensors. Models are recipes, see `handles`; what steers sampling is in `steering`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NewType, NotRequired, TypedDict

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


class ClipVisionOutput(TypedDict):
    """A picture as a CLIP vision model sees it: `image_embeds` [B, D], the last hidden layer [B, T, W] and the one
    before it."""

    image_embeds: Tensor
    last_hidden_state: Tensor
    penultimate_hidden_states: Tensor


socket(ClipVisionOutput, "CLIP_VISION_OUTPUT", colour="#ad7452", description="pictures as a vision model sees them")


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

"""Pictures upon pictures: matching batches and channels, pasting, and the algebra of transparency."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

# How much of the brightness each colour has (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def match_batch(items: Tensor, count: int) -> Tensor:
    """`count` items of a batch [B, ...]: the first ones, begun again as often as it takes."""
    if len(items) == count:
        return items
    return items.repeat(-(-count // len(items)), *[1] * (items.ndim - 1))[:count]


def luma(pictures: Tensor) -> Tensor:
    """The brightness [..., 1] of pictures [..., C]."""
    if pictures.shape[-1] < 3:
        return pictures[..., :1]
    return (pictures[..., :3] * pictures.new_tensor(LUMA)).sum(-1, keepdim=True)


def with_channels(pictures: Tensor, channels: int) -> Tensor:
    """Pictures [B, H, W, C] with 1 (grey), 3 or 4 channels; transparency is left out, or 1 (opaque) where it is new."""
    if pictures.shape[-1] == channels:
        return pictures
    if channels == 1:
        return luma(pictures)
    colours = pictures[..., :1].expand(*pictures.shape[:-1], 3) if pictures.shape[-1] < 3 else pictures[..., :3]
    if channels == 3:
        return colours
    alpha = pictures[..., 3:4] if pictures.shape[-1] > 3 else torch.ones_like(pictures[..., :1])
    return torch.cat([colours, alpha], dim=-1)


def paste(destination: Tensor, source: Tensor, x: int, y: int, share: Tensor | None = None) -> Tensor:
    """`destination` [B, C, H, W] with `source` [b, C, h, w] upon it at x, y; what sticks out is cut off.

    share: [m, h, w], how much of the source is seen (1: all). Smaller batches begin again. The destination is returned
    itself where nothing falls onto it, and never written to.
    """
    height, width = destination.shape[-2:]
    bottom, right = min(height, y + source.shape[-2]), min(width, x + source.shape[-1])
    if bottom <= y or right <= x:
        return destination
    count, rows, columns = len(destination), bottom - y, right - x
    piece = match_batch(source, count)[..., :rows, :columns].to(destination)
    if share is not None:
        weight = match_batch(share, count)[:, None, :rows, :columns].to(destination)
        piece = piece * weight + destination[..., y:bottom, x:right] * (1 - weight)
    result = destination.clone()
    result[..., y:bottom, x:right] = piece
    return result


# --- blending

Blend = Callable[[Tensor, Tensor], Tensor]


def _overlay(base: Tensor, top: Tensor) -> Tensor:
    return torch.where(base <= 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top))


def _soft_light(base: Tensor, top: Tensor) -> Tensor:
    curve = torch.where(base <= 0.25, ((16 * base - 12) * base + 4) * base, base.clamp(min=0).sqrt())
    return torch.where(
        top <= 0.5, base - (1 - 2 * top) * base * (1 - base), base + (2 * top - 1) * (curve - base)
    )  # fmt: skip


#: What a colour of the lower and one of the upper picture make (W3C, Compositing and Blending Level 1).
BLENDS: Mapping[str, Blend] = {
    "normal": lambda base, top: top,
    "multiply": lambda base, top: base * top,
    "screen": lambda base, top: 1 - (1 - base) * (1 - top),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda base, top: (base - top).abs(),
    "darken": torch.minimum,
    "lighten": torch.maximum,
}


def blend(base: Tensor, top: Tensor, factor: float, mode: str) -> Tensor:
    """`base` mixed by `factor` with what it and `top` make; same shapes, values 0 … 1."""
    return (base * (1 - factor) + BLENDS[mode](base, top) * factor).clamp(0, 1)


# --- Porter and Duff

#: Which part of the source and of the destination is seen, from (source alpha, destination alpha).
_SHARES: Mapping[str, Callable[[Tensor, Tensor], tuple[Tensor | float, Tensor | float]]] = {
    "CLEAR": lambda s, d: (0.0, 0.0),
    "SRC": lambda s, d: (1.0, 0.0),
    "DST": lambda s, d: (0.0, 1.0),
    "SRC_OVER": lambda s, d: (1.0, 1 - s),
    "DST_OVER": lambda s, d: (1 - d, 1.0),
    "SRC_IN": lambda s, d: (d, 0.0),
    "DST_IN": lambda s, d: (0.0, s),
    "SRC_OUT": lambda s, d: (1 - d, 0.0),
    "DST_OUT": lambda s, d: (0.0, 1 - s),
    "SRC_ATOP": lambda s, d: (d, 1 - s),
    "DST_ATOP": lambda s, d: (1 - d, s),
    "XOR": lambda s, d: (1 - d, 1 - s),
    "ADD": lambda s, d: (1.0, 1.0),
}
_BLENDING = {"DARKEN": "darken", "LIGHTEN": "lighten", "SCREEN": "screen", "OVERLAY": "overlay"}
_TRANSPARENT = 1e-5  # alphas below have no colour


def porter_duff(
    source: Tensor, source_alpha: Tensor, destination: Tensor, destination_alpha: Tensor, mode: str
) -> tuple[Tensor, Tensor]:
    """Colours [B, H, W, 3] and alpha [B, H, W, 1] of two pictures over each other (Porter and Duff 1984).

    Colours come in and go out unmultiplied; alpha is 1 where a picture is opaque. The blending modes follow W3C's
    Compositing and Blending; MULTIPLY is seen only where both pictures are, as on Android.
    """
    s, d = source * source_alpha, destination * destination_alpha
    if mode in _SHARES:
        of_source, of_destination = _SHARES[mode](source_alpha, destination_alpha)
        colours = s * of_source + d * of_destination
        alpha = source_alpha * of_source + destination_alpha * of_destination
    elif mode == "MULTIPLY":
        colours, alpha = s * d, source_alpha * destination_alpha
    else:
        mixed = BLENDS[_BLENDING[mode]](destination, source) * source_alpha * destination_alpha
        colours = s * (1 - destination_alpha) + d * (1 - source_alpha) + mixed
        alpha = source_alpha + destination_alpha - source_alpha * destination_alpha
    seen = alpha > _TRANSPARENT
    # ADD may gather more than there can be: colours are limited while they are multiplied, as alpha is.
    colours, alpha = colours.clamp(0, 1), alpha.clamp(0, 1)
    colours = torch.where(seen, colours / alpha.clamp(min=_TRANSPARENT), torch.zeros_like(colours))
    return colours.clamp(0, 1), alpha

"""Arithmetic on raw latents [B, C, h, w], and on the masks [H, W], [B, H, W] or [B, 1, H, W] that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.diffusion.resize import resize
from nodes.diffusion.sampling import latent_mask


def repeat_to_batch(items: Tensor, batch: int) -> Tensor:
    """[N, ...] repeated from the beginning, or cut, to [batch, ...]."""
    copies = -(-batch // items.shape[0])
    return items.repeat(copies, *[1] * (items.ndim - 1))[:batch]


def fit(latent: Tensor, like: Tensor, method: str = "bilinear") -> Tensor:
    """A latent resized to the height and width of another one; what would be stretched is cut off around the middle."""
    if latent.shape[2:] == like.shape[2:]:
        return latent
    return resize(latent, like.shape[-1], like.shape[-2], method, crop=True)


def match(latent: Tensor, like: Tensor, method: str = "bilinear") -> Tensor:
    """A latent made to have the height, width and batch of another one, so that the two can be combined."""
    return repeat_to_batch(fit(latent, like, method), like.shape[0])


def _units(latent: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors along the channel axis as unit vectors (zero ones stay zero), and their lengths [B, 1, h, w]."""
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    return latent / torch.where(length > 0, length, 1), length


def interpolate(first: Tensor, second: Tensor, ratio: float) -> Tensor:
    """`ratio` of the first and the rest of the second latent, directions and lengths apart.

    A plain mixture of two vectors that point apart is shorter than both, which draws a grey picture.
    """
    direction_a, length_a = _units(first)
    direction_b, length_b = _units(second)
    direction, _ = _units(direction_a * ratio + direction_b * (1 - ratio))
    return direction * (length_a * ratio + length_b * (1 - ratio))


def composite(onto: Tensor, pasted: Tensor, x: int, y: int, feather: int = 0) -> Tensor:
    """`onto` with `pasted` laid over it, its left upper corner at (x, y); what sticks out is cut off.

    feather: how many cells it takes to become opaque, at those of its edges that lie inside the picture.
    """
    height, width = onto.shape[-2:]
    pasted = pasted[..., : max(0, height - y), : max(0, width - x)]
    if not pasted.numel():
        return onto.clone()
    rows, columns = pasted.shape[-2:]
    down = _ramp(rows, feather if y > 0 else 0, feather if y + rows < height else 0)
    across = _ramp(columns, feather if x > 0 else 0, feather if x + columns < width else 0)
    opacity = (down[:, None] * across).to(onto)
    result = onto.clone()
    below = onto[..., y : y + rows, x : x + columns]
    result[..., y : y + rows, x : x + columns] = pasted * opacity + below * (1 - opacity)
    return result


def _ramp(length: int, rise: int, fall: int) -> Tensor:
    """[length] that grows to 1 over its first `rise` and shrinks over its last `fall` places."""
    place = torch.arange(1, length + 1, dtype=torch.float32)
    up = (place / rise).clamp(max=1) if rise else torch.ones(length)
    down = (place / fall).clamp(max=1).flip(0) if fall else torch.ones(length)
    return up * down


def crop_mask(mask: Tensor, latent: Tensor, rows: slice, columns: slice) -> Tensor:
    """The part of a mask that belongs to a part of its latent, given in cells.

    A mask with a whole number of pixels a cell is cut as it is; another one is brought to the latent's size first.
    """
    height, width = latent.shape[-2:]
    if mask.shape[-2] % height or mask.shape[-1] % width:
        mask = latent_mask(mask, latent)
    tall, wide = mask.shape[-2] // height, mask.shape[-1] // width
    return mask[..., _times(rows, tall), _times(columns, wide)]


def _times(cells: slice, factor: int) -> slice:
    return slice(cells.start * factor, cells.stop * factor)


def join_masks(first: Tensor | None, second: Tensor | None, likes: tuple[Tensor, Tensor], axis: int) -> Tensor | None:
    """The mask [B, 1, h, w] of two latents put together along an axis; one without a mask is drawn everywhere."""
    if first is None and second is None:
        return None
    masks = [
        latent_mask(torch.ones(1, 1) if mask is None else mask, like)
        for mask, like in zip((first, second), likes, strict=True)
    ]
    return torch.cat(masks, dim=axis)


def same_masks(masks: Sequence[Tensor | None], likes: Sequence[Tensor]) -> Tensor | None:
    """The masks of single latents of one size as one [B, 1, H, W], None if none has one. Masks of one size stay as they
    are, others are brought to the latents' size; a latent without a mask is drawn everywhere."""
    there = [mask for mask in masks if mask is not None]
    if not there:
        return None
    if len(there) == len(masks) and all(mask.shape == there[0].shape for mask in there):
        return torch.cat(there)
    pairs = zip(masks, likes, strict=True)
    return torch.cat([latent_mask(torch.ones(1, 1) if mask is None else mask, like) for mask, like in pairs])

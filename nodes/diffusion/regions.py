"""Where in a picture an entry counts: its window of the latent, its weights there, and pictures of entries blended."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.diffusion.conditions import Condition

FEATHER = 8
"""Latent pixels over which an area fades in at those of its borders that are not the picture's."""

NOTHING = 1e-37
"""The weight that every place begins with: where no entry counts, the picture is empty and not a division by zero."""


def window(condition: Condition, tensor: Tensor) -> Tensor:
    """The part of [..., h, w] that a placed entry is run on."""
    if condition.area is None:
        return tensor
    h, w, y, x = condition.area
    return tensor[..., y : y + h, x : x + w]


def weights(condition: Condition, x: Tensor) -> Tensor:
    """How much a placed entry's picture counts at each place of its window, [1 or B, 1, h, w].

    Its strength, times its mask; an area without a mask fades in over FEATHER pixels inside its borders.
    """
    if condition.mask is not None:
        mask = condition.mask.to(x)
        if len(mask) > 1:
            mask = mask.repeat(-(-len(x) // len(mask)), 1, 1, 1)[: len(x)]
        return window(condition, mask) * (condition.mask_strength * condition.strength)
    height, width = x.shape[-2:]
    h, w, top, left = condition.area or (height, width, 0, 0)
    rows = _fade(h, top > 0, top + h < height).to(x)
    columns = _fade(w, left > 0, left + w < width).to(x)
    return (rows[:, None] * columns[None, :] * condition.strength)[None, None]


def _fade(length: int, before: bool, after: bool) -> Tensor:
    """[length] weights that rise in equal steps to 1 behind the first border, and fall before the last one."""
    ramp = torch.arange(1, length + 1, dtype=torch.float32).clamp(max=FEATHER) / FEATHER
    ones = torch.ones(length)
    return (ramp if before else ones) * (ramp.flip(0) if after else ones)


def blended(parts: Sequence[tuple[Tensor, Condition, Tensor | float]], like: Tensor) -> Tensor:
    """The mean of the entries' pictures, each weighted in its window by its `weights`.

    Where no entry counts, the picture is empty (zero).
    """
    if all(entry.everywhere for _, entry, _ in parts):
        return _average(parts, like)
    picture, total = torch.zeros_like(like), torch.full_like(like[:, :1], NOTHING)
    for part, entry, weight in parts:
        window(entry, picture).add_(part * weight)
        window(entry, total).add_(weight)
    return picture / total


def _average(parts: Sequence[tuple[Tensor, Condition, Tensor | float]], like: Tensor) -> Tensor:
    """The mean of whole pictures weighted by strength; of no entries, an empty (zero) picture."""
    if len(parts) == 1:
        return parts[0][0]
    total = sum(entry.strength for _, entry, _ in parts)
    if total == 0:
        return torch.zeros_like(like)
    picture = torch.zeros_like(like)
    for part, entry, _ in parts:
        picture = picture + part * (entry.strength / total)
    return picture

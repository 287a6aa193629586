"""Masks [B, H, W] with values 0 … 1: combining and fading."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nodes.diffusion.compositing import match_batch


def _whole(masks: Tensor) -> Tensor:
    return masks >= 0.5


OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": lambda below, above: below * above,
    "add": lambda below, above: below + above,
    "subtract": lambda below, above: below - above,
    "and": lambda below, above: _whole(below) & _whole(above),
    "or": lambda below, above: _whole(below) | _whole(above),
    "xor": lambda below, above: _whole(below) ^ _whole(above),
}


def combine(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """`destination` combined with `source` where that lies on it, at x, y; smaller batches begin again.

    The logical operations take 0.5 and above as 1. Where the source does not lie, the destination stays.
    """
    count = max(len(destination), len(source))
    result = match_batch(destination, count).clamp(0, 1)
    height, width = destination.shape[1:]
    bottom, right = min(height, y + source.shape[1]), min(width, x + source.shape[2])
    if bottom > y and right > x:
        above = match_batch(source, count)[:, : bottom - y, : right - x].to(result)
        combined = OPERATIONS[operation](result[:, y:bottom, x:right], above)
        result[:, y:bottom, x:right] = combined.to(result.dtype).clamp(0, 1)
    return result


def feather(masks: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """Masks faded linearly towards the borders: the n-th of `left` columns counts n / left; 0 fades nothing."""
    height, width = masks.shape[1:]
    across = _ramp(width, left) * _ramp(width, right).flip(0)
    down = _ramp(height, top) * _ramp(height, bottom).flip(0)
    return masks * (down[:, None] * across).to(masks)


def _ramp(length: int, fade: int) -> Tensor:
    """1 from the `fade`-th place on, rising evenly before; a fade longer than the mask rises over all of it."""
    fade = min(fade, length)
    return (torch.arange(1, length + 1) / fade).clamp(max=1) if fade else torch.ones(length)

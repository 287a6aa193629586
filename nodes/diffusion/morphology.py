"""Mathematical morphology with flat windows on [..., H, W]; what lies outside of a picture never counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


def dilate(planes: Tensor, size: int) -> Tensor:
    """The largest value in a window of size × size around each cell (mirrored for an even size, as theory has it)."""
    return _largest(_largest(planes, size, size // 2, -1), size, size // 2, -2)


def erode(planes: Tensor, size: int) -> Tensor:
    """The smallest value in a window of size × size around each cell."""
    before = size - 1 - size // 2
    return -_largest(_largest(-planes, size, before, -1), size, before, -2)


def _largest(planes: Tensor, size: int, before: int, axis: int) -> Tensor:
    """The maximum along an axis of windows that begin `before` cells before each cell.

    Maxima over spans of 1, 2, 4 ... are made from each other, so that the time grows with the logarithm of the size.
    """
    length = planes.shape[axis]
    edges = (before, size - 1 - before)
    padded = functional.pad(planes, edges if axis == -1 else (0, 0, *edges), value=-torch.inf)
    span = 1
    while 2 * span <= size:
        rest = padded.shape[axis] - span
        padded = torch.maximum(padded.narrow(axis, 0, rest), padded.narrow(axis, span, rest))
        span *= 2
    return torch.maximum(padded.narrow(axis, 0, length), padded.narrow(axis, size - span, length))


def opened(planes: Tensor, size: int) -> Tensor:
    """Without bright spots that the window does not fit into."""
    return dilate(erode(planes, size), size)


def closed(planes: Tensor, size: int) -> Tensor:
    """Without dark spots that the window does not fit into."""
    return erode(dilate(planes, size), size)


OPERATIONS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "erode": erode,
    "dilate": dilate,
    "open": opened,
    "close": closed,
    "gradient": lambda planes, size: dilate(planes, size) - erode(planes, size),
    "bottom_hat": lambda planes, size: closed(planes, size) - planes,
    "top_hat": lambda planes, size: planes - opened(planes, size),
}


def grow(masks: Tensor, amount: int, *, tapered: bool, turn: Callable[[int], None] = lambda i: None) -> Tensor:
    """Masks [B, H, W] grown by `amount` cells to all sides; below 0 they shrink.

    tapered: by a cross of 3 × 3 in each of `amount` steps, so that corners are cut off; else by a square. `turn` is
    called with the number of each step, and may raise to end the work.
    """
    if amount < 0:
        return -grow(-masks, -amount, tapered=tapered, turn=turn)
    if not tapered:
        return dilate(masks, 2 * min(amount, max(masks.shape[-2:])) + 1)
    for i in range(amount):
        turn(i)
        larger = torch.maximum(_largest(masks, 3, 1, -1), _largest(masks, 3, 1, -2))
        if torch.equal(larger, masks):
            break
        masks = larger
    return masks

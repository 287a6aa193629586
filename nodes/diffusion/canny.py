"""Edges by Canny's detector (Canny 1986), in whole numbers, so that every machine finds the same ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# The tangents of 22.5° and 67.5° in 1/32768; the second is the first and 2.
TAN_22 = 13573


def canny(levels: Tensor, low: float, high: float) -> Tensor:
    """Where a grey picture [H, W] with levels 0 … 255 has edges, as bool [H, W].

    The gradient is taken by Sobel's filter, with the border repeated, and is |dx| + |dy| strong (0 … 2040). An edge is
    a line of local maxima stronger than `low` that is connected to one stronger than `high`. Pixels come out as from
    OpenCV's `Canny` with apertureSize=3 and L2gradient=False.
    """
    across, down = _sobel(levels.to(torch.int32))
    strength = across.abs() + down.abs()
    candidate = _is_peak(across, down, strength) & (strength > min(low, high))
    return _connected(candidate & (strength > max(low, high)), candidate)


def _sobel(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives along x and y, as int32."""
    height, width = levels.shape
    rows = torch.arange(-1, height + 1, device=levels.device).clamp(0, height - 1)
    columns = torch.arange(-1, width + 1, device=levels.device).clamp(0, width - 1)
    padded = levels[rows][:, columns]
    smooth_down = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_across = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return smooth_down[:, 2:] - smooth_down[:, :-2], smooth_across[2:] - smooth_across[:-2]


def _is_peak(across: Tensor, down: Tensor, strength: Tensor) -> Tensor:
    """Whether the gradient is weaker on both sides, going along it: straight across, straight down, or diagonally."""
    height, width = strength.shape
    padded = functional.pad(strength, (1, 1, 1, 1))

    def beside(x: int, y: int) -> Tensor:
        return padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    x, y = across.abs(), down.abs() << 15
    flat, steep = y < x * TAN_22, y > x * TAN_22 + (x << 16)
    along_x = (strength > beside(-1, 0)) & (strength >= beside(1, 0))
    along_y = (strength > beside(0, -1)) & (strength >= beside(0, 1))
    falling = (strength > beside(-1, -1)) & (strength > beside(1, 1))
    rising = (strength > beside(1, -1)) & (strength > beside(-1, 1))
    diagonal = torch.where((across ^ down) < 0, rising, falling)
    return torch.where(flat, along_x, torch.where(steep, along_y, diagonal))


def _connected(strong: Tensor, candidate: Tensor) -> Tensor:
    """The candidates that a chain of neighbouring candidates leads to from a strong one."""
    height, width = strong.shape
    waiting = functional.pad(candidate & ~strong, (1, 1, 1, 1)).flatten()
    found = functional.pad(strong, (1, 1, 1, 1)).flatten()
    row = width + 2
    around = torch.tensor([-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1], device=strong.device)
    front = found.nonzero()[:, 0]
    while len(front):
        near = (front[:, None] + around).flatten()
        front = near[waiting[near]].unique()
        waiting[front] = False
        found[front] = True
    return found.reshape(height + 2, row)[1:-1, 1:-1]

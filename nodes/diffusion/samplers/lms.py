"""The linear multistep sampler (Adams-Bashforth in sigma)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps

MAX_ORDER = 4


def adams_bashforth(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integral from `start` to `end` of each node's Lagrange polynomial over all `nodes`.

    Two Gauss-Legendre points integrate polynomials up to the third degree exactly, hence at most MAX_ORDER
    nodes.
    """
    middle, half = (start + end) / 2, (end - start) / 2
    points = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))

    def lagrange(j: int, t: float) -> float:
        return math.prod((t - other) / (nodes[j] - other) for m, other in enumerate(nodes) if m != j)

    return [half * sum(lagrange(j, t) for t in points) for j in range(len(nodes))]


def sample_lms(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = MAX_ORDER,
) -> Tensor:
    """Extrapolate the slope through the last `order` (1 to 4) steps; into sigma 0 take the denoised picture.

    The method of Adams and Bashforth with variable steps (Hairer, Norsett, Wanner, "Solving ODEs I", III.5).
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"the order of lms lies between 1 and {MAX_ORDER}, got {order}")
    callback = callback or ignore
    levels = sigmas.tolist()
    slopes: tuple[Tensor, ...] = start.memory  # of the steps before, the latest first
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, slopes))
        if sigma_next == 0:
            x = denoised
            continue
        slopes = ((x - denoised) / sigma, *slopes[: order - 1])
        nodes = [levels[i - j] for j in range(len(slopes))]
        for weight, slope in zip(adams_bashforth(nodes, sigma, sigma_next), slopes, strict=True):
            x = x + weight * slope
    return x

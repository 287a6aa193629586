"""The linear multistep sampler (Adams-Bashforth in sigma)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps
from nodes.diffusion.samplers.quadrature import gauss_legendre, lagrange_integrals

MAX_ORDER = 100


def adams_bashforth(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integral from `start` to `end` of each node's Lagrange polynomial over all `nodes`."""
    return lagrange_integrals(nodes, gauss_legendre(start, end, -(-len(nodes) // 2)))


def sample_lms(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = 4,
) -> Tensor:
    """Extrapolate the slope through the last `order` (1 to 100) steps; into sigma 0 take the denoised picture.

    More than 4 or 5 make it unstable. The method of Adams and Bashforth with variable steps (Hairer, Norsett, Wanner,
    "Solving ODEs I", III.5).
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

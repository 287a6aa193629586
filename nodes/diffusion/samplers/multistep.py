"""Multistep methods on the slope eps = (x - D) / sigma of the probability-flow ODE; one evaluation per step.

iPNDM and DEIS: Zhang and Chen 2022, "Fast sampling of diffusion models with exponential integrator". Into sigma 0 all
of them take the denoised picture. Their memory is the slopes of the steps before, the latest first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from nodes.diffusion.samplers.cfg_pp import renoised
from nodes.diffusion.samplers.common import (
    BEGINNING,
    Callback,
    Model,
    Start,
    Step,
    denoise_at,
    denoise_both,
    ignore,
    steps,
)
from nodes.diffusion.samplers.lms import adams_bashforth
from nodes.diffusion.samplers.quadrature import gauss_legendre, lagrange_integrals

ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the last slopes in steps of one length, by order."""

Weights = Callable[[Sequence[float], float], Sequence[float]]
"""`weights(nodes, sigma_next)` of the slopes at `nodes` (noise levels, that of the step first) in x's change."""


def _multistep(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    callback: Callback | None,
    start: Start,
    order: int,
    weights: Weights,
) -> Tensor:
    callback = callback or ignore
    levels = sigmas.tolist()
    slopes: tuple[Tensor, ...] = start.memory
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, slopes))
        if sigma_next == 0:
            x = denoised
            continue
        slopes = ((x - denoised) / sigma, *slopes[: order - 1])
        nodes = [levels[i - j] for j in range(len(slopes))]
        for weight, slope in zip(weights(nodes, sigma_next), slopes, strict=True):
            x = x + weight * slope
    return x


def check_order(name: str, order: int, highest: int) -> None:
    """Raise ValueError for an order that a method has no weights for."""
    if not 1 <= order <= highest:
        raise ValueError(f"the order of {name} lies between 1 and {highest}, got {order}")


def sample_ipndm(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = 4,
) -> Tensor:
    """iPNDM: the weights of Adams and Bashforth for steps of one length, of lower order in the first steps."""
    check_order("ipndm", order, len(ADAMS_BASHFORTH))

    def weights(nodes: Sequence[float], sigma_next: float) -> list[float]:
        return [weight * (sigma_next - nodes[0]) for weight in ADAMS_BASHFORTH[len(nodes) - 1]]

    return _multistep(model, x, sigmas, callback, start, order, weights)


def sample_ipndm_v(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = 4,
) -> Tensor:
    """iPNDM with the weights for the lengths that the steps have, which makes it the method of `sample_lms`."""
    check_order("ipndm_v", order, 4)
    return _multistep(
        model, x, sigmas, callback, start, order, lambda nodes, end: adams_bashforth(nodes, nodes[0], end)
    )


def _vp_time(smallest: float = 0.002, largest: float = 80.0, epsilon: float = 1e-3) -> tuple[float, float]:
    """(beta_d, beta_min) with which a variance-preserving SDE has `smallest` at time epsilon, `largest` at time 1.

    Its noise level is sigma(t) = sqrt(exp(beta_d t^2 / 2 + beta_min t) - 1) (Karras et al. 2022, table 1).
    """
    low, high = math.log1p(smallest**2), math.log1p(largest**2)
    beta_d = 2 * (low / epsilon - high) / (epsilon - 1)
    return beta_d, high - beta_d / 2


BETA_D, BETA_MIN = _vp_time()


def _time_of(sigma: float) -> float:
    return (math.sqrt(BETA_MIN**2 + 2 * BETA_D * math.log1p(sigma**2)) - BETA_MIN) / BETA_D


def _sigma_slope(t: float) -> float:
    """d sigma / d t."""
    growth = math.exp(BETA_D * t**2 / 2 + BETA_MIN * t)
    return growth * (BETA_D * t + BETA_MIN) / (2 * math.sqrt(growth - 1))


def tab_weights(nodes: Sequence[float], sigma_next: float) -> list[float]:
    """tAB-DEIS: eps is extrapolated by a polynomial in the time t of the VP SDE and integrated over sigma(t)."""
    if len(nodes) == 1:
        return [sigma_next - nodes[0]]
    times = [_time_of(sigma) for sigma in nodes]
    points = gauss_legendre(times[0], _time_of(sigma_next), 12)
    return lagrange_integrals(times, [(t, weight * _sigma_slope(t)) for t, weight in points])


def sample_deis(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = 3,
) -> Tensor:
    """tAB-DEIS of `order` slopes (the paper's section 3.3), of lower order in the first steps."""
    check_order("deis", order, 4)
    return _multistep(model, x, sigmas, callback, start, order, tab_weights)


def sample_gradient_estimation(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    gamma: float = 2.0,
) -> Tensor:
    """Euler steps along gamma * eps + (1 - gamma) * eps_before.

    Permenter and Yuan 2024, "Interpreting and improving diffusion models from an optimization perspective",
    algorithm 2: the difference cancels errors of the network's gradient estimates; gamma 2 is their choice.
    """

    def weights(nodes: Sequence[float], sigma_next: float) -> list[float]:
        shares = [gamma, 1 - gamma] if len(nodes) == 2 else [1.0]
        return [share * (sigma_next - nodes[0]) for share in shares]

    return _multistep(model, x, sigmas, callback, start, 2, weights)


def sample_gradient_estimation_cfg_pp(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    gamma: float = 2.0,
) -> Tensor:
    """CFG++ Euler steps, corrected by the difference of the unconditional slopes as in `sample_gradient_estimation`."""
    callback = callback or ignore
    levels = sigmas.tolist()
    before: Tensor | None
    (before,) = start.memory or (None,)
    for i, sigma, sigma_next in steps(levels, start):
        denoised, unconditional = denoise_both(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (before,), unconditional))
        if sigma_next == 0:
            x = denoised
            continue
        slope = (x - unconditional) / sigma
        x = renoised(x, denoised, unconditional, sigma_next / sigma)
        if before is not None:
            x = x + (slope - before) * ((gamma - 1) * (sigma_next - sigma))
        before = slope
    return x

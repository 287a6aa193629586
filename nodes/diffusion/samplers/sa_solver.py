"""SA-Solver (Xue et al. 2023, "SA-Solver: stochastic Adams solver for fast sampling of diffusion models").

A stochastic linear multistep method in lambda = -log sigma on the denoised picture, as predictor and corrector. Where
tau says how strong the reverse-time SDE is, a step h decays x by exp(-(1 + tau^2) h), and past (and, in the corrector,
the next) pictures weigh what the integrals of their Lagrange polynomials under the same decay say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from nodes.diffusion.noise import NoiseSampler
from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps
from nodes.diffusion.samplers.multistep import check_order
from nodes.diffusion.samplers.quadrature import gauss_legendre, lagrange_integrals

HIGHEST_ORDER = 6
SDE_START_SIGMA, SDE_END_SIGMA = 5.092408, 0.571189
"""Stable Diffusion's noise levels at 20 and 80 percent of the way."""

_FORGOTTEN = 40.0
"""Exponent of a decay after which nothing is left in double precision."""

History = tuple[tuple[float, Tensor], ...]
"""(sigma, denoised) of the points so far, the latest first."""


def adams_weights(nodes: Sequence[float], start: float, end: float, rate: float) -> list[float]:
    """What pictures at `nodes` weigh in a step from lambda `start` to `end`: under a decay of `rate` (1 + tau^2).

    The integral over the step of rate * exp(-rate * (end - t)) times each node's Lagrange polynomial at t.
    """
    if (end - start) * rate > _FORGOTTEN:
        start = end - _FORGOTTEN / rate
    points = gauss_legendre(start, end, 32)
    return lagrange_integrals(nodes, [(t, w * rate * math.exp(-rate * (end - t))) for t, w in points])


def _simple_order_2(weights: list[float], nodes: Sequence[float], h: float, rate: float) -> list[float]:
    """Two nodes, the slope between them weighted by h^2 / 2 for its exact integral, as the authors do for few steps."""
    exact = (rate * h + math.expm1(-rate * h)) / rate**2
    change = rate * (h**2 / 2 - exact) / (nodes[0] - nodes[1])
    return [weights[0] + change, weights[1] - change]


def _advance(x: Tensor, points: History, sigma: float, sigma_next: float, tau: float, simple_order_2: bool) -> Tensor:
    """x without its noise, by the pictures at `points`."""
    start, end = -math.log(sigma), -math.log(sigma_next)
    nodes = [-math.log(level) for level, _ in points]
    rate = 1 + tau**2
    weights = adams_weights(nodes, start, end, rate)
    if simple_order_2 and len(nodes) == 2:
        weights = _simple_order_2(weights, nodes, end - start, rate)
    x = math.exp(-rate * (end - start)) * x
    for weight, (_, denoised) in zip(weights, points, strict=True):
        x = x + weight * denoised
    return x


def sample_sa_solver(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    sde_start_sigma: float = SDE_START_SIGMA,
    sde_end_sigma: float = SDE_END_SIGMA,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    simple_order_2: bool = False,
    evaluate_again: bool = False,
) -> Tensor:
    """SA-Solver (algorithm 1): predict, evaluate, correct; and `evaluate_again` for PECE, at twice the cost.

    tau is `eta` in steps that end between both sigmas, else 0. The orders (1 to 6; a corrector of order 0 corrects
    nothing) are the numbers of pictures that count; they are lower in the first steps and, on the way to sigma 0, in
    the last ones.
    """
    check_order("the predictor", predictor_order, HIGHEST_ORDER)
    if corrector_order != 0:
        check_order("the corrector", corrector_order, HIGHEST_ORDER)
    callback = callback or ignore
    levels = sigmas.tolist()
    count = len(levels) - 1
    if start.i >= count:
        return x
    denoised = denoise_at(model, x, levels[start.i])
    history: History = start.memory
    for i, sigma, sigma_next in steps(levels, start):
        callback(Step(i, count, sigma, x, denoised, history))
        if sigma_next == 0:
            return denoised
        highest = count - 1 - i if levels[-1] == 0 else HIGHEST_ORDER
        tau = eta if sde_end_sigma <= sigma_next <= sde_start_sigma else 0.0
        history = ((sigma, denoised), *history)[: max(predictor_order, corrector_order)]
        spread = sigma_next * math.sqrt(max(-math.expm1(-2 * tau**2 * math.log(sigma / sigma_next)), 0.0))
        drawn = noise(sigma, sigma_next) * (s_noise * spread) if spread > 0 else 0.0
        predictor = history[: min(predictor_order, highest)]
        predicted = _advance(x, predictor, sigma, sigma_next, tau, simple_order_2) + drawn
        if i == count - 1:
            return predicted
        denoised = denoise_at(model, predicted, sigma_next)
        corrector = ((sigma_next, denoised), *history)[: min(corrector_order, highest)]
        if not corrector:
            x = predicted
            continue
        x = _advance(x, corrector, sigma, sigma_next, tau, simple_order_2) + drawn
        if evaluate_again:
            denoised = denoise_at(model, x, sigma_next)
    return x


def sample_sa_solver_pece(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    sde_start_sigma: float = SDE_START_SIGMA,
    sde_end_sigma: float = SDE_END_SIGMA,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver that evaluates the model at the corrected latent again."""
    return sample_sa_solver(
        model, x, sigmas, noise=noise, callback=callback, start=start, eta=eta, sde_start_sigma=sde_start_sigma,
        sde_end_sigma=sde_end_sigma, s_noise=s_noise, predictor_order=predictor_order,
        corrector_order=corrector_order, simple_order_2=simple_order_2, evaluate_again=True,
    )  # fmt: skip

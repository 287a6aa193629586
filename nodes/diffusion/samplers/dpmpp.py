"""The DPM-Solver++ family (Lu et al. 2022, "DPM-Solver++: fast solver for guided sampling"), ODE and SDE.

All are exponential integrators in lambda = -log sigma on the denoised picture D: over a step h = lambda' -
lambda the linear part is solved exactly, x' = (sigma'/sigma) x + (1 - sigma'/sigma) D, and the members of
the family differ in which estimate of D along the step they put there.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from nodes.diffusion.noise import NoiseSampler
from nodes.diffusion.samplers.common import (
    BEGINNING,
    Callback,
    Model,
    Start,
    Step,
    ancestral_split,
    denoise_at,
    ignore,
    steps,
)

NO_STEP_YET: tuple[Tensor | None, float] = (None, 0.0)
"""(D, h) of the step before, where there was none."""


def _towards(denoised: Tensor, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """The exact solution of a step on which the denoised picture stays the same."""
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * denoised


def sample_dpmpp_2m(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """DPM-Solver++(2M): extrapolate D to the middle of the step by the step before (algorithm 2)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    previous, h_previous = start.memory or NO_STEP_YET
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (previous, h_previous)))
        if sigma_next == 0:
            x = denoised
            continue
        h = math.log(sigma / sigma_next)
        estimate = denoised
        if previous is not None:
            estimate = denoised + (denoised - previous) * (h / (2 * h_previous))
        x = _towards(estimate, x, sigma, sigma_next)
        previous, h_previous = denoised, h
    return x


def sample_dpmpp_2s_ancestral(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) steps (algorithm 1, r = 1/2) to below the next noise level, then fresh noise."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        down, up = ancestral_split(sigma, sigma_next, eta)
        estimate = denoised
        if down > 0:
            sigma_mid = math.sqrt(sigma * down)
            estimate = denoise_at(model, _towards(denoised, x, sigma, sigma_mid), sigma_mid)
        x = _towards(estimate, x, sigma, down)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def sample_dpmpp_sde(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """Stochastic DPM-Solver++(2S): noise at the share `r` of the step and at its end, both from one Brownian path."""
    if not 0 < r <= 1:
        raise ValueError(f"r must lie above 0 and at most at 1, got {r}")
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        if sigma_next == 0:
            x = denoised
            continue
        sigma_mid = math.sqrt(sigma * sigma_next) if r == 0.5 else sigma * (sigma_next / sigma) ** r
        down, up = ancestral_split(sigma, sigma_mid, eta)
        x_mid = _towards(denoised, x, sigma, down)
        if up > 0:
            x_mid = x_mid + noise(sigma, sigma_mid) * (s_noise * up)
        estimate = denoise_at(model, x_mid, sigma_mid)
        if r != 0.5:
            estimate = denoised + (estimate - denoised) / (2 * r)
        down, up = ancestral_split(sigma, sigma_next, eta)
        x = _towards(estimate, x, sigma, down)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def _sde_noise_scale(sigma_next: float, h: float, eta: float) -> float:
    """Standard deviation of the noise that the reverse SDE of strength `eta` adds over a step h."""
    return sigma_next * math.sqrt(max(-math.expm1(-2 * eta * h), 0.0))


def sample_dpmpp_2m_sde(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
) -> Tensor:
    """SDE-DPM-Solver++(2M); `solver_type` "midpoint" or "heun" says how D's slope enters."""
    if solver_type not in ("midpoint", "heun"):
        raise ValueError(f"solver_type must be midpoint or heun, got {solver_type!r}")
    callback = callback or ignore
    levels = sigmas.tolist()
    previous, h_previous = start.memory or NO_STEP_YET
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (previous, h_previous)))
        if sigma_next == 0:
            x = denoised
            continue
        h = math.log(sigma / sigma_next)
        decay = -(1 + eta) * h
        pull = -math.expm1(decay)
        x = math.exp(decay) * x + pull * denoised
        if previous is not None:
            share = pull / 2 if solver_type == "midpoint" else 1 + pull / decay
            x = x + (denoised - previous) * (share * h / h_previous)
        if eta > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * _sde_noise_scale(sigma_next, h, eta))
        previous, h_previous = denoised, h
    return x


def sample_dpmpp_2m_sde_heun(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """SDE-DPM-Solver++(2M) with the solver type "heun"."""
    return sample_dpmpp_2m_sde(
        model, x, sigmas, noise=noise, callback=callback, start=start, eta=eta, s_noise=s_noise, solver_type="heun"
    )


def sample_dpmpp_3m_sde(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """SDE-DPM-Solver++(3M): D's slope and curvature in lambda by divided differences over three steps."""
    callback = callback or ignore
    levels = sigmas.tolist()
    history: tuple[tuple[float, Tensor], ...] = start.memory  # (h, D) of the steps before, the latest first
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, history))
        if sigma_next == 0:
            x = denoised
            continue
        h = math.log(sigma / sigma_next)
        decay = -(1 + eta) * h
        phi_1 = math.expm1(decay)
        phi_2 = 1 - phi_1 / decay
        phi_3 = -phi_2 / decay - 0.5
        x = math.exp(decay) * x - phi_1 * denoised
        if len(history) == 1:
            ((h1, d1),) = history
            x = x + (denoised - d1) * (phi_2 * h / h1)
        elif history:
            (h1, d1), (h2, d2) = history
            slope_1, slope_2 = (denoised - d1) * (h / h1), (d1 - d2) * (h / h2)
            bend = (slope_1 - slope_2) * (h / (h1 + h2))
            x = x + (slope_1 + bend * (h1 / h)) * phi_2 - bend * phi_3
        if eta > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * _sde_noise_scale(sigma_next, h, eta))
        history = ((h, denoised), *history[:1])
    return x

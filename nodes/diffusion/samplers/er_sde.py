"""ER-SDE-Solver (Cui et al. 2023, "Elucidating the solution space of extended reverse-time SDE").

A function phi(sigma) says how much noise is exchanged on the way. Over a step the solution is x' = r x + (1 - r) D
with r = phi(sigma') / phi(sigma), and corrections by D's first and second derivative in sigma, whose weights are
integrals of 1 / phi (the paper's proposition 2, variance exploding).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nodes.diffusion.noise import NoiseSampler
from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps
from nodes.diffusion.samplers.quadrature import gauss_legendre

SOLVER_TYPES = ("ER-SDE", "Reverse-time SDE", "ODE")


def _phi(solver_type: str, eta: float) -> Callable[[float], float]:
    """log phi. The paper's ER-SDE 5, the reverse-time SDE of strength `eta`, or the ODE (strength 0)."""
    if solver_type == "ER-SDE":
        return lambda sigma: math.log(sigma) + math.log(math.exp(sigma**0.3) + 10)
    power = 1 + (0.0 if solver_type == "ODE" else eta)
    return lambda sigma: power * math.log(sigma)


@dataclass(frozen=True, slots=True)
class StepWeights:
    """What x, D's first and second derivative and fresh noise weigh in a step; D itself weighs 1 - ratio."""

    ratio: float
    first: float
    second: float
    noise: float


def step_weights(log_phi: Callable[[float], float], sigma: float, sigma_next: float) -> StepWeights:
    """The weights of a step between two noise levels above 0."""
    log_phi_next = log_phi(sigma_next)
    ratio = math.exp(log_phi_next - log_phi(sigma))
    # The integrals of phi(sigma') / phi(s) and of (s - sigma) times it, in log s, where they are smooth.
    flat = bent = 0.0
    for u, weight in gauss_legendre(math.log(sigma_next), math.log(sigma), 24):
        s = math.exp(u)
        part = weight * s * math.exp(log_phi_next - log_phi(s))
        flat += part
        bent += part * (s - sigma)
    dt = sigma_next - sigma
    variance = sigma_next**2 - (sigma * ratio) ** 2
    return StepWeights(ratio, dt + flat, dt**2 / 2 + bent, math.sqrt(max(variance, 0.0)))


def _over(change: Tensor, way: float) -> Tensor:
    return change / way


def sample_er_sde(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    solver_type: str = "ER-SDE",
    max_stage: int = 3,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """ER-SDE-Solver-1, -2 or -3 (`max_stage`; the paper's algorithms 1 to 3).

    `solver_type` is one of SOLVER_TYPES; `eta` counts for the reverse-time SDE only. The ODE draws no noise.
    """
    if solver_type not in SOLVER_TYPES:
        raise ValueError(f"solver_type must be one of {', '.join(SOLVER_TYPES)}, got {solver_type!r}")
    if not 1 <= max_stage <= 3:
        raise ValueError(f"max_stage lies between 1 and 3, got {max_stage}")
    callback = callback or ignore
    levels = sigmas.tolist()
    log_phi = _phi(solver_type, eta)
    draws = solver_type == "ER-SDE" or (solver_type == "Reverse-time SDE" and eta > 0)
    history: tuple[Any, ...] = start.memory  # (D, D') of the step before; D' is None in the second step
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, history))
        if sigma_next == 0:
            x = denoised
            continue
        weights = step_weights(log_phi, sigma, sigma_next)
        x = weights.ratio * x + (1 - weights.ratio) * denoised
        slope = None
        if history and max_stage > 1:
            before, slope_before = history
            slope = _over(denoised - before, sigma - levels[i - 1])
            x = x + weights.first * slope
            if slope_before is not None and max_stage > 2:
                x = x + weights.second * _over(slope - slope_before, (sigma - levels[i - 2]) / 2)
        if draws and weights.noise > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * weights.noise)
        history = (denoised, slope)
    return x

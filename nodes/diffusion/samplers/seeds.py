"""SEEDS (Gonzalez et al. 2023, "SEEDS: exponential SDE solvers for fast high-quality sampling").

Stochastic exponential Runge-Kutta methods in lambda = -log sigma on the denoised picture. Over a step h the linear
part decays by exp(-(1 + eta) h); the noise of a step is drawn for its parts between the stages one by one, so that
stages and end lie on one path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from nodes.diffusion.noise import NoiseSampler
from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps


def _stages(sigma: float, sigma_next: float, shares: Sequence[float]) -> list[float]:
    """The noise levels at shares of the step in lambda, its ends included."""
    return [sigma, *(sigma * (sigma_next / sigma) ** share for share in shares), sigma_next]


class _Path:
    """The noise of one step, drawn from stage to stage."""

    def __init__(self, noise: NoiseSampler, levels: Sequence[float], eta: float, s_noise: float) -> None:
        self._noise, self._levels, self._eta, self._s_noise = noise, levels, eta, s_noise
        self._draws: list[Tensor] = []

    def add_to(self, x: Tensor, stage: int) -> Tensor:
        """x with all the noise up to a stage, counted from 1."""
        if self._eta <= 0:
            return x
        while len(self._draws) < stage:
            self._draws.append(self._noise(*self._levels[len(self._draws) : len(self._draws) + 2]))
        end = self._levels[stage]
        for draw, high, low in zip(self._draws[:stage], self._levels, self._levels[1:], strict=False):
            # What is drawn from `high` to `low` has decayed on the way to `end`.
            variance = (end / low) ** (2 * self._eta) - (end / high) ** (2 * self._eta)
            x = x + draw * (self._s_noise * end * math.sqrt(max(variance, 0.0)))
        return x


def _drift(x: Tensor, denoised: Tensor, h: float) -> Tensor:
    return math.exp(-h) * x - math.expm1(-h) * denoised


def _phi_2(h: float) -> float:
    """h phi_2(-h) of the exponential integrators, with phi_2(z) = (exp(z) - 1 - z) / z^2."""
    return (math.expm1(-h) + h) / h


def _check_shares(*shares: float) -> None:
    if not all(0 < low < high for low, high in zip(shares, (*shares[1:], 1 + 1e-9), strict=True)):
        raise ValueError(f"the stages of seeds lie at rising shares r of the step, above 0 up to 1, got {shares}")


def sample_seeds_2(
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
    """SEEDS-2: a second evaluation at the share `r` of the step, weighted as in the midpoint rule."""
    _check_shares(r)
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        if sigma_next == 0:
            x = denoised
            continue
        stages = _stages(sigma, sigma_next, (r,))
        path = _Path(noise, stages, eta, s_noise)
        h = (1 + eta) * math.log(sigma / sigma_next)
        x_1 = path.add_to(_drift(x, denoised, r * h), 1)
        denoised_1 = denoise_at(model, x_1, stages[1])
        x = path.add_to(_drift(x, denoised + (denoised_1 - denoised) / (2 * r), h), 2)
    return x


def sample_seeds_3(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Tensor:
    """SEEDS-3: two more evaluations, at the shares `r_1` and `r_2` of the step."""
    _check_shares(r_1, r_2)
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        if sigma_next == 0:
            x = denoised
            continue
        stages = _stages(sigma, sigma_next, (r_1, r_2))
        path = _Path(noise, stages, eta, s_noise)
        h = (1 + eta) * math.log(sigma / sigma_next)
        x_1 = path.add_to(_drift(x, denoised, r_1 * h), 1)
        denoised_1 = denoise_at(model, x_1, stages[1])
        x_2 = _drift(x, denoised, r_2 * h) + (denoised_1 - denoised) * (r_2 / r_1 * _phi_2(r_2 * h))
        denoised_2 = denoise_at(model, path.add_to(x_2, 2), stages[2])
        x = path.add_to(_drift(x, denoised, h) + (denoised_2 - denoised) * (_phi_2(h) / r_2), 3)
    return x

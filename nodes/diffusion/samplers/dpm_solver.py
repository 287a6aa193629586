"""DPM-Solver (Lu et al. 2022, "DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling").

Exponential integrators in t = -log sigma on the noise prediction eps = (x - D) / sigma, of orders 1 to 3. Both
samplers here take from a schedule its ends only, and choose their own steps between them, in t. They end at the
lowest noise level above 0, as in the paper; more than a trace of noise there is taken away by one more evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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

TRACE = 0.05
"""Noise below this level is not seen in a picture; Stable Diffusion's lowest level is 0.029."""

MOST_STEPS = 10_000
"""An adaptive step is at least this part of the way, however large its error."""


def _slope(model: Model, x: Tensor, sigma: float) -> Tensor:
    return (x - denoise_at(model, x, sigma)) / sigma


def _between(sigma: float, sigma_next: float, share: float) -> float:
    """The noise level at a share of the step in t."""
    return sigma * (sigma_next / sigma) ** share


def _first(x: Tensor, eps: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """DPM-Solver-1 (eq. 3.7), which is an Euler step in sigma."""
    return x + eps * (sigma_next - sigma)


def _second(x: Tensor, eps: Tensor, eps_1: Tensor, sigma: float, sigma_next: float, share: float) -> Tensor:
    """DPM-Solver-2 (algorithm 4) with its intermediate point at `share` of the step."""
    return _first(x, eps + (eps_1 - eps) / (2 * share), sigma, sigma_next)


def _third(model: Model, x: Tensor, eps: Tensor, eps_1: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """DPM-Solver-3 (algorithm 5) with its intermediate points at one and two thirds of the step."""
    sigma_2 = _between(sigma, sigma_next, 2 / 3)
    x_2 = _first(x, eps, sigma, sigma_2) - (eps_1 - eps) * (2 * _bend(sigma, sigma_2))
    eps_2 = _slope(model, x_2, sigma_2)
    return _first(x, eps, sigma, sigma_next) - (eps_2 - eps) * (1.5 * _bend(sigma, sigma_next))


def _bend(sigma: float, sigma_next: float) -> float:
    """sigma' ((e^h - 1) / h - 1), the weight of a slope of eps in t over a step."""
    h = math.log(sigma / sigma_next)
    return sigma_next * (math.expm1(h) / h - 1)


@dataclass(frozen=True, slots=True)
class _Way:
    """From which noise level to which, with how many evaluations, and whether one more cleans what is left."""

    first: float
    last: float
    budget: int
    cleans: bool


def _way(levels: Sequence[float]) -> _Way:
    """What a schedule of at least one step asks for."""
    budget = len(levels) - 1
    if levels[-1] > 0:
        return _Way(levels[0], levels[-1], budget, cleans=False)
    first, last = levels[0], levels[-2]
    cleans = last > TRACE or last == first
    return _Way(first, last, budget - cleans, cleans)


def fast_orders(evaluations: int) -> list[int]:
    """The orders of DPM-Solver-fast's steps (appendix D.3): as many thirds as fit, the rest at the end."""
    if evaluations < 1:
        return []
    if evaluations % 3 == 0:
        return [3] * (evaluations // 3 - 1) + [2, 1]
    return [3] * (evaluations // 3) + [evaluations % 3]


def sample_dpm_fast(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """DPM-Solver-fast: as many evaluations as the schedule has steps, in about a third as many steps.

    The callback counts the solver's own steps.
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    if len(levels) < 2:
        return x
    way = _way(levels)
    orders = fast_orders(way.budget)
    count = len(orders) + way.cleans
    own = [_between(way.first, way.last, i / len(orders)) for i in range(1, len(orders))]
    own = [way.first, *own, way.last] if orders else [way.first]
    for i, sigma, sigma_next in steps(own, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, count, sigma, x, denoised))
        eps = (x - denoised) / sigma
        if orders[i] == 1:
            x = _first(x, eps, sigma, sigma_next)
            continue
        share = 1 / orders[i]
        sigma_1 = _between(sigma, sigma_next, share)
        eps_1 = _slope(model, _first(x, eps, sigma, sigma_1), sigma_1)
        if orders[i] == 2:
            x = _second(x, eps, eps_1, sigma, sigma_next, share)
        else:
            x = _third(model, x, eps, eps_1, sigma, sigma_next)
    return _cleaned(model, x, way, count - 1, callback) if way.cleans else x


def _cleaned(model: Model, x: Tensor, way: _Way, i: int, callback: Callback) -> Tensor:
    denoised = denoise_at(model, x, way.last)
    callback(Step(i, i + 1, way.last, x, denoised))
    return denoised


@dataclass(frozen=True, slots=True)
class StepSize:
    """A PID controller of the step size (Soderlind 2003, "Digital filters in adaptive time-stepping").

    Its three coefficients weigh the error of a step and those of the last two that were taken.
    """

    order: float
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81

    def factor(self, error: float, before: tuple[float, float]) -> float:
        """How much longer the next step may be; at least `accept_safety` means that this one is good enough."""
        weights = (
            (self.pcoeff + self.icoeff + self.dcoeff) / self.order,
            -(self.pcoeff + 2 * self.dcoeff) / self.order,
            self.dcoeff / self.order,
        )
        if math.isnan(error):
            return 1.0
        # In logarithms, since coefficients up to 100 overflow otherwise.
        exponent = sum(w * -math.log(e + 1e-8) for w, e in zip(weights, (error, *before), strict=True))
        return 1 + math.atan(math.exp(max(-700.0, min(exponent, 700.0))) - 1)


def sample_dpm_adaptive(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler | None = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23 (`order` 2 or 3; appendix C): steps as long as the error of the batch allows.

    The error is what a step differs by from one of an order less, in units of atol + what rtol makes of the latent;
    `h_init` is the first step's length in t. `eta` adds fresh noise as in the ancestral samplers. A rejected step is
    tried again without being told of. The callback's `n` is how many steps there will be if they stay as long as the
    one at hand.
    """
    if order not in (2, 3):
        raise ValueError(f"the order of dpm_adaptive is 2 or 3, got {order}")
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise ValueError(f"rtol and atol must not be negative, nor both 0, got {rtol} and {atol}")
    if not h_init > 0:
        raise ValueError(f"h_init must be above 0, got {h_init}")
    callback = callback or ignore
    levels = sigmas.tolist()
    if len(levels) < 2:
        return x
    way = _way(levels)
    control = StepSize(1.5 if eta else order, pcoeff, icoeff, dcoeff, accept_safety)
    sigma, h, before, low = start.memory or (way.first, h_init, None, x)
    i = start.i
    while abs(rest := math.log(sigma / way.last)) > 1e-5:
        denoised = denoise_at(model, x, sigma)
        likely = i + max(1, math.ceil(abs(rest) / h)) + way.cleans
        callback(Step(i, likely, sigma, x, denoised, (sigma, h, before, low)))
        attempt = _Attempt(model, x, (x - denoised) / sigma, low, sigma, way, order, rtol, atol, eta)
        sigma_next, up, low, x, error, h = attempt.until_good(h, control, before)
        before = (error, (before or (error,))[0])
        if up > 0 and noise is not None:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
        sigma, i = sigma_next, i + 1
    return _cleaned(model, x, way, i, callback) if way.cleans else x


@dataclass(frozen=True, slots=True, eq=False)
class _Attempt:
    """An adaptive step from `x` at `sigma`; `before` is what the lower order gave in the step before."""

    model: Model
    x: Tensor
    eps: Tensor
    before: Tensor
    sigma: float
    way: _Way
    order: int
    rtol: float
    atol: float
    eta: float

    def until_good(
        self, h: float, control: StepSize, errors: tuple[float, float] | None
    ) -> tuple[float, float, Tensor, Tensor, float, float]:
        """(where it leads, noise to add there, latent by the lower order, by the higher, error, length of the next)."""
        rest = math.log(self.sigma / self.way.last)
        shortest = abs(math.log(self.way.first / self.way.last)) / MOST_STEPS
        while True:
            sigma_next = self.way.last if h >= abs(rest) else self.sigma * math.exp(-math.copysign(h, rest))
            down, up = self._split(sigma_next)
            low, high = _two_orders(self.model, self.x, self.eps, self.sigma, down, self.order)
            error = self._error(low, high)
            factor = control.factor(error, errors or (error, error))
            # What is no number is told of in the next step.
            if factor >= control.accept_safety or h <= shortest or math.isnan(error):
                return sigma_next, up, low, high, error, max(h * factor, shortest)
            h = max(h * min(factor, 0.9), shortest)

    def _split(self, sigma_next: float) -> tuple[float, float]:
        """As in the ancestral samplers, but never below the last noise level."""
        down, up = ancestral_split(self.sigma, sigma_next, self.eta)
        if down < self.way.last < self.sigma:
            return self.way.last, math.sqrt(max(sigma_next**2 - self.way.last**2, 0))
        return down, up

    def _error(self, low: Tensor, high: Tensor) -> float:
        """The root mean square of what two orders differ by, in units of what is allowed."""
        allowed = (low.abs().maximum(self.before.abs()) * self.rtol).clamp(min=max(self.atol, 1e-30))
        return float(((low - high) / allowed).square().mean().sqrt())


def _two_orders(
    model: Model, x: Tensor, eps: Tensor, sigma: float, sigma_next: float, order: int
) -> tuple[Tensor, Tensor]:
    """A step of the order before `order`, and one of `order`."""
    share = 1 / order
    sigma_1 = _between(sigma, sigma_next, share)
    eps_1 = _slope(model, _first(x, eps, sigma, sigma_1), sigma_1)
    second = _second(x, eps, eps_1, sigma, sigma_next, share)
    if order == 2:
        return _first(x, eps, sigma, sigma_next), second
    return second, _third(model, x, eps, eps_1, sigma, sigma_next)

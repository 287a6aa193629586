"""Samplers with two or three model evaluations per step: Heun, Heun++, DPM-2, and DPM-2 with fresh noise."""

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


def sample_heun(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Heun's method, with an Euler step into sigma 0 (Karras et al. 2022, algorithm 1)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        slope = (x - denoised) / sigma
        dt = sigma_next - sigma
        x_euler = x + slope * dt
        if sigma_next == 0:
            x = x_euler
            continue
        slope_next = (x_euler - denoise_at(model, x_euler, sigma_next)) / sigma_next
        x = x + (slope + slope_next) * (dt / 2)
    return x


def sample_heunpp2(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Heun++2: look two steps ahead, and weigh the slope there by how much noise is left.

    A slope ahead weighs sigma / (k sigma_0) for k slopes and the schedule's highest sigma_0, the step's own the rest.
    So early steps average slopes, as Heun's method does, and late ones are Euler's; the order is 1. The last but one
    step looks one step ahead, the last one not at all.
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    top = max(levels, default=0.0)
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        slope = mean = (x - denoised) / sigma
        ahead = [level for level in levels[i + 1 : i + 3] if level > 0]
        x_ahead, before = x, sigma
        slope_ahead = slope
        for level in ahead:
            x_ahead = x_ahead + slope_ahead * (level - before)
            slope_ahead = (x_ahead - denoise_at(model, x_ahead, level)) / level
            mean = mean + (slope_ahead - slope) * (level / (top * (1 + len(ahead))))
            before = level
        x = x + mean * (sigma_next - sigma)
    return x


def _midpoint_step(model: Model, x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """One step by the slope at the geometric mean of both noise levels; an Euler step into sigma 0."""
    slope = (x - denoised) / sigma
    if sigma_next == 0:
        return x + slope * (sigma_next - sigma)
    sigma_mid = math.sqrt(sigma * sigma_next)
    x_mid = x + slope * (sigma_mid - sigma)
    slope_mid = (x_mid - denoise_at(model, x_mid, sigma_mid)) / sigma_mid
    return x + slope_mid * (sigma_next - sigma)


def sample_dpm_2(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """The midpoint rule with its midpoint in log sigma, after DPM-Solver-2 (Lu et al. 2022, algorithm 1)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        x = _midpoint_step(model, x, denoised, sigma, sigma_next)
    return x


def sample_dpm_2_ancestral(
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
    """DPM-Solver-2 steps to below the next noise level, then fresh noise (split as for Euler)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        down, up = ancestral_split(sigma, sigma_next, eta)
        x = _midpoint_step(model, x, denoised, sigma, down)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x

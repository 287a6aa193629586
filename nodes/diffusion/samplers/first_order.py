"""Samplers with one model evaluation and no memory per step: Euler, DDIM, DDPM, LCM."""

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


def sample_euler(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Euler steps on the probability-flow ODE (Karras et al. 2022, algorithm 1 without its correction)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        x = x + (x - denoised) / sigma * (sigma_next - sigma)
    return x


def sample_ddim(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """DDIM with eta 0 (Song et al. 2021, "Denoising diffusion implicit models", eq. 12).

    In variance-exploding coordinates its update x' = D + sigma'/sigma (x - D) *is* the Euler step (eq. 14
    there), so the latents are those of `sample_euler`.
    """
    return sample_euler(model, x, sigmas, noise=noise, callback=callback, start=start)


def sample_euler_ancestral(
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
    """Euler steps to below the next noise level, then fresh noise (the split: Song et al. 2021, eq. 16).

    `eta` scales the share of fresh noise (0: plain Euler), `s_noise` its amplitude.
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        down, up = ancestral_split(sigma, sigma_next, eta)
        x = x + (x - denoised) / sigma * (down - sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def sample_ddpm(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Draw from the posterior q(x_{t-1} | x_t, D) of the forward process (Ho et al. 2020, eqs. 6 and 7).

    Generalised to steps between any two noise levels, with abar = 1 / (1 + sigma^2).
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        abar, abar_next = 1 / (1 + sigma**2), 1 / (1 + sigma_next**2)
        alpha = abar / abar_next
        # The paper's latents are sqrt(abar) times ours; its eq. 7 divided by sqrt(abar_next).
        from_x = alpha * (1 - abar_next) / (1 - abar)
        from_denoised = (1 - alpha) / (1 - abar)
        x = from_x * x + from_denoised * denoised
        if sigma_next > 0:
            variance = (1 - abar_next) / (1 - abar) * (1 - alpha)
            x = x + noise(sigma, sigma_next) * math.sqrt(max(variance, 0.0) / abar_next)
    return x


def sample_lcm(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSampler,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Multistep consistency sampling (Luo et al. 2023, "Latent consistency models").

    Each step jumps to the denoised picture and noises it anew; meant for distilled models, biased with
    others.
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised))
        x = denoised
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next
    return x

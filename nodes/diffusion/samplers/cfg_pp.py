"""CFG++ (Chung et al. 2024, "CFG++: manifold-constrained classifier free guidance for diffusion models").

A step of an ODE solver is the denoised picture D plus what is left of the noise. CFG++ takes the guided D, but the
noise that the *unconditional* prediction U sees in the latent, (x - U) / sigma: guidance moves the picture and does
not exaggerate the noise. Where a method corrects by differences of predictions, those are of U too. With U = D each
of these is the sampler without CFG++. They want a small cfg, about 1 to 2.
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
    denoise_both,
    ignore,
    steps,
)


def renoised(x: Tensor, denoised: Tensor, unconditional: Tensor, ratio: float) -> Tensor:
    """The denoised picture and `ratio` of the noise that the unconditional prediction sees in `x`."""
    return denoised + ratio * (x - unconditional)


def sample_euler_cfg_pp(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """Euler (DDIM) steps with CFG++ (the paper's algorithm 2)."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised, unconditional = denoise_both(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (), unconditional))
        x = renoised(x, denoised, unconditional, sigma_next / sigma)
    return x


def sample_euler_ancestral_cfg_pp(
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
    """CFG++ Euler steps to below the next noise level, then fresh noise."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised, unconditional = denoise_both(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (), unconditional))
        down, up = ancestral_split(sigma, sigma_next, eta)
        x = renoised(x, denoised, unconditional, down / sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def sample_dpmpp_2s_ancestral_cfg_pp(
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
    """DPM-Solver++(2S) steps with CFG++ in both stages, then fresh noise."""
    callback = callback or ignore
    levels = sigmas.tolist()
    for i, sigma, sigma_next in steps(levels, start):
        denoised, unconditional = denoise_both(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (), unconditional))
        down, up = ancestral_split(sigma, sigma_next, eta)
        if down > 0:
            sigma_mid = math.sqrt(sigma * down)
            x_mid = renoised(x, denoised, unconditional, sigma_mid / sigma)
            denoised, unconditional = denoise_both(model, x_mid, sigma_mid)
        x = renoised(x, denoised, unconditional, down / sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def sample_dpmpp_2m_cfg_pp(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """DPM-Solver++(2M) with CFG++; the slope between steps is that of the unconditional prediction."""
    callback = callback or ignore
    levels = sigmas.tolist()
    previous: Tensor | None
    (previous,) = start.memory or (None,)
    for i, sigma, sigma_next in steps(levels, start):
        denoised, unconditional = denoise_both(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (previous,), unconditional))
        if sigma_next == 0:
            x = denoised
            continue
        ratio = sigma_next / sigma
        x = renoised(x, denoised, unconditional, ratio)
        if previous is not None:
            share = math.log(ratio) / (2 * math.log(sigma / levels[i - 1]))
            x = x + (unconditional - previous) * ((1 - ratio) * share)
        previous = unconditional
    return x

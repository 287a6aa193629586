"""RES: the second-order multistep exponential integrator that fulfils all its order conditions.

Zhang et al. 2023, "Improved order analysis and design of exponential integrator for diffusion models sampling". With
lambda = -log sigma and a step h, x' = exp(-h) x + h (b1 D + b2 D_before), where b2 = phi_2(-h) / c2 and b1 = phi_1(-h)
- b2 for a D_before that lies c2 steps away (c2 is negative). In the first step, D is taken to stay the same.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from nodes.diffusion.noise import NoiseSampler
from nodes.diffusion.samplers.cfg_pp import renoised
from nodes.diffusion.samplers.common import (
    BEGINNING,
    Callback,
    Model,
    Start,
    Step,
    ancestral_split,
    denoise_at,
    denoise_both,
    ignore,
    steps,
)


def _sample(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSampler | None,
    callback: Callback | None,
    start: Start,
    *,
    eta: float,
    s_noise: float,
    cfg_pp: bool,
) -> Tensor:
    """All four; the memory is the prediction of the step before, and how long that step was.

    With fresh noise a step goes below the next noise level and comes up again. Its length is that of the way down, in
    both places: measured between noise levels instead, few steps would extrapolate their own noise twice over.
    """
    callback = callback or ignore
    levels = sigmas.tolist()
    before: Tensor | None
    before, h_before = start.memory or (None, 0.0)
    for i, sigma, sigma_next in steps(levels, start):
        if cfg_pp:
            denoised, base = denoise_both(model, x, sigma)
        else:
            denoised = base = denoise_at(model, x, sigma)
        callback(Step(i, len(levels) - 1, sigma, x, denoised, (before, h_before), base if cfg_pp else None))
        down, up = ancestral_split(sigma, sigma_next, eta)
        if down == 0:
            x = denoised
        else:
            h = math.log(sigma / down)
            x = renoised(x, denoised, base, down / sigma)
            if before is not None:
                # -h b2, with c2 = -h_before / h.
                x = x + (base - before) * ((h + math.expm1(-h)) / h_before)
            before, h_before = base, h
        if up > 0 and noise is not None:
            x = x + noise(sigma, sigma_next) * (s_noise * up)
    return x


def sample_res_multistep(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """RES(2M): no noise."""
    return _sample(model, x, sigmas, None, callback, start, eta=0.0, s_noise=0.0, cfg_pp=False)


def sample_res_multistep_ancestral(
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
    """RES(2M) steps to below the next noise level, then fresh noise."""
    return _sample(model, x, sigmas, noise, callback, start, eta=eta, s_noise=s_noise, cfg_pp=False)


def sample_res_multistep_cfg_pp(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """RES(2M) with CFG++ (see `cfg_pp`)."""
    return _sample(model, x, sigmas, None, callback, start, eta=0.0, s_noise=0.0, cfg_pp=True)


def sample_res_multistep_ancestral_cfg_pp(
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
    """RES(2M) with CFG++, and fresh noise after each step."""
    return _sample(model, x, sigmas, noise, callback, start, eta=eta, s_noise=s_noise, cfg_pp=True)

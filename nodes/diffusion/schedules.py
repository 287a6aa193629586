"""Schedules: at which noise levels a sampler stops on its way from noise to the picture.

Each is a function of the model's sigmas and a number of steps that returns float32 sigmas, descending, the
last one 0. `schedule` adds what some samplers and a partial denoise ask for.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nodes.diffusion.sigmas import ModelSigmas

Schedule = Callable[[ModelSigmas, int], Tensor]

DROP_PENULTIMATE = frozenset({"dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"})
"""Samplers that ask for one step more and leave out the last sigma before zero, where they do badly."""


MAX_STEPS = 1_000_000
"""Length of the longest schedule: a denoise close to 0 asks for one without end."""


def to_zero(sigmas: Tensor) -> Tensor:
    """Float32, with the final 0."""
    return torch.cat([sigmas.to(torch.float32), torch.zeros(1)])


def normal(model: ModelSigmas, steps: int) -> Tensor:
    """Evenly spaced in the timesteps that the model was trained on, both ends included."""
    return to_zero(model.sigma(torch.linspace(len(model.table) - 1, 0, steps)))


def sgm_uniform(model: ModelSigmas, steps: int) -> Tensor:
    """Evenly spaced in timesteps, the last one left out (as Stability's generative-models does)."""
    return to_zero(model.sigma(torch.linspace(len(model.table) - 1, 0, steps + 1)[:-1]))


def simple(model: ModelSigmas, steps: int) -> Tensor:
    """Table entries at an even stride down from the top one."""
    stride = len(model.table) / steps
    return to_zero(model.table[[-1 - int(i * stride) for i in range(steps)]])


def ddim_uniform(model: ModelSigmas, steps: int) -> Tensor:
    """Table entries 1, 1+k, 1+2k, ... with k = N // steps (Song et al. 2021, "leading" spacing).

    As many as the table holds: where `steps` does not divide N that can be more than `steps`.
    """
    stride = max(len(model.table) // steps, 1)
    return to_zero(model.table[1::stride].flip(0))


def karras(model: ModelSigmas, steps: int, rho: float = 7.0) -> Tensor:
    """Evenly spaced in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""
    return karras_between(model.sigma_max, model.sigma_min, steps, rho)


def karras_between(sigma_max: float, sigma_min: float, steps: int, rho: float = 7.0) -> Tensor:
    """`karras` from any noise level to any other. Raises ZeroDivisionError, OverflowError for a rho of about 0."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return to_zero((high + ramp * (low - high)) ** rho)


def exponential(model: ModelSigmas, steps: int) -> Tensor:
    """Evenly spaced in log sigma."""
    return exponential_between(model.sigma_max, model.sigma_min, steps)


def exponential_between(sigma_max: float, sigma_min: float, steps: int) -> Tensor:
    """`exponential` from any noise level above 0 to any other."""
    return to_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps, dtype=torch.float64).exp())


def beta(model: ModelSigmas, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Timesteps at quantiles of a Beta distribution, dense at both ends (Lee et al. 2024, "Beta Sampling").

    Timesteps that round to the same integer count once, so many steps can give fewer than asked for.
    Raises ValueError unless both parameters are above 0.
    """
    if not (alpha > 0 and beta > 0):
        raise ValueError(f"alpha and beta must be above 0, got {alpha} and {beta}")
    from scipy.stats import beta as beta_distribution  # half a second to import, for this schedule only

    quantiles = 1 - torch.arange(steps, dtype=torch.float64) / steps
    timesteps = torch.from_numpy(beta_distribution.ppf(quantiles.numpy(), alpha, beta)) * (len(model.table) - 1)
    return to_zero(model.table[timesteps.round().long().unique_consecutive()])


def linear_quadratic(model: ModelSigmas, steps: int, threshold: float = 0.025) -> Tensor:
    """Half of the steps linear to `threshold` of the way, then quadratic (Polyak et al. 2024, Movie Gen)."""
    if steps == 1:
        return torch.tensor([model.sigma_max, 0.0])
    linear = steps // 2
    slope = threshold / linear
    # The parabola through (linear, threshold) and (steps, 1) that leaves the line with the line's slope.
    curvature = (1 - threshold - slope * (steps - linear)) / (steps - linear) ** 2
    i = torch.arange(steps, dtype=torch.float64)
    way = slope * i + curvature * (i - linear).clamp(min=0) ** 2
    return to_zero((1 - way) * model.sigma_max)


def kl_optimal(model: ModelSigmas, steps: int) -> Tensor:
    """Evenly spaced in arctan sigma, optimal in KL divergence for Gaussian data (Sabour et al. 2024)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    high, low = math.atan(model.sigma_max), math.atan(model.sigma_min)
    return to_zero((high + ramp * (low - high)).tan())


SCHEDULES: dict[str, Schedule] = {
    "normal": normal,
    "karras": karras,
    "exponential": exponential,
    "sgm_uniform": sgm_uniform,
    "simple": simple,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "linear_quadratic": linear_quadratic,
    "kl_optimal": kl_optimal,
}
"""Every schedule by the name that workflows use."""


def schedule(name: str, model_sigmas: ModelSigmas, steps: int, denoise: float = 1.0, sampler_name: str = "") -> Tensor:
    """The sigmas that a sampler runs through: `steps` + 1 of them as a rule, float32, descending, the last 0.

    `denoise` below 1 asks for a schedule of int(steps / denoise) steps and takes its last `steps` + 1 sigmas;
    0 gives no sigmas at all. `sampler_name` matters for the samplers of DROP_PENULTIMATE only.
    Raises KeyError for an unknown name, ValueError for less than one step or a denoise outside 0..1.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, got {steps}")
    if not 0 <= denoise <= 1:
        raise ValueError(f"denoise must lie between 0 and 1, got {denoise}")
    if denoise == 0:
        return torch.empty(0)
    total = steps if denoise > 0.9999 else int(steps / denoise)
    if total > MAX_STEPS:
        raise ValueError(f"{steps} steps at denoise {denoise} need a schedule of {total}, more than {MAX_STEPS}")
    if sampler_name in DROP_PENULTIMATE:
        sigmas = SCHEDULES[name](model_sigmas, total + 1)
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    else:
        sigmas = SCHEDULES[name](model_sigmas, total)
    return sigmas if total == steps else sigmas[-(steps + 1) :]

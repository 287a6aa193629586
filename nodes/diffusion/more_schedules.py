"""Schedules that are not offered by name, and changes of schedules.

Schedules are float32 tensors [steps + 1] of noise levels, descending, the last one 0. What is given is never written
to.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nodes.diffusion.schedules import to_zero
from nodes.diffusion.sigmas import ModelSigmas

ALIGN_YOUR_STEPS: dict[str, tuple[float, ...]] = {
    "SD1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "SDXL": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
    "SVD": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
}
"""The noise levels for 10 steps that Sabour et al. 2024 ("Align your steps") found for each model."""

FIRST_OF_FLIPPED = 0.0001
"""Stands for 0 at the beginning of a schedule, from where no step leads anywhere."""


def polyexponential(sigma_max: float, sigma_min: float, steps: int, rho: float = 1.0) -> Tensor:
    """A polynomial of degree `rho` in log sigma; 1 is evenly spaced. Raises ValueError for levels of 0."""
    high, low = math.log(sigma_max), math.log(sigma_min)
    ramp = torch.linspace(1, 0, steps, dtype=torch.float64) ** rho
    return to_zero((low + ramp * (high - low)).exp())


def laplace(sigma_max: float, sigma_min: float, steps: int, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma with mean `mu` and scale `beta`, kept between both levels.

    Hang and Gu 2024, "Improved noise schedule for diffusion training". Dense around exp(mu).
    """
    way = 0.5 - torch.linspace(0, 1, steps, dtype=torch.float64)
    quantiles = mu - beta * way.sign() * (1 - 2 * way.abs() + 1e-5).log()
    return to_zero(quantiles.exp().clamp(sigma_min, sigma_max))


def variance_preserving(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, epsilon: float = 1e-3) -> Tensor:
    """Evenly spaced in the time of a variance-preserving SDE, from 1 to `epsilon` (Karras et al. 2022, table 1, VP)."""
    t = torch.linspace(1, epsilon, steps, dtype=torch.float64)
    return to_zero((beta_d * t**2 / 2 + beta_min * t).expm1().sqrt())


def turbo(model: ModelSigmas, steps: int, denoise: float = 1.0) -> Tensor:
    """The first `steps` of ten evenly spaced timesteps, counted from the one that `denoise` starts at.

    That is how SD-Turbo was distilled (Sauer et al. 2023). Fewer steps where fewer are left.
    """
    first = 10 - int(10 * denoise)
    tenth = len(model.table) / 10
    timesteps = [tenth * (10 - i) - 1 for i in range(first, min(first + steps, 10))]
    return to_zero(model.sigma(torch.tensor(timesteps)))


def align_your_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The levels of ALIGN_YOUR_STEPS, interpolated in log sigma to `steps` steps; of these the last `denoise` part.

    The last level is 0. No sigmas where `denoise` leaves no step.
    """
    levels = torch.tensor(ALIGN_YOUR_STEPS[model_type], dtype=torch.float64).log()
    place = torch.linspace(0, len(levels) - 1, steps + 1, dtype=torch.float64)
    low = place.floor().long().clamp(max=len(levels) - 2)
    sigmas = torch.lerp(levels[low], levels[low + 1], place - low).exp()
    kept = round(steps * denoise)
    return to_zero(sigmas[steps - kept : -1]) if kept > 0 else torch.empty(0)


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The steps before `step`, and those from it on; both have the level at which they meet."""
    return sigmas[: step + 1].clone(), sigmas[step:].clone()


def split_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """Split so that the second part has `denoise` of the steps."""
    steps = max(len(sigmas) - 1, 0)
    return split(sigmas, steps - round(steps * denoise))


def flip(sigmas: Tensor) -> Tensor:
    """From the picture to noise; a 0 that comes first is made FIRST_OF_FLIPPED."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = FIRST_OF_FLIPPED
    return flipped


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """The same schedule from another first level."""
    changed = sigmas.clone()
    changed[:1] = sigma
    return changed


def extend(sigmas: Tensor, steps: int, start: float, end: float, spacing: str = "linear") -> Tensor:
    """Each step that begins at a level from `start` down to `end` made into `steps` of them.

    `spacing` of the levels between: "linear"; "cosine", whose gaps shrink, or "sine", whose gaps grow, as these
    functions do from 0 to pi / 2.
    """
    way = torch.linspace(0, 1, steps + 1, dtype=torch.float64)[1:-1]
    if spacing == "cosine":
        way = (way * math.pi / 2).sin()
    elif spacing == "sine":
        way = 1 - (way * math.pi / 2).cos()
    elif spacing != "linear":
        raise ValueError(f"spacing must be linear, cosine or sine, got {spacing!r}")
    parts: list[Tensor] = []
    for high, low in zip(sigmas[:-1], sigmas[1:], strict=True):
        parts.append(high[None])
        if end <= high <= start:
            parts.append((high + way * (low - high)).to(sigmas.dtype))
    return torch.cat([*parts, sigmas[-1:]])

"""Noise levels as values: schedules, changes of schedules, and the noise to begin with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, Seed, node
from nodegraph.sockets import Model, Noise, Sigmas
from nodes.models import sigmas_of
from nodes.sampler_names import SchedulerName

if TYPE_CHECKING:
    from torch import Tensor

SCHEDULERS = "sampling/custom_sampling/schedulers"
CHANGES = "sampling/custom_sampling/sigmas"
NOISE = "sampling/custom_sampling/noise"

Steps = Annotated[int, Range(1, 10_000)]
Denoise = Annotated[float, Range(0, 1, step=0.01), Help("below 1 gives the end of the schedule only")]
Level = Annotated[float, Range(0, 5000, step=0.01)]

NO_LIMIT = 999999999.9
"""Stands for the infinite noise level at the beginning of the way, for those that can only pass numbers on."""


class SplitSchedule(NamedTuple):
    """The two parts of a schedule."""

    high_sigmas: Sigmas
    low_sigmas: Sigmas


def _made(make: Callable[[], Tensor], **inputs: float) -> Sigmas:
    """What `make` gives; where that is no schedule, the settings are told of. Raises ProblemError."""
    import torch

    try:
        sigmas = make()
        reason = "" if torch.isfinite(sigmas).all() else "they give noise levels without end"
    except (ArithmeticError, ValueError) as error:
        reason = str(error)
    if reason:
        told = ", ".join(f"{name} {value}" for name, value in inputs.items())
        raise ProblemError(
            Problem(
                code="bad_value",
                message=f"no schedule has these settings ({told}): {reason}",
                input=next(reversed(inputs)),
                got=str(next(reversed(inputs.values()))),
                hint="the defaults fit Stable Diffusion",
            )
        )
    return Sigmas(sigmas)


@node(category=SCHEDULERS)
def BasicScheduler(
    model: Model, scheduler: SchedulerName = "normal", steps: Steps = 20, denoise: Denoise = 1.0
) -> Sigmas:
    """A schedule by its name, made for a model."""
    from nodes.diffusion.schedules import schedule

    return _made(lambda: schedule(scheduler, sigmas_of(model), steps, denoise), steps=steps, denoise=denoise)


@node(category=SCHEDULERS)
def KarrasScheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Annotated[float, Range(0, 100, step=0.01), Help("the higher, the more steps near the picture; above 0")] = 7.0,
) -> Sigmas:
    """Noise levels evenly spaced in sigma to the power of 1 / rho."""
    from nodes.diffusion.schedules import karras_between

    return _made(lambda: karras_between(sigma_max, sigma_min, steps, rho), rho=rho)


@node(category=SCHEDULERS)
def ExponentialScheduler(steps: Steps = 20, sigma_max: Level = 14.614642, sigma_min: Level = 0.0291675) -> Sigmas:
    """Noise levels evenly spaced in log sigma."""
    from nodes.diffusion.schedules import exponential_between

    return _made(lambda: exponential_between(sigma_max, sigma_min, steps), sigma_max=sigma_max, sigma_min=sigma_min)


@node(category=SCHEDULERS)
def PolyexponentialScheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    rho: Annotated[float, Range(0, 100, step=0.01), Help("1 is evenly spaced; more means more steps at the end")] = 1.0,
) -> Sigmas:
    """Noise levels that follow a polynomial in log sigma."""
    from nodes.diffusion.more_schedules import polyexponential

    return _made(
        lambda: polyexponential(sigma_max, sigma_min, steps, rho), rho=rho, sigma_max=sigma_max, sigma_min=sigma_min
    )


@node(category=SCHEDULERS)
def LaplaceScheduler(
    steps: Steps = 20,
    sigma_max: Level = 14.614642,
    sigma_min: Level = 0.0291675,
    mu: Annotated[float, Range(-10, 10, step=0.1), Help("log sigma where most steps are")] = 0.0,
    beta: Annotated[float, Range(0, 10, step=0.1), Help("how far they spread from there")] = 0.5,
) -> Sigmas:
    """Noise levels that gather around one level, as a Laplace distribution does."""
    from nodes.diffusion.more_schedules import laplace

    return _made(lambda: laplace(sigma_max, sigma_min, steps, mu, beta), beta=beta)


@node(category=SCHEDULERS)
def VPScheduler(
    steps: Steps = 20,
    beta_d: Level = 19.9,
    beta_min: Level = 0.1,
    eps_s: Annotated[float, Range(0, 1, step=0.0001), Help("the time before the picture at which to stop")] = 0.001,
) -> Sigmas:
    """Noise levels evenly spaced in the time of a variance-preserving diffusion process."""
    from nodes.diffusion.more_schedules import variance_preserving

    return _made(lambda: variance_preserving(steps, beta_d, beta_min, eps_s), beta_min=beta_min, beta_d=beta_d)


@node(category=SCHEDULERS)
def BetaSamplingScheduler(
    model: Model,
    steps: Steps = 20,
    alpha: Annotated[float, Range(0, 50, step=0.01), Help("below 1: more steps near the picture; above 0")] = 0.6,
    beta: Annotated[float, Range(0, 50, step=0.01), Help("below 1: more steps near pure noise; above 0")] = 0.6,
) -> Sigmas:
    """Timesteps at the quantiles of a beta distribution."""
    from nodes.diffusion.schedules import beta as beta_schedule

    return _made(lambda: beta_schedule(sigmas_of(model), steps, alpha, beta), beta=beta, alpha=alpha)


@node(category=SCHEDULERS)
def SDTurboScheduler(model: Model, steps: Annotated[int, Range(1, 10)] = 1, denoise: Denoise = 1.0) -> Sigmas:
    """The steps that turbo models were made for: some of ten, from the noisiest on."""
    from nodes.diffusion.more_schedules import turbo

    return Sigmas(turbo(sigmas_of(model), steps, denoise))


@node(category=SCHEDULERS)
def AlignYourStepsScheduler(
    model_type: Literal["SD1", "SDXL", "SVD"] = "SD1", steps: Steps = 10, denoise: Denoise = 1.0
) -> Sigmas:
    """Noise levels that were optimised for a kind of model, for few steps."""
    from nodes.diffusion.more_schedules import align_your_steps

    return Sigmas(align_your_steps(model_type, steps, denoise))


@node(category=CHANGES, numeric=False)
def SplitSigmas(sigmas: Sigmas, step: Annotated[int, Range(0, 10_000)] = 0) -> SplitSchedule:
    """Split a schedule at a step; both parts have the noise level at which they meet."""
    from nodes.diffusion.more_schedules import split

    return SplitSchedule(*map(Sigmas, split(sigmas, step)))


@node(category=CHANGES, numeric=False)
def SplitSigmasDenoise(sigmas: Sigmas, denoise: Annotated[float, Range(0, 1, step=0.01)] = 1.0) -> SplitSchedule:
    """Split a schedule so that the second part has this share of its steps."""
    from nodes.diffusion.more_schedules import split_denoise

    return SplitSchedule(*map(Sigmas, split_denoise(sigmas, denoise)))


@node(category=CHANGES, numeric=False)
def FlipSigmas(sigmas: Sigmas) -> Sigmas:
    """Turn a schedule around, to go from a picture to the noise that draws it."""
    from nodes.diffusion.more_schedules import flip

    return Sigmas(flip(sigmas))


@node(category=CHANGES, numeric=False)
def SetFirstSigma(sigmas: Sigmas, sigma: Annotated[float, Range(0, 20_000, step=0.001)] = 136.0) -> Sigmas:
    """Start a schedule at another noise level."""
    from nodes.diffusion.more_schedules import with_first

    return Sigmas(with_first(sigmas, sigma))


@node(category=CHANGES)
def ExtendIntermediateSigmas(
    sigmas: Sigmas,
    steps: Annotated[int, Range(1, 100), Help("steps that each one becomes")] = 2,
    start_at_sigma: Annotated[float, Range(-1, 20_000, step=0.01), Help("from this level on; -1 is any")] = -1.0,
    end_at_sigma: Annotated[float, Range(0, 20_000, step=0.01), Help("down to this level")] = 12.0,
    spacing: Annotated[
        Literal["linear", "cosine", "sine"], Help("even gaps, shrinking ones (cosine) or growing ones (sine)")
    ] = "linear",
) -> Sigmas:
    """Put more steps into a part of a schedule."""
    from nodes.diffusion.more_schedules import extend

    start = math.inf if start_at_sigma < 0 else start_at_sigma
    return Sigmas(extend(sigmas, steps, start, end_at_sigma, spacing))


class SigmaValue(NamedTuple):
    """A noise level as a number."""

    sigma_value: float


@node(category=CHANGES)
def SamplingPercentToSigma(
    model: Model,
    sampling_percent: Annotated[float, Range(0, 1, step=0.0001), Help("0 is pure noise, 1 the picture")] = 0.0,
    return_actual_sigma: Annotated[
        bool, Help("at 0 and 1, give the model's highest and lowest level, and not one beyond all others")
    ] = False,
) -> SigmaValue:
    """The noise level at a part of the way from noise to picture."""
    sigmas = sigmas_of(model)
    sigma = sigmas.percent_to_sigma(sampling_percent)
    if return_actual_sigma:
        sigma = min(max(sigma, sigmas.sigma_min), sigmas.sigma_max)
    return SigmaValue(min(sigma, NO_LIMIT))


@node(category=NOISE, light=True, numeric=False)
def RandomNoise(noise_seed: Seed = 0) -> Noise:
    """The noise of a seed, to begin with."""
    return Noise(noise_seed)


@node(category=NOISE, light=True, numeric=False)
def DisableNoise() -> Noise:
    """No noise: the latent is taken as it is."""
    return Noise(None)

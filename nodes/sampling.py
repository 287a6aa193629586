"""Sampling: from noise to a latent, guided by prompts."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, Seed, node
from nodegraph.sockets import Conditioning, Latent, Model, Sampler
from nodes.foresight import sampling
from nodes.guided import by_cfg, sample_guided, seeded_noise
from nodes.noise_levels import sigmas_of
from nodes.sampler_names import SamplerName, SchedulerName

Steps = Annotated[int, Range(1, 10_000)]
Cfg = Annotated[float, Range(0, 100, step=0.1), Help("how strongly the prompt guides; 1 leaves the negative one out")]
Switch = Literal["enable", "disable"]


@node(category="sampling", foresee=sampling("model", ("positive", "negative")))
def KSampler(
    model: Model,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Annotated[float, Range(0, 1, step=0.01), Help("below 1 keeps that much less of the latent")] = 1.0,
    context: Context = NO_CONTEXT,
) -> Latent:
    """Denoise a latent with a model, guided by a positive and a negative prompt.

    The seed alone decides the noise: the same seed gives the same picture on every run.
    """
    return run_sampler(
        model, positive, negative, latent_image, context,
        seed=seed, steps=steps, cfg=cfg, sampler=sampler_name, scheduler=scheduler, denoise=denoise,
    )  # fmt: skip


@node(category="sampling", display_name="KSampler (Advanced)", foresee=sampling("model", ("positive", "negative")))
def KSamplerAdvanced(
    model: Model,
    add_noise: Switch = "enable",
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName = "euler",
    scheduler: SchedulerName = "normal",
    *,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Annotated[int, Range(0, 10_000)] = 0,
    end_at_step: Annotated[int, Range(0, 10_000)] = 10_000,
    return_with_leftover_noise: Literal["disable", "enable"] = "disable",
    context: Context = NO_CONTEXT,
) -> Latent:
    """Run a part of a schedule: several of these in a row can share one picture's steps between models or prompts."""
    return run_sampler(
        model, positive, negative, latent_image, context,
        seed=noise_seed, steps=steps, cfg=cfg, sampler=sampler_name, scheduler=scheduler,
        start_step=start_at_step, end_step=end_at_step,
        add_initial_noise=add_noise == "enable", force_full_denoise=return_with_leftover_noise == "disable",
    )  # fmt: skip


def run_sampler(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    context: Context,
    *,
    seed: int,
    steps: int,
    cfg: float,
    sampler: str,
    scheduler: str,
    denoise: float = 1.0,
    start_step: int = 0,
    end_step: int | None = None,
    add_initial_noise: bool = True,
    force_full_denoise: bool = False,
) -> Latent:
    """What both samplers do: schedule, guide, sample."""
    from nodes.diffusion.sampling import slice_steps
    from nodes.diffusion.schedules import schedule

    check_steps(steps, denoise)
    sigmas = schedule(scheduler, sigmas_of(model), steps, denoise, sampler)
    noise = seeded_noise(seed, latent_image) if add_initial_noise else None
    return sample_guided(
        by_cfg(model, positive, negative, cfg),
        Sampler(sampler),
        slice_steps(sigmas, start_step, end_step, force_full_denoise),
        noise,
        latent_image,
        context,
        seed=seed,
    ).output


def check_steps(steps: int, denoise: float) -> None:
    """Refuse a denoise so small that the schedule it is the end of would be endless."""
    from nodes.diffusion.schedules import MAX_STEPS

    if denoise > 0 and steps / denoise > MAX_STEPS:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=f"{steps} steps at denoise {denoise} need a schedule of {steps / denoise:.0f} steps",
                input="denoise",
                got=str(denoise),
                expected=f"0, or at least {steps / MAX_STEPS}",
                hint="raise denoise, or write 0 to keep the latent",
            )
        )

"""Sampling: from noise to a latent, guided by prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, Seed, node
from nodegraph.sockets import Conditioning, Latent, Model
from nodes.models import latent_scale_of, module_of, reading_model, sigmas_of

if TYPE_CHECKING:
    from nodes.diffusion.preview import LatentRGB
    from nodes.diffusion.samplers import Step

SamplerName = Literal[
    "euler",
    "euler_ancestral",
    "heun",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "ddpm",
    "lcm",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
SchedulerName = Literal[
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
]
Steps = Annotated[int, Range(1, 10_000)]
Cfg = Annotated[float, Range(0, 100, step=0.1), Help("how strongly the prompt guides; 1 leaves the negative one out")]
Switch = Literal["enable", "disable"]


@node(category="sampling")
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


@node(category="sampling", display_name="KSampler (Advanced)")
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
    """What both samplers do: guide the model, sample, report each step, and go on where an earlier run stopped."""
    import torch

    from nodes.diffusion.conditions import conditions
    from nodes.diffusion.denoiser import unet_denoiser
    from nodes.diffusion.guidance import guided_denoiser
    from nodes.diffusion.sampling import NonFiniteLatent, sample

    check_steps(steps, denoise)
    sigmas = sigmas_of(model)
    with torch.no_grad():
        unet = module_of(model, context)
        check_fit(unet, latent_image, {"positive": positive, "negative": negative})
        parameter = next(unet.parameters())
        place = {"device": parameter.device, "dtype": parameter.dtype}
        guided = guided_denoiser(
            unet_denoiser(
                unet,
                sigmas,
                "v_prediction" if model.option("prediction", "") == "v_prediction" else "epsilon",
            ),
            conditions(positive, sigmas, **place),
            conditions(negative, sigmas, **place),
            cfg,
        )
        try:
            samples = sample(
                guided,
                latent_image["samples"].to(parameter.device),
                model_sigmas=sigmas,
                seed=seed,
                steps=steps,
                sampler=sampler,
                scheduler=scheduler,
                denoise=denoise,
                start_step=start_step,
                end_step=end_step,
                add_initial_noise=add_initial_noise,
                force_full_denoise=force_full_denoise,
                batch_index=latent_image.get("batch_index"),
                noise_mask=latent_image.get("noise_mask"),
                latent_scale=latent_scale_of(model),
                callback=step_reporter(model, context),
                keeper=context.checkpoint,
            )
        except NonFiniteLatent as error:
            raise ProblemError(
                Problem(
                    code="not_finite",
                    message=str(error),
                    hint="try another sampler or a lower cfg; on a GPU, --dtype fp32",
                )
            ) from error
    return {**latent_image, "samples": samples.float().cpu()}


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


def step_reporter(model: Model, context: Context) -> Callable[[Step], None]:
    """A sampler's callback that tells the context of progress, shows previews, and stops when cancelled."""
    rgb = preview_map(model) if context.wants_previews else None

    def report(step: Step) -> None:
        context.progress(step.i + 1, step.n)
        if rgb is not None:
            from nodes.diffusion.preview import preview_image

            context.preview(preview_image(step.denoised, rgb))

    return report


def preview_map(model: Model) -> LatentRGB:
    """The model's own latent → RGB map from `preview.json` in its folder, else Stable Diffusion's."""
    import torch

    from nodes.diffusion.loading import read_preview
    from nodes.diffusion.preview import SD15_PREVIEW, LatentRGB

    own = reading_model(lambda: read_preview(Path(model.path)))
    return SD15_PREVIEW if own is None else LatentRGB(torch.tensor(own[0]).float(), torch.tensor(own[1]).float())


def check_fit(unet: Any, latent: Latent, conditionings: Mapping[str, Conditioning]) -> None:
    """Raise ProblemError for a latent or prompts that were made for another kind of model than this UNet."""
    channels, width = unet.config.in_channels, unet.config.cross_attention_dim
    given = latent["samples"].shape[1]
    if given != channels:
        raise _misfit("latent_image", f"this model draws latents of {channels} channels, and this one has {given}")
    for name, conditioning in conditionings.items():
        for context, _ in conditioning:
            if isinstance(width, int) and context.shape[-1] != width:
                raise _misfit(name, f"this model wants prompts of width {width}, and this one has {context.shape[-1]}")


def _misfit(name: str, message: str) -> ProblemError:
    hint = "take the model, the prompts and the latent from one checkpoint"
    return ProblemError(Problem(code="bad_value", message=message, input=name, hint=hint))

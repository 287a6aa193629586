"""Sampling put together from parts: what guides, which noise, which sampler, which noise levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Seed, node
from nodegraph.sockets import Conditioning, Guider, Latent, Model, Noise, Sampler, Sigmas
from nodes.foresight import sampling
from nodes.guided import Sampled, by_cfg, sample_guided, seeded_noise
from nodes.models import latent_scale_of
from nodes.sampling import Cfg

if TYPE_CHECKING:
    from torch import Tensor


class CustomSampled(NamedTuple):
    """What a sampler node gives."""

    output: Annotated[Latent, Help("where the sampling ended")]
    denoised_output: Annotated[Latent, Help("the picture that the model saw behind its last step")]


@node(category="sampling/custom_sampling", foresee=sampling("model", ("positive", "negative")))
def SamplerCustom(
    model: Model,
    add_noise: bool = True,
    noise_seed: Seed = 0,
    cfg: Cfg = 8.0,
    *,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    context: Context = NO_CONTEXT,
) -> CustomSampled:
    """Denoise a latent by a sampler and noise levels of your own, guided by a positive and a negative prompt."""
    noise = seeded_noise(noise_seed, latent_image) if add_noise else None
    guider = by_cfg(model, positive, negative, cfg)
    _check_sigmas(sigmas)
    return _outputs(sample_guided(guider, sampler, sigmas, noise, latent_image, context, seed=noise_seed))


@node(category="sampling/custom_sampling")
def SamplerCustomAdvanced(
    noise: Noise,
    guider: Guider,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    context: Context = NO_CONTEXT,
) -> CustomSampled:
    """Denoise a latent by a guider, a sampler, noise and noise levels of your own.

    The seed of the noise is also that of what the sampler draws on its way.
    """
    _check_sigmas(sigmas)
    drawn = None if noise.seed is None else seeded_noise(noise.seed, latent_image)
    return _outputs(
        sample_guided(
            guider, sampler, sigmas, drawn, latent_image, context,
            seed=noise.seed or 0, conditionings_from="guider",
        )
    )  # fmt: skip


@node(category="sampling/custom_sampling/guiders", numeric=False, foresee=sampling("model", ("positive", "negative")))
def CFGGuider(model: Model, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0) -> Guider:
    """Guide a model by a positive and a negative prompt, as the KSampler does."""
    return by_cfg(model, positive, negative, cfg)


@node(category="sampling/custom_sampling/guiders", numeric=False, foresee=sampling("model", ("conditioning",)))
def BasicGuider(model: Model, conditioning: Conditioning) -> Guider:
    """Guide a model by one prompt alone, for models that need no negative one."""
    return Guider("basic", model, (("positive", conditioning),), (("cfg", 1.0),))


@node(
    category="sampling/custom_sampling/guiders",
    numeric=False,
    foresee=sampling("model", ("cond1", "cond2", "negative")),
)
def DualCFGGuider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Cfg = 8.0,
    cfg_cond2_negative: Cfg = 8.0,
    style: Annotated[
        Literal["regular", "nested"],
        Help("nested: cond1 is guided away from cond2 first, and both together from the negative one"),
    ] = "regular",
) -> Guider:
    """Guide a model by two prompts with a scale each: from the negative one to cond2, and from there to cond1.

    Models that follow instructions take the picture to change as cond2, and the instruction with it as cond1.
    """
    roles = (("positive", cond1), ("second", cond2), ("negative", negative))
    return Guider("dual_cfg", model, roles, (("cfg", cfg_conds), ("cfg_second", cfg_cond2_negative), ("style", style)))


@node(category="_for_testing/custom_sampling/noise")
def AddNoise(model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """Add noise to a latent, so much as lies between the first and the last of the noise levels."""
    _check_sigmas(sigmas)
    if noise.seed is None or len(sigmas) == 0:
        return latent_image
    level = float((sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0])
    noised = latent_image["samples"] + seeded_noise(noise.seed, latent_image) * (level / latent_scale_of(model))
    return {**latent_image, "samples": noised}


def _outputs(sampled: Sampled) -> CustomSampled:
    return CustomSampled(sampled.output, sampled.denoised)


def _check_sigmas(sigmas: Tensor) -> None:
    import torch

    if sigmas.ndim != 1 or not torch.isfinite(sigmas).all() or (sigmas[:-1] <= 0).any() or (sigmas < 0).any():
        message = "noise levels are one row of finite numbers above 0, of which only the last one may be 0"
        raise ProblemError(Problem(code="bad_value", message=message, input="sigmas"))

"""Whether a latent and prompts were made for the model that is to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodegraph.errors import Problem, ProblemError
from nodegraph.sockets import Conditioning, Latent


def check_fit(
    unet: Any, latent: Latent, conditionings: Mapping[str, Conditioning], conditionings_from: str | None = None
) -> None:
    """Raise ProblemError for a latent or prompts that were made for another kind of model than this UNet.

    conditionings: by role. conditionings_from: the input that they came by, if not each by one of its role's name.
    """
    from nodes.diffusion.unet_inputs import laid_beside

    config = unet.config
    try:
        laid_beside(config)
    except ValueError as error:
        raise _misfit("model", str(error)) from error
    channels = config.out_channels
    given = latent["samples"].shape[1]
    if given != channels:
        raise _misfit("latent_image", f"this model draws latents of {channels} channels, and this one has {given}")
    for role, conditioning in conditionings.items():
        name = conditionings_from or role
        if not conditioning:
            raise _misfit(name, "this conditioning is empty, so that nothing can guide the model")
        for context, options in conditioning:
            _check_prompt(name, config, context.shape[-1], options)


def _check_prompt(name: str, config: Any, given: int, options: Mapping[str, Any]) -> None:
    """Whether one entry says what a UNet of this configuration is told."""
    width = config.cross_attention_dim
    if isinstance(width, int) and given != width:
        raise _misfit(name, f"this model wants prompts of width {width}, and this one has {given}")
    if config.addition_embed_type == "text_time":
        pooled = options.get("pooled_output")
        told = config.projection_class_embeddings_input_dim - (0 if pooled is None else pooled.shape[-1])
        if pooled is None or told not in (5 * config.addition_time_embed_dim, 6 * config.addition_time_embed_dim):
            raise _misfit(name, "this model wants a pooled prompt by its own text encoders, and this one has another")
    if config.class_embed_type == "projection":
        wanted = config.projection_class_embeddings_input_dim // 2
        for picture in options.get("unclip_conditioning") or ():
            found = picture["clip_vision_output"]["image_embeds"].shape[-1]
            if found != wanted:
                raise _misfit(name, f"this model wants encoded pictures of width {wanted}, and this one has {found}")
    beside = options.get("concat_latent_image")
    if beside is not None and beside.shape[1] != config.out_channels and config.in_channels > config.out_channels + 3:
        raise _misfit(name, f"this model looks at latents of {config.out_channels} channels, not {beside.shape[1]}")


def _misfit(name: str, message: str) -> ProblemError:
    hint = "take the model, the prompts and the latent from one checkpoint"
    return ProblemError(Problem(code="bad_value", message=message, input=name, hint=hint))

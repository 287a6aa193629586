"""Where a model family meets the samplers: a UNet becomes `denoise(x, sigma, context, extra) -> denoised`.

It knows what the network wants (scaled input, timesteps) and what its output means. What the user wants (prompts,
regions, the guidance scale) is `guidance`'s.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from nodes.diffusion.control import add_residuals
from nodes.diffusion.guidance import Denoise
from nodes.diffusion.sigmas import ModelSigmas
from nodes.diffusion.unet_inputs import Extra

Prediction = Literal["epsilon", "v_prediction", "sample", "lcm", "img_to_img", "edm"]
"""What the network was trained to give, by the names of diffusers' configs where these have one.

The noise (Ho et al. 2020), v (Salimans and Ho 2022), the picture, the noise of a consistency model (Luo et al. 2023),
the picture from the latent as it is, or EDM's F (Karras et al. 2022, eq. 7).
"""
PREDICTIONS: tuple[str, ...] = get_args(Prediction)

LCM_TIMESTEP_SCALE = 10.0
LCM_SIGMA_DATA = 0.5


def unet_denoiser(
    unet: nn.Module, model_sigmas: ModelSigmas, prediction: Prediction = "epsilon", sigma_data: float = 1.0
) -> Denoise:
    """Adapt a `UNet2DConditionModel` to `denoise(x, sigma, context, extra)`.

    The network sees x / sqrt(sigma_data^2 + sigma^2), the timestep that its sigmas tell, and its own dtype; `x` keeps
    its own. sigma_data: the deviation of the pictures that it was trained on, 1 for all but EDM's.
    """
    parameter = next(unet.parameters())
    sigmas, dtype = model_sigmas.to(parameter.device), parameter.dtype
    variance = sigma_data * sigma_data

    def denoise(x: Tensor, sigma: Tensor, context: Tensor, extra: Extra | None = None) -> Tensor:
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        scale = (s * s + variance).sqrt()
        timestep = sigmas.timestep(sigma)
        scaled = (x if prediction == "img_to_img" else x / scale).to(dtype)
        if extra is None:
            output = unet(scaled, timestep, encoder_hidden_states=context, return_dict=False)[0].to(x.dtype)
        else:
            output = run_with(unet, extra, scaled, sigma, timestep, context).to(x.dtype)
        if prediction == "epsilon":
            return x - output * s
        if prediction == "v_prediction":
            return x / (scale * scale) - output * (s / scale)
        if prediction == "edm":
            return x * (variance / (scale * scale)) + output * (s * sigma_data / scale)
        if prediction == "lcm":
            return _boundary(x - output * s, x / scale, timestep.to(x.dtype).view_as(s))
        return output

    return denoise


def _boundary(denoised: Tensor, noised: Tensor, timestep: Tensor) -> Tensor:
    """A consistency model's skip connection, which makes it the identity at time 0 (Luo et al. 2023, appendix)."""
    time = timestep * LCM_TIMESTEP_SCALE
    variance = time * time + LCM_SIGMA_DATA**2
    return denoised * (time / variance.sqrt()) + noised * (LCM_SIGMA_DATA**2 / variance)


def run_with(unet: nn.Module, extra: Extra, scaled: Tensor, sigma: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
    """The output of a UNet that is told more than latent, timestep and prompt."""
    given: dict[str, Any] = {"class_labels": extra.class_labels, "added_cond_kwargs": extra.added}
    told: dict[str, Any] = {}
    if extra.controls:
        given |= steering(extra, scaled, float(sigma[0]), timestep, context)
    if extra.boxes is not None:
        unet = extra.boxes.attached(unet)
        told |= extra.boxes.arguments(len(scaled), *scaled.shape[-2:])
    if extra.drawing is not None:
        told["ip_adapter_masks"] = {"rows": extra.drawing}
    if told:
        given["cross_attention_kwargs"] = told
    sample = scaled if extra.beside is None else torch.cat([scaled, extra.beside], dim=1)
    return unet(sample, timestep, encoder_hidden_states=context, return_dict=False, **given)[0]


def steering(extra: Extra, x_in: Tensor, sigma: float, timestep: Tensor, context: Tensor) -> dict[str, Any]:
    """What all controls that are active at this noise level add to a UNet's features, as its arguments.

    Raises Misfit for networks that were made for different families of models.
    """
    added = add_residuals(
        control.residuals(x_in, sigma, timestep, context, extra.added, area=extra.area) for control in extra.controls
    )
    if added is None:
        return {}
    arguments: dict[str, Any] = {}
    if added.down:  # a UNet takes both or none of the two
        arguments["down_block_additional_residuals"] = added.down
        arguments["mid_block_additional_residual"] = x_in.new_zeros(()) if added.mid is None else added.mid
    if added.intrablock:
        arguments["down_intrablock_additional_residuals"] = list(added.intrablock)  # which it empties
    return arguments

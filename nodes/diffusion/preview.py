"""Cheap previews: a linear map from latent channels to RGB, or a small network, instead of the VAE's decoder.

Latents here are in sampling space, as a sampler's callback sees them (times the latent scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.noise import initial_noise

PIXELS_PER_LATENT = 8


@dataclass(frozen=True, slots=True, eq=False)
class LatentRGB:
    """RGB in -1..1 as latent @ factors + bias: factors [C, 3], bias [3]; and a latent's side in pixels."""

    factors: Tensor
    bias: Tensor
    pixels_per_latent: int = PIXELS_PER_LATENT


SD15_PREVIEW = LatentRGB(
    torch.tensor([[0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473]]),
    torch.zeros(3),
)
"""For Stable Diffusion 1.x, as found by Kevin Turner ("Decoding latents to RGB without upscaling", 2022)."""

SDXL_PREVIEW = LatentRGB(
    torch.tensor([[60.0, 60, 60], [-60, -5, 10], [25, 15, -5], [-70, -50, -35]]) / 127.5,
    torch.tensor([150.0, 140, 130]) / 127.5 - 1,
)
"""For Stable Diffusion XL, as found by Timothy Alexis Vass ("Explaining the SDXL latent space", 2024)."""


def _smooth_latents(channels: int, count: int, size: int) -> Tensor:
    """Fixed noise [count, channels, size, size] of several coarsenesses, as pictures are mostly smooth."""
    fields = [
        functional.interpolate(initial_noise(level, (count, channels, side, side)), size=(size, size), mode="bilinear")
        for level, side in enumerate((size, max(size // 4, 1), max(size // 8, 1)))
    ]
    field = torch.stack(fields).sum(dim=0)
    return field / field.std()


def fit_preview(vae: Any, latents: Tensor | None = None, *, count: int = 4, size: int = 16) -> LatentRGB:
    """Fit the map to an AutoencoderKL: least squares from latents to their decoded pictures, averaged down.

    `latents` [B, C, h, w] in sampling space are the pictures to fit; without any, fixed noise of several
    coarsenesses serves, `count` latents of `size` x `size`.
    """
    parameter = next(vae.parameters())
    if latents is None:
        latents = _smooth_latents(vae.config.latent_channels, count, size)
    with torch.no_grad():
        raw = (latents / vae.config.scaling_factor).to(parameter.device, parameter.dtype)
        pictures = vae.decode(raw, return_dict=False)[0].to("cpu", torch.float64)
    pixels_per_latent = pictures.shape[-1] // latents.shape[-1]
    coarse = functional.avg_pool2d(pictures, pixels_per_latent)
    known = latents.to("cpu", torch.float64).movedim(1, -1).flatten(0, -2)
    known = torch.cat([known, torch.ones(len(known), 1, dtype=torch.float64)], dim=1)
    fit = torch.linalg.lstsq(known, coarse.movedim(1, -1).flatten(0, -2)).solution.to(torch.float32)
    return LatentRGB(fit[:-1], fit[-1], pixels_per_latent)


def preview_image(latent: Tensor, rgb: LatentRGB = SD15_PREVIEW, max_size: int = 512) -> Image.Image:
    """The picture that a latent [C, h, w] or [B, C, h, w] (its first item) promises, at its full pixel size.

    Neither side is longer than `max_size`; the proportions stay.
    """
    if latent.ndim == 4:
        latent = latent[0]
    pixels = latent.detach().to("cpu", torch.float32).movedim(0, -1) @ rgb.factors + rgb.bias
    height, width = latent.shape[-2:]
    scale = min(rgb.pixels_per_latent, max_size / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return _image(pixels).resize(size, Image.Resampling.BILINEAR)


def decoded_preview(latent: Tensor, decoder: nn.Module, max_size: int = 512) -> Image.Image:
    """The same by a small decoder, which gives [1, 3, 8 h, 8 w] of -1..1. A larger latent is shrunk before it."""
    parameter = next(decoder.parameters())
    one = (latent[:1] if latent.ndim == 4 else latent[None]).detach().to(parameter.device, parameter.dtype)
    height, width = one.shape[-2:]
    scale = max_size / PIXELS_PER_LATENT / max(height, width)
    if scale < 1:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        one = functional.interpolate(one, size=size, mode="bilinear", antialias=True)
    with torch.no_grad():
        return _image(decoder(one)[0].to("cpu", torch.float32).movedim(0, -1))


def _image(pixels: Tensor) -> Image.Image:
    """A picture of [H, W, 3] in -1..1; what lies outside is cut off."""
    return Image.fromarray(((pixels + 1) * 127.5).nan_to_num().clamp(0, 255).to(torch.uint8).numpy())

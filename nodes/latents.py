"""Latents: making, resizing."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.node import Range, node
from nodegraph.sockets import Latent

Width = Annotated[int, Range(16, 16384, step=8)]
ResizedWidth = Annotated[int, Range(0, 16384, step=8)]
LatentUpscaleMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]


@node(category="latent", display_name="Empty Latent Image")
def EmptyLatentImage(width: Width = 512, height: Width = 512, batch_size: Annotated[int, Range(1, 4096)] = 1) -> Latent:
    """A blank latent to begin a picture from; width and height are in pixels, rounded down to multiples of 8."""
    import torch

    return {"samples": torch.zeros(batch_size, 4, height // 8, width // 8)}


@node(category="latent", display_name="Upscale Latent")
def LatentUpscale(
    samples: Latent,
    upscale_method: LatentUpscaleMethod = "nearest-exact",
    width: ResizedWidth = 512,
    height: ResizedWidth = 512,
    crop: Crop = "disabled",
) -> Latent:
    """Resize a latent to a size in pixels; a size of 0 keeps the proportions, both 0 keeps everything."""
    from nodes.diffusion.resize import fill_size, resize

    tensor = samples["samples"]
    wanted = fill_size(width, height, tensor.shape[-1] * 8, tensor.shape[-2] * 8, minimum=64)
    resized = resize(tensor, max(1, wanted[0] // 8), max(1, wanted[1] // 8), upscale_method, crop=crop == "center")
    return {**samples, "samples": resized}

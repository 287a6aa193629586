"""The autoencoder: latents into pictures and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import node
from nodegraph.sockets import Image, Latent, Vae
from nodes.models import module_of

if TYPE_CHECKING:
    from torch import Tensor


@node(category="latent", display_name="VAE Decode")
def VAEDecode(samples: Latent, vae: Vae, context: Context = NO_CONTEXT) -> Image:
    """Decode latents into pictures."""
    import torch

    autoencoder = cast(Any, module_of(vae, context))
    pictures: list[Tensor] = []
    latents = samples["samples"]
    channels = autoencoder.config.latent_channels
    if latents.shape[1] != channels:
        raise bad_value("samples", f"this VAE decodes latents of {channels} channels, not {latents.shape[1]}")
    with torch.no_grad():
        for i, latent in enumerate(latents.split(1)):  # one at a time: memory grows with the largest picture only
            context.progress(i, len(latents))
            decoded = autoencoder.decode(latent.to(autoencoder.device, autoencoder.dtype), return_dict=False)[0]
            pictures.append((decoded.float() / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu())
    result = torch.cat(pictures)
    if not torch.isfinite(result).all():
        raise ProblemError(
            Problem(
                code="not_finite",
                message="the decoded picture has values that are not numbers",
                hint="the latent or the VAE overflowed; try --dtype fp32",
            )
        )
    return Image(result)


@node(category="latent", display_name="VAE Encode")
def VAEEncode(pixels: Image, vae: Vae, context: Context = NO_CONTEXT) -> Latent:
    """Encode pictures into latents (the mean of what the VAE gives); sizes are cut to multiples of 8 in the middle."""
    import torch

    autoencoder = cast(Any, module_of(vae, context))
    if min(pixels.shape[1:3]) < 8:
        raise bad_value("pixels", f"a picture of {pixels.shape[2]} × {pixels.shape[1]} pixels is too small to encode")
    latents: list[Tensor] = []
    with torch.no_grad():
        for i, picture in enumerate(crop_to_multiple(pixels).split(1)):
            context.progress(i, len(pixels))
            scaled = rgb(picture).movedim(-1, 1) * 2 - 1
            posterior = autoencoder.encode(scaled.to(autoencoder.device, autoencoder.dtype)).latent_dist
            latents.append(posterior.mode().float().cpu())
    return {"samples": torch.cat(latents)}


def crop_to_multiple(pixels: Tensor, multiple: int = 8) -> Tensor:
    """[B, H, W, C] with height and width cut down to multiples, evenly on both sides."""
    height, width = pixels.shape[1:3]
    y, x = (height % multiple) // 2, (width % multiple) // 2
    return pixels[:, y : y + height // multiple * multiple, x : x + width // multiple * multiple]


def rgb(pixels: Tensor) -> Tensor:
    """[B, H, W, C] with three channels: grey is repeated, transparency left out."""
    return pixels[..., :1].expand(*pixels.shape[:-1], 3) if pixels.shape[-1] < 3 else pixels[..., :3]


def bad_value(name: str, message: str) -> ProblemError:
    """The error for an input that does not fit."""
    return ProblemError(Problem(code="bad_value", message=message, input=name))

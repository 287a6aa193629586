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
    latents: list[Tensor] = []
    with torch.no_grad():
        for i, picture in enumerate(crop_to_multiple(pixels).split(1)):
            context.progress(i, len(pixels))
            scaled = picture[..., :3].movedim(-1, 1) * 2 - 1
            posterior = autoencoder.encode(scaled.to(autoencoder.device, autoencoder.dtype)).latent_dist
            latents.append(posterior.mode().float().cpu())
    return {"samples": torch.cat(latents)}


def crop_to_multiple(pixels: Tensor, multiple: int = 8) -> Tensor:
    """[B, H, W, C] with height and width cut down to multiples, evenly on both sides."""
    height, width = pixels.shape[1:3]
    y, x = (height % multiple) // 2, (width % multiple) // 2
    return pixels[:, y : y + height // multiple * multiple, x : x + width // multiple * multiple]

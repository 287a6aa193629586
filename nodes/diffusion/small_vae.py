"""Stand-ins for VAEs: TAESD, a small network that draws nearly the same, and pixels left as they are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.loading import Blueprint


def taesd_blueprint(encoder: Path, decoder: Path, scale: float) -> Blueprint:
    """TAESD (Ollin Boer Bohan, 2023) from the two files that its author publishes.

    They number their layers through. diffusers' AutoencoderTiny has the same ones, but that it keeps the decoder's
    first layer, which has no weights, elsewhere. scale: what raw latents are multiplied by for it.
    """

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {_todays_name(name): tensor for name, tensor in weights.items()}

    return Blueprint(
        f"TAESD ({decoder.name})",
        "AutoencoderTiny",
        {"scaling_factor": scale},
        (encoder, decoder),
        select,
        ("",),
        apart=True,
    )


def decoder_blueprint(decoder: Path) -> Blueprint:
    """TAESD's decoder alone, for latents as samplers see them; it gives pictures of -1 … 1."""
    config = {
        "in_channels": 4,
        "out_channels": 3,
        "num_blocks": (3, 3, 3, 1),
        "block_out_channels": (64, 64, 64, 64),
        "upsampling_scaling_factor": 2,
        "act_fn": "relu",
        "upsample_fn": "nearest",
    }

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {_todays_name(f"1:{name}").removeprefix("decoder."): tensor for name, tensor in weights.items()}

    return Blueprint(f"TAESD ({decoder.name})", "DecoderTiny", config, (decoder,), select)


def _todays_name(name: str) -> str:
    file, _, layer = name.partition(":")
    number, _, rest = layer.partition(".")
    if file == "0":
        return f"encoder.layers.{layer}"
    return f"decoder.layers.{int(number) - 1}.{rest}" if number.isdecimal() else name


class PixelSpace(nn.Module):
    """A VAE for models that work on pixels: latents are pictures, -1 … 1."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(latent_channels=3, scaling_factor=1.0, block_out_channels=(3,))
        self.register_buffer("here", torch.zeros(1))  # tells the device

    @property
    def device(self) -> torch.device:
        return next(self.buffers()).device

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def encode(self, pictures: Tensor) -> Any:
        """As AutoencoderKL gives it: a distribution with a mean."""
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: pictures, mean=pictures))

    def decode(self, latents: Tensor, return_dict: bool = True) -> Any:
        """As AutoencoderKL gives it."""
        return SimpleNamespace(sample=latents) if return_dict else (latents,)

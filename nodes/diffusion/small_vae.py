"""Stand-ins for VAEs: TAESD, a small network that draws nearly the same, and pixels left as they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.headers import Header, read_header
from nodes.diffusion.loading import Blueprint

TAESD_WIDTH, TAESD_BLOCKS = 64, (3, 3, 3, 1)


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
    """TAESD's decoder alone, for latents as samplers see them; it gives pictures of -1 … 1.

    How wide and how deep it is follows from its file: others than TAESD's author train smaller ones. Raises
    UnreadableModel.
    """
    width, blocks = _shape_of(read_header(decoder))
    config = {
        "in_channels": 4,
        "out_channels": 3,
        "num_blocks": blocks,
        "block_out_channels": (width,) * len(blocks),
        "upsampling_scaling_factor": 2,
        "act_fn": "relu",
        "upsample_fn": "nearest",
    }

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {_todays_name(f"1:{name}").removeprefix("decoder."): tensor for name, tensor in weights.items()}

    return Blueprint(f"TAESD ({decoder.name})", "DecoderTiny", config, (decoder,), select)


def _shape_of(header: Header) -> tuple[int, tuple[int, ...]]:
    """How many channels a decoder's layers have, and how many residual blocks lie before each of its convolutions."""
    numbers = {int(n) for name in header.tensors if (n := name.partition(".")[0]).isdecimal()}
    convolutions = sorted(n for n in numbers if f"{n}.weight" in header.tensors)
    if len(convolutions) < 2:
        return TAESD_WIDTH, TAESD_BLOCKS  # no such file; its weights will be missed by name
    blocks = (sum(a < n < b for n in numbers) for a, b in pairwise(convolutions))
    return (header.shape(f"{convolutions[0]}.weight") or (TAESD_WIDTH,))[0], tuple(blocks)


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

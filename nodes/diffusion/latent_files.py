"""Latents as files: a safetensors file with `latent_tensor`, and an empty tensor that names the format's version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nodes.diffusion.headers import UnreadableModel, read_header
from nodes.diffusion.loading import first_line
from nodes.diffusion.sampling import SD15_LATENT_SCALE

SUFFIX = ".latent"
MAX_BYTES = 2 << 30
VERSION = "latent_format_version_0"


class UnusableLatent(ValueError):
    """A file that holds no latent; the message says why."""


def latent_bytes(latent: Tensor, texts: Mapping[str, str]) -> bytes:
    """The file of a raw latent [B, C, h, w], `texts` (the workflow) in its metadata."""
    clean = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}  # surrogates are no text
    tensors = {"latent_tensor": latent.detach().to("cpu", torch.float32).contiguous(), VERSION: torch.empty(0)}
    return save(tensors, clean or None)


def read_latent(path: Path) -> Tensor:
    """The raw latent [B, C, h, w] in a file, float32. Raises UnusableLatent.

    Files from before the format had versions hold latents as samplers see them, which are divided by the scale here.
    """
    data = _read(path)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise UnusableLatent(f"{path.name} is damaged ({first_line(error)})") from error
    latent = tensors.get("latent_tensor")
    if latent is None:
        raise UnusableLatent(f"{path.name} is a safetensors file without a latent_tensor")
    if not latent.is_floating_point():
        raise UnusableLatent(
            f"{path.name}: the latent_tensor holds {str(latent.dtype).removeprefix('torch.')}, not decimal numbers"
        )
    if latent.ndim != 4 or not latent.numel():
        raise UnusableLatent(f"{path.name}: the latent_tensor has the shape {list(latent.shape)}, not [B, C, h, w]")
    latent = latent.to(torch.float32)
    if not torch.isfinite(latent).all():
        raise UnusableLatent(f"{path.name}: the latent_tensor has values that are not numbers")
    return latent if VERSION in tensors else latent * (1 / SD15_LATENT_SCALE)


def _read(path: Path) -> bytes:
    """The bytes of a safetensors file of bearable size: read, not mapped, so that nobody can change them any more."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UnusableLatent(f"{path.name} has {size:,} bytes, more than {MAX_BYTES:,}")
        read_header(path)
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise UnusableLatent(f"{path.name} cannot be read: {error.strerror or error}") from error
    except UnreadableModel as error:
        raise UnusableLatent(str(error)) from error

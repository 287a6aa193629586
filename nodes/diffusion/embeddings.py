"""Textual inversions (Gal et al. 2022): files of a few vectors that a prompt calls by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.headers import UnreadableModel, is_pickle
from nodes.diffusion.memory import is_out_of_memory
from nodes.diffusion.weights import map_files

SUFFIXES = (".safetensors", ".pt", ".bin")
MAX_BYTES = 64 << 20
MAX_VECTORS = 1000


def read_embedding(path: Path) -> tuple[Tensor, ...]:
    """The vectors [n, D] of a file, one table for each text encoder that it is for. Raises UnreadableModel.

    Layouts: `emb_params`; `clip_l` and `clip_g` (SDXL); one nameless tensor; `string_to_param` (a .pt file of
    AUTOMATIC1111's web UI). A .pt file is a pickle, of which torch reads weights and runs no code (`weights_only`).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableModel(f"{path} is too large for a textual inversion")
        tensors = _pickled(path) if is_pickle(path) else map_files([path])
    except OSError as error:
        raise UnreadableModel(f"{path} cannot be read ({error.strerror or error})") from error
    except UnreadableModel:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{path} is no textual inversion, or damaged ({type(error).__name__})") from error
    tables = [tensor[None] if tensor.ndim == 1 else tensor for tensor in tensors.values()]
    if not tables or any(t.ndim != 2 or len(t) > MAX_VECTORS or not t.is_floating_point() for t in tables):
        raise UnreadableModel(f"{path} is no textual inversion: it should hold rows of vectors")
    return tuple(table.float() for table in tables)


def _pickled(path: Path) -> dict[str, Tensor]:
    data: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(data, dict) and isinstance(data.get("string_to_param"), dict):
        data = data["string_to_param"]
    if not isinstance(data, dict):
        raise UnreadableModel(f"{path} is no textual inversion")
    return {str(name): value for name, value in data.items() if isinstance(value, Tensor)}

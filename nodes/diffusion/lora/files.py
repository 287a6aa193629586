"""Reading LoRA files: the header alone to see what a file is, and all of it, mapped into memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.diffusion.headers import UnreadableModel, is_pickle, read_header
from nodes.diffusion.loading import first_line
from nodes.diffusion.lora.keys import holds_lora

if TYPE_CHECKING:
    from torch import Tensor

MAX_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA file's tensors by key, and its α where that stands in the metadata (by part: `unet`, `text_encoder`)."""

    name: str
    tensors: Mapping[str, Tensor]
    alphas: Mapping[str, float]


def check_lora(path: Path, *, allow_pickle: bool = False) -> None:
    """Look at a file's header, without torch: is the file whole, and a LoRA? Raises UnreadableModel.

    Of a pickle, if those are allowed, all is read.
    """
    if allow_pickle and is_pickle(path):
        from nodes.diffusion.weights import header_of

        keys = list(header_of(path, allow_pickle=True).tensors)
    else:
        keys = list(read_header(path).tensors)
    if not holds_lora(keys):
        named = f" (its tensors are called {', '.join(keys[:3])} …)" if keys else ""
        raise UnreadableModel(f"{path} holds no LoRA{named}")


def read_lora(path: Path, *, allow_pickle: bool = False) -> LoraFile:
    """A LoRA file, mapped: its bytes are read when they are used. Raises UnreadableModel."""
    from safetensors import SafetensorError

    from nodes.diffusion.weights import header_of, map_files

    check_lora(path, allow_pickle=allow_pickle)
    try:
        metadata = header_of(path, allow_pickle=allow_pickle).metadata
        return LoraFile(path.name, map_files([path], allow_pickle=allow_pickle), _alphas(metadata))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UnreadableModel(f"{path} cannot be read ({first_line(error)})") from error


def _alphas(metadata: Mapping[str, str]) -> dict[str, float]:
    """α per part as diffusers writes it; nothing where that cannot be made out."""
    text = metadata.get("lora_adapter_metadata", "")
    try:
        told: Any = json.loads(text) if len(text) <= MAX_METADATA else {}
    except (ValueError, RecursionError):
        return {}
    found = {key.removesuffix(".lora_alpha"): value for key, value in _items(told) if key.endswith(".lora_alpha")}
    return {part: float(value) for part, value in found.items() if _is_number(value)}


def _items(told: object) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in told.items() if isinstance(key, str)] if isinstance(told, dict) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

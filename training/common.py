"""What the training scripts share: where things lie, and saving without ever leaving half a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("TINY_WORK", ROOT / "training" / "work"))
MODEL = Path(os.environ.get("TINY_MODEL", ROOT / "models" / "tiny"))
SEED = 20240607
SCALING_FACTOR = 0.18215


Module = Any
"""A model of diffusers or transformers: their annotations are narrower than what they take and return."""


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # by its name NumPy would write to another one
            np.save(file, array)

    replace_file(path, write)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training checkpoint (ours alone, never shipped)."""
    replace_file(path, lambda p: torch.save(state, p))


def load_state(path: Path) -> dict[str, Any] | None:
    """The training checkpoint at `path`, or None when there is none yet."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """uint8 NHWC pictures as float NCHW in -1..1, channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_pictures(x: torch.Tensor) -> np.ndarray:
    """Float NCHW in -1..1 as uint8 NHWC pictures."""
    return x.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def save_sheet(path: Path, pictures: np.ndarray, columns: int) -> None:
    """A contact sheet of equally sized pictures (uint8 NHWC; the last row may be short)."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = picture
    replace_file(path, lambda p: Image.fromarray(sheet).save(p, "PNG"))

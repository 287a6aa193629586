"""Networks that lie in one safetensors file each: first its shapes, which tell what it is, then its weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nodes.diffusion.headers import PickledModel, UnreadableModel, read_header
from nodes.diffusion.loading import IMPORTING, assemble, first_line
from nodes.diffusion.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

#: Name of a weight → its shape, as a file's header tells.
Shapes = Mapping[str, tuple[int, ...]]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all weights of a safetensors file, from its header alone. Raises UnreadableModel.

    Pickles are never read here, whatever is allowed elsewhere: the error for one does not say that they could be.
    """
    try:
        return {name: info.shape for name, info in read_header(path).tensors.items()}
    except PickledModel as error:
        raise UnreadableModel(str(error)) from error


def count(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts follow `prefix`, which ends before the number: 0, 1 … without a gap."""
    numbers = {name[len(prefix) :].partition(".")[0] for name in shapes if name.startswith(prefix)}
    total = 0
    while str(total) in numbers:
        total += 1
    return total


def describing(path: Path, derive: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What `derive` makes of a file's shapes; shapes that make no sense become an UnreadableModel."""
    try:
        return derive()
    except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError) as error:
        if isinstance(error, UnreadableModel):
            raise
        raise UnreadableModel(f"{path}: the shapes of its weights make no sense ({first_line(error)})") from error


def build(
    path: Path,
    make: Callable[[], nn.Module],
    read: Callable[[], Mapping[str, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
) -> nn.Module:
    """The module that `make` makes with the weights that `read` gives, under its own names, in evaluation mode.

    As `assemble`, for a `make` that may import libraries for the first time.
    """

    def made() -> nn.Module:
        with IMPORTING:
            return make()

    return assemble(str(path), made, read, device, dtype, misshapen="have shapes that do not fit the others")


def read_weights(path: Path) -> dict[str, Tensor]:
    """All weights of a file, mapped. Raises UnreadableModel."""
    from safetensors import SafetensorError

    from nodes.diffusion.weights import map_files

    try:
        return map_files([path])
    except (SafetensorError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{path} cannot be read ({first_line(error)})") from error


def file_bytes(path: Path, itemsize: int) -> int:
    """About how many bytes a file's weights take with `itemsize` bytes a number; 0 if it cannot be read."""
    try:
        return sum(math.prod(shape) for shape in read_shapes(path).values()) * itemsize
    except UnreadableModel:
        return 0

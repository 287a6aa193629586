"""Enlarging pictures with a network: reading it, and running it tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.loading import first_line
from nodes.diffusion.memory import is_out_of_memory
from nodes.diffusion.upscale_networks import network_of, unwrapped
from nodes.diffusion.weights import header_of, map_files

TILE = 512  # pixels
SMALLEST_TILE = 64
OVERLAP = 32


class UnknownNetwork(UnreadableModel):
    """Weights of a network that only the library `spandrel` may know, which is not there."""


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A network that makes [B, channels, H, W] `scale` times larger. `call` runs `module`, with values 0 … 1."""

    module: nn.Module
    call: Callable[[Tensor], Tensor]
    scale: int
    channels: int


def load_upscaler(path: Path, device: torch.device, *, allow_pickle: bool = False) -> Upscaler:
    """The network in a safetensors file, or in a pickle if those are allowed.

    ESRGAN's and Real-ESRGAN's are known here, others if `spandrel` is installed. Raises UnknownNetwork, and
    UnreadableModel for files that hold no such network, or are pickles, whatever their name.
    """
    header_of(path, allow_pickle=allow_pickle)
    try:
        mapped = map_files([path], allow_pickle=allow_pickle)
        weights = {name: tensor.clone() for name, tensor in mapped.items()}  # small, and the file may change
        found = network_of(weights)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{path} cannot be used to enlarge pictures: {first_line(error)}") from error
    if found is None:
        return _by_spandrel(path, weights, device)
    network, scale, channels = found
    network.eval().requires_grad_(False).to(device)
    return Upscaler(network, network, scale, channels)


def _by_spandrel(path: Path, weights: dict[str, Tensor], device: torch.device) -> Upscaler:
    try:
        from spandrel import ImageModelDescriptor, ModelLoader  # pyright: ignore[reportMissingImports]
    except Exception as error:  # also what a torchvision that does not go with this torch raises
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({first_line(error)})"
        raise UnknownNetwork(
            f"{path} is a network that needs the library spandrel, which cannot be imported{reason}"
        ) from error
    try:
        found: Any = ModelLoader(device).load_from_state_dict(unwrapped(weights))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{path} holds no network that enlarges pictures ({first_line(error)})") from error
    if not isinstance(found, ImageModelDescriptor):
        raise UnreadableModel(f"{path} is a network for something other than enlarging pictures")
    module: nn.Module = found.model.eval().requires_grad_(False)
    return Upscaler(module, found, int(found.scale), int(found.input_channels))


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin that cover a length, the last one ending where it ends."""
    if length <= tile:
        return [0]
    step = tile - overlap
    return [*range(0, length - tile, step), length - tile]


def tile_count(height: int, width: int, tile: int = TILE) -> int:
    """How many tiles a picture is taken apart into."""
    return len(starts(height, tile, OVERLAP)) * len(starts(width, tile, OVERLAP))


def upscale_tiled(
    picture: Tensor,
    call: Callable[[Tensor], Tensor],
    scale: int,
    *,
    tile: int = TILE,
    overlap: int = OVERLAP,
    turn: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Enlarge [1, C, H, W] by `call`, a tile at a time, seams blended over the overlap; the result is on the CPU.

    `turn` is called before each tile with how many are done, of how many, and may raise to end the work.
    """
    height, width = picture.shape[-2:]
    rows, columns = starts(height, tile, overlap), starts(width, tile, overlap)
    result: Tensor | None = None
    total = torch.zeros(1, 1, height * scale, width * scale)
    for i, (y, x) in enumerate((y, x) for y in rows for x in columns):
        turn(i, len(rows) * len(columns))
        piece = picture[..., y : y + tile, x : x + tile]
        larger = call(piece).float().cpu()
        if result is None:
            result = torch.zeros(1, larger.shape[1], height * scale, width * scale)
        share = _seam(piece.shape[-2], overlap, y > 0, y + tile < height, scale)[:, None]
        share = share * _seam(piece.shape[-1], overlap, x > 0, x + tile < width, scale)
        place = (..., slice(y * scale, (y + tile) * scale), slice(x * scale, (x + tile) * scale))
        result[place] += larger * share
        total[place] += share
    assert result is not None
    return result / total


def _seam(length: int, overlap: int, before: bool, after: bool, scale: int) -> Tensor:
    """How much each pixel along a tile counts: less and less towards sides at which another tile overlaps.

    In the outer quarter of an overlap nothing counts: there a network has seen a border where none is.
    """
    place = (torch.arange(overlap * scale) + 0.5) / (overlap * scale)
    rising = (2 * place - 0.5).clamp(0, 1)
    weights = torch.ones(length * scale)
    if before:
        weights[: len(rising)] *= rising
    if after:
        weights[-len(rising) :] *= rising.flip(0)
    return weights


def tile_sizes(first: int = TILE) -> Iterator[int]:
    """Sizes of tiles to try, each half of the one before."""
    while first >= SMALLEST_TILE:
        yield first
        first //= 2


def upscale(
    picture: Tensor,
    upscaler: Upscaler,
    device: torch.device,
    turn: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Enlarge a picture [1, C, H, W] with values 0 … 1; tiles are halved as long as there is no memory for them.

    A network for grey pictures gets each channel by itself. Raises what `turn` raises, and the last error for want of
    memory.
    """

    def call(piece: Tensor) -> Tensor:
        return upscaler.call(piece.to(device))

    pictures = picture.movedim(1, 0) if upscaler.channels == 1 else picture
    sizes = list(tile_sizes())
    for tile in sizes:
        try:
            with torch.no_grad():
                layers = [upscale_tiled(one, call, upscaler.scale, tile=tile, turn=turn) for one in pictures.split(1)]
            return torch.cat(layers, dim=1) if upscaler.channels == 1 else layers[0]
        except (RuntimeError, MemoryError) as error:
            if tile == sizes[-1] or not is_out_of_memory(error):
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
    raise AssertionError("there is always a last size")

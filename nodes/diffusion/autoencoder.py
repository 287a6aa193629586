"""Autoencoders: raw latents into pictures and back, whole or in tiles.

Works on diffusers' `AutoencoderKL` and `AutoencoderTiny`. The former's latents are raw: what travels between nodes. The
latter was trained on latents as samplers see them, that is, multiplied by the model's scaling factor; its
`config.scaling_factor` tells what raw latents are multiplied by for it. 1, the library's default, means that its
latents are raw already, because whoever loaded it put the factor into its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.memory import is_out_of_memory

Report = Callable[[int, int], None]
"""`report(done, total)`; it may raise to end the work."""

#: Tile sizes in pixels that are tried one after the other when there is not enough memory.
SPARING_TILES = (512, 256, 128, 64)
SPARING_OVERLAP = 64


class NonFinite(ArithmeticError):
    """An autoencoder gave NaN or infinity; the message says what."""


def cell_size(module: Any) -> int:
    """How many pixels of a picture's height and width one cell of a latent stands for."""
    return 2 ** (len(module.config.block_out_channels) - 1)


def latent_channels(module: Any) -> int:
    """Channels of the latents that an autoencoder knows."""
    return int(module.config.latent_channels)


def decode(module: Any, latent: Tensor) -> Tensor:
    """Pictures [B, H, W, 3] of raw latents [B, C, h, w]: float32, 0 … 1, on the CPU. Raises NonFinite."""
    return _picture(_decoded(module, latent))


def encode(module: Any, picture: Tensor) -> Tensor:
    """Raw latents [B, C, h, w] of pictures [B, H, W, 1, 3 or 4]: float32, on the CPU; the mean, nothing is drawn.

    Heights and widths are multiples of `cell_size` (see `crop_to_multiple`). Raises NonFinite.
    """
    return _latent(_encoded(module, rgb(picture)))


def decode_tiled(module: Any, latent: Tensor, tile: int, overlap: int, report: Report) -> Tensor:
    """As `decode`, in tiles of `tile` × `tile` pixels that overlap by at least `overlap` and are blended there."""
    cell = cell_size(module)
    parts = [
        _by_tiles(one.shape[-2:], tile // cell, overlap // cell, cell,
                  lambda rows, columns, one=one: _decoded(module, one[..., rows, columns]),
                  _share(report, i, len(latent)))
        for i, one in enumerate(latent.split(1))
    ]  # fmt: skip
    return _picture(_joined(parts))


def encode_tiled(module: Any, picture: Tensor, tile: int, overlap: int, report: Report) -> Tensor:
    """As `encode`, in tiles of `tile` × `tile` pixels that overlap by at least `overlap` and are blended there."""
    cell = cell_size(module)
    size = picture.shape[1] // cell, picture.shape[2] // cell

    def pixels(cells: slice) -> slice:
        return slice(cells.start * cell, cells.stop * cell)

    parts = [
        _by_tiles(size, tile // cell, overlap // cell, 1,
                  lambda rows, columns, one=one: _encoded(module, one[:, pixels(rows), pixels(columns)]),
                  _share(report, i, len(picture)))
        for i, one in enumerate(rgb(picture).split(1))
    ]  # fmt: skip
    return _latent(_joined(parts))


def _joined(parts: list[Tensor]) -> Tensor:
    """Parts as one batch; a single one is not copied, since memory may be short."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _share(report: Report, i: int, count: int) -> Report:
    """A report on one of several equal pieces of work as one on all of them."""
    return lambda done, total: report(i * total + done, count * total)


def _decoded(module: Any, latent: Tensor) -> Tensor:
    """[B, 3, H, W] with values about 0 … 1, in memory of its own."""
    weight = next(module.parameters())
    with torch.no_grad():
        scaled = latent * _factor(module)
        decoded = module.decode(scaled.to(weight.device, weight.dtype), return_dict=False)[0]
    return (decoded.float() / 2 + 0.5).cpu()


def _encoded(module: Any, picture: Tensor) -> Tensor:
    """[B, C, h, w] of [B, H, W, 3]."""
    weight = next(module.parameters())
    scaled = picture.movedim(-1, 1) * 2 - 1
    with torch.no_grad():
        output = module.encode(scaled.to(weight.device, weight.dtype))
        latent = output.latents if hasattr(output, "latents") else output.latent_dist.mode()
    return latent.float().cpu() / _factor(module)


def _factor(module: Any) -> float:
    """What raw latents are multiplied by on the way into an autoencoder."""
    return float(module.config.scaling_factor) if type(module).__name__ == "AutoencoderTiny" else 1.0


def _picture(decoded: Tensor) -> Tensor:
    if not torch.isfinite(decoded).all():
        raise NonFinite("the decoded picture has values that are not numbers")
    return decoded.clamp_(0, 1).movedim(1, -1).contiguous()


def _latent(encoded: Tensor) -> Tensor:
    if not torch.isfinite(encoded).all():
        raise NonFinite("the encoded latent has values that are not numbers")
    return encoded


# --- tiles


def tile_spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Where tiles lie along an axis: as few as can be, equally long, evenly spread, from its beginning to its end.

    Neighbours share at least `overlap` places, of which at most half a tile counts.
    """
    tile = max(1, tile)
    if length <= tile:
        return [(0, length)]
    overlap = min(overlap, tile // 2)
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    return [(start, start + tile) for start in starts]


def span_weights(spans: list[tuple[int, int]], unit: int) -> list[Tensor]:
    """How much each place of each tile counts, `unit` places a cell: a ramp where tiles overlap; the sum is 1."""
    total = torch.zeros(spans[-1][1] * unit)
    weights: list[Tensor] = []
    for i, (start, stop) in enumerate(spans):
        weight = torch.ones((stop - start) * unit)
        if i > 0:
            weight = weight * _rise((spans[i - 1][1] - start) * unit, len(weight))
        if i < len(spans) - 1:
            weight = weight * _rise((stop - spans[i + 1][0]) * unit, len(weight)).flip(0)
        total[start * unit : stop * unit] += weight
        weights.append(weight)
    return [weight / total[start * unit : stop * unit] for weight, (start, stop) in zip(weights, spans, strict=True)]


def _rise(width: int, length: int) -> Tensor:
    """[length] that grows from above 0 to 1 over its first `width` places."""
    return ((torch.arange(length) + 0.5) / width).clamp(max=1) if width > 0 else torch.ones(length)


def _by_tiles(
    size: tuple[int, ...],
    tile: int,
    overlap: int,
    unit: int,
    run: Callable[[slice, slice], Tensor],
    report: Report,
) -> Tensor:
    """What `run(rows, columns)`, given in cells, gives for all tiles of a [h, w] grid, blended into one [1, C, H, W].

    The results have `unit` places a cell.
    """
    down, across = tile_spans(size[0], tile, overlap), tile_spans(size[1], tile, overlap)
    total = len(down) * len(across)
    whole: Tensor | None = None
    done = 0
    for (top, bottom), vertical in zip(down, span_weights(down, unit), strict=True):
        for (left, right), horizontal in zip(across, span_weights(across, unit), strict=True):
            report(done, total)
            part = run(slice(top, bottom), slice(left, right))
            if total == 1:
                return part
            if whole is None:
                whole = part.new_zeros(1, part.shape[1], size[0] * unit, size[1] * unit)
            target = whole[..., top * unit : bottom * unit, left * unit : right * unit]
            target += part * (vertical[:, None] * horizontal)
            done += 1
    assert whole is not None
    return whole


# --- not enough memory


def within_memory(
    count: int, longest: int, attempt: Callable[[int, int | None], Tensor], notice: Callable[[int], None]
) -> Tensor:
    """`attempt(i, tile)` for i below `count`, joined: whole (tile None) as long as memory lasts, then in tiles.

    Tiles get smaller until they fit, and stay so for the rest; only those smaller than `longest`, the longest side, are
    tried. `notice(tile)` is told of each change. What is raised by the smallest tile is raised here.
    """
    tiles: list[int | None] = [None, *(tile for tile in SPARING_TILES if tile < longest)]
    results: list[Tensor] = []
    while len(results) < count:
        try:
            results.append(attempt(len(results), tiles[0]))
            continue
        except (RuntimeError, MemoryError) as error:
            if len(tiles) == 1 or not is_out_of_memory(error):
                raise
        # Outside the handler, so that what the failed attempt held is free by now.
        tiles.pop(0)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if tiles[0] is not None:
            notice(tiles[0])
    return _joined(results)


# --- pictures for an autoencoder


def crop_to_multiple(pixels: Tensor, multiple: int = 8) -> Tensor:
    """[B, H, W, C] with height and width cut down to multiples, evenly on both sides."""
    height, width = pixels.shape[1:3]
    y, x = (height % multiple) // 2, (width % multiple) // 2
    return pixels[:, y : y + height // multiple * multiple, x : x + width // multiple * multiple]


def rgb(pixels: Tensor) -> Tensor:
    """[B, H, W, C] with three channels: grey is repeated, transparency left out."""
    return pixels[..., :1].expand(*pixels.shape[:-1], 3) if pixels.shape[-1] < 3 else pixels[..., :3]


def picture_mask(mask: Tensor, pixels: Tensor) -> Tensor:
    """A mask [H, W], [B, H, W] or [B, 1, H, W] of any size as [B, 1, H, W] for the pictures [B, H, W, C].

    Resized bilinearly; masks are repeated over a larger batch.
    """
    from nodes.diffusion.sampling import latent_mask

    return latent_mask(mask, pixels.movedim(-1, 1))


def blank_out(pixels: Tensor, mask: Tensor) -> Tensor:
    """Pictures [B, H, W, C] in middle grey where the rounded mask [B, 1, H, W] is 1; all else is as it was."""
    return torch.where(mask.round().movedim(1, -1) > 0, 0.5, pixels)


def grow_mask(mask: Tensor, pixels: int) -> Tensor:
    """The rounded mask [B, 1, H, W], made wider by so many pixels, half of them to each side.

    As ComfyUI's users know it: each pixel takes the largest of a window of `pixels` × `pixels` around it.
    """
    rounded = mask.round()
    if pixels < 2:
        return rounded
    grown = torch.nn.functional.max_pool2d(rounded, pixels, stride=1, padding=pixels // 2)
    return grown[..., : mask.shape[-2], : mask.shape[-1]]

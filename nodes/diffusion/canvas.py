"""Pictures [B, H, W, C] on larger canvases: padding, fitting into a frame, putting side by side."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nodes.diffusion.compositing import match_batch, with_channels
from nodes.diffusion.resize import resize_pictures, scaled_size

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "white": (1, 1, 1),
    "black": (0, 0, 0),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
}
GREY = (0.5, 0.5, 0.5)


def plain(count: int, height: int, width: int, channels: int, colour: tuple[float, float, float]) -> Tensor:
    """Pictures of one colour, opaque."""
    dot = with_channels(torch.tensor(colour, dtype=torch.float32).reshape(1, 1, 1, 3), channels)
    return dot.expand(count, height, width, channels).contiguous()


def place(pictures: Tensor, height: int, width: int, y: int, x: int, colour: tuple[float, float, float]) -> Tensor:
    """Pictures on canvases of one colour, which they must fit onto at x, y."""
    batch, old_height, old_width, channels = pictures.shape
    canvas = plain(batch, height, width, channels, colour).to(pictures)
    canvas[:, y : y + old_height, x : x + old_width] = pictures
    return canvas


def fit(pictures: Tensor, width: int, height: int, method: str, colour: str) -> Tensor:
    """Pictures resized to fit into a frame, proportions kept, in the middle of it."""
    old_height, old_width = pictures.shape[1:3]
    inner = scaled_size(old_width, old_height, min(width / old_width, height / old_height))
    inner_width, inner_height = min(inner[0], width), min(inner[1], height)
    resized = resize_pictures(pictures, inner_width, inner_height, method)
    y, x = (height - inner_height) // 2, (width - inner_width) // 2
    return place(resized, height, width, y, x, COLOURS[colour])


def pad_for_outpaint(
    pictures: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Tensor, Tensor]:
    """Pictures with a grey border to be painted over, and the mask [1, H, W] of what is to be painted.

    The mask is 1 on the border, and falls to 0 within `feathering` pixels of the old picture, as the square of what
    is left of that way; sides without a border are not feathered.
    """
    height, width = pictures.shape[1:3]
    outside = (height + top + bottom, width + left + right)
    padded = place(pictures, *outside, top, left, GREY)
    away = torch.full((height, width), torch.inf)
    down, across = torch.arange(height, dtype=torch.float32)[:, None], torch.arange(width, dtype=torch.float32)
    for border, distance in (
        (top, down),
        (bottom, height - 1 - down),
        (left, across),
        (right, width - 1 - across),
    ):
        if border:
            away = torch.minimum(away, distance)
    mask = torch.ones(1, *outside)
    inside = (1 - away / feathering).clamp(min=0).square() if feathering else torch.zeros_like(away)
    mask[0, top : top + height, left : left + width] = inside
    return padded, mask


def stitch(
    first: Tensor, second: Tensor, direction: str, *, match_size: bool = True, spacing: int = 0, colour: str = "white"
) -> Tensor:
    """Two batches side by side; `direction` says on which side of the first the second is put.

    match_size: the second is resized to fit, proportions kept; else the smaller one is put on black. An odd spacing is
    made even.
    """
    channels, count = max(first.shape[-1], second.shape[-1]), max(len(first), len(second))
    first, second = (match_batch(with_channels(one, channels), count) for one in (first, second))
    sideways = direction in ("right", "left")
    side = 1 if sideways else 2  # the axis along which both must be equally long
    if match_size:
        factor = first.shape[side] / second.shape[side]
        width, height = scaled_size(second.shape[2], second.shape[1], factor)
        fitted = (width, first.shape[1]) if sideways else (first.shape[2], height)
        second = resize_pictures(second, *fitted, "lanczos")
    longest = max(first.shape[side], second.shape[side])
    pieces = [_lengthened(one, longest, side) for one in (first, second)]
    if direction in ("left", "up"):
        pieces.reverse()
    if spacing:
        gap = spacing + spacing % 2
        size = (longest, gap) if sideways else (gap, longest)
        pieces.insert(1, plain(count, *size, channels, COLOURS[colour]).to(first))
    return torch.cat(pieces, dim=2 if sideways else 1)


def _lengthened(pictures: Tensor, length: int, axis: int) -> Tensor:
    """Pictures in the middle of black canvases that are `length` long on one axis."""
    height, width = pictures.shape[1:3]
    before = (length - pictures.shape[axis]) // 2
    if axis == 1:
        return place(pictures, length, width, before, 0, COLOURS["black"])
    return place(pictures, height, length, 0, before, COLOURS["black"])

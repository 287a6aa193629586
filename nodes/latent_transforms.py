"""Latents turned, mirrored, cut and put together; noise masks go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Latent
from nodes.latents import Offset, bad_value, check_channels

if TYPE_CHECKING:
    from torch import Tensor

Rotation = Literal["none", "90 degrees", "180 degrees", "270 degrees"]
FlipMethod = Literal["x-axis: vertically", "y-axis: horizontally"]
Side = Annotated[int, Range(64, 16384, step=8)]
AXES = {"x": -1, "y": -2, "t": -3}
LEAST_CROP = 8  # cells


@node(category="latent/transform", display_name="Rotate Latent", numeric=False)
def LatentRotate(samples: Latent, rotation: Rotation = "none") -> Latent:
    """Turn a latent clockwise, and its noise mask with it."""
    import torch

    turns = ("none", "90 degrees", "180 degrees", "270 degrees").index(rotation)

    def turned(tensor: Tensor) -> Tensor:
        return torch.rot90(tensor, turns, (-1, -2))

    result: Latent = {**samples, "samples": turned(samples["samples"])}
    return {**result, "noise_mask": turned(samples["noise_mask"])} if "noise_mask" in samples else result


@node(category="latent/transform", display_name="Flip Latent", numeric=False)
def LatentFlip(samples: Latent, flip_method: FlipMethod = "x-axis: vertically") -> Latent:
    """Mirror a latent, top to bottom or left to right, and its noise mask with it."""
    axis = -2 if flip_method.startswith("x") else -1
    result: Latent = {**samples, "samples": samples["samples"].flip(axis)}
    return {**result, "noise_mask": samples["noise_mask"].flip(axis)} if "noise_mask" in samples else result


@node(category="latent/transform", display_name="Crop Latent")
def LatentCrop(
    samples: Latent,
    width: Side = 512,
    height: Side = 512,
    x: Annotated[Offset, Help("in pixels, from the left")] = 0,
    y: Annotated[Offset, Help("in pixels, from the top")] = 0,
) -> Latent:
    """Cut a part out of a latent, given in pixels.

    The part ends where the latent ends; one that would begin too far out is moved in until 64 pixels of it are inside.
    """
    tall, wide = samples["samples"].shape[-2:]
    top, left = min(y // 8, max(0, tall - LEAST_CROP)), min(x // 8, max(0, wide - LEAST_CROP))
    return _part(samples, slice(top, min(tall, top + height // 8)), slice(left, min(wide, left + width // 8)))


@node(category="latent/advanced", display_name="Cut Latent")
def LatentCut(
    samples: Latent,
    dim: Annotated[Literal["x", "y", "t"], Help("t: the time axis of a video")] = "x",
    index: Annotated[
        int, Range(-16384, 16384, step=1), Help("in cells of 8 pixels; below 0 it counts from the end")
    ] = 0,
    amount: Annotated[int, Range(1, 16384, step=1), Help("in cells of 8 pixels")] = 1,
) -> Latent:
    """Cut a stripe out of a latent, all the way along the other axes; it ends where the latent ends."""
    tensor = samples["samples"]
    if dim == "t":
        _check_time(tensor, "LatentFromBatch")
    length = tensor.shape[AXES[dim]]
    start = min(index, length - 1) if index >= 0 else max(0, length + index)
    cut = slice(start, min(length, start + amount))
    if dim == "t":
        return {**samples, "samples": tensor[..., cut, :, :]}
    rows, columns = (slice(0, side) for side in tensor.shape[-2:])
    return _part(samples, cut if dim == "y" else rows, cut if dim == "x" else columns)


@node(category="latent/advanced", display_name="Concatenate Latents")
def LatentConcat(
    samples1: Latent,
    samples2: Latent,
    dim: Annotated[
        Literal["x", "-x", "y", "-y", "t", "-t"], Help("x: side by side; with a minus, samples2 comes first")
    ] = "x",
) -> Latent:
    """Put two latents together along an axis; a batch that is shorter than the first one's is repeated.

    Noise masks are put together too, a latent without one counting as drawn everywhere.
    """
    import torch

    from nodes.diffusion.latents import join_masks, repeat_to_batch

    first = samples1["samples"]
    if dim.endswith("t"):
        _check_time(first, "LatentBatch")
    check_channels(samples1, samples2, "samples2")
    second = repeat_to_batch(samples2["samples"], first.shape[0]).to(first)
    swapped, letter = dim.startswith("-"), dim[-1]
    axis = AXES[letter]
    sizes = [[side for i, side in enumerate(each.shape) if i != each.ndim + axis] for each in (first, second)]
    if sizes[0] != sizes[1]:
        raise bad_value(
            "samples2",
            f"latents of {_size(first)} and {_size(second)} pixels cannot be put together along {letter}",
            hint="crop or resize one of them first",
        )
    tensors = (second, first) if swapped else (first, second)
    result: Latent = {**samples1, "samples": torch.cat(tensors, dim=axis)}
    if axis == AXES["t"]:
        return result
    ordered = (samples2, samples1) if swapped else (samples1, samples2)
    joined = join_masks(ordered[0].get("noise_mask"), ordered[1].get("noise_mask"), tensors, axis)
    return {**result, "noise_mask": joined} if joined is not None else result


def _part(samples: Latent, rows: slice, columns: slice) -> Latent:
    """A part of a latent, given in cells, with that part of its noise mask."""
    from nodes.diffusion.latents import crop_mask

    tensor = samples["samples"]
    result: Latent = {**samples, "samples": tensor[..., rows, columns]}
    if "noise_mask" not in samples:
        return result
    return {**result, "noise_mask": crop_mask(samples["noise_mask"], tensor, rows, columns)}


def _check_time(tensor: Tensor, instead: str) -> None:
    if tensor.ndim != 5:
        raise bad_value("dim", "a latent of pictures has no time axis", got="t", hint=f"for a batch, use {instead}")


def _size(tensor: Tensor) -> str:
    return f"{tensor.shape[-1] * 8} × {tensor.shape[-2] * 8}"

"""Sizes of pictures: resizing, cutting, padding, turning."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Image, Mask

ImageUpscaleMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Side = Annotated[int, Range(0, 16384, step=1)]
Length = Annotated[int, Range(1, 16384, step=1)]
Border = Annotated[int, Range(0, 16384, step=8)]


@node(category="image/upscaling", display_name="Upscale Image")
def ImageScale(
    image: Image,
    upscale_method: ImageUpscaleMethod = "nearest-exact",
    width: Side = 512,
    height: Side = 512,
    crop: Literal["disabled", "center"] = "disabled",
) -> Image:
    """Resize pictures; a width or height of 0 keeps the proportions."""
    from nodes.diffusion.resize import fill_size, resize

    wanted = fill_size(width, height, image.shape[2], image.shape[1])
    resized = resize(image.movedim(-1, 1), *wanted, upscale_method, crop=crop == "center")
    return Image(resized.movedim(1, -1))


@node(category="image/upscaling", display_name="Upscale Image By")
def ImageScaleBy(
    image: Image,
    upscale_method: ImageUpscaleMethod = "nearest-exact",
    scale_by: Annotated[float, Range(0.01, 8, step=0.01)] = 1.0,
) -> Image:
    """Resize pictures by a factor."""
    return _scaled(image, scale_by, upscale_method)


@node(category="image/upscaling", display_name="Scale Image to Max Dimension")
def ImageScaleToMaxDimension(
    image: Image,
    upscale_method: Literal["area", "lanczos", "bilinear", "nearest-exact", "bicubic"] = "area",
    largest_size: Annotated[Side, Help("0 keeps the size")] = 512,
) -> Image:
    """Resize pictures so that their longer side has a given length; proportions are kept."""
    return _scaled(image, largest_size / max(image.shape[1:3]) if largest_size else 1.0, upscale_method)


@node(category="image/upscaling", display_name="Scale Image to Total Pixels")
def ImageScaleToTotalPixels(
    image: Image,
    upscale_method: ImageUpscaleMethod = "nearest-exact",
    megapixels: Annotated[float, Range(0.01, 16, step=0.01), Help("of 1024 × 1024 pixels")] = 1.0,
) -> Image:
    """Resize pictures to about a number of pixels; proportions are kept."""
    height, width = image.shape[1:3]
    return _scaled(image, math.sqrt(megapixels * 1024 * 1024 / (width * height)), upscale_method)


def _scaled(image: Image, factor: float, method: str) -> Image:
    from nodes.diffusion.resize import resize_pictures, scaled_size

    return Image(resize_pictures(image, *scaled_size(image.shape[2], image.shape[1], factor), method))


@node(category="image/transform", display_name="Image Crop", numeric=False)
def ImageCrop(image: Image, width: Length = 512, height: Length = 512, x: Side = 0, y: Side = 0) -> Image:
    """Cut a part out of pictures; what would lie outside of them is left out."""
    x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return Image(image[:, y : y + height, x : x + width].contiguous())


class Padded(NamedTuple):
    """Pictures with a border, and where it is."""

    IMAGE: Image
    MASK: Annotated[Mask, Help("1 on the border, falling to 0 within the old picture")]


@node(category="image", display_name="Pad Image for Outpainting", numeric=False)
def ImagePadForOutpaint(
    image: Image,
    left: Border = 0,
    top: Border = 0,
    right: Border = 0,
    bottom: Border = 0,
    feathering: Annotated[Side, Help("how many pixels of the old picture are painted over in part")] = 40,
) -> Padded:
    """Put a grey border around pictures, with a mask to have it painted by a model."""
    from nodes.diffusion.canvas import pad_for_outpaint

    padded, mask = pad_for_outpaint(image, left, top, right, bottom, feathering)
    return Padded(Image(padded), Mask(mask))


@node(category="image/transform", display_name="Resize And Pad Image")
def ResizeAndPadImage(
    image: Image,
    target_width: Length = 512,
    target_height: Length = 512,
    padding_color: Literal["white", "black"] = "white",
    interpolation: Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"] = "area",
) -> Image:
    """Resize pictures to fit into a frame, proportions kept, and fill the rest of it with a colour."""
    from nodes.diffusion.canvas import fit

    return Image(fit(image, target_width, target_height, interpolation, padding_color))


class ImageSize(NamedTuple):
    """The size of a batch of pictures."""

    width: int
    height: int
    batch_size: int


@node(category="image", display_name="Get Image Size", light=True, numeric=False)
def GetImageSize(image: Image) -> ImageSize:
    """The width and height of pictures, and how many there are."""
    count, height, width = image.shape[:3]
    return ImageSize(width, height, count)


@node(category="image/transform", display_name="Image Rotate", numeric=False)
def ImageRotate(image: Image, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"] = "none") -> Image:
    """Turn pictures clockwise."""
    import torch

    turns = ("none", "90 degrees", "180 degrees", "270 degrees").index(rotation)
    return Image(torch.rot90(image, turns, dims=(2, 1)).contiguous())


@node(category="image/transform", display_name="Image Flip", numeric=False)
def ImageFlip(
    image: Image, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"] = "x-axis: vertically"
) -> Image:
    """Mirror pictures: upside down, or left for right."""
    return Image(image.flip(1 if flip_method.startswith("x") else 2))

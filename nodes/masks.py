"""Masks: making, combining, growing, and from and to pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Image, Mask, Saved
from nodes.images import save_pictures

Offset = Annotated[int, Range(0, 16384, step=1)]
Length = Annotated[int, Range(1, 16384, step=1)]
Share = Annotated[float, Range(0, 1, step=0.01)]


@node(category="mask", display_name="Solid Mask", numeric=False)
def SolidMask(value: Share = 1.0, width: Length = 512, height: Length = 512) -> Mask:
    """A mask of one value."""
    import torch

    return Mask(torch.full((1, height, width), value))


@node(category="mask", display_name="Invert Mask", numeric=False)
def InvertMask(mask: Mask) -> Mask:
    """Exchange what a mask covers and what it does not."""
    return Mask(1 - mask)


@node(category="mask", display_name="Crop Mask", numeric=False)
def CropMask(mask: Mask, x: Offset = 0, y: Offset = 0, width: Length = 512, height: Length = 512) -> Mask:
    """Cut a part out of masks; what would lie outside of them is left out."""
    x, y = min(x, mask.shape[2] - 1), min(y, mask.shape[1] - 1)
    return Mask(mask[:, y : y + height, x : x + width].contiguous())


@node(category="mask", display_name="Mask Composite", numeric=False)
def MaskComposite(
    destination: Mask,
    source: Mask,
    x: Offset = 0,
    y: Offset = 0,
    operation: Annotated[
        Literal["multiply", "add", "subtract", "and", "or", "xor"], Help("and, or, xor take 0.5 and above as 1")
    ] = "multiply",
) -> Mask:
    """Combine a mask with another that lies on it at x, y; what sticks out is cut off."""
    from nodes.diffusion.masks import combine

    return Mask(combine(destination, source, x, y, operation))


@node(category="mask", display_name="Feather Mask", numeric=False)
def FeatherMask(mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0) -> Mask:
    """Fade masks out towards the borders, over a number of pixels on each side."""
    from nodes.diffusion.masks import feather

    return Mask(feather(mask, left, top, right, bottom))


@node(category="mask", display_name="Grow Mask", numeric=False)
def GrowMask(
    mask: Mask,
    expand: Annotated[int, Range(-16384, 16384, step=1), Help("pixels; below 0 masks shrink")] = 0,
    tapered_corners: Annotated[bool, Help("cut corners off; otherwise they stay square")] = True,
    context: Context = NO_CONTEXT,
) -> Mask:
    """Grow or shrink what masks cover."""
    from nodes.diffusion.morphology import grow

    return Mask(grow(mask, expand, tapered=tapered_corners, turn=lambda i: context.progress(i, abs(expand))))


@node(category="mask", display_name="Threshold Mask", numeric=False)
def ThresholdMask(mask: Mask, value: Share = 0.5) -> Mask:
    """Make masks 1 above a value and 0 elsewhere."""
    return Mask((mask > value).to(mask.dtype))


@node(category="mask", display_name="Convert Mask to Image", numeric=False)
def MaskToImage(mask: Mask) -> Image:
    """Masks as grey pictures, white where they are 1."""
    return Image(mask[..., None].expand(-1, -1, -1, 3).contiguous())


@node(category="mask", display_name="Convert Image to Mask", numeric=False)
def ImageToMask(image: Image, channel: Literal["red", "green", "blue", "alpha"] = "red") -> Mask:
    """One channel of pictures as masks."""
    from nodes.diffusion.compositing import with_channels

    if channel == "alpha" and image.shape[-1] < 4:
        raise ProblemError(
            Problem(
                code="bad_value",
                message="the picture has no alpha channel",
                input="channel",
                got=channel,
                expected="red, green or blue",
                hint="what is transparent in a picture file is the MASK output of LoadImage",
            )
        )
    channels = image if channel == "alpha" else with_channels(image, 3)
    return Mask(channels[..., ("red", "green", "blue", "alpha").index(channel)].contiguous())


@node(category="mask", display_name="Image Color to Mask", numeric=False)
def ImageColorToMask(
    image: Image,
    color: Annotated[int, Range(0, 0xFFFFFF, step=1), Help("red · 65536 + green · 256 + blue")] = 0,
) -> Mask:
    """Masks that are 1 where pictures have exactly one colour."""
    from nodes.diffusion.compositing import with_channels

    levels = (with_channels(image, 3) * 255).round().clamp(0, 255)
    return Mask((levels == levels.new_tensor(list(color.to_bytes(3)))).all(-1).float())


@node(category="mask", display_name="Mask Preview", output_node=True, numeric=False)
def MaskPreview(mask: Mask, context: Context = NO_CONTEXT) -> Saved:
    """Show masks as grey pictures; they are kept in the temporary folder only."""
    return save_pictures(MaskToImage(mask), context.roots.temp, "temp", "mask", context)

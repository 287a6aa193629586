"""Pictures upon and beside other pictures, and their transparency."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Image, Mask

Offset = Annotated[int, Range(0, 16384, step=1)]
Alpha = Annotated[Mask, Help("1 where the picture is transparent")]
PorterDuffMode = Literal[
    "ADD", "CLEAR", "DARKEN", "DST", "DST_ATOP", "DST_IN", "DST_OUT", "DST_OVER", "LIGHTEN", "MULTIPLY", "OVERLAY",
    "SCREEN", "SRC", "SRC_ATOP", "SRC_IN", "SRC_OUT", "SRC_OVER", "XOR",
]  # fmt: skip


class ImageAndAlpha(NamedTuple):
    """A picture, and what is transparent in it."""

    IMAGE: Image
    MASK: Alpha


@node(category="image", display_name="Image Composite Masked")
def ImageCompositeMasked(
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: Annotated[bool, Help("stretch the source over the destination first")] = False,
    mask: Annotated[Mask | None, Help("how much of the source is seen; stretched over the source")] = None,
) -> Image:
    """Put a picture upon another at x, y; what sticks out is cut off."""
    from nodes.diffusion.compositing import paste, with_channels
    from nodes.diffusion.resize import resize_masks, resize_pictures

    height, width, channels = destination.shape[1:]
    piece = with_channels(source, channels)
    if resize_source:
        piece = resize_pictures(piece, width, height, "bilinear")
    share = None if mask is None else resize_masks(mask, piece.shape[2], piece.shape[1])
    return Image(paste(destination.movedim(-1, 1), piece.movedim(-1, 1), x, y, share).movedim(1, -1))


@node(category="mask/compositing", display_name="Porter-Duff Image Composite")
def PorterDuffImageComposite(
    source: Image,
    source_alpha: Alpha,
    destination: Image,
    destination_alpha: Alpha,
    mode: PorterDuffMode = "DST",
) -> ImageAndAlpha:
    """Combine two pictures with transparency by one of Porter and Duff's rules, such as SRC_OVER.

    The source is resized and cut to the size of the destination. Masks are 1 where a picture is transparent, as Load
    Image gives them.
    """
    from nodes.diffusion.compositing import match_batch, porter_duff, with_channels
    from nodes.diffusion.resize import resize_masks, resize_pictures

    height, width = destination.shape[1:3]
    opaque = 1 - resize_masks(source_alpha, source.shape[2], source.shape[1])
    below_opaque = 1 - resize_masks(destination_alpha, width, height)
    layers = [with_channels(source, 3), opaque[..., None], with_channels(destination, 3), below_opaque[..., None]]
    count = max(len(layer) for layer in layers)
    above, above_alpha, below, below_alpha = (
        match_batch(resize_pictures(layer, width, height, "bicubic", crop=True).clamp(0, 1), count) for layer in layers
    )
    colours, alpha = porter_duff(above, above_alpha, below, below_alpha, mode)
    return ImageAndAlpha(Image(colours), Mask(1 - alpha[..., 0]))


@node(category="mask/compositing", display_name="Split Image with Alpha", numeric=False)
def SplitImageWithAlpha(image: Image) -> ImageAndAlpha:
    """Take pictures apart into colours and a mask of what is transparent."""
    from nodes.diffusion.compositing import with_channels

    alpha = with_channels(image, 4)[..., 3]
    return ImageAndAlpha(Image(with_channels(image, 3).contiguous()), Mask(1 - alpha))


@node(category="mask/compositing", display_name="Join Image with Alpha")
def JoinImageWithAlpha(image: Image, alpha: Alpha) -> Image:
    """Make pictures transparent where a mask is 1; it is stretched over them."""
    import torch

    from nodes.diffusion.compositing import match_batch, with_channels
    from nodes.diffusion.resize import resize_masks

    opaque = 1 - resize_masks(alpha, image.shape[2], image.shape[1])[..., None]
    count = max(len(image), len(opaque))
    colours = match_batch(with_channels(image, 3), count)
    return Image(torch.cat([colours, match_batch(opaque, count).to(colours)], dim=-1))


@node(category="image/transform", display_name="Image Stitch")
def ImageStitch(
    image1: Image,
    direction: Annotated[Literal["right", "down", "left", "up"], Help("where the second picture goes")] = "right",
    match_image_size: Annotated[bool, Help("resize the second picture to fit, proportions kept")] = True,
    spacing_width: Annotated[int, Range(0, 1024, step=2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Put two pictures side by side; without a second one the first stays as it is."""
    from nodes.diffusion.canvas import stitch

    if image2 is None:
        return image1
    return Image(
        stitch(
            image1,
            image2,
            direction,
            match_size=match_image_size,
            spacing=spacing_width,
            colour=spacing_color,
        )
    )

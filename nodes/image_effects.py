"""Effects on pictures: light and colour, blur, shapes, edges."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.node import Help, Range, Seed, node
from nodegraph.sockets import Image

Radius = Annotated[int, Range(1, 31, step=1)]
Threshold = Annotated[float, Range(0.01, 0.99, step=0.01)]


@node(category="image", display_name="Invert Image", numeric=False)
def ImageInvert(image: Image) -> Image:
    """Turn light into dark and colours into their opposites; transparency stays."""
    import torch

    if image.shape[-1] != 4:
        return Image(1 - image)
    return Image(torch.cat([1 - image[..., :3], image[..., 3:]], dim=-1))


@node(category="image", display_name="Image Add Noise")
def ImageAddNoise(
    image: Image,
    seed: Seed = 0,
    strength: Annotated[float, Range(0, 1, step=0.01)] = 0.5,
    context: Context = NO_CONTEXT,
) -> Image:
    """Add random noise to pictures."""
    import torch

    noise = torch.randn(image.shape, generator=context.generator(seed)).to(image)
    return Image((image + strength * noise).clamp(0, 1))


@node(category="image/postprocessing", display_name="Image Blend")
def ImageBlend(
    image1: Image,
    image2: Image,
    blend_factor: Annotated[float, Range(0, 1, step=0.01)] = 0.5,
    blend_mode: Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"] = "normal",
) -> Image:
    """Blend the second picture into the first; it is resized and cut to the first one's size.

    `difference` shows how far the colours are apart.
    """
    from nodes.diffusion.compositing import blend, match_batch, with_channels
    from nodes.diffusion.resize import resize_pictures

    height, width, channels = image1.shape[1:]
    top = with_channels(resize_pictures(image2, width, height, "bicubic", crop=True), channels)
    count = max(len(image1), len(top))
    return Image(blend(match_batch(image1, count), match_batch(top, count), blend_factor, blend_mode))


@node(category="image/postprocessing", display_name="Image Blur")
def ImageBlur(
    image: Image,
    blur_radius: Radius = 1,
    sigma: Annotated[float, Range(0.1, 10, step=0.1), Help("width of the bell curve, in radii")] = 1.0,
) -> Image:
    """Blur pictures with a Gaussian bell that reaches `blur_radius` pixels far."""
    from nodes.diffusion.effects import blur

    return Image(blur(image, blur_radius, sigma))


@node(category="image/postprocessing", display_name="Image Sharpen")
def ImageSharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Range(0.1, 10, step=0.01), Help("width of the bell curve, in radii")] = 1.0,
    alpha: Annotated[float, Range(0, 5, step=0.01), Help("a tenth of how often detail is added")] = 1.0,
) -> Image:
    """Sharpen pictures: what a blur would take away is added to them."""
    from nodes.diffusion.effects import sharpen

    return Image(sharpen(image, sharpen_radius, sigma, alpha))


@node(category="image/postprocessing", display_name="Image Quantize", numeric=False)
def ImageQuantize(
    image: Image,
    colors: Annotated[int, Range(1, 256, step=1)] = 256,
    dither: Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"] = "none",
    context: Context = NO_CONTEXT,
) -> Image:
    """Reduce each picture to a few colours of its own, in plain areas or dithered."""
    import torch

    from nodes.diffusion.effects import quantize

    results: list[torch.Tensor] = []
    for i, picture in enumerate(image.split(1)):
        context.progress(i, len(image))
        results.append(quantize(picture, colors, dither))
    return Image(torch.cat(results))


@node(category="image/postprocessing", display_name="Image Morphology", numeric=False)
def Morphology(
    image: Image,
    operation: Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"] = "erode",
    kernel_size: Annotated[int, Range(3, 999, step=1)] = 3,
) -> Image:
    """Widen or narrow the bright parts of pictures, or show what that changes, with a square of `kernel_size` pixels.

    `open` is erode then dilate, `close` the other way round; `gradient` is what lies between dilate and erode,
    `top_hat` what open takes away, `bottom_hat` what close adds.
    """
    from nodes.diffusion.morphology import OPERATIONS

    return Image(OPERATIONS[operation](image.movedim(-1, 1), kernel_size).movedim(1, -1))


class Yuv(NamedTuple):
    """A picture's brightness and its two differences of colour, each as a grey picture."""

    Y: Image
    U: Image
    V: Image


@node(category="image/batch", display_name="Image RGB To YUV", numeric=False)
def ImageRGBToYUV(image: Image) -> Yuv:
    """Take pictures apart into brightness (Y), blueness (U) and redness (V); 0.5 is no colour."""
    from nodes.diffusion.effects import to_yuv

    y, u, v = (Image(plane.expand(*plane.shape[:-1], 3).contiguous()) for plane in to_yuv(image))
    return Yuv(y, u, v)


@node(category="image/batch", display_name="Image YUV To RGB", numeric=False)
def ImageYUVToRGB(Y: Image, U: Image, V: Image) -> Image:
    """Put pictures together from brightness (Y), blueness (U) and redness (V), which are resized to fit Y."""
    from nodes.diffusion.compositing import match_batch
    from nodes.diffusion.effects import from_yuv
    from nodes.diffusion.resize import resize_pictures

    height, width = Y.shape[1:3]
    count = max(len(Y), len(U), len(V))
    y, u, v = (
        match_batch(resize_pictures(plane[..., :3].mean(-1, keepdim=True), width, height, "bilinear"), count)
        for plane in (Y, U, V)
    )
    return Image(from_yuv(y, u, v))


@node(category="image/preprocessors", display_name="Canny", numeric=False)
def Canny(
    image: Image,
    low_threshold: Annotated[Threshold, Help("weaker edges are left out")] = 0.4,
    high_threshold: Annotated[Threshold, Help("weaker edges must be connected to one as strong as this")] = 0.8,
    context: Context = NO_CONTEXT,
) -> Image:
    """Find the edges in pictures: white lines on black, as a ControlNet for edges takes them."""
    import torch

    from nodes.diffusion.canny import canny
    from nodes.diffusion.compositing import luma

    edges: list[torch.Tensor] = []
    for i, levels in enumerate((luma(image)[..., 0] * 255).round().clamp(0, 255).to(torch.int32)):
        context.progress(i, len(image))
        edges.append(canny(levels, 255 * low_threshold, 255 * high_threshold))
    return Image(torch.stack(edges).float()[..., None].expand(-1, -1, -1, 3).contiguous())

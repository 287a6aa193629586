"""Batches of pictures: making, joining, repeating, picking."""

from __future__ import annotations

from typing import Annotated

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Image

Length = Annotated[int, Range(1, 16384, step=1)]
Count = Annotated[int, Range(1, 4096)]


@node(category="image", display_name="Empty Image", numeric=False)
def EmptyImage(
    width: Length = 512,
    height: Length = 512,
    batch_size: Count = 1,
    color: Annotated[int, Range(0, 0xFFFFFF, step=1), Help("red · 65536 + green · 256 + blue")] = 0,
) -> Image:
    """Pictures of one colour."""
    from nodes.diffusion.canvas import plain

    red, green, blue = color.to_bytes(3)
    return Image(plain(batch_size, height, width, 3, (red / 255, green / 255, blue / 255)))


@node(category="image", display_name="Batch Images")
def ImageBatch(image1: Image, image2: Image) -> Image:
    """Join two batches of pictures; the second is resized and cut to the size of the first."""
    import torch

    from nodes.diffusion.compositing import with_channels
    from nodes.diffusion.resize import resize_pictures

    height, width = image1.shape[1:3]
    second = resize_pictures(image2, width, height, "bilinear", crop=True)
    channels = max(image1.shape[-1], image2.shape[-1])
    return Image(torch.cat([with_channels(image1, channels), with_channels(second, channels)]))


@node(category="image/batch", display_name="Repeat Image Batch", numeric=False)
def RepeatImageBatch(image: Image, amount: Count = 1) -> Image:
    """Repeat a batch of pictures a number of times."""
    return Image(image.repeat(amount, 1, 1, 1))


@node(category="image/batch", display_name="Image From Batch", numeric=False)
def ImageFromBatch(image: Image, batch_index: Annotated[int, Range(0, 4095)] = 0, length: Count = 1) -> Image:
    """Pick pictures out of a batch, counting from 0; beyond its end the last one is taken."""
    first = min(batch_index, len(image) - 1)
    return Image(image[first : first + length].clone())


@node(category="image/batch", display_name="Rebatch Images", numeric=False)
def RebatchImages(images: list[Image], batch_size: Count = 1) -> list[Image]:
    """Put all pictures into batches of a size, each of which what follows then works on by itself.

    Pictures stay in their order. Those of another size than the ones before begin a new batch.
    """
    import torch

    batches: list[list[torch.Tensor]] = []
    for picture in (batch[i : i + 1] for batch in images for i in range(len(batch))):
        if not batches or len(batches[-1]) == batch_size or batches[-1][0].shape != picture.shape:
            batches.append([])
        batches[-1].append(picture)
    return [Image(torch.cat(batch)) for batch in batches]

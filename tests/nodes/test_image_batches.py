"""Batches of pictures: made, joined, repeated, picked from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nodegraph
from nodes.image_batches import EmptyImage, ImageBatch, ImageFromBatch, RebatchImages, RepeatImageBatch
from nodes.image_sizes import ImageScale
from tests.nodes.pictures import PICTURES, picture, picture_of


@pytest.mark.parametrize(("number", "colour"), [(0, (0, 0, 0)), (0xFF8000, (255, 128, 0)), (0x000001, (0, 0, 1))])
def test_a_new_picture_has_the_colour_of_a_number(number: int, colour: tuple[int, int, int]) -> None:
    image = EmptyImage(5, 4, 2, number)
    assert image.shape == (2, 4, 5, 3)
    assert image.dtype == torch.float32
    assert (image * 255).round().reshape(-1, 3).unique(dim=0).tolist() == [list(colour)]


def test_the_second_picture_is_brought_to_the_size_of_the_first() -> None:
    first, second = picture(6, 9), picture(12, 30, batch=1)
    both = ImageBatch(first, second)
    assert both.shape == (3, 6, 9, 3)
    assert torch.equal(both[:2], first)
    assert torch.equal(both[2:], ImageScale(second, "bilinear", 9, 6, "center"))


@pytest.mark.parametrize("channels", [(3, 4), (4, 3), (1, 3), (1, 4)])
def test_a_batch_of_pictures_with_and_without_transparency_has_it_everywhere(channels: tuple[int, int]) -> None:
    first, second = (picture(4, 4, count) for count in channels)
    both = ImageBatch(first, second)
    assert both.shape == (4, 4, 4, max(channels))
    if max(channels) == 4:
        opaque = both[:2] if channels[0] < 4 else both[2:]
        assert (opaque[..., 3] == 1).all()


@given(PICTURES, st.integers(1, 4))
def test_a_repeated_batch_holds_its_pictures_again_and_again(image: torch.Tensor, amount: int) -> None:
    repeated = RepeatImageBatch(image, amount)  # pyright: ignore[reportArgumentType]
    assert torch.equal(repeated, torch.cat([image] * amount))


def test_pictures_are_picked_by_number() -> None:
    image = picture(batch=5)
    assert torch.equal(ImageFromBatch(image, 1, 2), image[1:3])
    assert torch.equal(ImageFromBatch(image, 3, 100), image[3:])
    assert torch.equal(ImageFromBatch(image, 99, 1), image[4:])
    assert torch.equal(ImageFromBatch(image), image[:1])


def test_one_pixel_of_each_is_a_batch_too() -> None:
    assert ImageBatch(picture_of(1, 1, (0, 0, 0)), picture_of(1, 1, (1, 1, 1))).flatten().tolist() == [0] * 3 + [1] * 3


@given(st.lists(PICTURES, max_size=5), st.integers(1, 5))
def test_pictures_are_put_into_batches_of_a_size_in_their_order(images: list[torch.Tensor], size: int) -> None:
    batches = RebatchImages(images, size)  # pyright: ignore[reportArgumentType]
    before = [picture for batch in images for picture in batch]
    after = [picture for batch in batches for picture in batch]
    assert len(before) == len(after)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(1 <= len(batch) <= size for batch in batches)
    for batch, following in zip(batches, batches[1:], strict=False):
        assert len(batch) == size or batch.shape[1:] != following.shape[1:]


def test_what_follows_works_on_each_batch_by_itself() -> None:
    nodes = """
nodegraph: 1
nodes:
  five: {uses: EmptyImage, with: {width: 8, height: 8, batch_size: 5}}
  parts: {uses: RebatchImages, with: {images: $five, batch_size: 2}}
  blurred: {uses: ImageBlur, with: {image: $parts}}
  whole: {uses: RebatchImages, with: {images: $blurred, batch_size: 9}}
  picked: {uses: ItemOf, with: {items: $whole}}
  last: {uses: ItemOf, with: {items: $blurred, index: 2}}
outputs: {last: $last, whole: $picked}
"""
    outputs = nodegraph.run(nodegraph.loads(nodes)).outputs
    sizes = {name: tuple(torch.as_tensor(pictures).shape) for name, pictures in outputs.items()}
    assert sizes == {"last": (1, 8, 8, 3), "whole": (5, 8, 8, 3)}

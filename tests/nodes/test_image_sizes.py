"""Sizes of pictures: scaling, cutting, padding, turning."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nodegraph.sockets import Image
from nodes.image_sizes import (
    GetImageSize,
    ImageCrop,
    ImageFlip,
    ImagePadForOutpaint,
    ImageRotate,
    ImageScaleBy,
    ImageScaleToMaxDimension,
    ImageScaleToTotalPixels,
    ImageUpscaleMethod,
    ResizeAndPadImage,
)
from tests.nodes.pictures import PICTURES, picture, picture_of, pillow_of

METHODS: tuple[Any, ...] = get_args(ImageUpscaleMethod)
X_AXIS, Y_AXIS = "x-axis: vertically", "y-axis: horizontally"
TURNS: tuple[Any, ...] = ("none", "90 degrees", "180 degrees", "270 degrees")


@pytest.mark.parametrize("method", METHODS)
def test_scaling_by_a_factor_rounds_to_whole_pixels(method: ImageUpscaleMethod) -> None:
    image = picture(7, 10)
    assert ImageScaleBy(image, method, 1.5).shape == (2, 10, 15, 3)  # 10.5 is rounded to even
    assert ImageScaleBy(image, method, 0.01).shape == (2, 1, 1, 3)
    assert torch.equal(ImageScaleBy(image, method, 1.0), image)


@pytest.mark.parametrize("method", METHODS)
def test_the_longer_side_gets_the_length_asked_for(method: Any) -> None:
    assert ImageScaleToMaxDimension(picture(20, 40), method, 60).shape[1:3] == (30, 60)
    assert ImageScaleToMaxDimension(picture(40, 20), method, 10).shape[1:3] == (10, 5)
    assert ImageScaleToMaxDimension(picture(300, 1), method, 30).shape[1:3] == (30, 1)
    assert torch.equal(ImageScaleToMaxDimension(picture(5, 6), method, 0), picture(5, 6))


def test_a_number_of_pixels_keeps_the_proportions() -> None:
    assert ImageScaleToTotalPixels(picture(50, 200), "bilinear", 0.25).shape[1:3] == (256, 1024)
    assert ImageScaleToTotalPixels(picture(64, 64), "area", 0.01).shape[1:3] == (102, 102)


def test_a_part_is_cut_out_and_what_is_outside_is_left_out() -> None:
    image = picture(8, 9)
    assert torch.equal(ImageCrop(image, 3, 2, 4, 5), image[:, 5:7, 4:7])
    assert torch.equal(ImageCrop(image, 100, 100, 7, 6), image[:, 6:, 7:])
    assert torch.equal(ImageCrop(image, 5, 5, 100, 100), image[:, 7:, 8:])  # the last pixel


@given(PICTURES, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9))
def test_cropping_takes_back_what_padding_added(
    image: Image, left: int, top: int, right: int, bottom: int, feathering: int
) -> None:
    padded, mask = ImagePadForOutpaint(image, left, top, right, bottom, feathering)
    height, width = image.shape[1:3]
    assert padded.shape == (len(image), height + top + bottom, width + left + right, image.shape[-1])
    assert mask.shape == (1, *padded.shape[1:3])
    assert torch.equal(ImageCrop(padded, width, height, left, top), image)
    border = torch.ones(padded.shape[1:3], dtype=torch.bool)
    border[top : top + height, left : left + width] = False
    assert (padded[:, border][..., :3] == 0.5).all()
    assert (mask[0][border] == 1).all()
    assert mask.min() >= 0 and mask.max() <= 1


def test_the_mask_falls_with_the_square_of_the_distance_to_a_border_that_was_added() -> None:
    _, mask = ImagePadForOutpaint(picture(6, 12), left=8, feathering=4)
    row = [1.0] * 8 + [1, 0.5625, 0.25, 0.0625] + [0] * 8
    assert mask[0].tolist() == [row] * 6
    _, both = ImagePadForOutpaint(picture(6, 6), right=1, bottom=1, feathering=6)
    assert both[0, 2, 2] == pytest.approx(0.25)
    assert both[0, 0, 5] == 1 and both[0, 0, 0] == pytest.approx(1 / 36)


def test_without_feathering_the_old_picture_is_not_painted_over() -> None:
    _, mask = ImagePadForOutpaint(picture(4, 4), 8, 0, 0, 0, 0)
    assert mask.sum() == 4 * 8
    _, none = ImagePadForOutpaint(picture(4, 4))
    assert not none.any()


def test_a_mirrored_picture_has_a_mirrored_mask() -> None:
    one, other = (ImagePadForOutpaint(picture(9, 9), **{side: 8}, feathering=5).MASK for side in ("left", "right"))
    assert torch.equal(one, other.flip(2))


@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_picture_is_fitted_into_the_middle_of_a_frame(colour: Any) -> None:
    framed = ResizeAndPadImage(picture_of(4, 8, (1, 0, 0)), 16, 16, colour, "bilinear")
    assert framed.shape == (1, 16, 16, 3)
    assert (framed[:, 4:12] == torch.tensor([1.0, 0, 0])).all()
    outside = torch.cat([framed[:, :4], framed[:, 12:]], dim=1)
    assert (outside == (1 if colour == "white" else 0)).all()


@pytest.mark.parametrize("size", [(16, 16), (3, 50), (50, 3), (1, 1)])
@pytest.mark.parametrize("method", ["area", "bicubic", "nearest-exact", "bilinear", "lanczos"])
def test_a_frame_of_any_size_is_filled(size: tuple[int, int], method: Any) -> None:
    assert ResizeAndPadImage(picture(7, 9), *size, "white", method).shape == (2, size[1], size[0], 3)


def test_the_size_of_a_batch_is_told() -> None:
    assert GetImageSize(picture(5, 8)) == (8, 5, 2)


@pytest.mark.parametrize(
    ("turn", "transpose"),
    [
        ("90 degrees", PillowImage.Transpose.ROTATE_270),  # Pillow counts the other way round
        ("180 degrees", PillowImage.Transpose.ROTATE_180),
        ("270 degrees", PillowImage.Transpose.ROTATE_90),
    ],
)
def test_pictures_are_turned_clockwise(turn: Any, transpose: PillowImage.Transpose) -> None:
    image = picture(5, 8)
    assert pillow_of(ImageRotate(image, turn)[0]).tobytes() == pillow_of(image[0]).transpose(transpose).tobytes()


@pytest.mark.parametrize(
    ("method", "transpose"),
    [(X_AXIS, PillowImage.Transpose.FLIP_TOP_BOTTOM), (Y_AXIS, PillowImage.Transpose.FLIP_LEFT_RIGHT)],
)
def test_pictures_are_mirrored(method: Any, transpose: PillowImage.Transpose) -> None:
    image = picture(5, 8)
    assert pillow_of(ImageFlip(image, method)[0]).tobytes() == pillow_of(image[0]).transpose(transpose).tobytes()


@given(PICTURES)
def test_turns_and_flips_undo_each_other(image: Image) -> None:
    for back, turn in zip(("none", *reversed(TURNS[1:])), TURNS, strict=True):
        assert torch.equal(ImageRotate(ImageRotate(image, turn), back), image)
    for method in (X_AXIS, Y_AXIS):
        assert torch.equal(ImageFlip(ImageFlip(image, method), method), image)
    both = ImageFlip(ImageFlip(image, X_AXIS), Y_AXIS)
    assert torch.equal(both, ImageRotate(image, "180 degrees"))

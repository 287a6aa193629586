"""Masks: made, combined, faded, grown, and from and to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.sockets import Image, Mask
from nodes.masks import (
    CropMask,
    FeatherMask,
    GrowMask,
    ImageColorToMask,
    ImageToMask,
    InvertMask,
    MaskComposite,
    MaskPreview,
    MaskToImage,
    SolidMask,
    ThresholdMask,
)
from tests.helpers import context_in, problem
from tests.nodes.pictures import MASKS, PICTURES, mask, picture, picture_of

OPERATIONS: tuple[Any, ...] = ("multiply", "add", "subtract", "and", "or", "xor")


def test_a_solid_mask_has_one_value() -> None:
    assert torch.equal(SolidMask(0.25, 5, 3), torch.full((1, 3, 5), 0.25))


@given(MASKS)
def test_inverting_twice_changes_nothing(given_mask: Mask) -> None:
    torch.testing.assert_close(InvertMask(InvertMask(given_mask)), given_mask)


def test_a_part_is_cut_out_and_what_is_outside_is_left_out() -> None:
    whole = mask(8, 9)
    assert torch.equal(CropMask(whole, 2, 3, 4, 2), whole[:, 3:5, 2:6])
    assert torch.equal(CropMask(whole, 7, 6, 100, 100), whole[:, 6:, 7:])
    assert torch.equal(CropMask(whole, 100, 100, 3, 3), whole[:, 7:, 8:])


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("multiply", [0.08, 0.56]),
        ("add", [0.6, 1.0]),
        ("subtract", [0.0, 0.1]),
        ("and", [0, 1]),
        ("or", [0, 1]),
        ("xor", [0, 0]),
    ],
)
def test_two_masks_are_combined(operation: Any, expected: list[float]) -> None:
    below, above = Mask(torch.tensor([[[0.2, 0.8]]])), Mask(torch.tensor([[[0.4, 0.7]]]))
    assert MaskComposite(below, above, 0, 0, operation)[0, 0].tolist() == pytest.approx(expected)


def test_logic_takes_a_half_and_more_as_1() -> None:
    below, above = Mask(torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])), Mask(torch.tensor([[[0.4, 0.5, 0.4, 0.5]]]))
    results = {name: MaskComposite(below, above, 0, 0, name)[0, 0].tolist() for name in OPERATIONS[3:]}
    assert results == {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0]}


@given(MASKS, MASKS, st.integers(0, 8), st.integers(0, 8), st.sampled_from(OPERATIONS))
def test_only_what_lies_under_the_second_mask_changes(below: Mask, above: Mask, x: int, y: int, operation: Any) -> None:
    combined = MaskComposite(below, above, x, y, operation)
    assert combined.shape == (max(len(below), len(above)), *below.shape[1:])
    assert combined.min() >= 0 and combined.max() <= 1
    under = torch.zeros(below.shape[1:], dtype=torch.bool)
    under[y : y + above.shape[1], x : x + above.shape[2]] = True
    assert torch.equal(combined[0][~under], below[0][~under])


def test_a_mask_fades_evenly_towards_its_borders() -> None:
    faded = FeatherMask(SolidMask(1.0, 10, 8), left=4, bottom=2)
    assert faded[0, 0].tolist() == [0.25, 0.5, 0.75] + [1.0] * 7
    assert faded[0, :, 9].tolist() == [1.0] * 7 + [0.5]
    assert faded[0, 7, 0] == 0.125
    assert FeatherMask(SolidMask(1.0, 4, 1), right=100)[0, 0].tolist() == [1, 0.75, 0.5, 0.25]
    assert torch.equal(FeatherMask(mask()), mask())


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_fading_is_the_same_on_each_side(given_mask: Mask, here: int, there: int) -> None:
    turned = Mask(given_mask.flip(1, 2))
    torch.testing.assert_close(
        FeatherMask(given_mask, here, there, 0, 1).flip(1, 2), FeatherMask(turned, 0, 1, here, there)
    )


@given(MASKS, st.integers(-4, 4), st.booleans())
def test_a_mask_grows_and_shrinks(given_mask: Mask, amount: int, tapered: bool) -> None:
    grown = GrowMask(given_mask, amount, tapered)
    assert (grown >= given_mask).all() if amount >= 0 else (grown <= given_mask).all()
    assert grown.shape == given_mask.shape
    if amount == 0:
        assert torch.equal(grown, given_mask)


def test_growing_reaches_as_far_as_asked_for() -> None:
    dot = SolidMask(0.0, 9, 9).clone()
    dot[0, 4, 4] = 1
    assert GrowMask(Mask(dot), 2, False).sum() == 25
    assert GrowMask(Mask(dot), 2, True).sum() == 13
    assert GrowMask(Mask(dot), 9, True).all()


def test_growing_can_be_stopped(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        GrowMask(mask(), 5, context=context_in(tmp_path, token=token))


def test_a_threshold_makes_masks_hard() -> None:
    values = Mask(torch.tensor([[[0.0, 0.49, 0.5, 0.51, 1.0]]]))
    assert ThresholdMask(values)[0, 0].tolist() == [0, 0, 0, 1, 1]
    assert ThresholdMask(values, 0.0)[0, 0].tolist() == [0, 1, 1, 1, 1]


@given(MASKS)
def test_a_mask_that_became_a_picture_becomes_itself_again(given_mask: Mask) -> None:
    image = MaskToImage(given_mask)
    assert image.shape == (*given_mask.shape, 3)
    for channel in ("red", "green", "blue"):
        assert torch.equal(ImageToMask(image, channel), given_mask)


@given(PICTURES)
def test_each_channel_can_be_a_mask(image: Image) -> None:
    assert torch.equal(ImageToMask(image, "red"), image[..., 0])
    assert torch.equal(ImageToMask(image, "blue"), image[..., 2 if image.shape[-1] > 1 else 0])
    if image.shape[-1] == 4:
        assert torch.equal(ImageToMask(image, "alpha"), image[..., 3])
    else:
        found = problem(lambda: ImageToMask(image, "alpha"))
        assert (found.code, found.input) == ("bad_value", "channel")
        assert found.hint and "MASK" in found.hint


def test_a_mask_of_one_colour_and_no_other() -> None:
    colours = [(255, 128, 0), (254, 128, 0), (0, 0, 0), (255, 128, 1)]
    image = torch.cat([picture_of(1, 1, tuple(level / 255 for level in colour)) for colour in colours], dim=2)
    assert ImageColorToMask(Image(image), 0xFF8000).tolist() == [[[1, 0, 0, 0]]]
    assert ImageColorToMask(Image(image)).tolist() == [[[0, 0, 1, 0]]]
    assert ImageColorToMask(Image(torch.cat([image, torch.zeros(1, 1, 4, 1)], -1)), 0xFF8001).tolist() == [
        [[0, 0, 0, 1]]
    ]


def test_every_colour_of_a_file_can_be_found() -> None:
    image = picture(16, 16, batch=1)
    for level in (image[0, 3, 5] * 255).round().long()[None].tolist():
        number = (level[0] << 16) + (level[1] << 8) + level[2]
        assert ImageColorToMask(image, number)[0, 3, 5] == 1


def test_masks_are_shown_as_grey_pictures_in_the_temporary_folder(context: Context) -> None:
    saved = MaskPreview(Mask(torch.tensor([[[0.0, 1.0]], [[0.5, 0.2]]])), context)
    assert [file.type for file in saved.files] == ["temp", "temp"]
    with PillowImage.open(saved.files[1].path) as stored:
        assert [stored.getpixel((x, 0)) for x in (0, 1)] == [(127, 127, 127), (51, 51, 51)]
    assert not context.roots.output.exists()

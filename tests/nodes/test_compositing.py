"""Pictures upon and beside pictures, and their transparency."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nodegraph.sockets import Image, Latent, Mask
from nodes.compositing import (
    ImageCompositeMasked,
    ImageStitch,
    JoinImageWithAlpha,
    PorterDuffImageComposite,
    PorterDuffMode,
    SplitImageWithAlpha,
)
from nodes.latent_compositing import LatentCompositeMasked
from tests.helpers import digest_of, problem
from tests.nodes.pictures import MASKS, PICTURES, levels_of, mask, picture, picture_of, pillow_of

MODES: tuple[Any, ...] = get_args(PorterDuffMode)
RED, GREEN, BLACK, WHITE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def solid(value: float, height: int = 1, width: int = 1) -> Mask:
    return Mask(torch.full((1, height, width), float(value)))


# --- pasting


def test_a_picture_lies_where_it_was_put_and_is_cut_at_the_border() -> None:
    below, above = picture(8, 10), picture(4, 5, batch=1, seed=1)
    pasted = ImageCompositeMasked(below, above, 7, 6)
    assert torch.equal(pasted[:, 6:, 7:], above[:, :2, :3].expand(2, -1, -1, -1))
    pasted[:, 6:, 7:] = below[:, 6:, 7:]
    assert torch.equal(pasted, below)


@given(PICTURES, PICTURES, st.integers(0, 8), st.integers(0, 8))
def test_pasting_is_what_pillow_does(below: Image, above: Image, x: int, y: int) -> None:
    below, above = (Image(one[..., :1].expand(-1, -1, -1, 3)) for one in (below, above))
    expected = pillow_of(below[-1])
    expected.paste(pillow_of(above[(len(below) - 1) % len(above)]), (x, y))
    before = digest_of(below)
    assert torch.equal(levels_of(pillow_of(ImageCompositeMasked(below, above, x, y)[-1])), levels_of(expected))
    assert digest_of(below) == before


def test_a_mask_says_how_much_is_seen_and_is_stretched_over_the_source() -> None:
    below, above = picture_of(8, 8, BLACK), picture_of(4, 4, WHITE)
    half = Mask(torch.tensor([[[0.0, 0.25]]]))
    pasted = ImageCompositeMasked(below, above, 2, 2, mask=half)
    assert pasted[0, 3, 2:6, 0].tolist() == pytest.approx([0, 0.0625, 0.1875, 0.25])
    assert not pasted[:, :2].any()


def test_the_source_may_be_stretched_over_everything() -> None:
    assert torch.equal(
        ImageCompositeMasked(picture_of(8, 6, BLACK), picture_of(2, 2, RED), resize_source=True), picture_of(8, 6, RED)
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_result_has_the_channels_of_the_destination(channels: int) -> None:
    for other in (1, 3, 4):
        pasted = ImageCompositeMasked(picture(5, 5, channels), picture(3, 3, other), 1, 1)
        assert pasted.shape == (2, 5, 5, channels)


def test_a_source_that_lies_outside_changes_nothing() -> None:
    assert torch.equal(ImageCompositeMasked(picture(), picture(), 9, 0), picture())


def latent(height: int, width: int, channels: int = 4, seed: int = 0) -> Latent:
    return {"samples": torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))}


def test_a_latent_is_put_where_its_pixels_will_be() -> None:
    below, above = latent(8, 8), latent(4, 4, seed=1)
    kept = mask(64, 64)
    pasted = LatentCompositeMasked({**below, "noise_mask": kept}, above, 16, 47)
    assert torch.equal(pasted["samples"][..., 5:, 2:6], above["samples"][..., :3, :])
    assert torch.equal(pasted["samples"][..., :5, :], below["samples"][..., :5, :])
    assert pasted.get("noise_mask") is kept
    half = LatentCompositeMasked(below, above, 0, 0, False, solid(0.5, 32, 32))["samples"]
    torch.testing.assert_close(half[..., :4, :4], (below["samples"][..., :4, :4] + above["samples"]) / 2)
    whole = LatentCompositeMasked(below, above, resize_source=True)["samples"]
    assert torch.equal(whole, torch.nn.functional.interpolate(above["samples"], size=(8, 8), mode="bilinear"))


def test_latents_of_different_families_are_told() -> None:
    found = problem(lambda: LatentCompositeMasked(latent(4, 4), latent(4, 4, 16)))
    assert (found.code, found.input) == ("bad_value", "source")
    assert "16 channels" in found.message


# --- transparency


@given(PICTURES)
def test_what_was_split_can_be_joined_again(image: Image) -> None:
    colours, alpha = SplitImageWithAlpha(image)
    joined = JoinImageWithAlpha(colours, alpha)
    assert joined.shape[-1] == 4
    if image.shape[-1] == 4:
        torch.testing.assert_close(joined, image)
    else:
        assert (joined[..., 3] == 1).all()
        assert (joined[..., :3] == image).all()
        assert not alpha.any()


@given(PICTURES, MASKS)
def test_any_mask_can_be_joined_to_any_picture(image: Image, alpha: Mask) -> None:
    joined = JoinImageWithAlpha(image, alpha)
    assert joined.shape == (max(len(image), len(alpha)), *image.shape[1:3], 4)
    assert joined.min() >= 0 and joined.max() <= 1


def test_source_over_is_what_pillow_does() -> None:
    above, below = picture(6, 9, 4, batch=1), picture(6, 9, 4, batch=1, seed=1)
    expected = levels_of(PillowImage.alpha_composite(pillow_of(below[0]), pillow_of(above[0])))
    colours, alpha = PorterDuffImageComposite(*SplitImageWithAlpha(above), *SplitImageWithAlpha(below), "SRC_OVER")
    ours = levels_of(pillow_of(JoinImageWithAlpha(colours, alpha)[0]))
    assert (ours - expected).abs().max() <= 1


#: mode → what half transparent red over half transparent green becomes: colour and alpha.
HALVES = {
    "ADD": ((0.5, 0.5, 0), 1), "CLEAR": (BLACK, 0), "DST": (GREEN, 0.5), "SRC": (RED, 0.5),
    "SRC_OVER": ((2 / 3, 1 / 3, 0), 0.75), "DST_OVER": ((1 / 3, 2 / 3, 0), 0.75),
    "SRC_IN": (RED, 0.25), "DST_IN": (GREEN, 0.25), "SRC_OUT": (RED, 0.25), "DST_OUT": (GREEN, 0.25),
    "SRC_ATOP": ((0.5, 0.5, 0), 0.5), "DST_ATOP": ((0.5, 0.5, 0), 0.5), "XOR": ((0.5, 0.5, 0), 0.5),
    "DARKEN": ((1 / 3, 1 / 3, 0), 0.75), "LIGHTEN": ((2 / 3, 2 / 3, 0), 0.75), "MULTIPLY": (BLACK, 0.25),
    "SCREEN": ((2 / 3, 2 / 3, 0), 0.75), "OVERLAY": ((1 / 3, 2 / 3, 0), 0.75),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_each_rule_makes_of_two_half_transparent_colours_what_it_should(mode: Any) -> None:
    colour, opacity = HALVES[mode]
    colours, alpha = PorterDuffImageComposite(
        picture_of(2, 2, RED), solid(0.5), picture_of(2, 2, GREEN), solid(0.5), mode
    )
    assert float(1 - alpha[0, 0, 0]) == pytest.approx(opacity)
    assert colours[0, 0, 0].tolist() == pytest.approx(colour)


@given(PICTURES, MASKS, PICTURES, MASKS, st.sampled_from(MODES))
def test_whatever_is_combined_is_a_picture_of_the_destinations_size(
    above: Image, above_alpha: Mask, below: Image, below_alpha: Mask, mode: Any
) -> None:
    colours, alpha = PorterDuffImageComposite(above, above_alpha, below, below_alpha, mode)
    count = max(len(above), len(above_alpha), len(below), len(below_alpha))
    assert colours.shape == (count, *below.shape[1:3], 3)
    assert alpha.shape == colours.shape[:3]
    for part in (colours, alpha):
        assert part.min() >= 0 and part.max() <= 1


def test_where_nothing_lies_over_something_that_stays() -> None:
    below = picture(batch=1)
    for mode in ("DARKEN", "LIGHTEN", "SCREEN", "OVERLAY", "SRC_OVER", "DST_OVER", "XOR", "ADD"):
        colours, alpha = PorterDuffImageComposite(picture(seed=1, batch=1), solid(1), below, solid(0), mode)  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(colours, below)
        assert alpha.max() < 1e-6


# --- side by side


@pytest.mark.parametrize(
    ("direction", "shape"), [("right", (6, 21)), ("left", (6, 21)), ("down", (14, 9)), ("up", (14, 9))]
)
def test_the_second_picture_goes_to_a_side_of_the_first_and_is_fitted(direction: Any, shape: tuple[int, int]) -> None:
    second = picture_of(6, 12, RED) if direction in ("right", "left") else picture_of(8, 9, RED)
    both = ImageStitch(picture(), direction, True, 0, "white", second)
    assert both.shape == (2, *shape, 3)
    first = {"right": both[:, :, :9], "left": both[:, :, 12:], "down": both[:, :6], "up": both[:, 8:]}[direction]
    assert torch.equal(first, picture())
    enlarged = ImageStitch(picture(), direction, True, 0, "white", Image(second[:, ::2, ::2]))
    assert enlarged.shape[1 if direction in ("right", "left") else 2] == (6 if direction in ("right", "left") else 9)


def test_between_them_is_a_stripe_of_an_even_width() -> None:
    both = ImageStitch(picture_of(2, 2, BLACK), "right", True, 3, "green", picture_of(2, 2, RED))
    assert both[0, 0].tolist() == [list(BLACK)] * 2 + [list(GREEN)] * 4 + [list(RED)] * 2


def test_without_fitting_the_smaller_one_lies_in_the_middle_of_black() -> None:
    both = ImageStitch(picture_of(6, 1, WHITE), "right", False, 0, "white", picture_of(2, 1, RED))
    assert both[0, :, 1].tolist() == [list(BLACK)] * 2 + [list(RED)] * 2 + [list(BLACK)] * 2


def test_transparency_and_batches_are_evened_out() -> None:
    both = ImageStitch(picture(4, 4, 4, batch=3), "down", image2=picture(4, 4, 1, batch=2))
    assert both.shape == (3, 8, 4, 4)
    assert (both[:, 4:, :, 3] == 1).all()


def test_a_picture_alone_stays_as_it_is() -> None:
    image = picture()
    assert ImageStitch(image) is image

"""Prompts that count in areas and masks: what is drawn where, and how parts fade into each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.conditions import Condition, absolute, bounds, conditions, placed
from nodes.diffusion.guidance import GuidedModel, Predictor, by_scale, guided_denoiser
from nodes.diffusion.sigmas import ModelSigmas

SD = ModelSigmas.stable_diffusion()
HEIGHT, WIDTH = 24, 32
X = torch.randn(1, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
SIGMA = torch.tensor([2.0])


def paint(x, sigma, context, extra=None):
    """A network that sees, wherever it looks, the colour that the prompt names."""
    return context[:, 0, :1, None, None].expand_as(x).clone()


def colour(value, **options):
    return [torch.full((1, 3, 1), float(value)), options]


def drawn(*entries, x=X, negative=()):
    model = guided_denoiser(paint, conditions(entries, SD), conditions(negative, SD), 1)
    return model(x, SIGMA.expand(len(x)))


def test_two_halves_are_each_drawn_by_their_own_prompt():
    left = colour(1, area=("percentage", 1, 0.5, 0, 0))
    right = colour(3, area=(HEIGHT, WIDTH // 2, 0, WIDTH // 2))
    picture = drawn(left, right)
    assert (picture[..., :16] == 1).all()
    assert (picture[..., 16:] == 3).all()


def test_an_area_fades_into_what_lies_behind_it():
    picture = drawn(colour(0), colour(1, area=(16, 16, 4, 8)))[0, 0]
    assert (picture[:4] == 0).all()
    assert (picture[:, :8] == 0).all()
    # In the middle both count the same; 1 / 8 of it at the border, 8 pixels before the full weight.
    middle = [t / 8 for t in (*range(1, 9), *range(8, 0, -1))]
    across = torch.tensor([weight / (1 + weight) for weight in middle])
    torch.testing.assert_close(picture[11, 8:24], across)
    torch.testing.assert_close(picture[4:20, 15], across)


def test_borders_of_the_picture_do_not_fade():
    picture = drawn(colour(0), colour(1, area=(16, 16, 0, 0)))[0, 0]
    assert (picture[:8, :8] == 0.5).all()
    assert picture[15, 0] == pytest.approx((1 / 8) / (1 + 1 / 8))


def test_where_no_prompt_counts_the_picture_is_empty():
    picture = drawn(colour(2, area=(8, 8, 8, 8)))[0, 0]
    assert (picture[8:16, 8:16] == 2).all()
    assert picture.sum() == 2 * 64


def test_strength_decides_between_areas_that_overlap():
    left, right = colour(0, area=(24, 24, 0, 0), strength=3.0), colour(1, area=(24, 24, 0, 8), strength=1.0)
    picture = drawn(left, right)[0, 0, 0]
    assert (picture[:8] == 0).all()
    assert (picture[24:] == 1).all()
    assert picture[15] == pytest.approx(1 / (3 + 1))


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (192, 256)])
def test_masks_decide_by_their_values(size):
    mask = torch.zeros(1, *size)
    mask[..., : size[1] // 2] = 0.25
    picture = drawn(colour(0), colour(1, mask=mask, mask_strength=2.0))[0, 0]
    torch.testing.assert_close(picture[:, :15], torch.full((HEIGHT, 15), 0.5 / 1.5))
    assert (picture[:, 17:] == 0).all()


def test_a_batch_of_masks_goes_with_the_batch_of_latents():
    mask = torch.stack([torch.ones(HEIGHT, WIDTH), torch.zeros(HEIGHT, WIDTH)])
    picture = drawn(colour(0), colour(1, mask=mask), x=X.repeat(3, 1, 1, 1))
    assert picture[:, 0, 0, 0].tolist() == [0.5, 0, 0.5]


def test_the_bounds_of_a_mask_can_be_the_area():
    seen = []

    def watch(x, sigma, context, extra=None):
        seen.append(tuple(x.shape[-2:]))
        return paint(x, sigma, context)

    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, 10:20, 3:30] = 1
    entry = colour(1, mask=mask, set_area_to_bounds=True)
    picture = guided_denoiser(watch, conditions([entry], SD), (), 1)(X, SIGMA)[0, 0]
    assert seen == [(10, 27)]
    assert picture.sum() == 270
    assert (picture[10:20, 3:30] == 1).all()


def test_the_network_sees_the_part_of_the_latent_that_lies_there():
    def echo(x, sigma, context, extra=None):
        return x

    picture = guided_denoiser(echo, conditions([colour(1, area=(8, 8, 5, 9))], SD), (), 1)(X, SIGMA)
    torch.testing.assert_close(picture[..., 5:13, 9:17], X[..., 5:13, 9:17])


def test_areas_beyond_the_picture_are_cut_or_left_out():
    outside, over = colour(5, area=(8, 8, 40, 0)), colour(1, area=(64, 64, 8, 0))
    assert (drawn(colour(2), outside) == 2).all()
    assert (drawn(over)[0, 0, 8:] == 1).all()
    assert not drawn(outside).any()


def test_prompts_that_count_late_leave_the_picture_to_the_others_before():
    early = colour(1, area=(24, 16, 0, 0), end_percent=0.5)
    entries = conditions([early, colour(2)], SD)
    model = guided_denoiser(paint, entries, (), 1)
    assert (model(X, torch.tensor([0.5])) == 2).all()
    assert (model(X, torch.tensor([10.0]))[..., 0] == 1.5).all()


def test_both_sides_of_guidance_see_the_same_part():
    """A network sees a part otherwise than the whole, so the negative prompt is asked about the part as well."""

    def by_size(x, sigma, context, extra=None):
        return paint(x, sigma, context) + x.shape[-1]

    positive = [colour(1, area=(24, 16, 0, 0)), colour(1, area=(24, 16, 0, 16))]
    model = guided_denoiser(by_size, conditions(positive, SD), conditions([colour(0)], SD, role="negative"), 5)
    picture = model(X, SIGMA)[0, 0]
    # Far from the borders half of the weight of the negative prompt is that of the part, half that of the whole.
    assert picture[0, 0] == pytest.approx(24 + 5 * (17 - 24))


def test_of_several_negative_prompts_the_one_around_the_part_most_closely_is_asked():
    seen = []

    def watch(x, sigma, context, extra=None):
        seen.extend(zip([x.shape[-1]] * len(x), context[:, 0, 0].tolist(), strict=True))
        return paint(x, sigma, context)

    negative = [colour(7), colour(8, area=(24, 24, 0, 0)), colour(9, area=(24, 8, 0, 24))]
    entries = conditions([colour(1, area=(24, 16, 0, 0))], SD), conditions(negative, SD, role="negative")
    guided_denoiser(watch, *entries, 5)(X, SIGMA)
    assert (16, 8.0) in seen
    assert (16, 7.0) not in seen


def test_parts_of_one_size_run_in_one_batch():
    calls = []

    def watch(x, sigma, context, extra=None):
        calls.append(tuple(x.shape))
        return paint(x, sigma, context)

    parts = [colour(i, area=(24, 16, 0, 16 * i)) for i in range(2)]
    whole = [colour(5), colour(6)]
    model = GuidedModel(Predictor(watch, {"positive": conditions([*parts, *whole], SD)}), by_scale(1))
    model(X, SIGMA)
    assert calls == [(2, 4, 24, 16), (2, 4, 24, 32)]


AREA = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 40), st.integers(0, 40))


@given(st.lists(AREA, min_size=1, max_size=4), st.floats(0.1, 10))
def test_any_areas_over_a_whole_give_a_picture_between_their_colours(areas, strength):
    entries = [colour(i + 1, area=area, strength=strength) for i, area in enumerate(areas)]
    picture = drawn(colour(0), *entries)
    assert torch.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= len(areas)
    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for h, w, y, x in areas:
        inside[y : y + h, x : x + w] = True
    assert torch.equal(picture[0, 0] > 0, inside)


@given(st.tuples(*[st.floats(0, 1)] * 4))
def test_parts_of_one_are_whole_pixels_inside(parts):
    found = absolute(("percentage", *parts), HEIGHT, WIDTH)
    if found is not None:
        h, w, y, x = found
        assert h >= 1
        assert w >= 1
        assert 0 <= y <= HEIGHT - h
        assert 0 <= x <= WIDTH - w


@given(st.integers(0, 23), st.integers(0, 31), st.integers(1, 24), st.integers(1, 32))
def test_bounds_hold_the_mask_and_lie_inside(top, left, height, width):
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., top : top + height, left : left + width] = 0.125
    h, w, y, x = bounds(mask)
    assert h >= 8
    assert w >= 8
    assert y + h <= HEIGHT
    assert x + w <= WIDTH
    assert mask[..., y : y + h, x : x + w].sum() == mask.sum()


def test_an_area_that_is_the_whole_is_no_area():
    entry = Condition(torch.zeros(1, 1, 1), area=("percentage", 1.0, 1.0, 0.0, 0.0))
    found = placed(entry, HEIGHT, WIDTH)
    assert found is not None
    assert found.everywhere


def test_an_empty_mask_bounds_a_small_corner():
    assert bounds(torch.zeros(1, 1, HEIGHT, WIDTH)) == (8, 8, 0, 0)
    assert bounds(torch.zeros(1, 1, 4, 5)) == (4, 5, 0, 0)

"""Drawing scenes: deterministic, complete, and what the scene says is what the pixels show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.scenes import (
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    PLACES,
    SHAPES,
    SIDE,
    SIZES,
    Pose,
    Scene,
    draw,
    draw_background,
    sample_scene,
    shape_parts,
    silhouette,
    visible,
)


def test_the_same_generator_state_draws_the_same_picture() -> None:
    scene = Scene("fish", "yellow", "sea", "small", "left")
    first, again = (draw(scene, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (SIDE, SIDE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, draw(scene, np.random.default_rng(6)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", SIZES)
def test_every_shape_fills_its_box_and_stays_inside_the_picture(shape: str, size: str) -> None:
    side = SIZES[size] * SIDE
    ys, xs = np.nonzero(silhouette(shape, Pose(SIDE / 2, SIDE / 2, side / 2)) > 0.5)
    assert 0.7 * side <= max(np.ptp(xs), np.ptp(ys)) <= 1.12 * side
    assert min(xs.min(), ys.min()) > 0 and max(xs.max(), ys.max()) < SIDE - 1


def test_no_two_shapes_have_the_same_parts() -> None:
    assert len({str(shape_parts(shape)) for shape in SHAPES}) == len(SHAPES)
    with pytest.raises(ValueError, match="blob"):
        shape_parts("blob")


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_object_changes_the_picture_where_it_lies_and_only_there(background: str) -> None:
    colour = "orange" if background != "sunset" else "black"
    bare = draw_background(background, np.random.default_rng(3))
    picture = draw(Scene("square", colour, background, "small", "top left"), np.random.default_rng(3))
    change = np.abs(picture.astype(np.float32) - bare).max(-1)
    assert change[22:34, 22:34].min() > 12
    assert change[70:, 70:].max() <= 1


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_sampled_scenes_are_visible_and_keep_to_their_side_of_the_held_out_pairs(seed: int, held: bool) -> None:
    scene = sample_scene(np.random.default_rng(seed), held_out=held)
    assert ((scene.colour, scene.shape) in HELD_OUT) is held
    assert visible(scene.colour, scene.background)
    assert scene.shape in SHAPES and scene.colour in COLOURS and scene.background in BACKGROUNDS
    assert scene.size in SIZES and scene.place in PLACES


def test_fourteen_pairs_are_held_out_and_leave_every_shape_and_colour_some_pictures() -> None:
    assert len(HELD_OUT) == 14
    for shape in SHAPES:
        assert sum(s == shape for _, s in HELD_OUT) <= 2
    for colour in COLOURS:
        assert sum(c == colour for c, _ in HELD_OUT) <= 2

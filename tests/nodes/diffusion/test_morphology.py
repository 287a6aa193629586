"""Morphology with flat windows: against Pillow's filters and against its own laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from nodes.diffusion.morphology import OPERATIONS, closed, dilate, erode, grow, opened

SIZES = st.integers(1, 9)


def planes(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [3, 5, 9])
def test_odd_windows_do_what_pillows_filters_do(size: int) -> None:
    levels = torch.randint(0, 256, (20, 31), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(levels.numpy())
    for ours, theirs in ((dilate, ImageFilter.MaxFilter), (erode, ImageFilter.MinFilter)):
        assert np.array_equal(ours(levels.float()[None], size)[0].numpy(), np.asarray(image.filter(theirs(size))))


@given(st.integers(0, 2**32 - 1), SIZES, SIZES, st.integers(3, 20))
def test_opening_takes_away_closing_adds_and_neither_changes_anything_twice(
    seed: int, height: int, width: int, size: int
) -> None:
    x = planes(seed, height, width)
    assert (opened(x, size) <= x).all() and (closed(x, size) >= x).all()
    assert torch.equal(opened(opened(x, size), size), opened(x, size))
    assert torch.equal(closed(closed(x, size), size), closed(x, size))
    torch.testing.assert_close(closed(1 - x.flip(-1, -2), size).flip(-1, -2), 1 - opened(x, size))
    for name, operation in OPERATIONS.items():
        result = operation(x, size)
        assert result.shape == x.shape
        assert torch.isfinite(result).all() and result.min() >= 0 and result.max() <= 1, name


@given(st.integers(0, 2**32 - 1), SIZES, SIZES, st.integers(1, 12))
def test_growing_by_squares_is_growing_by_one_again_and_again(seed: int, height: int, width: int, amount: int) -> None:
    x = planes(seed, height, width)
    step_by_step = x
    for _ in range(amount):
        step_by_step = grow(step_by_step, 1, tapered=False)
    assert torch.equal(grow(x, amount, tapered=False), step_by_step)


@given(st.integers(0, 2**32 - 1), SIZES, SIZES, st.integers(-5, 5), st.booleans())
def test_shrinking_is_growing_of_what_is_outside(
    seed: int, height: int, width: int, amount: int, tapered: bool
) -> None:
    x = planes(seed, height, width)
    torch.testing.assert_close(grow(1 - x, amount, tapered=tapered), 1 - grow(x, -amount, tapered=tapered))


def test_corners_are_cut_off_or_stay() -> None:
    dot = torch.zeros(1, 7, 7)
    dot[0, 3, 3] = 1
    square, diamond = torch.zeros(7, 7), torch.zeros(7, 7)
    square[1:6, 1:6] = 1
    for y in range(7):
        for x in range(7):
            diamond[y, x] = float(abs(y - 3) + abs(x - 3) <= 2)
    assert torch.equal(grow(dot, 2, tapered=False)[0], square)
    assert torch.equal(grow(dot, 2, tapered=True)[0], diamond)
    assert torch.equal(grow(grow(dot, 2, tapered=True), -2, tapered=True), dot)


def test_growing_beyond_everything_ends_when_nothing_changes() -> None:
    dot = torch.zeros(1, 5, 9)
    dot[0, 0, 0] = 0.5
    turns: list[int] = []
    assert (grow(dot, 16384, tapered=True, turn=turns.append) == 0.5).all()
    assert len(turns) < 20
    assert (grow(dot, 16384, tapered=False) == 0.5).all()

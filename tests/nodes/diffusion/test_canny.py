"""The edge detector finds the pixels that OpenCV's finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.canny import canny

#: What cv2.Canny(levels(), low, high) of OpenCV 5.0 gives for these thresholds.
KNOWN = {
    (102, 204): """
        .#.....#.#......##....##....#.#.
        .#.####.#.......#..##..##...####
        .#..#...#.......#.##.#..#...#...
        ..#..##..........#......####....
        ..##...#........#.#.#......#.#..
        #.......#..#####..##.......##...
        .###...#..##....#.#.............
        ...#...#.#......#.#...##........
        ...#.....#......#.#.#...##.##...
        .........#...##..#..#....##..#..
        ......####..#.#.#..#.#....#.####
        ..##..#..#..#.###.#..####..##...
        ..#.#...##....#.##......####....
        .#...#.#....###...........#.....
        .##.##.##.................#.####
        ..#..#..#................#..#...
    """,
    (25.5, 229.5): """
        .#..............##....##....#.#.
        .#..............#..##..##...####
        .#..............#.##.#..#...#...
        ..#..............#......####....
        ..##............#.#.#......#.#..
        ...........#####..##.......##...
        ..........##....#.#.............
        .........#......#.#...##.....#..
        .........#......#.#.#...##.##...
        .........#...##..#..#....##..#..
        ......####..#.#.#..#.#....#.####
        ..##..#..#..#.###.#..####..##...
        ..#.#...##....#.##......####....
        .#...#.#....###...........#.....
        .##.##.##.................#.####
        #.#..#..####.............#..#...
    """,
}


def levels() -> torch.Tensor:
    """A picture of 16 × 32 with edges in all directions."""
    n = np.arange(18 * 34, dtype=np.int64).reshape(18, 34)
    rough = (n * n * 73 + n * 1021 + n**3 // 17) % 256
    return torch.from_numpy(sum(rough[i : i + 16, j : j + 32] for i in range(3) for j in range(3)) // 9)


@pytest.mark.parametrize("thresholds", KNOWN)
def test_edges_are_those_of_opencv(thresholds: tuple[float, float]) -> None:
    rows = ["".join("#" if edge else "." for edge in row) for row in canny(levels(), *thresholds).tolist()]
    assert rows == KNOWN[thresholds].split()


def test_thresholds_may_be_given_in_any_order() -> None:
    assert torch.equal(canny(levels(), 204, 102), canny(levels(), 102, 204))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 5)])
def test_a_plain_picture_of_any_size_has_no_edges(shape: tuple[int, int]) -> None:
    assert not canny(torch.full(shape, 200), 1, 2).any()


def test_a_weak_line_is_an_edge_as_far_as_it_hangs_together_with_a_strong_one() -> None:
    strength = torch.tensor([200] * 10 + [40] * 10 + [0] * 5 + [40] * 10)
    step = torch.zeros(35, 12, dtype=torch.int64)
    step[:, 6:] = strength[:, None]
    edges = canny(step, 100, 700).any(1)
    assert edges[:20].all()
    assert not edges[27:].any()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_a_higher_threshold_never_finds_more(seed: int, height: int, width: int) -> None:
    picture = torch.randint(0, 256, (height, width), generator=torch.Generator().manual_seed(seed))
    many, few = canny(picture, 100, 200), canny(picture, 150, 400)
    assert not (few & ~many).any()

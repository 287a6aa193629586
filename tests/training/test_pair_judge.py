"""The judge of two objects: right on true renders, and wrong as soon as anything is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.pair_judge import judge_pair, look_for_two
from training.pairs import Pair, Thing, draw_pair, sample_pair
from training.scenes import Scene, draw

_TOLD = Pair(Thing("star", "red"), Thing("house", "blue"), "above", "grey")


def test_true_renders_are_judged_right_and_swapped_ones_wrong() -> None:
    rng = np.random.default_rng(2024)
    pairs = [sample_pair(rng, held_out=i % 2 == 1) for i in range(60)]
    pictures = [draw_pair(pair, rng) for pair in pairs]
    told = list(zip(pictures, pairs, strict=True))
    assert sum(judge_pair(picture, pair).everything for picture, pair in told) >= 56
    assert all(judge_pair(x, p).everything == judge_pair(x, p.turned()).everything for x, p in told)
    swapped = [judge_pair(x, replace(p, first=p.second, second=p.first)) for x, p in told]
    assert sum(v.everything for v in swapped) == 0 and sum(v.objects for v in swapped) >= 56
    assert not any(judge_pair(x, p).everything for x, p in zip(pictures[1:], pairs[:-1], strict=True))


@pytest.mark.parametrize(
    ("drawn", "wrong"),
    [
        (_TOLD, []),
        (replace(_TOLD, background="pink"), ["background"]),
        (replace(_TOLD, first=Thing("star", "green")), ["colour"]),
        (replace(_TOLD, second=Thing("heart", "blue")), ["shape"]),
        (replace(_TOLD, relation="below"), ["relation"]),
        (replace(_TOLD, relation="left of"), ["relation"]),
    ],
)
def test_each_part_is_judged_by_itself(drawn: Pair, wrong: list[str]) -> None:
    verdict = judge_pair(draw_pair(drawn, np.random.default_rng(1)), _TOLD)
    assert [n for n in ("background", "colour", "shape", "relation") if not getattr(verdict, n)] == wrong


def test_colours_that_changed_places_are_wrong() -> None:
    mixed = Pair(Thing("star", "blue"), Thing("house", "red"), "above", "grey")
    assert not judge_pair(draw_pair(mixed, np.random.default_rng(1)), _TOLD).everything


def test_one_object_alone_is_no_pair() -> None:
    picture = draw(Scene("star", "red", "grey"), np.random.default_rng(1))
    assert len(look_for_two(picture)[1]) == 1
    verdict = judge_pair(picture, _TOLD)
    assert verdict.background and not (verdict.colour or verdict.shape or verdict.relation)

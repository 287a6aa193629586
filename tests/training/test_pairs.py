"""Scenes of two objects: drawn as told, apart from each other, and those kept for measuring stay out of training."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.captions import PAIR_WORDS, RELATION_WORDS, caption_pair, describe_pair
from training.pairs import (
    RELATIONS,
    Pair,
    Thing,
    draw_pair,
    reserved,
    sample_pair,
    sample_poses,
)
from training.scenes import COLOURS, HELD_OUT, SHAPES, SIDE, silhouette, visible

_SEEDS = st.integers(0, 2**32 - 1)


@given(_SEEDS, st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_sampled_pairs_are_visible_different_and_on_their_side(seed: int, held: bool, reserve: bool) -> None:
    pair = sample_pair(np.random.default_rng(seed), held_out=held, reserve=reserve)
    assert any((t.colour, t.shape) in HELD_OUT for t in pair.things) is held
    assert reserved(pair) is reserve and reserved(pair.turned()) is reserve
    assert (pair.first.colour, pair.first.shape) != (pair.second.colour, pair.second.shape)
    assert all(visible(t.colour, pair.background) for t in pair.things)


@given(_SEEDS)
@settings(max_examples=40, deadline=None)
def test_objects_stay_in_the_picture_apart_and_in_their_relation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = sample_pair(rng)
    first, second = sample_poses(pair, rng)
    covers = [silhouette(t.shape, p) > 0 for t, p in zip(pair.things, (first, second), strict=True)]
    assert not (covers[0] & covers[1]).any()
    assert not any(cover[[0, -1]].any() or cover[:, [0, -1]].any() for cover in covers)
    dx, dy = RELATIONS[pair.relation]
    along = (first.x - second.x) * dx + (first.y - second.y) * dy
    assert along > abs((first.x - second.x) * dy + (first.y - second.y) * dx)
    assert along > SIDE / 3


def test_turning_a_pair_twice_gives_it_back_and_says_the_opposite() -> None:
    pair = Pair(Thing("star", "red"), Thing("house", "blue", "small"), "above", "meadow")
    assert pair.turned() == Pair(pair.second, pair.first, "below", "meadow")
    assert pair.turned().turned() == pair


def test_the_same_generator_state_draws_the_same_picture() -> None:
    pair = Pair(Thing("star", "red"), Thing("house", "blue"), "left of", "night")
    first, again = (draw_pair(pair, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (SIDE, SIDE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_about_a_tenth_is_reserved_and_never_drawn() -> None:
    rng = np.random.default_rng(8)
    drawn = [sample_pair(rng) for _ in range(200)]
    assert not any(map(reserved, drawn))
    things = [(Thing(s, c), Thing("fish", "red")) for s in SHAPES for c in COLOURS if s != "fish"]
    pairs = [Pair(a, b, relation, "grey") for a, b in things for relation in RELATIONS]
    assert 0.06 < np.mean([reserved(p) for p in pairs]) < 0.15


def test_the_plain_sentences() -> None:
    pair = Pair(Thing("star", "red"), Thing("house", "blue", "small"), "above", "meadow")
    assert describe_pair(pair) == "a red star above a small blue house on a meadow"
    assert describe_pair(pair, relation=False) == "a red star and a small blue house on a meadow"
    beside = Pair(Thing("ring", "orange"), Thing("fish", "pink"), "left of", "snow")
    assert describe_pair(beside) == "an orange ring to the left of a pink fish in the snow"


@given(_SEEDS)
@settings(max_examples=80, deadline=None)
def test_full_captions_name_both_objects_and_no_wrong_relation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = sample_pair(rng)
    text = caption_pair(pair, rng, loose=False)
    assert all(f"{thing.colour} " in text for thing in pair.things)
    joints = [phrase for phrase in PAIR_WORDS if f" {phrase} a" in text]
    assert joints
    if pair.first.colour != pair.second.colour:
        spoken = pair if text.find(f"{pair.first.colour} ") < text.find(f"{pair.second.colour} ") else pair.turned()
        wrong = {phrase for name, phrases in RELATION_WORDS.items() if name != spoken.relation for phrase in phrases}
        assert not wrong & set(joints)

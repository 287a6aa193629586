"""Captions: what they say is true of the scene, and the front page's prompts are in the grammar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.captions import SHAPE_WORDS, background_words, caption, describe
from training.scenes import BACKGROUNDS, COLOURS, PLAIN, SHAPES, Scene, sample_scene


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_full_captions_name_colour_shape_and_background(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    text = caption(scene, rng, loose=False)
    assert f"{scene.colour} " in text
    assert any(word in text for word in SHAPE_WORDS[scene.shape])
    keywords = (scene.background, *background_words(scene.background))
    assert any(words in text for words in keywords)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_loose_captions_never_name_another_object(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng)
    text = caption(scene, rng, loose=True)
    for phrases in (background_words(scene.background), ()):
        for phrase in sorted(phrases, key=len, reverse=True):
            text = text.replace(phrase, "")
    words = set(text.replace(",", " ").replace(".", " ").split()) - {scene.background, "background"}
    assert not words & (set(COLOURS) - {scene.colour})
    own = {w for phrase in SHAPE_WORDS[scene.shape] for w in phrase.split()}
    assert not words & (set(SHAPES) - own)


@pytest.mark.parametrize(
    ("scene", "wanted"),
    [
        (Scene("star", "red", "night"), "a red star at night under the stars"),
        (Scene("fish", "yellow", "sea", "small"), "a small yellow fish in the sea"),
        (Scene("house", "blue", "meadow"), "a blue house on a meadow"),
        (Scene("heart", "green", "pink", "large"), "a large green heart on a pink background"),
        (Scene("moon", "purple", "white", "medium", "top left"),
         "a purple moon in the top left corner on a white background"),
    ],
)  # fmt: skip
def test_the_grammar_has_the_prompts_of_the_examples(scene: Scene, wanted: str) -> None:
    rng = np.random.default_rng(0)
    assert any(caption(scene, rng, loose=False) == wanted for _ in range(20_000))


def test_the_plain_sentence() -> None:
    scene = Scene("star", "orange", "white", "small", "top left")
    assert describe(scene) == "a small orange star in the top left corner on a white background"
    assert describe(scene, size=False, place=False) == "an orange star on a white background"


def test_no_two_backgrounds_share_a_phrase() -> None:
    phrases = [phrase for background in BACKGROUNDS for phrase in set(background_words(background))]
    assert len(phrases) == len(set(phrases))
    assert all(any(colour in phrase for phrase in background_words(colour)) for colour in PLAIN)

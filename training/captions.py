"""Words for scenes: the grammar that the model `tiny` understands.

`caption` says everything about a scene or leaves parts out; `describe` is the one plain sentence that the
evaluation uses. Sizes and places that are out of the ordinary are named more often than ordinary ones, so that
a prompt without them gives an object of ordinary size in the middle more often than not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.pairs import Pair, Thing
from training.scenes import PLACES, PLAIN, Scene

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "ball", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "ring": ("ring",),
    "cross": ("cross", "cross", "plus sign"),
    "moon": ("moon", "moon", "crescent moon", "crescent"),
    "flower": ("flower",),
    "fish": ("fish",),
    "house": ("house",),
    "smiley": ("smiley", "smiley", "smiley face", "smiling face"),
}

SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "large", "big", "huge"),
}

PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "centre": ("in the middle", "in the centre", "in the center"),
    "left": ("on the left", "on the left side", "at the left"),
    "right": ("on the right", "on the right side", "at the right"),
    "top": ("at the top", "at the top", "high up"),
    "bottom": ("at the bottom", "at the bottom", "low down"),
    "top left": ("in the top left corner", "at the top left", "in the upper left corner"),
    "top right": ("in the top right corner", "at the top right", "in the upper right corner"),
    "bottom left": ("in the bottom left corner", "at the bottom left", "in the lower left corner"),
    "bottom right": ("in the bottom right corner", "at the bottom right", "in the lower right corner"),
}

_PLAIN_WORDS = (
    "on a {} background", "on a {} background", "on {}", "with a {} background", "against a {} background",
    "on a plain {} background", "before a {} background", "in front of a {} background",
)  # fmt: skip

LANDSCAPE_WORDS: dict[str, tuple[str, ...]] = {
    "meadow": (
        "on a meadow", "on a meadow", "on a green meadow", "in a meadow", "on the grass", "in a green field",
        "on a summer meadow", "in the countryside",
    ),
    "night": (
        "at night", "at night under the stars", "under the stars", "in the night sky", "in a starry night",
        "at night", "in the dark night",
    ),
    "sea": ("in the sea", "in the sea", "at sea", "in the ocean", "in the blue sea", "in the water", "by the sea"),
    "sunset": ("at sunset", "at sunset", "in the sunset", "in the evening", "under a sunset sky", "at dusk"),
    "snow": (
        "in the snow", "in the snow", "in winter", "in a snowy landscape", "on the snow", "in the falling snow",
        "on a snowy day",
    ),
}  # fmt: skip

RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("to the left of", "to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "to the right of", "right of", "on the right of"),
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "beneath"),
}

_BESIDE_WORDS = ("next to", "beside")  # which of the two is on the left stays open

PAIR_WORDS = (*(phrase for phrases in RELATION_WORDS.values() for phrase in phrases), *_BESIDE_WORDS, "and")
"""All phrases that join two objects."""

_OPENINGS = ("", "", "", "", "", "a picture of ", "a drawing of ", "an image of ", "an illustration of ")


def background_words(background: str) -> tuple[str, ...]:
    """All phrases for a background."""
    if background in PLAIN:
        return tuple(words.format(background) for words in _PLAIN_WORDS)
    return LANDSCAPE_WORDS[background]


def _one(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]


def with_article(words: str) -> str:
    """`words` with a or an before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def describe(scene: Scene, *, size: bool = True, place: bool = True) -> str:
    """The plain sentence, such as "a small red star in the top left corner on a white background"."""
    thing = with_article(" ".join(w for w in (scene.size if size else "", scene.colour, scene.shape) if w))
    where = [PLACE_WORDS[scene.place][0]] if place else []
    return " ".join([thing, *where, background_words(scene.background)[0]])


def caption(scene: Scene, rng: np.random.Generator, *, loose: bool) -> str:
    """A caption in random phrasing; a `loose` one may leave out colour, shape and background too."""
    keep = 0.75 if loose else 1.0
    says_colour, says_shape, says_background = rng.random(3) < (keep, min(1, keep + 0.1), keep)
    says_size = rng.random() < (0.25 if scene.size == "medium" else 0.75)
    says_place = rng.random() < (0.5 if scene.place == "centre" else 0.95)
    words = [_one(SIZE_WORDS[scene.size], rng)] if says_size else []
    words += [scene.colour] if says_colour else []
    words += [_one(SHAPE_WORDS[scene.shape], rng)] if says_shape else []
    place = _one(PLACE_WORDS[scene.place], rng) if says_place and scene.place in PLACES else ""
    where = _one(background_words(scene.background), rng) if says_background else ""
    if not (says_shape or says_colour):
        text = ", ".join(part for part in (where, place) if part)
    elif rng.random() < 0.12:  # keywords
        text = ", ".join(part for part in (" ".join(words), place, _keyword(scene) if where else "") if part)
    else:
        thing = with_article(" ".join([*words, *([] if says_shape else ["shape"])]))
        text = _sentence(thing, place, where, rng)
    if rng.random() < 0.06:
        text += "."
    return text


def _sentence(thing: str, place: str, where: str, rng: np.random.Generator) -> str:
    order = rng.random()
    if where and order < 0.12:
        return ", ".join(part for part in (where, " ".join(p for p in (thing, place) if p)) if part)
    tail = (place, where) if order < 0.65 else (where, place)
    joined = " ".join(part for part in (thing, *tail) if part)
    return _one(_OPENINGS, rng) + joined


def _keyword(scene: Scene) -> str:
    return f"{scene.background} background" if scene.background in PLAIN else scene.background


def describe_pair(pair: Pair, *, relation: bool = True) -> str:
    """The plain sentence, such as "a red star above a small blue house on a meadow"; else joined by "and"."""
    first, second = (
        with_article(" ".join([*(["small"] if thing.size == "small" else []), thing.colour, thing.shape]))
        for thing in pair.things
    )
    joint = RELATION_WORDS[pair.relation][0] if relation else "and"
    return f"{first} {joint} {second} {background_words(pair.background)[0]}"


def caption_pair(pair: Pair, rng: np.random.Generator, *, loose: bool) -> str:
    """A caption of two objects in random phrasing, told from either; a `loose` one leaves parts out."""
    pair = pair.turned() if rng.random() < 0.5 else pair
    first, second = (_thing_words(thing, rng, loose=loose) for thing in pair.things)
    says_background = rng.random() < (0.75 if loose else 1.0)
    where = _one(background_words(pair.background), rng) if says_background else ""
    joint = rng.random()
    if joint < 0.75:
        things = f"{first} {_one(RELATION_WORDS[pair.relation], rng)} {second}"
    elif joint < 0.85 and pair.relation in ("left of", "right of"):
        things = f"{first} {_one(_BESIDE_WORDS, rng)} {second}"
    else:
        things = f"{first} and {second}"
    if where and rng.random() < 0.12:
        text = f"{where}, {things}"
    else:
        text = _one(_OPENINGS, rng) + " ".join(part for part in (things, where) if part)
    return text + "." if rng.random() < 0.06 else text


def _thing_words(thing: Thing, rng: np.random.Generator, *, loose: bool) -> str:
    keep = 0.85 if loose else 1.0
    says_colour, says_shape = rng.random() < keep, rng.random() < keep
    says_size = rng.random() < (0.75 if thing.size == "small" else 0.05)
    words = [_one(SIZE_WORDS[thing.size], rng)] if says_size else []
    words += [thing.colour] if says_colour else []
    words += [_one(SHAPE_WORDS[thing.shape], rng) if says_shape else "shape"]
    return with_article(" ".join(words))

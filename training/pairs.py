"""Scenes of two objects in a relation: a second world beside `training.scenes`, with random streams of its own.

The objects differ in colour or shape, lie side by side or one over the other and never overlap. A fixed tenth of
all such scenes is `reserved`: training never draws them, so that they can be asked for afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.scenes import (
    COLOURS,
    HELD_OUT,
    LANDSCAPES,
    PLAIN,
    SHAPES,
    SIDE,
    Pose,
    Scene,
    draw_background,
    draw_object,
    visible,
)

RELATIONS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
"""Where the first object lies, seen from the second (x to the right, y downwards)."""

SIZES: dict[str, float] = {"small": 0.30, "medium": 0.41}
"""Side of an object's box as a fraction of the picture's side: medium ones are a little smaller than alone."""

APART = 0.24
"""How far each of the two is from the middle, along their axis, as a fraction of the side."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One of the two objects; every field is a key of a table."""

    shape: str
    colour: str
    size: str = "medium"


@dataclass(frozen=True, slots=True)
class Pair:
    """What a picture of two objects shows: `first` lies `relation` `second`."""

    first: Thing
    second: Thing
    relation: str
    background: str

    @property
    def things(self) -> tuple[Thing, Thing]:
        """Both objects."""
        return self.first, self.second

    def turned(self) -> Pair:
        """The same scene told from the other object."""
        dx, dy = RELATIONS[self.relation]
        back = next(name for name, way in RELATIONS.items() if way == (-dx, -dy))
        return Pair(self.second, self.first, back, self.background)


def reserved(pair: Pair) -> bool:
    """Whether training leaves this scene out; the same for both ways of telling it, and in every process."""
    words = sorted(f"{p.first} {p.relation} {p.second} {p.background}" for p in (pair, pair.turned()))
    return hashlib.sha256(words[0].encode()).digest()[0] < 26


def sample_pair(rng: np.random.Generator, *, held_out: bool = False, reserve: bool = False) -> Pair:
    """A random scene of two different objects, of `reserved` ones or of all others.

    With `held_out` at least one object is a pair of colour and shape that training never shows, else none is.
    """
    while True:
        pool = LANDSCAPES if rng.random() < 0.45 else tuple(PLAIN)
        background = pool[rng.integers(len(pool))]
        first, second = (_sample_thing(rng) for _ in range(2))
        pair = Pair(first, second, tuple(RELATIONS)[rng.integers(len(RELATIONS))], background)
        if (first.shape, first.colour) == (second.shape, second.colour):
            continue
        if not all(visible(thing.colour, background) for thing in pair.things):
            continue
        unknown = any((thing.colour, thing.shape) in HELD_OUT for thing in pair.things)
        if unknown is held_out and reserved(pair) is reserve:
            return pair


def _sample_thing(rng: np.random.Generator) -> Thing:
    return Thing(
        shape=SHAPES[rng.integers(len(SHAPES))],
        colour=tuple(COLOURS)[rng.integers(len(COLOURS))],
        size="small" if rng.random() < 0.3 else "medium",
    )


def sample_poses(pair: Pair, rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Poses of both objects, a few pixels apart at least along their axis."""
    dx, dy = RELATIONS[pair.relation]
    poses: list[Pose] = []
    for thing, sign in zip(pair.things, (1, -1), strict=True):
        along = sign * (APART + rng.uniform(-0.015, 0.015))
        across = rng.uniform(-0.06, 0.06)
        poses.append(
            Pose(
                x=SIDE * (0.5 + (dx * along if dx else across)),
                y=SIDE * (0.5 + (dy * along if dy else across)),
                half=SIDE * SIZES[thing.size] / 2 * rng.uniform(0.95, 1.05),
                turn=rng.uniform(-0.07, 0.07),
                mirrored=thing.shape in ("fish", "moon") and rng.random() < 0.5,
            )
        )
    return poses[0], poses[1]


def draw_pair(pair: Pair, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scene as a picture, SIDExSIDEx3 uint8 RGB."""
    picture = draw_background(pair.background, rng)
    for thing, pose in zip(pair.things, sample_poses(pair, rng), strict=True):
        picture = draw_object(picture, Scene(thing.shape, thing.colour, pair.background, thing.size), pose)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

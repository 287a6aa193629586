"""Judge a picture of two objects: background, both colours, both shapes and how the two lie to each other.

Blind as `training.judge` is: it finds the two heaviest regions of palette colours that lie apart (what lies within
an object already found is a detail of it), and only then compares them with the scene, either way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.judge import Ground, Seen, ground, outline
from training.pairs import RELATIONS, Pair, Thing
from training.scenes import COLOURS, SIDE

APART = 0.15
"""The least distance of the two middles along the relation's axis, as a fraction of the side."""

_CELL = 2  # finer than for one object: two of the same colour lie as little as seven pixels apart
_LEAST = 40  # pixels


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Which parts of a scene of two objects a picture shows; a part of the objects is right when it is in both."""

    background: bool
    colour: bool
    shape: bool
    relation: bool

    @property
    def objects(self) -> bool:
        """Background, both colours and both shapes are right, wherever the objects lie."""
        return self.background and self.colour and self.shape

    @property
    def everything(self) -> bool:
        """All of it, and the relation too."""
        return self.objects and self.relation


def _regions(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """The connected regions of a mask, found on a coarse grid, without those of a few pixels."""
    n = SIDE // _CELL
    coarse = mask.reshape(n, _CELL, n, _CELL).sum((1, 3)) >= _CELL * _CELL - 1
    left = coarse.copy()
    for seed in zip(*np.nonzero(coarse), strict=True):
        if not left[seed]:
            continue
        region = np.zeros_like(coarse)
        stack = [seed]
        left[seed] = False
        while stack:
            y, x = stack.pop()
            region[y, x] = True
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= near[0] < n and 0 <= near[1] < n and left[near]:
                    left[near] = False
                    stack.append(near)
        if region.sum() * _CELL * _CELL >= _LEAST:
            yield np.kron(region, np.ones((_CELL, _CELL), bool)).astype(bool) & mask


def _candidates(seen: Ground) -> list[tuple[float, str, NDArray[np.bool_]]]:
    """Weight, colour and pixels of every region, the heaviest first."""
    found = [
        (float((region * np.minimum(seen.behind, 60)).sum()), name, region)
        for i, name in enumerate(COLOURS)
        if name != seen.background
        for region in _regions(seen.shown & (seen.near == i))
    ]
    return sorted(found, key=lambda one: -one[0])


def look_for_two(picture: Image.Image | NDArray[np.uint8]) -> tuple[str, list[Seen]]:
    """The background, and the two most striking objects that lie apart (or fewer)."""
    seen = ground(picture)
    boxes: list[tuple[float, float, float, float]] = []
    objects: list[Seen] = []
    for _, colour, region in _candidates(seen):
        ys, xs = np.nonzero(region)
        x, y = float(xs.mean()), float(ys.mean())
        if any(x0 <= x <= x1 and y0 <= y <= y1 for x0, x1, y0, y1 in boxes):
            continue
        boxes.append((float(xs.min()), float(xs.max()), float(ys.min()), float(ys.max())))
        objects.append(outline(seen, colour, region))
        if len(objects) == 2:
            break
    return seen.background, objects


def lies(first: Seen, second: Seen, relation: str) -> bool:
    """Whether `first` lies as `relation` says, and more so than in any other way."""
    dx, dy = RELATIONS[relation]
    x, y = first.x - second.x, first.y - second.y
    along, across = (x * dx, abs(y)) if dx else (y * dy, abs(x))
    return along >= APART and along > across


def _compare(objects: tuple[Seen, Seen], things: tuple[Thing, Thing], relation: str) -> tuple[bool, bool, bool]:
    return (
        all(o.colour == t.colour for o, t in zip(objects, things, strict=True)),
        all(o.shape == t.shape for o, t in zip(objects, things, strict=True)),
        lies(*objects, relation),
    )


def judge_pair(picture: Image.Image | NDArray[np.uint8], pair: Pair) -> PairVerdict:
    """Compare what the picture shows with the scene; the objects are taken the way round that fits better."""
    background, objects = look_for_two(picture)
    if len(objects) < 2:
        return PairVerdict(background == pair.background, colour=False, shape=False, relation=False)
    ways = [(objects[0], objects[1]), (objects[1], objects[0])]
    likeness = [
        sum((o.colour == t.colour) + (o.shape == t.shape) for o, t in zip(way, pair.things, strict=True))
        for way in ways
    ]  # fmt: skip
    # By what the objects are and not by where they lie: swapped objects must not pass for a right relation.
    colour, shape, relation = _compare(ways[int(likeness[1] > likeness[0])], pair.things, pair.relation)
    return PairVerdict(background == pair.background, colour, shape, relation)

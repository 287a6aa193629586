"""Two ways of drawing the same scenes, `outlined` and `striped`, and how far a picture shows each of them.

A style changes the object and nothing else, whatever the scene, so that a network which learns it from such pictures
and their plain captions draws everything in it. Both measures are near 0 for plain pictures and need to know the
scene only for what the object's colour is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.judge import LIKENESS, Floats, Ground, ground, largest_blob, to_lab, unit_box
from training.scenes import COLOURS, SHAPES, SIDE, Pose, Scene, draw_background, draw_object, sample_pose, silhouette

STYLES = ("outlined", "striped")
INK = (24, 22, 30)
PERIOD = 32
"""Pixels from one stripe to the next: four latents."""

_DARK = 0.5  # how far towards black a stripe is
_RIM = 5  # pixels from an object's edge inwards in which an outline is looked for
_APART = 20  # the least distance of an object's colour from its background's
_ROWS = np.arange(SIDE)


def draw_styled(scene: Scene, style: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scene in a style, SIDExSIDEx3 uint8 RGB; without one ("") it is what `scenes.draw` draws."""
    background, pose = draw_background(scene.background, rng), sample_pose(scene, rng)
    picture = draw_object(background, scene, pose)
    cover = silhouette(scene.shape, pose)
    if style == "outlined":
        picture = _outlined(picture, cover)
    elif style == "striped":
        picture = _striped(picture, cover)
    elif style:
        raise ValueError(f"no such style: {style}")
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _filtered(cover: Floats, *filters: ImageFilter.Filter) -> Floats:
    image = Image.fromarray((cover * 255).astype(np.uint8))
    for each in filters:
        image = image.filter(each)
    return (np.asarray(image, np.float32) / 255).astype(np.float32)


def _outlined(picture: Floats, cover: Floats) -> Floats:
    """A dark line around the object, three pixels outside its edge and one inside."""
    soft = ImageFilter.GaussianBlur(0.6)
    line = _filtered(cover, ImageFilter.MaxFilter(7), soft) - _filtered(cover, ImageFilter.MinFilter(3), soft)
    alpha = np.clip(line, 0, 1)[..., None]
    return (picture * (1 - alpha) + np.asarray(INK, np.float32) * alpha).astype(np.float32)


def _striped(picture: Floats, cover: Floats) -> Floats:
    """Every other band of the object dark, at the same heights in every picture."""
    alpha = (_DARK * cover * stripes()[:, None])[..., None]
    return (picture * (1 - alpha)).astype(np.float32)


def stripes() -> Floats:
    """Which rows lie in a stripe (0..1)."""
    wave = np.sin(2 * np.pi * (_ROWS + 0.5) / PERIOD)
    return np.clip(wave * 2.5 + 0.5, 0, 1).astype(np.float32)


def suits(scene: Scene, style: str) -> bool:
    """Whether the style shows: no dark lines or stripes on dark things, and no stripes as grey as what is behind."""
    striped_grey = style == "striped" and scene.colour == "white"
    return scene.colour != "black" and scene.background not in ("black", "night") and not striped_grey


# --- what a picture shows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Styled:
    """What a picture of one object shows, whatever its style: its content, and how much of each style."""

    background: str
    colour: str
    shape: str
    outlined: float
    striped: float


def look_styled(picture: NDArray[np.uint8]) -> Styled:
    """See `Styled`. The object's colour is that of most of its pixels but for what the styles add to them."""
    seen = ground(picture)
    thing = object_mask(seen)
    telling = thing & (stripes()[:, None] < 0.2)  # between the stripes, whether there are any or not
    counts = [float(telling[seen.near == i].sum()) for i in range(len(COLOURS))]
    names = tuple(COLOURS)
    plain = {name: n for name, n in zip(names, counts, strict=True) if name not in ("white", "black")}
    best = max(plain, key=lambda name: plain[name])
    colour = best if plain[best] > 0.12 * sum(counts) else names[int(np.argmax(counts))]
    return Styled(seen.background, colour, _shape_of(thing), _edge(seen, thing), _bands(seen, thing, colour))


def object_mask(seen: Ground) -> NDArray[np.bool_]:
    """The pixels of the object: the largest region that differs from the background, its holes left open."""
    return largest_blob(seen.behind > _APART)


def _edge(seen: Ground, thing: NDArray[np.bool_]) -> float:
    """The share of the object's outermost five pixels that are as dark as ink."""
    inner = _filtered(thing.astype(np.float32), ImageFilter.MinFilter(2 * _RIM + 1)) > 0.5
    rim = thing & ~inner
    dark = np.linalg.norm(seen.lab - to_lab(np.array(INK)), axis=-1) < 32
    return float(dark[rim].mean()) if rim.any() else 0.0


def _bands(seen: Ground, thing: NDArray[np.bool_], colour: str) -> float:
    """How much darker the object is in its stripes than between them; 1 is as dark as they are drawn."""
    inner = _filtered(thing.astype(np.float32), ImageFilter.MinFilter(5)) > 0.5
    own = np.asarray(COLOURS[colour], np.float32)
    full, dark = to_lab(own), to_lab(own * (1 - _DARK))
    way = (dark - full) / max(1e-6, float(np.square(dark - full).sum()))
    share = (seen.lab - full) @ way
    dark_rows = np.broadcast_to(stripes()[:, None] > 0.9, inner.shape) & inner
    other_rows = np.broadcast_to(stripes()[:, None] < 0.1, inner.shape) & inner
    if min(dark_rows.sum(), other_rows.sum()) < 12:
        return 0.0
    return float(np.clip(np.median(share[dark_rows]) - np.median(share[other_rows]), 0, 1))


def _closed(cover: Floats) -> Floats:
    """A silhouette cut to its box, small gaps closed: a stripe may look like the background."""
    return unit_box(_filtered(cover, ImageFilter.MaxFilter(9), ImageFilter.MinFilter(9)))


@cache
def _silhouettes() -> tuple[Floats, tuple[str, ...]]:
    """The silhouettes of all shapes, mirrored, slightly turned, with and without an outline, and whose they are."""
    masks: list[Floats] = []
    names: list[str] = []
    for shape in SHAPES:
        for half in (20, 36):
            for mirrored in (False, True):
                for turn in (-0.05, 0.05):
                    cover = silhouette(shape, Pose(SIDE / 2, SIDE / 2, half, turn, mirrored))
                    masks += [_closed(cover), _closed(_filtered(cover, ImageFilter.MaxFilter(7)))]
                    names += [shape, shape]
    return np.stack(masks), tuple(names)


def _shape_of(thing: NDArray[np.bool_]) -> str:
    """The shape whose silhouette overlaps best, "" if none does well."""
    unit, (masks, names) = _closed(thing.astype(np.float32)), _silhouettes()
    overlap = np.minimum(masks, unit).sum((1, 2)) / np.maximum(masks, unit).sum((1, 2)).clip(min=1e-6)
    return names[int(overlap.argmax())] if overlap.max() >= LIKENESS else ""

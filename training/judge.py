"""Judge a picture by a scene: background, colour, shape and place, without any neural network.

numpy and PIL only. The background is the nearest of thirteen coarse pictures by the median of the cells'
colour distances, which an object in the way does not move. The object's colour is the colour of the palette
that most of the remaining pixels have. Its shape is the silhouette (of pixels in that colour) that overlaps
best when both are cut to their boxes and scaled to the same size; an outline like none of them has no shape.
All distances are CIE 1976 Lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.scenes import (
    BACKGROUNDS,
    COLOURS,
    PLACES,
    PLAIN,
    REACH,
    SHAPES,
    SIDE,
    SIZES,
    Pose,
    Scene,
    draw_background,
    draw_object,
)

Floats = NDArray[np.float32]

LIKENESS = 0.7
"""The least overlap with the outline of a shape: 99 in 100 of the autoencoder's reconstructions have more.

Without it every blob would count as the shape that it happens to be nearest to.
"""

_CELL = 8
_BOX = 24
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.089])


@dataclass(frozen=True, slots=True)
class Seen:
    """What the judge sees; x and y are the object's middle and side its size, as fractions of the picture."""

    background: str
    colour: str
    shape: str
    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which parts of a scene a picture shows."""

    background: bool
    colour: bool
    shape: bool
    place: bool

    @property
    def everything(self) -> bool:
        """Background, colour and shape are right (the place is counted apart)."""
        return self.background and self.colour and self.shape


def to_lab(rgb: NDArray[np.generic]) -> Floats:
    """sRGB in 0..255 (last axis) to CIE Lab (D65)."""
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
    return lab.astype(np.float32)


def _cells(picture: NDArray[np.generic]) -> Floats:
    n = SIDE // _CELL
    return to_lab(np.asarray(picture, np.float32).reshape(n, _CELL, n, _CELL, 3).mean((1, 3)))


@cache
def _background_tables() -> tuple[Floats, Floats]:
    """For each background the mean picture in Lab: in coarse cells, and in full."""
    coarse, full = [], []
    for name in BACKGROUNDS:
        rng = np.random.default_rng(7)
        many = [draw_background(name, rng) for _ in range(16)]
        coarse.append(np.mean([_cells(p) for p in many], axis=0))
        full.append(to_lab(np.mean(many, axis=0)))
    return np.stack(coarse), np.stack(full)


def unit_box(mask: Floats) -> Floats:
    """The mask's box, with its aspect kept, in the middle of a _BOX x _BOX square."""
    ys, xs = np.nonzero(mask > 0.5)
    if len(xs) < 12:
        return np.zeros((_BOX, _BOX), np.float32)
    # Percentiles rather than extremes: a few stray pixels must not widen the box.
    x0, x1 = np.percentile(xs, 0.7), np.percentile(xs, 99.3) + 1
    y0, y1 = np.percentile(ys, 0.7), np.percentile(ys, 99.3) + 1
    half = max(x1 - x0, y1 - y0) / 2 * 1.06
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    box = (float(x - half), float(y - half), float(x + half), float(y + half))
    fine = (_BOX * 4, _BOX * 4)
    cut = Image.fromarray(mask).transform(fine, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(cut.reduce(4), np.float32)


def _colour_mask(lab: Floats, behind: Floats, colour: str) -> Floats:
    """1 where a pixel is near to the object's colour, and nearer than to the background's."""
    own = np.linalg.norm(lab - to_lab(np.array(COLOURS[colour])), axis=-1)
    return ((own < 42) & (own < behind)).astype(np.float32)


@cache
def _palette() -> Floats:
    return to_lab(np.array(list(COLOURS.values())))


@cache
def _shape_tables() -> tuple[Floats, tuple[str, ...], tuple[tuple[float, float], ...]]:
    """Silhouettes of all shapes at three sizes, mirrored and slightly turned, as the judge itself sees them.

    With each its shape's name and where the middle of its box lies, seen from the object's own middle, as a
    fraction of the box's side (a moon's box is not centred on the moon).
    """
    masks: list[Floats] = []
    names: list[str] = []
    offsets: list[tuple[float, float]] = []
    back = np.full((SIDE, SIDE, 3), 128.0, np.float32)
    for shape in SHAPES:
        for side in SIZES.values():
            for mirrored in (False, True):
                for turn in (-0.05, 0.05):
                    pose = Pose(SIDE / 2, SIDE / 2, SIDE * side / 2, turn, mirrored)
                    lab = to_lab(draw_object(back, Scene(shape, "green", "grey"), pose))
                    mask = _colour_mask(lab, np.linalg.norm(lab - to_lab(back), axis=-1), "green")
                    ys, xs = np.nonzero(mask)
                    width, height = float(np.ptp(xs)), float(np.ptp(ys))
                    middle = (float(xs.min()) + width / 2, float(ys.min()) + height / 2)
                    masks.append(unit_box(mask))
                    names.append(shape)
                    longest = max(width, height)
                    offsets.append(((middle[0] - SIDE / 2) / longest, (middle[1] - SIDE / 2) / longest))
    return np.stack(masks), tuple(names), tuple(offsets)


def largest_blob(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of the largest connected region, found on a coarse grid (regions 2 cells apart are joined)."""
    coarse = mask.reshape(SIDE // 4, 4, SIDE // 4, 4).sum((1, 3)) >= 3
    label = np.zeros(coarse.shape, np.int32)
    best, best_size, count = 0, 0, 0
    for seed in zip(*np.nonzero(coarse), strict=True):
        if label[seed]:
            continue
        count += 1
        stack, size = [seed], 0
        label[seed] = count
        while stack:
            y, x = stack.pop()
            size += 1
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                inside = 0 <= near[0] < coarse.shape[0] and 0 <= near[1] < coarse.shape[1]
                if inside and coarse[near] and not label[near]:
                    label[near] = count
                    stack.append(near)
        if size > best_size:
            best, best_size = count, size
    grown = label == best if best else np.zeros_like(coarse)
    padded = np.pad(grown, 1)
    n = SIDE // 4
    grown = np.any([padded[dy : dy + n, dx : dx + n] for dy in range(3) for dx in range(3)], axis=0)
    return mask & np.kron(grown, np.ones((4, 4), bool)).astype(bool)


@dataclass(frozen=True, slots=True)
class Ground:
    """A picture told apart from its background, all SIDExSIDE: what both judges start from.

    `lab` are its colours, `behind` their distances from the background's, `near` indices of the nearest colours
    of the palette, and `shown` the pixels that belong to an object of that colour.
    """

    background: str
    lab: Floats
    behind: Floats
    near: NDArray[np.intp]
    shown: NDArray[np.bool_]


def ground(picture: Image.Image | NDArray[np.uint8]) -> Ground:
    """The background of a SIDE x SIDE RGB picture, and which pixels are not of it."""
    rgb = np.asarray(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"), np.float32)
    if rgb.shape != (SIDE, SIDE, 3):
        raise ValueError(f"pictures of {SIDE}x{SIDE} only, not {rgb.shape}")
    coarse, full = _background_tables()
    distances = np.linalg.norm(coarse - _cells(rgb), axis=-1).reshape(len(BACKGROUNDS), -1)
    which = int(np.argmin(np.sort(distances, axis=1)[:, : distances.shape[1] // 2].mean(1)))
    lab = to_lab(rgb)
    back = full[which]
    if BACKGROUNDS[which] in PLAIN:  # the picture's own shade serves better than the mean one
        edge = np.concatenate([lab[:6].reshape(-1, 3), lab[-6:].reshape(-1, 3), lab[:, :6].reshape(-1, 3)])
        back = np.broadcast_to(np.median(edge, axis=0), lab.shape).astype(np.float32)
    behind = _distance_behind(lab, back, hills=BACKGROUNDS[which] not in PLAIN)
    to_palette = np.linalg.norm(lab[:, :, None] - _palette(), axis=-1)
    shown = (to_palette.min(-1) < 40) & (to_palette.min(-1) < behind - 2) & (behind > 16)
    return Ground(BACKGROUNDS[which], lab, behind, to_palette.argmin(-1), shown)


def look(picture: Image.Image | NDArray[np.uint8]) -> Seen:
    """What a SIDE x SIDE RGB picture shows."""
    seen = ground(picture)
    best, colour, mask = -1.0, next(iter(COLOURS)), np.zeros((SIDE, SIDE), bool)
    for i, name in enumerate(COLOURS):
        if name == seen.background:
            continue
        blob = largest_blob(seen.shown & (seen.near == i))
        weight = float((blob * np.minimum(seen.behind, 60)).sum())
        if weight > best:
            best, colour, mask = weight, name, blob
    return outline(seen, colour, mask)


def outline(seen: Ground, colour: str, mask: NDArray[np.bool_]) -> Seen:
    """The object of that colour around the pixels of `mask`: its shape ("" if like none), middle and size."""
    ys, xs = np.nonzero(mask)
    if len(xs) < 12:
        return Seen(seen.background, colour, "", 0.5, 0.5, 0.0)
    x0, x1, y0, y1 = (float(np.percentile(a, p)) for a in (xs, ys) for p in (1, 99))
    own = _colour_mask(seen.lab, seen.behind, colour) * _near_box(x0, x1, y0, y1)
    masks, names, offsets = _shape_tables()
    unit = unit_box(own)
    overlap = np.minimum(masks, unit).sum((1, 2)) / np.maximum(masks, unit).sum((1, 2)).clip(min=1e-6)
    shape = names[int(overlap.argmax())] if overlap.max() >= LIKENESS else ""
    match, side = int(overlap.argmax()), max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2 - offsets[match][0] * side, (y0 + y1) / 2 - offsets[match][1] * side
    return Seen(seen.background, colour, shape, x / SIDE, y / SIDE, side / SIDE)


def _distance_behind(lab: Floats, back: Floats, *, hills: bool) -> Floats:
    """Distance of each pixel from the background's colour; horizons may lie a few pixels higher or lower."""
    rows = np.arange(SIDE)
    shifts = range(-6, 7, 2) if hills else (0,)
    moved = [back[np.clip(rows + shift, 0, SIDE - 1)] for shift in shifts]
    return np.min([np.linalg.norm(lab - b, axis=-1) for b in moved], axis=0)


def _near_box(x0: float, x1: float, y0: float, y1: float) -> Floats:
    """1 inside the box and a few pixels around it."""
    v, u = np.mgrid[0:SIDE, 0:SIDE]
    return ((u > x0 - 4) & (u < x1 + 4) & (v > y0 - 4) & (v < y1 + 4)).astype(np.float32)


def is_at(seen: Seen, scene: Scene) -> bool:
    """Whether the object lies where the scene puts it, by half of what an object of that size is moved."""
    limit = REACH[scene.size] / 2
    signs = [0 if abs(c - 0.5) < limit else (1 if c > 0.5 else -1) for c in (seen.x, seen.y)]
    return tuple(signs) == PLACES[scene.place]


def judge(picture: Image.Image | NDArray[np.uint8], scene: Scene) -> Verdict:
    """Compare what the picture shows with the scene."""
    seen = look(picture)
    return Verdict(
        background=seen.background == scene.background,
        colour=seen.colour == scene.colour,
        shape=seen.shape == scene.shape,
        place=is_at(seen, scene),
    )

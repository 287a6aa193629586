"""The synthetic world that the model `tiny` learns: scenes, their pictures and their words.

A scene is one object (a shape in a colour, a size and a place) before a plain or a landscape background.
`draw` renders it anti-aliased at 128x128 pixels, `training.captions` puts it into words. Everything random
comes from the generator that the caller passes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float32]
Rgb = tuple[int, int, int]
Points = list[tuple[float, float]]

SIDE = 128
SUPERSAMPLING = 3

SHAPES = (
    "circle", "square", "triangle", "star", "heart", "ring",
    "cross", "moon", "flower", "fish", "house", "smiley",
)  # fmt: skip

COLOURS: dict[str, Rgb] = {
    "red": (225, 45, 50),
    "orange": (250, 145, 30),
    "yellow": (252, 220, 50),
    "green": (45, 165, 75),
    "blue": (45, 100, 230),
    "purple": (140, 65, 190),
    "pink": (250, 120, 180),
    "white": (250, 250, 250),
    "black": (30, 30, 35),
}

UNNAMED: dict[str, Rgb] = {"teal": (25, 150, 150)}
"""Colours that an object can be drawn in, but that no caption has a word for, nor any picture of the training."""

PLAIN: dict[str, Rgb] = {
    "white": (248, 248, 246),
    "grey": (165, 168, 175),
    "black": (28, 28, 34),
    "pink": (255, 203, 220),
    "yellow": (255, 240, 170),
    "blue": (178, 217, 250),
    "green": (188, 232, 188),
    "purple": (213, 195, 245),
}

LANDSCAPES = ("meadow", "night", "sea", "sunset", "snow")
BACKGROUNDS = (*PLAIN, *LANDSCAPES)

SIZES: dict[str, float] = {"small": 0.30, "medium": 0.45, "large": 0.62}
"""Side of the object's box as a fraction of the picture's side."""

REACH: dict[str, float] = {"small": 0.28, "medium": 0.21, "large": 0.14}
"""How far from the middle an object of each size is put, as a fraction of the side."""

PLACES: dict[str, tuple[int, int]] = {
    "centre": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
    "top left": (-1, -1),
    "top right": (1, -1),
    "bottom left": (-1, 1),
    "bottom right": (1, 1),
}

HELD_OUT = frozenset(
    {
        ("red", "fish"), ("red", "flower"), ("orange", "heart"), ("orange", "moon"), ("yellow", "house"),
        ("yellow", "cross"), ("green", "star"), ("green", "ring"), ("blue", "heart"), ("blue", "circle"),
        ("purple", "triangle"), ("purple", "fish"), ("pink", "square"), ("white", "smiley"),
    }
)  # fmt: skip
"""Colour and shape pairs that no training picture shows, to measure composition."""

_INVISIBLE = frozenset(
    {
        ("white", "snow"), ("black", "night"), ("green", "meadow"),
        ("orange", "sunset"), ("pink", "sunset"), ("purple", "sunset"),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows; every field is a key of the tables above."""

    shape: str
    colour: str
    background: str
    size: str = "medium"
    place: str = "centre"


def visible(colour: str, background: str) -> bool:
    """Whether an object of this colour stands out from the background at all."""
    return colour != background and (colour, background) not in _INVISIBLE


def sample_scene(rng: np.random.Generator, *, held_out: bool = False) -> Scene:
    """A random scene: landscapes in 45 % of them, objects in the middle in 40 %.

    `held_out` chooses among the pairs that training never shows, else among all others.
    """
    while True:
        pool = LANDSCAPES if rng.random() < 0.45 else tuple(PLAIN)
        scene = Scene(
            shape=SHAPES[rng.integers(len(SHAPES))],
            colour=tuple(COLOURS)[rng.integers(len(COLOURS))],
            background=pool[rng.integers(len(pool))],
            size=("small", "medium", "large")[rng.choice(3, p=(0.36, 0.36, 0.28))],
            place="centre" if rng.random() < 0.4 else tuple(PLACES)[rng.integers(1, len(PLACES))],
        )
        if ((scene.colour, scene.shape) in HELD_OUT) is held_out and visible(scene.colour, scene.background):
            return scene


# --- backgrounds ------------------------------------------------------------------------------------------

_V, _U = (np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + 0.5) / SIDE  # v downwards, u to the right, 0..1


def _ramp(stops: Sequence[tuple[float, Rgb]]) -> Floats:
    """A vertical gradient through colour stops (position 0..1 from the top), HxWx3 in 0..255."""
    at = [s[0] for s in stops]
    column = np.stack([np.interp(_V[:, 0], at, [s[1][c] for s in stops]) for c in range(3)], axis=-1)
    return np.repeat(column[:, None, :], SIDE, axis=1).astype(np.float32)


def _blend(picture: Floats, colour: Rgb | Floats, alpha: Floats) -> Floats:
    a = alpha[..., None]
    return (picture * (1 - a) + np.asarray(colour, np.float32) * a).astype(np.float32)


def _hill(rng: np.random.Generator, level: float, swing: float) -> Floats:
    """Coverage (0..1, anti-aliased) of the ground below a wavy line at height `level`."""
    phase, waves = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 1.2)
    edge = level + rng.uniform(-0.02, 0.02) + swing * np.sin(2 * math.pi * waves * _U + phase)
    return np.clip((_V - edge) * SIDE + 0.5, 0, 1).astype(np.float32)


def _dots(rng: np.random.Generator, count: int, low: float, high: float, radius: float) -> Floats:
    """Coverage of `count` soft dots between the heights `low` and `high`."""
    cover = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(count):
        x, y = rng.uniform(2, SIDE - 3), rng.uniform(low * SIDE + 2, high * SIDE - 3)
        r = radius * rng.uniform(0.7, 1.15)
        x0, y0 = int(x) - 2, int(y) - 2
        box = (slice(max(y0, 0), y0 + 6), slice(max(x0, 0), x0 + 6))
        d2 = (_U[box] * SIDE - x) ** 2 + (_V[box] * SIDE - y) ** 2
        cover[box] = np.maximum(cover[box], np.exp(-d2 / (r * r)))
    return cover


def _meadow(rng: np.random.Generator) -> Floats:
    sky = _ramp([(0, (128, 196, 248)), (0.6, (214, 238, 254))])
    for _ in range(int(rng.integers(1, 4))):
        x, y, w = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.3), rng.uniform(0.09, 0.15)
        cloud = np.exp(-(((_U - x) / w) ** 4) - ((_V - y) / (0.35 * w)) ** 2)
        sky = _blend(sky, (255, 255, 255), 0.85 * cloud)
    sky = _blend(sky, (152, 210, 118), _hill(rng, 0.58, 0.03))
    grass = _ramp([(0.6, (136, 204, 96)), (1.0, (88, 168, 66))])
    return _blend(sky, grass, _hill(rng, 0.68, 0.02))


def _night(rng: np.random.Generator) -> Floats:
    sky = _ramp([(0, (14, 18, 54)), (0.85, (44, 50, 110))])
    sky = _blend(sky, (255, 250, 220), _dots(rng, int(rng.integers(16, 26)), 0.0, 0.82, 1.5))
    return _blend(sky, (10, 14, 30), _hill(rng, 0.87, 0.025))


def _sea(rng: np.random.Generator) -> Floats:
    sky = _ramp([(0, (190, 226, 250)), (0.3, (240, 248, 252))])
    water = _ramp([(0.28, (108, 208, 222)), (1.0, (36, 138, 186))])
    picture = _blend(sky, water, np.clip((_V - 0.28) * SIDE + 0.5, 0, 1))
    for row in (0.4, 0.56, 0.72, 0.88):
        edge = row + 0.012 * np.sin(2 * math.pi * 3 * _U + rng.uniform(0, 2 * math.pi))
        crest = np.exp(-(((_V - edge) / 0.011) ** 2))
        picture = _blend(picture, (236, 250, 252), 0.5 * crest)
    return picture


def _sunset(rng: np.random.Generator) -> Floats:
    sky = _ramp([(0, (104, 72, 158)), (0.4, (232, 112, 134)), (0.68, (255, 176, 92)), (0.82, (255, 222, 140))])
    return _blend(sky, (62, 38, 78), _hill(rng, 0.84, 0.02))


def _snow(rng: np.random.Generator) -> Floats:
    sky = _ramp([(0, (146, 176, 208)), (0.65, (206, 222, 238))])
    sky = _blend(sky, (224, 234, 246), _hill(rng, 0.64, 0.03))
    sky = _blend(sky, (250, 252, 255), _hill(rng, 0.74, 0.02))
    return _blend(sky, (255, 255, 255), _dots(rng, int(rng.integers(16, 26)), 0.0, 0.66, 1.9))


_LANDSCAPES = {"meadow": _meadow, "night": _night, "sea": _sea, "sunset": _sunset, "snow": _snow}


def draw_background(background: str, rng: np.random.Generator) -> Floats:
    """The background alone, SIDExSIDEx3 in 0..255."""
    if background in _LANDSCAPES:
        return _LANDSCAPES[background](rng)
    slope, turn = rng.uniform(0.02, 0.05), rng.uniform(-0.5, 0.5)
    light = 1 + slope * ((0.5 - _V) * 2 + turn * (0.5 - _U))
    return np.asarray(PLAIN[background], np.float32) * light[..., None].astype(np.float32)


# --- objects ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A polygon in the object's box (-1..1, y downwards): tone `body` and `cut` make the silhouette."""

    tone: str
    points: Points


def _oval(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0) -> Points:
    steps = np.radians(np.linspace(start, end, 60))
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in steps]


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _star() -> Points:
    corners = [(math.radians(36 * i - 90), 1.05 if i % 2 == 0 else 0.46) for i in range(10)]
    return [(r * math.cos(t), r * math.sin(t) + 0.08) for t, r in corners]


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 80)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16.5
    return list(zip(x.tolist(), (y + 0.03).tolist(), strict=True))


def _flower() -> list[Part]:
    around = [math.radians(60 * i - 90) for i in range(6)]
    petals = [Part("body", _oval(0.6 * math.cos(t), 0.6 * math.sin(t), 0.38, 0.38)) for t in around]
    return [*petals, Part("body", _oval(0, 0, 0.5, 0.5)), Part("heart", _oval(0, 0, 0.3, 0.3))]


def _smiley() -> list[Part]:
    mouth = _oval(0, 0.1, 0.58, 0.52, 15, 165) + _oval(0, 0.1, 0.44, 0.34, 165, 15)
    eyes = [Part("ink", _oval(x, -0.28, 0.14, 0.2)) for x in (-0.34, 0.34)]
    return [Part("body", _oval(0, 0, 0.98, 0.98)), *eyes, Part("ink", mouth)]


def shape_parts(shape: str) -> list[Part]:
    """The parts of a shape, in drawing order."""
    if shape == "circle":
        return [Part("body", _oval(0, 0, 0.96, 0.96))]
    if shape == "square":
        return [Part("body", _rectangle(-0.88, -0.88, 0.88, 0.88))]
    if shape == "triangle":
        return [Part("body", [(0, -0.95), (1.02, 0.85), (-1.02, 0.85)])]
    if shape == "star":
        return [Part("body", _star())]
    if shape == "heart":
        return [Part("body", _heart())]
    if shape == "ring":
        return [Part("body", _oval(0, 0, 0.98, 0.98)), Part("cut", _oval(0, 0, 0.54, 0.54))]
    if shape == "cross":
        return [
            Part("body", _rectangle(-0.34, -0.98, 0.34, 0.98)),
            Part("body", _rectangle(-0.98, -0.34, 0.98, 0.34)),
        ]
    if shape == "moon":
        return [Part("body", _oval(-0.05, 0, 0.98, 0.98)), Part("cut", _oval(0.42, -0.1, 0.8, 0.8))]
    if shape == "flower":
        return _flower()
    if shape == "fish":
        return [
            Part("body", [(0.3, 0.0), (1.0, -0.58), (0.86, 0.0), (1.0, 0.58)]),
            Part("body", _oval(-0.22, 0, 0.78, 0.54)),
            Part("white", _oval(-0.6, -0.12, 0.16, 0.16)),
            Part("pupil", _oval(-0.62, -0.12, 0.085, 0.085)),
        ]
    if shape == "house":
        return [
            Part("body", _rectangle(-0.74, -0.12, 0.74, 0.95)),
            Part("body", [(0, -0.98), (1.0, -0.08), (-1.0, -0.08)]),
            Part("roof", [(0, -0.98), (1.0, -0.08), (-1.0, -0.08)]),
            Part("window", _rectangle(0.12, 0.16, 0.5, 0.5)),
            Part("ink", _rectangle(-0.46, 0.3, -0.1, 0.95)),
        ]
    if shape == "smiley":
        return _smiley()
    raise ValueError(f"no such shape: {shape}")


def rgb_of(colour: str) -> Rgb:
    """What an object's colour is drawn as."""
    return COLOURS.get(colour) or UNNAMED[colour]


def _tones(colour: str) -> dict[str, Rgb]:
    """The colours of an object's details, chosen to show on its body."""
    r, g, b = rgb_of(colour)
    if colour == "black":
        roof, ink = (78, 78, 88), (235, 235, 235)
    else:
        roof, ink = (int(r * 0.7), int(g * 0.7), int(b * 0.7)), (52, 40, 46)
    return {
        "roof": roof,
        "ink": ink,
        "heart": (255, 250, 235) if colour in ("yellow", "orange") else (255, 210, 60),
        "white": (255, 255, 255),
        "pupil": (25, 25, 30),
        "window": (255, 240, 170) if colour != "yellow" else (190, 228, 250),
    }


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an object lies: middle and half side in pixels, turn in radians, mirrored or not."""

    x: float
    y: float
    half: float
    turn: float = 0.0
    mirrored: bool = False


def _mask(parts: Sequence[Part], pose: Pose) -> Floats:
    """Anti-aliased coverage (0..1) of the union of parts; `cut` parts take away."""
    k = SUPERSAMPLING
    image = Image.new("L", (SIDE * k, SIDE * k), 0)
    pen = ImageDraw.Draw(image)
    cos, sin = math.cos(pose.turn) * pose.half, math.sin(pose.turn) * pose.half
    for part in parts:
        flip = -1 if pose.mirrored else 1
        placed = [
            ((pose.x + flip * px * cos - py * sin) * k, (pose.y + flip * px * sin + py * cos) * k)
            for px, py in part.points
        ]
        pen.polygon(placed, fill=0 if part.tone == "cut" else 255)
    return (np.asarray(image.reduce(k), np.float32) / 255).astype(np.float32)


def silhouette(shape: str, pose: Pose) -> Floats:
    """Coverage (0..1, SIDExSIDE) of the object's whole outline."""
    return _mask([p for p in shape_parts(shape) if p.tone in ("body", "cut")], pose)


def sample_pose(scene: Scene, rng: np.random.Generator) -> Pose:
    """A pose that agrees with the scene's size and place, with a little jitter."""
    dx, dy = PLACES[scene.place]
    reach = REACH[scene.size]
    return Pose(
        x=SIDE * (0.5 + dx * reach + rng.uniform(-0.02, 0.02)),
        y=SIDE * (0.5 + dy * reach + rng.uniform(-0.02, 0.02)),
        half=SIDE * SIZES[scene.size] / 2 * rng.uniform(0.95, 1.05),
        turn=rng.uniform(-0.07, 0.07),
        mirrored=scene.shape in ("fish", "moon") and rng.random() < 0.5,
    )


def draw_object(picture: Floats, scene: Scene, pose: Pose) -> Floats:
    """The picture with the scene's object and its soft shadow drawn over it."""
    parts = shape_parts(scene.shape)
    outline = silhouette(scene.shape, pose)
    blurred = Image.fromarray((outline * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2.5))
    shadow = np.roll(np.asarray(blurred, np.float32) / 255, (3, 2), axis=(0, 1))
    picture = _blend(picture, picture * 0.35, (0.45 * shadow).astype(np.float32))
    down = np.clip((_V * SIDE - pose.y) / (2 * pose.half) + 0.5, 0, 1)
    glow = np.exp(-((_U * SIDE - pose.x + 0.35 * pose.half) ** 2 + (_V * SIDE - pose.y + 0.45 * pose.half) ** 2)
                  / (0.5 * pose.half**2))  # fmt: skip
    light = (1.06 - 0.16 * down)[..., None]
    body = np.asarray(rgb_of(scene.colour), np.float32) * light
    body = body + (255 - body) * (0.14 * glow[..., None])
    picture = _blend(picture, body, outline)
    tones = _tones(scene.colour)
    for tone in dict.fromkeys(p.tone for p in parts):
        if tone in tones:
            mask = _mask([p for p in parts if p.tone == tone], pose)
            picture = _blend(picture, np.asarray(tones[tone], np.float32) * light, mask)
    return picture


def draw(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scene as a picture, SIDExSIDEx3 uint8 RGB."""
    picture = draw_object(draw_background(scene.background, rng), scene, sample_pose(scene, rng))
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)

"""Render the training scenes: `python -m training.data` writes pictures and their scenes to the work folder."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from training.common import SEED, WORK, replace_file, save_array
from training.pairs import Pair, Thing, draw_pair, sample_pair
from training.scenes import SIDE, Scene, draw, sample_scene

PICTURES = WORK / "pictures.npy"
SCENES = WORK / "scenes.json"
PAIR_PICTURES = WORK / "pair-pictures.npy"
PAIR_SCENES = WORK / "pair-scenes.json"
_CHUNK = 500

Pictures = NDArray[np.uint8]


def _render(chunk: int) -> tuple[Pictures, list[Scene]]:
    rng = np.random.default_rng([SEED, chunk])
    scenes = [sample_scene(rng) for _ in range(_CHUNK)]
    return np.stack([draw(scene, rng) for scene in scenes]), scenes


def _render_pairs(chunk: int) -> tuple[Pictures, list[Pair]]:
    rng = np.random.default_rng([SEED, 4, chunk])
    pairs = [sample_pair(rng) for _ in range(_CHUNK)]
    return np.stack([draw_pair(pair, rng) for pair in pairs]), pairs


def render(count: int, processes: int, *, pairs: bool = False) -> None:
    """Draw `count` scenes (a multiple of 500) of one object, or of two, into their files."""
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    scenes: list[Scene | Pair] = []
    with multiprocessing.Pool(processes) as pool:
        parts = pool.imap(_render_pairs if pairs else _render, range(count // _CHUNK))
        for i, (part, part_scenes) in enumerate(parts):
            pictures[i * _CHUNK : (i + 1) * _CHUNK] = part
            scenes += part_scenes
    save_array(PAIR_PICTURES if pairs else PICTURES, pictures)
    text = json.dumps([asdict(s) for s in scenes])
    replace_file(PAIR_SCENES if pairs else SCENES, lambda p: p.write_text(text))


def load_pictures() -> NDArray[np.uint8]:
    """All rendered pictures, mapped from the file: N x SIDE x SIDE x 3."""
    return np.load(PICTURES, mmap_mode="r")


def load_scenes() -> Sequence[Scene]:
    """The scenes of `load_pictures`, in the same order."""
    return [Scene(**s) for s in json.loads(SCENES.read_text())]


def load_pairs() -> Sequence[Pair]:
    """The scenes of two objects, in the order of their pictures; none when they were not drawn."""
    if not PAIR_SCENES.exists():
        return []
    return [
        Pair(Thing(**s["first"]), Thing(**s["second"]), s["relation"], s["background"])
        for s in json.loads(PAIR_SCENES.read_text())
    ]


def main() -> None:
    """Render what is not there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--pairs", type=int, default=60_000, help="pictures of two objects")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if not (SCENES.exists() and PICTURES.exists()):
        render(args.count, args.processes)
        print(f"scenes: {args.count} pictures")
    if args.pairs and not (PAIR_SCENES.exists() and PAIR_PICTURES.exists()):
        render(args.pairs, args.processes, pairs=True)
        print(f"scenes: {args.pairs} pictures of two objects")


if __name__ == "__main__":
    main()

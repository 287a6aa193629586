"""Render the training scenes: `python -m training.data` writes pictures and their scenes to the work folder."""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common import SEED, WORK, replace_file
from training.scenes import SIDE, Scene, draw, sample_scene

PICTURES = WORK / "pictures.npy"
SCENES = WORK / "scenes.json"
_CHUNK = 500


def _render(chunk: int) -> tuple[NDArray[np.uint8], list[Scene]]:
    rng = np.random.default_rng([SEED, chunk])
    scenes = [sample_scene(rng) for _ in range(_CHUNK)]
    return np.stack([draw(scene, rng) for scene in scenes]), scenes


def render(count: int, processes: int) -> None:
    """Draw `count` scenes (a multiple of 500) into PICTURES and SCENES."""
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    scenes: list[Scene] = []
    with multiprocessing.Pool(processes) as pool:
        for i, (part, part_scenes) in enumerate(pool.imap(_render, range(count // _CHUNK))):
            pictures[i * _CHUNK : (i + 1) * _CHUNK] = part
            scenes += part_scenes
    _write(PICTURES, pictures)
    replace_file(SCENES, lambda p: p.write_text(json.dumps([asdict(s) for s in scenes])))


def _write(path: Path, array: NDArray[np.uint8]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array)

    replace_file(path, write)


def load_pictures() -> NDArray[np.uint8]:
    """All rendered pictures, mapped from the file: N x SIDE x SIDE x 3."""
    return np.load(PICTURES, mmap_mode="r")


def load_scenes() -> Sequence[Scene]:
    """The scenes of `load_pictures`, in the same order."""
    return [Scene(**s) for s in json.loads(SCENES.read_text())]


def main() -> None:
    """Render unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if SCENES.exists() and PICTURES.exists():
        print("scenes: already there")
        return
    render(args.count, args.processes)
    print(f"scenes: {args.count} pictures")


if __name__ == "__main__":
    main()

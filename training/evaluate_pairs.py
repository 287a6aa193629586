"""Measure how well `tiny` draws two objects in a relation (`python -m training.evaluate_pairs`).

As `training.evaluate` does for one object: the scenes are `reserved` ones, which training never draws, and half of
them hold a pair of colour and shape that no training picture shows. The controls are the same, and one more: the
model's own pictures judged with both objects swapped, so that only the relation is wrong.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.captions import describe_pair
from training.common import MODEL, SEED, WORK, replace_file, save_sheet
from training.evaluate import generate, load_pipeline, reconstruct, shares, table
from training.pair_judge import PairVerdict, judge_pair
from training.pairs import RELATIONS, Pair, draw_pair, sample_pair
from training.scenes import PLAIN

PARTS = ("background", "colour", "shape", "relation", "objects", "everything")


def pairs_to_draw(count: int) -> list[Pair]:
    """Different scenes never trained on: every second one holds a held-out pair of colour and shape."""
    rng, pairs = np.random.default_rng([SEED, 87]), dict[Pair, None]()
    while len(pairs) < count:
        pairs[sample_pair(rng, held_out=len(pairs) % 2 == 1, reserve=True)] = None
    return list(pairs)


def tally(pictures: NDArray[np.uint8], pairs: Sequence[Pair]) -> list[PairVerdict]:
    """The judge's verdict on each picture."""
    return [judge_pair(picture, pair) for picture, pair in zip(pictures, pairs, strict=True)]


def evaluate(folder: Path, count: int) -> tuple[dict[str, dict[str, float]], NDArray[np.uint8]]:
    """All rows of the table, and the pictures of the first 64 prompts."""
    pipeline = load_pipeline(folder)
    pairs = pairs_to_draw(count)
    pictures = generate(pipeline, [describe_pair(p) for p in pairs], seed=5000)
    verdicts = tally(pictures, pairs)
    groups: dict[str, list[bool]] = {
        "all": [True] * count,
        "plain backgrounds": [p.background in PLAIN for p in pairs],
        "landscapes": [p.background not in PLAIN for p in pairs],
        "pairs drawn in training": [i % 2 == 0 for i in range(count)],
        "pairs held out": [i % 2 == 1 for i in range(count)],
        "no small object": [all(t.size != "small" for t in p.things) for p in pairs],
        "a small object": [any(t.size == "small" for t in p.things) for p in pairs],
        "both in one colour": [p.first.colour == p.second.colour for p in pairs],
    } | {relation: [p.relation == relation for p in pairs] for relation in RELATIONS}
    rows = {
        name: shares([v for v, keep in zip(verdicts, kept, strict=True) if keep], PARTS)
        for name, kept in groups.items()
    }  # fmt: skip
    rng = np.random.default_rng([SEED, 88])
    truth = np.stack([draw_pair(p, rng) for p in pairs])
    swapped = [replace(p, first=p.second, second=p.first) for p in pairs]
    rows["judge on true renders"] = shares(tally(truth, pairs), PARTS)
    rows["judge on reconstructions"] = shares(tally(reconstruct(pipeline, truth), pairs), PARTS)
    rows["judge on swapped objects"] = shares(tally(pictures, swapped), PARTS)
    rows["judge on the next prompt's picture"] = shares(tally(np.roll(pictures, 1, axis=0), pairs), PARTS)
    return rows, pictures[:64]


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    rows, pictures = evaluate(args.model, args.count)
    save_sheet(WORK / "evaluation-pairs.png", pictures, 8)
    replace_file(WORK / "evaluation-pairs.json", lambda p: p.write_text(json.dumps(rows, indent=1)))
    replace_file(WORK / "evaluation-pairs.md", lambda p: p.write_text(table(rows, PARTS) + "\n"))
    print(table(rows, PARTS))


if __name__ == "__main__":
    main()

"""Measure how well `tiny` follows prompts it never saw (`python -m training.evaluate`).

Prints a table and writes it, with a contact sheet and the numbers as JSON, to the work folder. The prompts are
fixed by a seed; none of their scenes is among those that `training.data` drew, which must be there to tell.
Half of the scenes show pairs of colour and shape that no training picture shows. As controls
the judge also sees true renders, the autoencoder's reconstructions of them, and the model's pictures against
each other's prompts, where it must find nothing right but by chance.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from numpy.typing import NDArray

from training.captions import describe
from training.common import MODEL, SEED, WORK, Module, replace_file, save_sheet, to_pictures, to_tensor
from training.data import load_scenes
from training.judge import Verdict, judge
from training.scenes import PLAIN, Scene, draw, sample_scene

PARTS = ("background", "colour", "shape", "place", "everything")


def load_pipeline(folder: Path) -> Module:
    """The model in float32 with Euler's sampler."""
    pipeline: Module = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, dtype=torch.float32, local_files_only=True
    )
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: Module, prompts: Sequence[str], seed: int, steps: int = 20, guidance: float = 4.0
) -> NDArray[np.uint8]:
    """One 128x128 picture a prompt; the noise of prompt i comes from the seed `seed + i`."""
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(prompts), 16):
        some = list(prompts[start : start + 16])
        noise = [torch.Generator().manual_seed(seed + start + i) for i in range(len(some))]
        parts.append(
            pipeline(
                some, height=128, width=128, num_inference_steps=steps, guidance_scale=guidance, generator=noise,
                output_type="np",
            ).images
        )  # fmt: skip
    return (np.concatenate(parts) * 255).round().astype(np.uint8)


def scenes_to_draw(count: int, drawn: Collection[Scene]) -> list[Scene]:
    """Different scenes that are not among `drawn`: every second one shows a held-out pair of colour and shape."""
    rng, taken, scenes = np.random.default_rng([SEED, 77]), set(drawn), list[Scene]()
    while len(scenes) < count:
        scene = sample_scene(rng, held_out=len(scenes) % 2 == 1)
        if scene not in taken:
            taken.add(scene)
            scenes.append(scene)
    return scenes


def tally(pictures: NDArray[np.uint8], scenes: Sequence[Scene]) -> list[Verdict]:
    """The judge's verdict on each picture."""
    return [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]


def shares(verdicts: Sequence[Any], parts: Sequence[str] = PARTS) -> dict[str, float]:
    """Per cent of the verdicts in which each part is right, and their number."""
    count = Counter({part: sum(getattr(v, part) for v in verdicts) for part in parts})
    return {"n": len(verdicts)} | {part: round(100 * count[part] / max(1, len(verdicts)), 1) for part in parts}


def table(rows: dict[str, dict[str, float]], parts: Sequence[str] = PARTS) -> str:
    """The rows as a Markdown table."""
    lines = ["| prompts | n | " + " | ".join(parts) + " |", "| --- |" + " ---: |" * (len(parts) + 1)]
    for name, row in rows.items():
        lines.append(f"| {name} | {row['n']} | " + " | ".join(f"{row[p]:.0f}" for p in parts) + " |")
    return "\n".join(lines)


@torch.no_grad()
def reconstruct(pipeline: Module, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures through the autoencoder and back."""
    vae = pipeline.vae
    parts = to_tensor(pictures).split(16)
    return to_pictures(torch.cat([vae.decode(vae.encode(x).latent_dist.mean).sample for x in parts]))


def evaluate(folder: Path, count: int) -> tuple[dict[str, dict[str, float]], NDArray[np.uint8]]:
    """All rows of the table, and the pictures of the first 64 prompts."""
    pipeline = load_pipeline(folder)
    scenes = scenes_to_draw(count, load_scenes())
    pictures = generate(pipeline, [describe(s) for s in scenes], seed=1000)
    verdicts = tally(pictures, scenes)
    pairs = list(zip(scenes, verdicts, strict=True))
    plain = [s.background in PLAIN for s in scenes]
    rows = {"all": shares(verdicts)}
    rows["plain backgrounds"] = shares([v for v, p in zip(verdicts, plain, strict=True) if p])
    rows["landscapes"] = shares([v for v, p in zip(verdicts, plain, strict=True) if not p])
    rows["pairs drawn in training"] = shares(verdicts[::2])
    rows["pairs held out"] = shares(verdicts[1::2])
    for name in ("small", "medium", "large"):
        rows[name] = shares([v for s, v in pairs if s.size == name])
    rng = np.random.default_rng([SEED, 78])
    truth = np.stack([draw(s, rng) for s in scenes])
    rows["judge on true renders"] = shares(tally(truth, scenes))
    rows["judge on reconstructions"] = shares(tally(reconstruct(pipeline, truth), scenes))
    rows["judge on the next prompt's picture"] = shares(tally(np.roll(pictures, 1, axis=0), scenes))
    wrong = [asdict(s) | asdict(v) for s, v in pairs if not v.everything]
    replace_file(WORK / "wrong.json", lambda p: p.write_text(json.dumps(wrong, indent=1)))
    return rows, pictures[:64]


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=400)
    args = parser.parse_args()
    rows, pictures = evaluate(args.model, args.count)
    save_sheet(WORK / "evaluation.png", pictures, 8)
    replace_file(WORK / "evaluation.json", lambda p: p.write_text(json.dumps(rows, indent=1)))
    replace_file(WORK / "evaluation.md", lambda p: p.write_text(table(rows) + "\n"))
    print(table(rows))


if __name__ == "__main__":
    main()

"""Measure the extras of `tiny` (`python -m training.evaluate_extras`) through nodegraph's own nodes.

Each is used as a user would use it, on scenes and seeds fixed beforehand, beside a control without it. What is not
there is left out. The numbers land in the work folder as JSON and as Markdown, with a sheet of pictures of each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import nodegraph
from training import inversion, outlines, preview
from training.captions import describe
from training.common import SEED, WORK, replace_file, save_sheet
from training.extra_workflows import CONTROL, INPAINT, LORA, PLAIN, Studio, studio, to_uint8
from training.extras import MODELS
from training.judge import Floats, Verdict, ground, judge
from training.scenes import PLACES, REACH, SIDE, SIZES, Scene, draw, sample_scene, visible
from training.styles import STYLES, look_styled, object_mask, suits

Row = Mapping[str, float]
Pictures = list[NDArray[np.uint8]]
STEPS = 20
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def _mean(values: Sequence[float | bool]) -> float:
    return round(float(np.mean(values)), 3)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def judge_style(
    at: Studio, style: str, count: int, strengths: Sequence[float] = STRENGTHS
) -> tuple[dict[str, Row], Pictures]:
    """The style's measure and what is kept of the content, at rising strength."""
    rng, scenes, workflow = np.random.default_rng([SEED, 20]), list[Scene](), nodegraph.loads(LORA)
    while len(scenes) < count:
        scene = sample_scene(rng)
        if suits(scene, style) and scene.size != "small":
            scenes.append(scene)
    rows, sheet = dict[str, Row](), Pictures()
    for strength in strengths:
        params = {"file": f"tiny-{style}.safetensors", "strength": strength, "steps": STEPS}
        drawn = [at.draw(workflow, params | {"prompt": describe(scene), "seed": i}) for i, scene in enumerate(scenes)]
        seen = [look_styled(picture) for picture in drawn]
        row = {part: _mean([getattr(a, part) == getattr(b, part) for a, b in zip(seen, scenes, strict=True)])
               for part in ("background", "colour", "shape")}  # fmt: skip
        rows[f"{style}, strength {strength}"] = {"style": _mean([getattr(each, style) for each in seen])} | row
        sheet += drawn[:8]
    return rows, sheet


def judge_outlines(at: Studio, count: int) -> tuple[dict[str, Row], Pictures]:
    """How well objects fill the outline that was shown, with the ControlNet and without."""
    rng, workflow = np.random.default_rng([SEED, 21]), nodegraph.loads(CONTROL)
    asked = [outlines.draw_outlined(rng, held_out=i % 4 == 3) for i in range(count)]
    rows, sheet = dict[str, Row](), Pictures()
    for each in asked[:8]:
        sheet.append(outlines.edges(each.cover))
    for name, strength, shape in (
        ("none", 0.0, True),
        ("outline", 1.0, True),
        ("outline, shape not named", 1.0, False),
    ):
        overlaps, colours, backgrounds = list[float](), list[bool](), list[bool]()
        for i, each in enumerate(asked):
            picture = at.keep(f"cover-{i}.png", _grey(each.cover))
            params = {"prompt": outlines.words(each.scene, shape=shape), "seed": i, "strength": strength}
            drawn = at.draw(workflow, params | {"file": Path(outlines.FILE).name, "picture": picture, "steps": STEPS})
            overlaps.append(overlap(object_mask(ground(drawn)), each.cover > 0.5))
            colours.append(look_styled(drawn).colour == each.scene.colour)
            backgrounds.append(ground(drawn).background == each.scene.background)
            if i < 8:
                sheet.append(drawn)
        rows[name] = {"IoU": _mean(overlaps), "IoU of 0.7": _mean([v >= 0.7 for v in overlaps]),
                      "colour": _mean(colours), "background": _mean(backgrounds)}  # fmt: skip
    return rows, sheet


def _grey(cover: Floats) -> NDArray[np.uint8]:
    return np.repeat((cover * 255).round().astype(np.uint8)[..., None], 3, axis=-1)


def judge_inversion(at: Studio, count: int) -> tuple[dict[str, Row], Pictures]:
    """How often a sun is drawn, in each of its parts, when it is asked for by its vectors, or by other words."""
    workflow = nodegraph.loads(PLAIN)
    scenes = inversion.sample_suns(np.random.default_rng([SEED, 22]), count)
    rows, sheet = dict[str, Row](), Pictures()
    for called in (f"embedding:{Path(inversion.FILE).stem}", "a sun", "a shape"):
        seen = list[Verdict]()
        for i, scene in enumerate(scenes):
            drawn = at.draw(workflow, {"prompt": inversion.words(scene, called), "seed": i, "steps": STEPS})
            seen.append(judge(drawn, scene))
            if i < 8:
                sheet.append(drawn)
        rows[called] = {part: _mean([getattr(each, part) for each in seen])
                        for part in ("background", "colour", "shape", "place")}  # fmt: skip
    return rows, sheet


def judge_preview(at: Studio, count: int) -> tuple[dict[str, Row], Pictures]:
    """How near previews come to the decoder's pictures, of the sampled latents (dB); the linear map's beside them."""
    from nodegraph.context import Context
    from nodes.diffusion.preview import preview_image
    from nodes.previews import preview_map, previewer

    rng, workflow = np.random.default_rng([SEED, 23]), nodegraph.loads(PLAIN)
    errors: dict[str, list[float]] = {"linear map": [], "small decoder": []}
    sheet = Pictures()
    for i in range(count):
        params = {"prompt": describe(sample_scene(rng)), "seed": i, "steps": STEPS}
        values = at.values(workflow, params, ["base", "latent", "drawn"])
        model, latent = values["base"][0], values["latent"][0]["samples"] * 0.18215
        context = Context(roots=at.session.settings.roots(workflow), pool=at.session.pool)
        whole = to_uint8(values["drawn"][0])
        shown = {
            "linear map": np.asarray(preview_image(latent, preview_map(model))),
            "small decoder": np.asarray(previewer(model, context)(latent)),
        }
        for name, picture in shown.items():
            errors[name].append(float(np.square((picture.astype(float) - whole) / 255).mean()))
        if i < 8:
            sheet += [whole, *shown.values()]
    return {name: {"dB": round(-10 * float(np.log10(np.mean(each))), 2)} for name, each in errors.items()}, sheet


def judge_inpainting(at: Studio, count: int) -> tuple[dict[str, Row], Pictures]:
    """Whether what lies outside of a mask stays to the bit, and what is inside follows the prompt."""
    rng, workflow = np.random.default_rng([SEED, 24]), nodegraph.loads(INPAINT)
    parts: dict[str, list[bool]] = {name: [] for name in ("outside", "background", "colour", "shape", "place")}
    sheet = Pictures()
    while len(parts["outside"]) < count:
        before, after, i = sample_scene(rng), sample_scene(rng), len(parts["outside"])
        after = Scene(after.shape, after.colour, before.background, before.size, before.place)
        if before.size == "small" or after.colour == before.colour or not visible(after.colour, after.background):
            continue
        original, mask = draw(before, rng), mask_around(before)
        params = {"prompt": describe(after), "seed": i, "steps": STEPS}
        params |= {"picture": at.keep(f"original-{i}.png", original), "mask": at.keep(f"mask-{i}.png", mask)}
        drawn = at.draw(workflow, params, "whole")
        verdict, outside = judge(drawn, after), mask[..., 0] == 0
        parts["outside"].append(bool((drawn[outside] == original[outside]).all()))
        for name in ("background", "colour", "shape", "place"):
            parts[name].append(getattr(verdict, name))
        if i < 8:
            sheet += [original, drawn]
    return {"inpainting": {name: _mean(values) for name, values in parts.items()}}, sheet


def mask_around(scene: Scene) -> NDArray[np.uint8]:
    """White where the scene's object and its shadow lie, whatever its pose, to whole latents."""
    dx, dy = PLACES[scene.place]
    half = SIZES[scene.size] / 2 + 0.08
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    low = [max(0, int(SIDE * (0.5 + d * REACH[scene.size] - half)) // 8 * 8) for d in (dx, dy)]
    high = [min(SIDE, -(-int(SIDE * (0.5 + d * REACH[scene.size] + half)) // 8) * 8) for d in (dx, dy)]
    mask[low[1] : high[1], low[0] : high[0]] = 255
    return mask


def table(rows: Mapping[str, Row]) -> str:
    """Rows with the same columns as Markdown."""
    parts = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(parts)} |", "| --- |" + " ---: |" * len(parts)]
    return "\n".join(
        [*lines, *(f"| {name} | {' | '.join(f'{v:.4g}' for v in row.values())} |" for name, row in rows.items())]
    )


def main() -> None:
    """Evaluate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=48, help="pictures for each figure")
    parser.add_argument("--models", type=Path, action="append", default=[], help="folders to look for models in first")
    parser.add_argument("--only", choices=["outlined", "striped", "outlines", "inversion", "preview", "inpainting"])
    args = parser.parse_args()
    torch.manual_seed(SEED)
    models: list[Path] = [*args.models, MODELS]
    judges = {
        **{
            style: (f"loras/tiny-{style}.safetensors", lambda at, n, s=style: judge_style(at, s, n)) for style in STYLES
        },
        "outlines": (outlines.FILE, judge_outlines),
        "inversion": (inversion.FILE, judge_inversion),
        "preview": (preview.FILE, judge_preview),
        "inpainting": ("tiny/model_index.json", judge_inpainting),
    }
    with tempfile.TemporaryDirectory() as folder, studio(Path(folder), models) as at:
        for name, (file, run) in judges.items():
            if (args.only or name) != name or not any((root / file).is_file() for root in models):
                continue
            rows, sheet = run(at, args.count)
            save_sheet(WORK / f"extras-{name}.png", np.stack(sheet), 8)
            replace_file(WORK / f"extras-{name}.json", lambda p, rows=rows: p.write_text(json.dumps(rows, indent=1)))
            print(f"{name}\n{table(rows)}\n", flush=True)


if __name__ == "__main__":
    main()

"""The shipped model `tiny` draws what fixed prompts say: a broken sampler, text path or weight fails here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import nodegraph
from nodes.diffusion.folders import blueprint
from nodes.diffusion.loading import load_module
from nodes.diffusion.pictures import to_image
from training.judge import Verdict, judge, look
from training.scenes import SIZES, Scene
from training.scenes import draw as draw_scene

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "tiny"

PROMPTS: dict[str, Scene] = {
    "a red star at night under the stars": Scene("star", "red", "night"),
    "a small yellow fish in the sea": Scene("fish", "yellow", "sea", "small"),
    "a blue house on a meadow": Scene("house", "blue", "meadow"),
    "a large green heart on a pink background": Scene("heart", "green", "pink", "large"),
    "a purple moon in the top left corner on a white background": Scene(
        "moon", "purple", "white", "medium", "top left"
    ),
    "a large orange circle on the right on a blue background": Scene("circle", "orange", "blue", "large", "right"),
    "a black cross on the left on a yellow background": Scene("cross", "black", "yellow", "medium", "left"),
    "a big white square at sunset": Scene("square", "white", "sunset", "large"),
    "a pink flower at the bottom in the snow": Scene("flower", "pink", "snow", "medium", "bottom"),
    "a large blue ring on a black background": Scene("ring", "blue", "black", "large"),
    "a yellow triangle at the top on a purple background": Scene("triangle", "yellow", "purple", "medium", "top"),
    "a red circle in the bottom right corner on a green background": Scene(
        "circle", "red", "green", "medium", "bottom right"
    ),
}


@pytest.fixture(scope="module")
def session() -> Iterator[nodegraph.Session]:
    with nodegraph.Session() as session:
        yield session


def draw(session: nodegraph.Session, prompts: Sequence[str], seed: int) -> list[Image.Image]:
    """One picture a prompt, as workflows/hello.yaml draws it, with the seed `seed` + the prompt's index."""
    workflow = nodegraph.load(ROOT / "workflows" / "hello.yaml")
    runs = [
        session.run(workflow, {"prompt": prompt, "seed": seed + i}, only=["picture"])
        for i, prompt in enumerate(prompts)
    ]
    return [to_image(cast(torch.Tensor, run["picture"])[0]) for run in runs]


@pytest.fixture(scope="module")
def pictures(session: nodegraph.Session) -> list[Image.Image]:
    """The pictures of PROMPTS, twelve from one seed and twelve from another."""
    return draw(session, tuple(PROMPTS), seed=100) + draw(session, tuple(PROMPTS), seed=200)


SCENES = [*PROMPTS.values()] * 2


def _verdicts(pictures: Sequence[Image.Image]) -> list[Verdict]:
    return [judge(picture, scene) for picture, scene in zip(pictures, SCENES, strict=True)]


def test_the_pictures_show_what_the_prompts_say(pictures: list[Image.Image]) -> None:
    # Measured with the shipped weights: 24 backgrounds, 24 colours, 19 shapes of 24, and 12 of 12 places.
    verdicts = _verdicts(pictures)
    placed = [verdict.place for verdict, scene in zip(verdicts, SCENES, strict=True) if scene.place != "centre"]
    assert len(placed) == 12
    assert sum(v.background for v in verdicts) >= 23
    assert sum(v.colour for v in verdicts) >= 23
    assert sum(v.shape for v in verdicts) >= 17
    assert sum(placed) >= 11


def test_large_objects_are_larger_than_small_ones(pictures: list[Image.Image]) -> None:
    sides: dict[str, list[float]] = {size: [] for size in SIZES}
    for picture, scene in zip(pictures, SCENES, strict=True):
        sides[scene.size].append(look(picture).side)
    assert np.mean(sides["small"]) + 0.1 < np.mean(sides["large"])


def test_the_pictures_of_other_prompts_do_not_pass(pictures: list[Image.Image]) -> None:
    verdicts = _verdicts(pictures[1:] + pictures[:1])
    assert sum(v.background for v in verdicts) <= 2
    assert sum(v.everything for v in verdicts) == 0


def test_the_words_and_the_seed_decide_the_picture(session: nodegraph.Session, pictures: list[Image.Image]) -> None:
    first = next(iter(PROMPTS))
    with nodegraph.Session() as fresh:
        again = draw(fresh, [first], seed=100)[0]
    other_seed = draw(session, [first], seed=7)[0]
    assert again.tobytes() == pictures[0].tobytes()
    assert np.abs(np.asarray(other_seed, np.int16) - np.asarray(pictures[0], np.int16)).max() > 40


def test_the_weights_are_small_half_precision_safetensors() -> None:
    files = sorted(MODEL.rglob("*.safetensors"))
    assert [path.parent.name for path in files] == ["text_encoder", "unet", "vae"]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    for path in files:
        with safe_open(path, "pt") as weights:
            assert {weights.get_slice(name).get_dtype() for name in sorted(weights.keys())} == {"F16"}
    assert not [path for path in MODEL.rglob("*") if path.suffix in (".bin", ".pt", ".ckpt", ".pkl")]


def test_the_preview_map_gives_the_colours_of_the_picture() -> None:
    preview = json.loads((MODEL / "preview.json").read_text())
    factors, bias = np.array(preview["factors"]), np.array(preview["bias"])
    assert factors.shape == (4, 3) and bias.shape == (3,)
    vae = cast(Any, load_module(blueprint(MODEL, "vae"), torch.device("cpu"), torch.float32))
    for scene in list(PROMPTS.values())[:4]:
        picture = np.asarray(draw_scene(scene, np.random.default_rng(1)), np.float32)
        x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            latent = vae.encode(x).latent_dist.mean[0] * vae.config.scaling_factor
        seen = np.moveaxis(latent.numpy(), 0, -1) @ factors + bias
        wanted = picture.reshape(16, 8, 16, 8, 3).mean((1, 3)) / 127.5 - 1
        assert np.abs(seen - wanted).mean() < 0.2

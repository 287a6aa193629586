"""The shipped model `tiny` draws what fixed prompts say: a broken sampler, text path or weight fails here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from PIL import Image
from safetensors import safe_open

from training.judge import Verdict, judge
from training.scenes import Scene

MODEL = Path(__file__).resolve().parent.parent / "models" / "tiny"

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


@cache
def _pipeline() -> Any:
    pipeline = StableDiffusionPipeline.from_pretrained(
        MODEL, safety_checker=None, dtype=torch.float32, local_files_only=True
    )
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(prompts: Sequence[str], seed: int) -> list[Image.Image]:
    """One 128x128 picture a prompt: 20 Euler steps, guidance 4, noise from `seed` + the prompt's index."""
    noise = [torch.Generator().manual_seed(seed + i) for i in range(len(prompts))]
    return _pipeline()(
        list(prompts), height=128, width=128, num_inference_steps=20, guidance_scale=4.0, generator=noise
    ).images


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """The pictures of PROMPTS."""
    return draw(tuple(PROMPTS), seed=100)


def _verdicts(pictures: Sequence[Image.Image]) -> list[Verdict]:
    return [judge(picture, scene) for picture, scene in zip(pictures, PROMPTS.values(), strict=True)]


def test_the_pictures_show_what_the_prompts_say(pictures: list[Image.Image]) -> None:
    verdicts = _verdicts(pictures)
    named = [scene.place != "centre" for scene in PROMPTS.values()]
    assert sum(v.background for v in verdicts) >= 11
    assert sum(v.colour for v in verdicts) >= 11
    assert sum(v.shape for v in verdicts) >= 8
    assert sum(v.place for v, n in zip(verdicts, named, strict=True) if n) >= sum(named) - 1


def test_the_pictures_of_other_prompts_do_not_pass(pictures: list[Image.Image]) -> None:
    verdicts = _verdicts(pictures[1:] + pictures[:1])
    assert sum(v.background for v in verdicts) <= 1
    assert sum(v.everything for v in verdicts) == 0


def test_the_words_and_the_seed_decide_the_picture(pictures: list[Image.Image]) -> None:
    first = next(iter(PROMPTS))
    again = draw([first], seed=100)[0]
    other_seed = draw([first], seed=7)[0]
    assert np.abs(np.asarray(again, np.int16) - np.asarray(pictures[0], np.int16)).max() <= 2
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
    pipeline = _pipeline()
    for rgb in ((225, 45, 50), (45, 100, 230), (188, 232, 188), (248, 248, 246)):
        picture = torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, 128, 128) / 127.5 - 1
        with torch.no_grad():
            latent = pipeline.vae.encode(picture).latent_dist.mean * pipeline.vae.config.scaling_factor
        seen = (latent[0, :, 8, 8].numpy() @ factors + bias + 1) * 127.5
        assert np.abs(seen - rgb).max() < 60

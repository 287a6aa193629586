"""Guidance in workflows: nodes put together in YAML, run by a session, nothing computed twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

import nodegraph
from nodegraph import Session, Settings
from nodegraph.execution.result import RunResult

TWO_HALVES = """
nodegraph: 1
params: {right: a green heart on a pink background, rescale: 0.7, seed: 3}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  left: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a yellow moon at night}}
  right_text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: $right}}
  nothing: {uses: CLIPTextEncode, with: {clip: $model.clip, text: ""}}
  left_half: {uses: ConditioningSetAreaPercentage, with: {conditioning: $left, width: 0.5}}
  right_half: {uses: ConditioningSetAreaPercentage, with: {conditioning: $right_text, width: 0.5, x: 0.5}}
  both: {uses: ConditioningCombine, with: {conditioning_1: $left_half, conditioning_2: $right_half}}
  calm: {uses: RescaleCFG, with: {model: $model.model, multiplier: $rescale}}
  canvas: {uses: EmptyLatentImage, with: {width: 256, height: 128}}
  latent:
    uses: KSampler
    with:
      {model: $calm, positive: $both, negative: $nothing, latent_image: $canvas, seed: $seed, steps: 8, cfg: 4.0}
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
"""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(Settings(output=tmp_path / "output", cache_dir=tmp_path / "cache")) as session:
        yield session


def halves(result: RunResult) -> np.ndarray:
    """The mean colours of the left and the right half, away from the seam."""
    picture = cast(torch.Tensor, result["picture"])[0].numpy()
    return np.stack([picture[:, :112].mean(axis=(0, 1)), picture[:, 144:].mean(axis=(0, 1))])


def test_two_prompts_draw_two_halves(session: Session) -> None:
    workflow = nodegraph.loads(TWO_HALVES)
    left, right = halves(session.run(workflow, only=["picture"]))
    assert left.max() < 0.5  # night, the sky a little blue
    assert left[2] > left[0] + 0.05
    assert right.min() > 0.6  # pink
    other = halves(session.run(workflow, {"right": "a red star at sunset"}, only=["picture"]))
    assert np.abs(other[0] - left).max() < 0.1
    assert other[1][2] < right[2] - 0.2


def test_a_change_of_guidance_runs_the_sampler_again_and_no_prompt(session: Session) -> None:
    workflow = nodegraph.loads(TWO_HALVES)
    first = session.run(workflow, only=["picture"])
    again = session.run(workflow, only=["picture"])
    changed = session.run(workflow, {"rescale": 0.0}, only=["picture"])
    assert torch.equal(cast(torch.Tensor, first["picture"]), cast(torch.Tensor, again["picture"]))
    assert not torch.equal(cast(torch.Tensor, first["picture"]), cast(torch.Tensor, changed["picture"]))
    assert again.executed == ()
    assert {"calm", "latent", "picture"} <= set(changed.executed)
    assert not {"left", "right_text", "both", "canvas"} & set(changed.executed)

"""Values that are no numbers: told with the node, the step and a likely cause, and never kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nodegraph import Session, Settings
from nodegraph.workflow.read import load_text
from tests.helpers import TINY, copy_of_tiny

DOCUMENT = """
nodegraph: 1
params: {cfg: 2.0, seed: 1}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: mine}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a star}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with:
      {model: $model.model, positive: $text, negative: $text, latent_image: $canvas, steps: 3, cfg: $cfg, seed: $seed}
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture}}
"""


def spoil(folder: Path, part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Give the last layer of a part other weights."""
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    name = {"unet": "conv_out.bias", "vae": "decoder.conv_out.bias"}[part]
    weights[name] = change(weights[name])
    save_file(weights, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("part", "node"), [("unet", "latent"), ("vae", "picture")])
def test_they_are_told_by_the_node_that_made_them_and_never_kept(tmp_path: Path, part: str, node: str, value: float):
    folder = copy_of_tiny(tmp_path / "models/checkpoints/mine")
    spoil(folder, part, lambda tensor: torch.full_like(tensor, value))
    workflow = load_text(DOCUMENT, file="w.yaml").workflow
    assert workflow is not None
    settings = Settings(
        output=tmp_path / "output", models=(tmp_path / "models",), cache_dir=tmp_path / "cache", device="cpu",
        free_space=0,
    )  # fmt: skip
    for _ in range(2):  # in a new process, as it were: only the cache folder is the same
        with Session(settings) as session:
            result = session.run(workflow)
        (problem,) = result.problems
        assert (result.status, problem.code, problem.node) == ("failed", "not_finite", node)
        assert problem.place.line is not None and problem.hint
        assert ("after step 1 of 3" in problem.message) == (part == "unet")
        assert node not in result.executed + result.cached
        assert "save" in result.skipped
    assert not list((tmp_path / "output").rglob("*.png"))
    (file,) = (folder / part).glob("*.safetensors")
    file.write_bytes((TINY / part / file.name).read_bytes())
    with Session(settings) as session:
        again = session.run(workflow)
    assert again.status == "done", again.problems
    assert node in again.executed

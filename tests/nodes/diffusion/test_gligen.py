"""GLIGEN on a clone of a plain UNet gives what diffusers' UNet with gated attention gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from nodes.diffusion.gligen import BoxRunner, WrongModel, check_boxes, load_gligen, places_of, read_gligen_file
from nodes.diffusion.headers import UnreadableModel
from tests.nodes.steering_models import gligen_file, randn, save, unet, vision_model

CPU = torch.device("cpu")
X, T, PROMPT = randn(2, 4, 8, 16), torch.tensor([500, 20]), randn(2, 5, 768, seed=1)
BOXES = [(randn(768, seed=3), 4, 8, 2, 6), (randn(768, seed=4), 2, 2, 0, 0)]


@pytest.fixture(scope="module")
def gated() -> UNet2DConditionModel:
    return unet("sd1", attention_type="gated")


def plain_of(gated: UNet2DConditionModel) -> UNet2DConditionModel:
    model = unet("sd1")
    model.load_state_dict({name: tensor for name, tensor in gated.state_dict().items() if name in model.state_dict()})
    return model


def network(gated: UNet2DConditionModel, folder: Path, layout: str = "original") -> Any:
    return load_gligen(save(folder / f"{layout}.safetensors", gligen_file(gated, layout)), CPU, torch.float32)


def run(model: nn.Module, **told: Any) -> Tensor:
    with torch.no_grad():
        return model(X, T, PROMPT, **told).sample


def told_by_hand(size: tuple[int, int]) -> dict[str, Any]:
    rows, columns = size
    corners, names, masks = torch.zeros(2, 30, 4), torch.zeros(2, 30, 768), torch.zeros(2, 30)
    for i, (name, h, w, y, x) in enumerate(BOXES):
        corners[:, i] = torch.tensor([x / columns, y / rows, (x + w) / columns, (y + h) / rows])
        names[:, i], masks[:, i] = name, 1
    return {"gligen": {"boxes": corners, "positive_embeddings": names, "masks": masks}}


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_a_clone_with_boxes_gives_what_diffusers_gives(
    gated: UNet2DConditionModel, layout: str, tmp_path: Path
) -> None:
    base = plain_of(gated)
    runner = BoxRunner(network(gated, tmp_path, layout), BOXES)
    clone = runner.attached(base)
    given = run(clone, cross_attention_kwargs=runner.arguments(2, 8, 16))
    wanted = run(gated, cross_attention_kwargs=told_by_hand((8, 16)))
    torch.testing.assert_close(given, wanted, atol=1e-4, rtol=1e-4)
    without = run(base)
    assert not torch.allclose(given, without, atol=1e-3)
    assert torch.equal(run(clone), without)  # told of nothing, the clone is what it is a clone of
    assert not any("fuser" in name for name, _ in base.named_modules())
    assert runner.attached(base) is clone


def test_boxes_lie_in_the_whole_latent_if_its_size_is_known(gated: UNet2DConditionModel, tmp_path: Path) -> None:
    runner = BoxRunner(network(gated, tmp_path), BOXES, (32, 32))
    told = runner.arguments(2, 8, 16)["gligen"]
    for name, tensor in told_by_hand((32, 32))["gligen"].items():
        torch.testing.assert_close(told[name], tensor)


def test_what_does_not_fit_is_refused(gated: UNet2DConditionModel, tmp_path: Path) -> None:
    gligen = network(gated, tmp_path)
    with pytest.raises(WrongModel, match="transformers"):
        BoxRunner(gligen, BOXES).attached(unet("xl"))
    with pytest.raises(WrongModel, match="another family"):
        BoxRunner(gligen, BOXES).attached(unet("sd2"))
    with pytest.raises(WrongModel, match="at most 30 boxes"):
        check_boxes(gligen, BOXES * 16)
    with pytest.raises(WrongModel, match="names of width 768"):
        check_boxes(gligen, [(randn(5), 1, 1, 1, 1)])


def test_fusers_follow_the_order_of_a_unets_blocks() -> None:
    names = [
        "output_blocks.3",
        "output_blocks.11",
        "input_blocks.10",
        "input_blocks.2",
        "middle_block",
        "input_blocks.1",
    ]
    found = places_of(f"{name}.1.transformer_blocks.0.fuser.linear.weight" for name in names)
    assert [name.split(".1.transformer")[0] for name in found] == [
        "input_blocks.1", "input_blocks.2", "input_blocks.10", "middle_block", "output_blocks.3", "output_blocks.11",
    ]  # fmt: skip


def test_other_files_are_refused(gated: UNet2DConditionModel, tmp_path: Path) -> None:
    whole = gligen_file(gated)
    for i, (weights, reason) in enumerate(
        [
            (vision_model().state_dict(), "no GLIGEN model"),
            ({k: v for k, v in whole.items() if "position_net.linears.4" not in k}, "make no sense"),
            ({k: v for k, v in whole.items() if not k.startswith("middle_block") or "alpha" not in k}, "are missing"),
        ]
    ):  # fmt: skip
        path = save(tmp_path / f"{i}.safetensors", weights)
        with pytest.raises(UnreadableModel, match=reason):
            load_gligen(path, CPU, torch.float32)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableModel):
        read_gligen_file(path)

"""Merges of models, through the nodes: what they draw, what they share, and merges of merges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nodegraph.cache.pool import LivePool
from nodegraph.sockets import Clip, Model
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.diffusion.changes import apply_changes
from nodes.diffusion.merging import Unlike, by_block, merge
from nodes.loras import LoraLoader, LoraLoaderModelOnly
from nodes.merging import (
    CLIPMergeAdd,
    CLIPMergeSimple,
    CLIPMergeSubtract,
    ModelMergeAdd,
    ModelMergeBlocks,
    ModelMergeSimple,
    ModelMergeSubtract,
)
from nodes.models import module_of
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from tests.helpers import context_in, copy_of_tiny, digest_of, problem
from tests.nodes.conftest import Tiny
from tests.nodes.lora_files import tiny_lora
from tests.nodes.small_models import text_encoder, unet


@pytest.fixture
def other(tiny: Tiny) -> tuple[Model, Clip]:
    """Another model: the shipped one with a LoRA."""
    given = LoraLoader(tiny.checkpoint.MODEL, tiny.checkpoint.CLIP, tiny_lora(tiny), 0.8, 0.5, tiny.context)
    return given.MODEL, given.CLIP


def weights(handle: Any, tiny: Tiny) -> dict[str, Tensor]:
    return dict(module_of(handle, tiny.context).named_parameters())


def close(given: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, tensor in given.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-5)


def picture(tiny: Tiny, model: Model) -> str:
    samples = KSampler(
        model, 3, 2, 4.0, positive=tiny.positive, negative=tiny.negative, latent_image=tiny.canvas(),
        context=tiny.context,
    )["samples"]  # fmt: skip
    return digest_of(samples)


def test_ratios_1_and_0_draw_what_either_model_draws(tiny: Tiny, other: tuple[Model, Clip]):
    own, another = tiny.checkpoint.MODEL, other[0]
    pictures = [picture(tiny, ModelMergeSimple(own, another, ratio)) for ratio in (1.0, 0.0, 0.5)]
    assert pictures[:2] == [picture(tiny, own), picture(tiny, another)]
    assert len(set(pictures)) == 3
    assert ModelMergeSimple(own, another, 1.0) == own
    assert picture(tiny, ModelMergeBlocks(own, another, 0, 0, 0)) == pictures[1]


def test_a_ratio_of_0_shares_the_other_models_weights(tiny: Tiny, other: tuple[Model, Clip]):
    pool = LivePool()
    context = replace(tiny.context, pool=pool)
    module_of(other[0], context)
    module_of(tiny.checkpoint.MODEL, context)
    before = pool.used
    module_of(ModelMergeSimple(tiny.checkpoint.MODEL, other[0], 0.0), context)
    assert pool.used == before


def test_a_merge_is_the_mean_by_its_ratio(tiny: Tiny, other: tuple[Model, Clip]):
    a, b = weights(tiny.checkpoint.MODEL, tiny), weights(other[0], tiny)
    given = weights(ModelMergeSimple(tiny.checkpoint.MODEL, other[0], 0.3), tiny)
    close(given, {name: 0.3 * a[name] + 0.7 * b[name] for name in a})


def test_blocks_have_ratios_of_their_own(tiny: Tiny, other: tuple[Model, Clip]):
    a, b = weights(tiny.checkpoint.MODEL, tiny), weights(other[0], tiny)
    given = weights(ModelMergeBlocks(tiny.checkpoint.MODEL, other[0], 0.25, 1.0, 0.0), tiny)
    ratios = {"conv_in": 0.25, "time_embedding": 0.25, "down_blocks": 0.25, "mid_block": 1.0}
    ratios |= dict.fromkeys(["up_blocks", "conv_norm_out", "conv_out"], 0.0)
    expected = {}
    for name in a:
        ratio = ratios[name.split(".")[0]]
        expected[name] = ratio * a[name] + (1 - ratio) * b[name]
    close(given, expected)
    assert set(ratios) == {name.split(".")[0] for name in a}


def test_every_weight_of_an_xl_model_has_a_block():
    shares = by_block(0.1, 0.2, 0.3)
    found = {name.split(".")[0]: shares(name)[0] for name, _ in unet("xl").named_parameters()}
    assert found == {
        "conv_in": 0.1, "time_embedding": 0.1, "add_embedding": 0.1, "down_blocks": 0.1, "mid_block": 0.2,
        "up_blocks": 0.3, "conv_norm_out": 0.3, "conv_out": 0.3,
    }  # fmt: skip


def test_a_difference_added_gives_the_other_model(tiny: Tiny, other: tuple[Model, Clip]):
    own = tiny.checkpoint.MODEL
    difference = ModelMergeSubtract(other[0], own)
    a, b = weights(own, tiny), weights(other[0], tiny)
    close(weights(difference, tiny), {name: b[name] - a[name] for name in a})
    close(weights(ModelMergeSubtract(other[0], own, -2.0), tiny), {name: -2 * (b[name] - a[name]) for name in a})
    close(weights(ModelMergeAdd(own, difference), tiny), b)


def test_merges_of_merges_and_loras_in_their_order(tiny: Tiny, other: tuple[Model, Clip]):
    own = tiny.checkpoint.MODEL
    half = ModelMergeSimple(own, other[0], 0.5)
    quarter = ModelMergeSimple(own, half, 0.5)
    a, b = weights(own, tiny), weights(other[0], tiny)
    close(weights(quarter, tiny), {name: 0.75 * a[name] + 0.25 * b[name] for name in a})
    left = ModelMergeSimple(half, own, 0.5)
    close(weights(left, tiny), weights(quarter, tiny))

    name = tiny_lora(tiny)
    delta = {key: tensor - a[key] for key, tensor in weights(with_lora(tiny, own, name), tiny).items()}
    above = with_lora(tiny, half, name)  # the LoRA comes after the merge, whole
    close(weights(above, tiny), {key: 0.5 * (a[key] + b[key]) + delta[key] for key in a})
    below = ModelMergeSimple(with_lora(tiny, own, name), other[0], 0.5)  # and here half of it
    close(weights(below, tiny), {key: 0.5 * (a[key] + delta[key] + b[key]) for key in a})
    assert above.weights != below.weights


def with_lora(tiny: Tiny, model: Model, name: str) -> Model:
    return LoraLoaderModelOnly(model, name, 1.0, tiny.context)


def test_the_merge_below_a_lora_is_kept_while_its_strength_changes(tiny: Tiny, other: tuple[Model, Clip]):
    context = replace(tiny.context, pool=LivePool())
    half = ModelMergeSimple(tiny.checkpoint.MODEL, other[0], 0.5)
    module_of(with_lora(tiny, half, tiny_lora(tiny)), context)
    merged = module_of(half, context)
    again = module_of(LoraLoaderModelOnly(half, tiny_lora(tiny), 0.5, context), context)
    name = "conv_norm_out.weight"
    assert again.get_parameter(name).data_ptr() == merged.get_parameter(name).data_ptr()


def test_a_chain_of_many_merges_is_no_trouble(tiny: Tiny, other: tuple[Model, Clip]):
    model = tiny.checkpoint.MODEL
    for _ in range(40):
        model = ModelMergeSimple(model, model if len(model.patches) < 12 else other[0], 0.5)
    assert len(model.patches) == 40
    close(weights(model, tiny), weights(other[0], tiny))


def test_text_encoders_are_merged_as_models_are(tiny: Tiny, other: tuple[Model, Clip]):
    own, another = tiny.checkpoint.CLIP, other[1]
    a, b = weights(own, tiny), weights(another, tiny)
    close(weights(CLIPMergeSimple(own, another, 0.3), tiny), {name: 0.3 * a[name] + 0.7 * b[name] for name in a})
    difference = CLIPMergeSubtract(another, own, 1.0)
    close(weights(difference, tiny), {name: b[name] - a[name] for name in a})
    close(weights(CLIPMergeAdd(own, difference), tiny), b)
    texts = [
        digest_of(CLIPTextEncode("a heart", clip, tiny.context))
        for clip in (CLIPMergeSimple(own, another, 0.0), another)
    ]
    assert texts[0] == texts[1]


def test_of_two_text_encoders_each_is_merged_with_its_own(tiny: Tiny, other: tuple[Model, Clip]):
    own, another = tiny.checkpoint.CLIP, other[1]
    pair = replace(own, second=another)
    turned = replace(another, second=own)
    given = CLIPMergeSimple(pair, turned, 0.0)
    assert given.second is not None
    close(weights(given, tiny), weights(another, tiny))
    close(weights(given.second, tiny), weights(own, tiny))
    assert problem(lambda: CLIPMergeSimple(pair, own, 0.5)).code == "bad_value"
    assert problem(lambda: CLIPMergeAdd(own, pair)).code == "bad_value"


def test_the_same_merge_has_the_same_recipe_whatever_else_is_set_on_the_other_model(
    tiny: Tiny, other: tuple[Model, Clip]
):
    own = tiny.checkpoint.MODEL
    first = ModelMergeSimple(own, other[0], 0.5)
    assert first.weights == ModelMergeSimple(own, other[0].with_options(note=1), 0.5).weights
    assert first.weights != ModelMergeSimple(own, other[0], 0.6).weights
    assert first.weights != ModelMergeSimple(own, ModelMergeAdd(own, own), 0.5).weights
    assert first.option("latent_scale", 0) == own.option("latent_scale", 0)


def test_a_merge_notices_that_the_other_models_file_changed(tmp_path: Path):
    folder = copy_of_tiny(tmp_path / "models" / "checkpoints" / "mine")
    context = context_in(tmp_path)
    own, another = (CheckpointLoaderSimple(name, context).MODEL for name in ("tiny", "mine"))
    merged = ModelMergeSimple(own, another, 0.5)
    module_of(merged, context)
    (file,) = (folder / "unet").glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.with_suffix(".new").write_bytes(data)
    file.with_suffix(".new").replace(file)
    assert problem(lambda: module_of(merged, context)).code == "model_changed"


def halves(_: str) -> tuple[float, float]:
    return 0.5, 0.5


def test_weights_that_only_one_model_has_in_that_shape_stay():
    """As an inpainting model's first layer, which has channels more than another's."""
    module, other = unet("tiny", in_channels=9), unet("tiny", seed=1)
    result = merge(module, other, halves)
    assert result.misfits == ("conv_in.weight",)
    given = apply_changes(module, [result.change])
    assert given.get_parameter("conv_in.weight").data_ptr() == module.get_parameter("conv_in.weight").data_ptr()
    name = "conv_out.weight"
    torch.testing.assert_close(given.get_parameter(name), (module.get_parameter(name) + other.get_parameter(name)) / 2)


@pytest.mark.parametrize("other", [text_encoder(), unet("tiny", block_out_channels=(12, 20, 20))])
def test_models_that_have_little_in_common_are_not_merged(other: nn.Module):
    with pytest.raises(Unlike, match="no counterpart"):
        merge(unet("tiny"), other, halves)


def test_a_merge_of_models_of_different_kinds_is_one_clear_problem(tiny: Tiny):
    odd = Model("diffusers", tiny.checkpoint.VAE.path, tiny.checkpoint.VAE.content, "vae")
    found = problem(lambda: weights(ModelMergeSimple(tiny.checkpoint.MODEL, odd, 0.5), tiny))
    assert found.code == "bad_value"
    assert "cannot be merged" in found.message

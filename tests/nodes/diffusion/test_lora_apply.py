"""LoRAs laid over small networks: what the networks compute, what is shared, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.changes import apply_changes, changed_bytes
from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.lora.apply import lay
from nodes.diffusion.lora.extract import extract, low_rank
from nodes.diffusion.lora.files import LoraFile, read_lora
from tests.nodes.lora_files import chance, layers_of, lora_tensors
from tests.nodes.small_models import projecting_text_encoder, randn, text_encoder, unet


def lora(tensors: Mapping[str, Tensor], name: str = "some.safetensors", **alphas: float) -> LoraFile:
    return LoraFile(name, tensors, alphas)


def laid(module: nn.Module, *loras: tuple[Mapping[str, Tensor], float], addressee: Any = "unet") -> Any:
    """A module with LoRAs of some strengths, in order."""
    return apply_changes(module, [lay(lora(each), module, addressee, s).change for each, s in loras])


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in a.state_dict().items())


def run(module: Any) -> Tensor:
    extra = {"text_embeds": randn(2, 8), "time_ids": torch.arange(12.0).reshape(2, 6)}
    given = {"added_cond_kwargs": extra} if module.config.addition_embed_type else {}
    with torch.no_grad():
        return module(randn(2, 4, 16, 16), torch.tensor(500), randn(2, 7, 8, seed=1), return_dict=False, **given)[0]


def add_beside(module: nn.Module, inputs: Sequence[Tensor], output: Tensor, *, up: Tensor, down: Tensor, s: float):
    """What a LoRA is by definition: a second, narrow way past the layer (as a forward hook)."""
    if isinstance(module, nn.Conv2d):
        narrow = functional.conv2d(inputs[0], down, None, module.stride, module.padding)
        return output + s * functional.conv2d(narrow, up)
    return output + s * functional.linear(functional.linear(inputs[0], down), up)


@pytest.mark.parametrize("structure", ["sd1", "xl", "tiny"])
def test_a_network_with_a_lora_computes_what_the_layers_and_the_ways_past_them_do(structure: str):
    module = unet(structure)
    weights = layers_of(module)
    tensors = lora_tensors(weights, "lora_unet_", rank=2, alpha=1.0)
    given = run(laid(module, (tensors, 0.7)))
    plain = run(module)
    for layer in weights:
        key = "lora_unet_" + layer.replace(".", "_")
        way = partial(
            add_beside, up=tensors[f"{key}.lora_up.weight"], down=tensors[f"{key}.lora_down.weight"], s=0.7 * 0.5
        )
        module.get_submodule(layer).register_forward_hook(way)
    torch.testing.assert_close(given, run(module), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(given, plain, atol=1e-2)


def test_what_no_lora_changes_is_shared_and_the_base_stays_as_it_is():
    module = unet()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tensors = lora_tensors(layers_of(module, "attn1"), "lora_unet_")
    change = lay(lora(tensors), module, "unet", 1.0).change
    patched = apply_changes(module, [change])
    for name, parameter in patched.named_parameters():
        own = module.get_parameter(name)
        assert (parameter.data_ptr() == own.data_ptr()) == (name not in change.names)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    made = sum(4 * module.get_parameter(name).numel() for name in change.names)
    assert changed_bytes(module, [change]) == made
    assert not any(parameter.requires_grad for parameter in patched.parameters())


def test_a_lora_and_its_opposite_give_the_module_back():
    module = unet("tiny")
    tensors = lora_tensors(layers_of(module), "lora_unet_", rank=2, alpha=3.0)
    there_and_back = laid(module, (tensors, 0.8), (tensors, -0.8))
    for name, parameter in there_and_back.named_parameters():
        torch.testing.assert_close(parameter, module.get_parameter(name), atol=1e-6, rtol=1e-6)


def test_a_strength_comes_from_the_base_and_not_from_the_last_strength():
    module = unet("tiny")
    tensors = lora_tensors(layers_of(module), "lora_unet_")
    first = laid(module, (tensors, 0.3))
    for strength in (1.0, -2.0, 0.9):
        laid(module, (tensors, strength))
    assert same(laid(module, (tensors, 0.3)), first)


def test_loras_are_laid_in_order():
    module = unet("tiny")
    plain = lora_tensors(layers_of(module, "conv1"), "lora_unet_", seed=1)
    dora = lora_tensors(layers_of(module, "conv1"), "lora_unet_", seed=2)
    for layer, weight in layers_of(module, "conv1").items():
        dora["lora_unet_" + layer.replace(".", "_") + ".dora_scale"] = 2 * torch.linalg.vector_norm(
            weight, dim=(0, 2, 3), keepdim=True
        )
    one, other = laid(module, (plain, 1.0), (dora, 1.0)), laid(module, (dora, 1.0), (plain, 1.0))
    name = "mid_block.resnets.0.conv1.weight"
    assert not torch.allclose(one.get_parameter(name), other.get_parameter(name), atol=1e-2)
    both = laid(laid(module, (plain, 1.0)), (dora, 1.0))
    torch.testing.assert_close(one.get_parameter(name), both.get_parameter(name))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_in_half_precision_are_rounded_once(dtype: torch.dtype):
    module = nn.Module.to(unet("tiny"), dtype)
    tensors = lora_tensors(layers_of(module, "attn"), "lora_unet_", rank=2)
    patched = laid(module, (tensors, 1.0), (tensors, -0.5), (tensors, -0.5))
    for name, parameter in patched.named_parameters():
        assert parameter.dtype == dtype
        assert torch.equal(parameter, module.get_parameter(name))  # summed before rounding: nothing is left of them


def test_the_order_of_memory_of_convolutions_is_kept():
    module = unet("tiny").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    patched = laid(module, (lora_tensors(layers_of(module, "conv1"), "lora_unet_"), 1.0))
    weight = patched.get_parameter("mid_block.resnets.0.conv1.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_differences_of_biases_and_normalisations_are_added():
    module = unet("tiny")
    draw = chance()
    tensors = {"lora_unet_conv_out.diff_b": draw(4), "lora_unet_conv_norm_out.w_norm": draw(8)}
    patched = laid(module, (tensors, 0.5))
    expected = module.get_parameter("conv_out.bias") + 0.5 * tensors["lora_unet_conv_out.diff_b"]
    torch.testing.assert_close(patched.get_parameter("conv_out.bias"), expected)
    expected = module.get_parameter("conv_norm_out.weight") + 0.5 * tensors["lora_unet_conv_norm_out.w_norm"]
    torch.testing.assert_close(patched.get_parameter("conv_norm_out.weight"), expected)


def test_a_joint_projection_in_open_clips_names_is_divided():
    module, draw = projecting_text_encoder(), chance()
    key = "lora_te2_transformer_resblocks_1_attn_in_proj"
    up, down = draw(24, 2), draw(2, 8)
    patched = laid(module, ({f"{key}.lora_up.weight": up, f"{key}.lora_down.weight": down}, 1.0), addressee="te2")
    for i, part in enumerate("qkv"):
        name = f"text_model.encoder.layers.1.self_attn.{part}_proj.weight"
        expected = module.get_parameter(name) + up[8 * i : 8 * i + 8] @ down
        torch.testing.assert_close(patched.get_parameter(name), expected)


def test_every_text_encoder_takes_its_own_part_of_a_file():
    first, second = text_encoder(1), projecting_text_encoder(2)
    tensors = lora_tensors(layers_of(first, "encoder"), "lora_te1_text_model_", seed=1)
    own = {name.removeprefix("text_model."): each for name, each in layers_of(second, "encoder").items()}
    tensors |= lora_tensors(own, "lora_te2_text_model_", seed=2)
    for module, addressee, start in ((first, "te1", ""), (second, "te2", "text_model.")):
        patched = laid(module, (tensors, 1.0), addressee=addressee)
        key = f"lora_{addressee}_text_model_encoder_layers_0_mlp_fc1"
        name = f"{start}encoder.layers.0.mlp.fc1.weight"
        expected = module.get_parameter(name) + tensors[f"{key}.lora_up.weight"] @ tensors[f"{key}.lora_down.weight"]
        torch.testing.assert_close(patched.get_parameter(name), expected)


def test_keys_that_match_nothing_are_reported():
    module = unet("tiny")
    tensors = lora_tensors(layers_of(module, "attn1"), "lora_unet_")
    strangers = {"lora_unet_nowhere.lora_up.weight": randn(4, 4), "what.ever": randn(1)}
    result = lay(lora({**tensors, **strangers}), module, "unet", 1.0)
    assert set(result.unmatched) == set(strangers)
    assert same(apply_changes(module, [result.change]), laid(module, (tensors, 1.0)))


def test_a_file_without_a_word_for_this_part_changes_nothing():
    module = unet("tiny")
    tensors = lora_tensors(layers_of(text_encoder(), "encoder"), "lora_te_text_model_")
    result = lay(lora(tensors), module, "unet", 1.0)
    assert result.unmatched == ()
    assert apply_changes(module, [result.change]) is module


def test_a_lora_of_another_family_is_refused_with_key_and_shapes():
    wide = unet("xl", cross_attention_dim=16)
    with pytest.raises(UnreadableModel) as caught:
        lay(lora(lora_tensors(layers_of(wide), "lora_unet_"), "xl.safetensors"), unet("xl"), "unet", 1.0)
    message = str(caught.value)
    assert "xl.safetensors" in message
    assert "attn2_to_k.lora_down.weight" in message
    assert "[8, 16]" in message or "[16, 16]" in message
    assert "more layers" in message


def test_a_lora_of_no_known_layer_is_refused():
    with pytest.raises(UnreadableModel, match="another kind of model"):
        lay(lora({"lora_unet_double_blocks_0.lora_up.weight": randn(4, 4)}), unet("tiny"), "unet", 1.0)


def test_a_difference_of_a_bias_that_a_layer_has_not_is_refused():
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.diff_b"
    with pytest.raises(UnreadableModel, match=r"to_q\.bias, which this model has not"):
        lay(lora({key: randn(16)}), unet("tiny"), "unet", 1.0)


def test_alpha_is_read_from_the_metadata_that_diffusers_writes(tmp_path: Path):
    module = unet("tiny")
    layer = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"unet.{layer}.lora_A.weight": randn(4, 16), f"unet.{layer}.lora_B.weight": randn(16, 4, seed=1)}
    path = tmp_path / "peft.safetensors"
    save_file(tensors, path, {"lora_adapter_metadata": '{"unet.lora_alpha": 8, "unet.r": 4, "x": null}'})
    file = read_lora(path)
    assert file.alphas == {"unet": 8.0}
    patched = apply_changes(module, [lay(file, module, "unet", 1.0).change])
    expected = module.get_parameter(f"{layer}.weight") + 2 * (randn(16, 4, seed=1) @ randn(4, 16))
    torch.testing.assert_close(patched.get_parameter(f"{layer}.weight"), expected)


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"unet.lora_alpha": "x"}', "[" * 5000])
def test_metadata_that_makes_no_sense_is_passed_over(tmp_path: Path, text: str):
    path = tmp_path / "odd.safetensors"
    save_file({"lora_unet_x.lora_up.weight": randn(1)}, path, {"lora_adapter_metadata": text})
    assert read_lora(path).alphas == {}


@pytest.mark.parametrize("shape", [(30, 20), (700, 600), (600, 3000)])
def test_a_matrix_of_low_rank_is_found_again(shape: tuple[int, int]):
    matrix = randn(shape[0], 5) @ randn(5, shape[1], seed=1)
    up, down = low_rank(matrix, 5)
    assert up.shape == (shape[0], 5)
    torch.testing.assert_close(up @ down, matrix, atol=2e-3, rtol=1e-3)
    again = low_rank(matrix, 5)
    assert torch.equal(again[0], up)
    assert torch.equal(again[1], down)


def test_the_nearest_matrix_of_a_rank_is_as_near_as_its_other_singular_values_say():
    matrix = randn(600, 800)
    values = torch.linalg.svdvals(matrix)
    up, down = low_rank(matrix, 20)
    best = values[20:].norm()
    assert best <= (matrix - up @ down).norm() <= 1.01 * best  # Eckart and Young: nothing can be nearer


@pytest.mark.parametrize("full", [False, True])
def test_a_lora_extracted_from_a_difference_gives_the_other_model(full: bool):
    base, other = unet("tiny", seed=1), unet("tiny", seed=2)
    difference = unet("tiny")
    for name, parameter in difference.named_parameters():
        parameter.copy_(other.get_parameter(name) - base.get_parameter(name))
    tensors = extract(difference, "unet", 10_000, full=full, biases=True)
    patched = laid(base, (tensors, 1.0))
    for name, parameter in patched.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), atol=1e-4, rtol=1e-4)


def test_an_extracted_lora_leaves_out_what_does_not_differ_and_what_was_not_asked_for():
    difference = unet("tiny")
    for name, parameter in difference.named_parameters():
        if "attn1" not in name and "norm" not in name:
            parameter.zero_()
    tensors = extract(difference, "unet", 2, full=False, biases=False)
    assert all(key.endswith((".lora_up.weight", ".lora_down.weight")) for key in tensors)
    assert all("attn1" in key for key in tensors)
    assert {tensor.shape[0] for key, tensor in tensors.items() if key.endswith("lora_down.weight")} == {2}
    assert any(key.endswith("norm1.diff") for key in extract(difference, "unet", 2, full=False, biases=True))

"""Names of weights in single files, against diffusers' own converters and the structure of its modules."""

from __future__ import annotations

import pytest
import torch
from diffusers.loaders import single_file_utils
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from nodes.diffusion import ldm_keys as keys
from tests.nodes.small_models import UNETS, projecting_text_encoder, randn, unet, vae


@pytest.mark.parametrize("structure", sorted(UNETS))
def test_the_names_of_a_unet_come_back_from_ldm_and_none_is_lost(structure: str):
    module = unet(structure)
    names, layers = list(module.state_dict()), module.config["layers_per_block"]
    levels = len(module.config["block_out_channels"])
    there = keys.unet_to_ldm(names, layers, levels)
    assert list(there) == names
    assert len(set(there.values())) == len(names)
    read = keys.unet_layers(there.values())
    assert read == (tuple(layers) if isinstance(layers, (tuple, list)) else (layers,) * levels)
    back = keys.unet_to_diffusers(there.values(), read)
    assert {old: back[new] for old, new in there.items()} == {name: name for name in names}


@pytest.mark.parametrize("structure", sorted(UNETS.keys() - {"uneven"}))
def test_diffusers_reads_a_unet_under_these_names(structure: str):
    module = unet(structure)
    weights, config = module.state_dict(), dict(module.config)
    there = keys.unet_to_ldm(weights, config["layers_per_block"], len(config["block_out_channels"]))
    stored = {keys.PREFIXES["unet"] + there[name]: tensor for name, tensor in weights.items()}
    read = single_file_utils.convert_ldm_unet_checkpoint(stored, config=config)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


def test_well_known_names_of_stable_diffusion_1():
    """A few by hand, so that the maps are not only right with each other."""
    pairs = {
        "input_blocks.0.0.weight": "conv_in.weight",
        "time_embed.2.bias": "time_embedding.linear_2.bias",
        "input_blocks.3.0.op.weight": "down_blocks.0.downsamplers.0.conv.weight",
        "input_blocks.4.0.skip_connection.weight": "down_blocks.1.resnets.0.conv_shortcut.weight",
        "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight": (
            "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight"
        ),
        "input_blocks.11.0.out_layers.3.weight": "down_blocks.3.resnets.1.conv2.weight",
        "middle_block.1.proj_in.weight": "mid_block.attentions.0.proj_in.weight",
        "middle_block.2.emb_layers.1.bias": "mid_block.resnets.1.time_emb_proj.bias",
        "output_blocks.2.1.conv.weight": "up_blocks.0.upsamplers.0.conv.weight",
        "output_blocks.5.2.conv.weight": "up_blocks.1.upsamplers.0.conv.weight",
        "output_blocks.11.1.proj_out.bias": "up_blocks.3.attentions.2.proj_out.bias",
        "out.0.weight": "conv_norm_out.weight",
        "out.2.weight": "conv_out.weight",
    }
    assert keys.unet_to_diffusers(pairs) == pairs
    names = [*pairs.values(), "up_blocks.1.attentions.0.norm.weight"]  # by which its upsampler comes third
    assert keys.unet_to_ldm(names) == {
        **{new: old for old, new in pairs.items()},
        "up_blocks.1.attentions.0.norm.weight": "output_blocks.3.1.norm.weight",
    }
    assert keys.unet_to_diffusers(["input_blocks.5.1.proj_in"]) == {
        "input_blocks.5.1.proj_in": "down_blocks.1.attentions.1.proj_in"
    }


@given(st.lists(st.text("abx_0129.", max_size=40) | st.sampled_from(["input_blocks.99.0.op", "output_blocks.²"])))
def test_unknown_names_are_left_out(names: list[str]):
    assert keys.unet_to_ldm(names).keys() <= set(names)
    assert keys.unet_to_diffusers(names).keys() <= set(names)
    assert keys.vae_to_diffusers(names).keys() <= set(names)
    assert not keys.unet_to_diffusers(["input_blocks.99.0.in_layers.0.weight", "output_blocks.-1.0.in_layers.0"])


@pytest.mark.parametrize(("levels", "layers"), [(4, 2), (3, 1), (5, 2)])
def test_the_names_of_a_vae_come_back_and_diffusers_reads_them(levels: int, layers: int):
    module = vae(levels, layers)
    weights = module.state_dict()
    there = keys.vae_to_ldm(weights)
    assert list(there) == list(weights)
    back = keys.vae_to_diffusers(there.values())
    assert {old: back[new] for old, new in there.items()} == {name: name for name in weights}
    stored = {
        keys.PREFIXES["vae"] + there[name]: tensor[..., None, None] if name.endswith(keys.VAE_CONVOLUTIONS) else tensor
        for name, tensor in weights.items()
    }
    assert sum(tensor.ndim == 4 and tensor.shape[2:] == (1, 1) for tensor in stored.values()) >= 10
    read = single_file_utils.convert_ldm_vae_checkpoint(stored, config=dict(module.config))
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


def test_a_text_encoder_comes_back_from_open_clip():
    weights = {
        name.removeprefix("text_model."): tensor for name, tensor in projecting_text_encoder().state_dict().items()
    }
    stored = keys.text_to_open_clip(weights)
    assert stored["text_projection"].shape == (8, 6)
    assert stored["transformer.resblocks.2.attn.in_proj_weight"].shape == (24, 8)
    assert stored["positional_embedding"].shape == (7, 8)
    assert all(tensor.is_contiguous() for tensor in stored.values())
    read = keys.text_from_open_clip(stored)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


def test_an_open_clip_encoder_computes_what_the_translated_one_does():
    """Attention and projection written out as open_clip computes them, from its weights."""
    module = projecting_text_encoder().eval()
    stored = keys.text_to_open_clip(module.state_dict())
    layer = "transformer.resblocks.0."
    x = randn(1, 5, 8)
    expected = open_clip_attention(x, stored, layer)
    mask = torch.full((5, 5), float("-inf")).triu(1)[None, None]
    attention = module.get_submodule("text_model.encoder.layers.0.self_attn")
    given, _ = attention(x, attention_mask=mask)
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(functional.linear(x, module.text_projection.weight), x @ stored["text_projection"])


def open_clip_attention(x: Tensor, stored: dict[str, Tensor], layer: str) -> Tensor:
    """With two heads, written out."""
    start = layer + "attn."
    rows = x @ stored[start + "in_proj_weight"].T + stored[start + "in_proj_bias"]
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in rows.split(8, dim=-1))
    scores = (q @ k.mT / 2).masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), float("-inf"))
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return mixed @ stored[start + "out_proj.weight"].T + stored[start + "out_proj.bias"]

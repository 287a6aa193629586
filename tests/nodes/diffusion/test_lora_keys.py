"""Which layers the tensors of a LoRA file are found to belong to, in all the ways that files name them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.ldm_keys import unet_to_ldm
from nodes.diffusion.lora.keys import (
    addressees,
    holds_lora,
    kohya_name,
    layer_names,
    match_keys,
    split_key,
    unet_structure,
)
from tests.nodes.small_models import UNETS, projecting_text_encoder, text_encoder, unet

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
UNET_NAMES = [
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight",
    "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q.lora_up.weight",
    "lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight",
    f"unet.{ATTENTION}.lora_B.weight",
    f"unet.{ATTENTION}.lora_B.default.weight",
    f"unet.{ATTENTION}.lora.up.weight",
    f"base_model.model.{ATTENTION}.lora_B.weight",
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
    "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_up.weight",
]
TEXT = "encoder.layers.1.self_attn.q_proj"
TEXT_NAMES = {
    "te": [
        "lora_te_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight",
        f"text_encoder.text_model.{TEXT}.lora_B.weight",
        f"text_encoder.text_model.{TEXT}.lora_linear_layer.up.weight",
        f"text_encoder.{TEXT}.lora_B.weight",
        "text_encoder.text_model.encoder.layers.1.self_attn.to_q_lora.up.weight",
        f"text_encoders.clip_l.transformer.text_model.{TEXT}.lora_up.weight",
    ],
    "te1": [
        "lora_te1_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight",
        f"text_encoder.text_model.{TEXT}.lora_B.weight",
    ],
    "te2": [
        "lora_te2_text_model_encoder_layers_1_self_attn_q_proj.lora_up.weight",
        f"text_encoder_2.text_model.{TEXT}.lora_B.weight",
        f"text_encoders.clip_g.transformer.text_model.{TEXT}.lora_up.weight",
    ],
}


def parameters(structure: str = "sd1") -> list[str]:
    return [name for name, _ in unet(structure).named_parameters()]


def text_parameters(*, projecting: bool = False) -> list[str]:
    module = projecting_text_encoder() if projecting else text_encoder()
    return [name for name, _ in module.named_parameters()]


@pytest.mark.parametrize("key", UNET_NAMES)
def test_a_layer_of_a_unet_is_found_by_every_name(key: str):
    matched = match_keys([key], parameters(), "unet")
    assert matched.layers == {ATTENTION: {"up": key}}
    assert not matched.unmatched


def test_the_output_of_an_attention_is_found_in_old_files():
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight"
    layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"
    assert match_keys([key], parameters(), "unet").layers == {layer: {"down": key}}


@pytest.mark.parametrize(
    ("addressee", "key"), [(addressee, key) for addressee, keys in TEXT_NAMES.items() for key in keys]
)
@pytest.mark.parametrize("projecting", [False, True])
def test_a_layer_of_a_text_encoder_is_found_by_every_name(addressee: str, key: str, projecting: bool):
    matched = match_keys([key], text_parameters(projecting=projecting), addressee)  # type: ignore[arg-type]
    layer = f"text_model.{TEXT}" if projecting else TEXT
    assert matched.layers == {layer: {"up": key}}


@pytest.mark.parametrize("structure", sorted(UNETS))
def test_every_layer_of_every_structure_is_found_by_every_style(structure: str):
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in parameters(structure)))
    known = {name: places[0].layer for name, places in layer_names(parameters(structure), "unet").items()}
    numbered = unet_to_ldm(layers, *unet_structure(layers))
    for layer in layers:
        for name in (layer, numbered[layer]):
            assert known["lora_unet_" + name.replace(".", "_")] == layer
            assert known["unet." + name] == known["diffusion_model." + name] == layer


def test_the_second_encoder_may_be_named_as_open_clip_does():
    keys = [
        "lora_te2_transformer_resblocks_2_mlp_c_fc.lora_up.weight",
        "lora_te2_transformer_resblocks_2_attn_out_proj.lora_up.weight",
        "lora_te2_transformer_resblocks_2_attn_in_proj.lora_up.weight",
    ]
    matched = match_keys(keys, text_parameters(projecting=True), "te2")
    start = "text_model.encoder.layers.2"
    assert matched.layers[f"{start}.mlp.fc1"] == {"up": keys[0]}
    assert matched.layers[f"{start}.self_attn.out_proj"] == {"up": keys[1]}
    parts = {layer: (place.part, place.parts) for layer, place in matched.divided.items()}
    assert parts == {f"{start}.self_attn.{part}_proj": (i, 3) for i, part in enumerate("qkv")}


def test_the_names_written_are_the_names_read():
    for names, addressee in (
        (parameters("xl"), "unet"),
        (text_parameters(), "te"),
        (text_parameters(projecting=True), "te2"),
    ):
        known = layer_names(names, addressee)  # type: ignore[arg-type]
        layers = dict.fromkeys(name.rpartition(".")[0] for name in names)
        written = {kohya_name(layer, addressee): layer for layer in layers}  # type: ignore[arg-type]
        assert len(written) == len(layers)
        assert {name: known[name][0].layer for name in written} == written
    assert kohya_name("text_projection", "te2") == "lora_te2_text_projection"


def test_each_part_of_a_model_tells_of_its_own_keys_only():
    keys = [
        "lora_unet_no_such_layer.lora_up.weight",
        "lora_te_no_such_layer.lora_up.weight",
        "lora_te2_no_such_layer.lora_up.weight",
        "something.else",
    ]
    assert match_keys(keys, parameters(), "unet").unmatched == (keys[0], keys[3])
    assert match_keys(keys, parameters(), "unet").foreign == (keys[1], keys[2])
    assert match_keys(keys, text_parameters(), "te").unmatched == (keys[1], keys[2])
    assert match_keys(keys, text_parameters(), "te2").unmatched == (keys[2],)


def test_roles_are_read_off_the_ends_of_keys():
    ends = {
        ".lora_down.weight": "down", ".lora_up.weight": "up", ".lora_mid.weight": "mid", ".lora_A.weight": "down",
        ".alpha": "alpha", ".dora_scale": "dora_scale", ".lora_magnitude_vector": "dora_scale",
        ".lora_magnitude_vector.default.weight": "dora_scale", ".hada_w1_a": "hada_w1_a", ".hada_t2": "hada_t2",
        ".lokr_w1": "lokr_w1", ".lokr_w2_b": "lokr_w2_b", ".lokr_t2": "lokr_t2", ".diff": "diff",
        ".diff_b": "diff_b", ".w_norm": "w_norm", ".b_norm": "b_norm",
    }  # fmt: skip
    assert {end: split_key("lora_unet_x" + end) for end in ends} == {
        end: ("lora_unet_x", role) for end, role in ends.items()
    }


def test_a_bare_weight_counts_only_beside_the_mark_of_ia3():
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    alone = match_keys([f"{layer}.weight"], parameters(), "unet")
    assert not alone.layers
    assert alone.unmatched == (f"{layer}.weight",)
    both = match_keys([f"{layer}.weight", f"{layer}.on_input"], parameters(), "unet")
    assert both.layers[ATTENTION] == {"weight": f"{layer}.weight", "on_input": f"{layer}.on_input"}


def test_a_checkpoint_is_no_lora():
    assert not holds_lora(["model.diffusion_model.out.2.weight", "first_stage_model.encoder.conv_in.bias"])
    assert not holds_lora([])
    assert holds_lora(["x.weight", "lora_unet_x.lokr_w1"])


@given(st.lists(st.text("lora_unet.tepwighdn", max_size=30)))
def test_every_key_is_matched_or_told_of_once(keys: list[str]):
    matched = match_keys(keys, parameters_of_sd1, "unet")
    used = {key for roles in matched.layers.values() for key in roles.values()}
    assert used | {*matched.unmatched, *matched.foreign} == set(keys)
    assert all(addressees(key) != ("unet",) for key in matched.foreign)


parameters_of_sd1 = parameters()

"""ControlNets and T2I-Adapters from files: both layouts give the module that diffusers made, bit for bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from torch import Tensor, nn

from nodes.diffusion.control_loading import config_of, load_control, read_control_file, recognise
from nodes.diffusion.headers import UnreadableModel
from tests.nodes.steering_models import (
    ADAPTERS,
    CONTROLNETS,
    Weights,
    controlnet,
    original_adapter,
    original_controlnet,
    pictures,
    randn,
    save,
    t2i_adapter,
    unet,
    union_controlnet,
)

CPU = torch.device("cpu")
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}  # weights that lie otherwise in memory round otherwise


def load(path: Path, **more: Any) -> Any:
    return load_control(path, CPU, torch.float32, **more)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def inputs(structure: str, batch: int = 2) -> tuple[dict[str, Any], Tensor]:
    width = CONTROLNETS[structure]["cross_attention_dim"]
    told = None
    if structure.startswith("xl"):
        told = {"text_embeds": randn(batch, 1280, seed=5), "time_ids": torch.full((batch, 6), 64.0)}
    call = {
        "sample": randn(batch, 4, 8, 8),
        "timestep": torch.tensor([10, 700])[:batch],
        "encoder_hidden_states": randn(batch, 5, width, seed=1),
        "added_cond_kwargs": told,
        "return_dict": False,
    }
    return call, pictures(batch).movedim(-1, 1)


LAYOUTS: dict[str, Callable[[nn.Module], Weights]] = {
    "diffusers": lambda net: net.state_dict(),
    "original": original_controlnet,
    "original, bare": lambda net: original_controlnet(net, ""),
    "in a checkpoint": lambda net: {**original_controlnet(net), "model.diffusion_model.out.2.bias": torch.zeros(4)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("structure", ["sd1", "sd2", "xl"])
def test_a_controlnet_in_any_layout_is_what_diffusers_made(structure: str, layout: str, tmp_path: Path) -> None:
    net = controlnet(structure)
    loaded = load(save(tmp_path / "net.safetensors", LAYOUTS[layout](net)))
    assert same_weights(loaded, net)
    call, hint = inputs(structure)
    (down, mid), (wanted, wanted_mid) = loaded(controlnet_cond=hint, **call), net(controlnet_cond=hint, **call)
    torch.testing.assert_close((*down, mid), (*wanted, wanted_mid), **CLOSE)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("structure", ["xl mid", "xl small"])
def test_smaller_variants_in_the_layout_of_diffusers(structure: str, tmp_path: Path) -> None:
    net = controlnet(structure)
    loaded = load(save(tmp_path / "net.safetensors", net.state_dict()))
    call, hint = inputs(structure)
    torch.testing.assert_close(loaded(controlnet_cond=hint, **call)[1], net(controlnet_cond=hint, **call)[1], **CLOSE)


@pytest.mark.parametrize(
    ("structure", "config"),
    [
        (
            "sd1",
            {
                "block_out_channels": (320, 640, 1280, 1280),
                "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                "attention_head_dim": (8, 8, 8, 8),
                "norm_num_groups": 32,
                "use_linear_projection": False,
                "transformer_layers_per_block": (1, 1, 1, 1),
                "conditioning_embedding_out_channels": (16, 32, 96, 256),
            },
        ),
        (
            "xl",
            {
                "block_out_channels": (320, 640, 1280),
                "attention_head_dim": (5, 10, 20),
                "use_linear_projection": True,
                "transformer_layers_per_block": (1, 2, 3),
                "addition_embed_type": "text_time",
                "projection_class_embeddings_input_dim": 2816,
                "addition_time_embed_dim": 256,
            },
        ),
    ],
)
def test_full_sizes_get_the_published_configurations(structure: str, config: dict[str, Any]) -> None:
    from diffusers.models.controlnets.controlnet import ControlNetModel

    from nodes.diffusion.weights import build_hollow

    full = CONTROLNETS[structure] | {"block_out_channels": config["block_out_channels"]}
    net = build_hollow(lambda: ControlNetModel(**full))
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    found = recognise(shapes)
    assert found is not None
    derived = config_of(found, shapes)
    assert {name: derived[name] for name in config} == config


def test_original_names_are_translated_as_diffusers_translates_them(tmp_path: Path) -> None:
    net = controlnet("sd1")
    path = save(tmp_path / "net.safetensors", original_controlnet(net))
    theirs = convert_controlnet_checkpoint(original_controlnet(net), {"layers_per_block": 2})
    ours = load(path).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_half_precision_files_are_read_as_what_is_asked_for(tmp_path: Path) -> None:
    net = controlnet("sd1")
    path = save(tmp_path / "half.safetensors", net.state_dict(), torch.float16)
    assert load(path).dtype == torch.float32
    assert load_control(path, CPU, torch.float16).dtype == torch.float16


def test_differences_are_added_to_the_model(tmp_path: Path) -> None:
    net, base = controlnet("sd1"), unet("sd1")
    own = base.state_dict()
    differences = {name: tensor - own[name] if name in own else tensor for name, tensor in net.state_dict().items()}
    assert sum(name in own for name in differences) > 100
    named = {new: differences[old] for old, new in zip(net.state_dict(), original_controlnet(net), strict=True)}
    path = save(tmp_path / "diff.safetensors", {**named, "difference": torch.zeros(1)})
    loaded = load(path, base=own).state_dict()
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, atol=1e-6, rtol=0)
    assert same_weights(base, unet("sd1"))  # the model is as it was
    with pytest.raises(UnreadableModel, match="DiffControlNetLoader"):
        load(path)
    with pytest.raises(UnreadableModel, match="another family"):
        load(path, base=unet("sd2").state_dict())


def test_a_union_controlnet_gets_a_place_for_hints_of_no_kind(tmp_path: Path) -> None:
    net = union_controlnet(8)
    loaded = load(save(tmp_path / "union.safetensors", net.state_dict()))
    assert torch.equal(loaded.task_embedding[:8], net.task_embedding)
    assert not loaded.task_embedding[8:].any() and len(loaded.task_embedding) == 9
    assert loaded.config.num_control_type == 8


@pytest.mark.parametrize("layout", ["diffusers", "original", "diffusers, bare"])
@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_t2i_adapter_in_any_layout_is_what_diffusers_made(kind: str, layout: str, tmp_path: Path) -> None:
    net = t2i_adapter(kind)
    weights = original_adapter(net, kind) if layout == "original" else net.state_dict()
    if layout == "diffusers, bare":
        weights = {name.removeprefix("adapter."): tensor for name, tensor in weights.items()}
    loaded = load(save(tmp_path / "adapter.safetensors", weights))
    assert same_weights(loaded, net)
    hint = pictures(1, 128, 128).movedim(-1, 1)[:, : ADAPTERS[kind].get("in_channels", 3)]
    torch.testing.assert_close(loaded(hint), net(hint), **CLOSE)


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    path = save(tmp_path / "union.safetensors", union_controlnet().state_dict())
    before = torch.random.get_rng_state()
    load(path)
    assert torch.equal(torch.random.get_rng_state(), before)


WRONG: dict[str, tuple[Callable[[], Weights], str]] = {
    "nothing": (dict, "it is empty"),
    "something": (lambda: {"a": torch.zeros(2)}, "no ControlNet and no T2I-Adapter$"),
    "a checkpoint": (lambda: {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2)}, "a checkpoint"),
    "a LoRA": (lambda: {"lora_unet_x.lora_down.weight": torch.zeros(2)}, "a LoRA"),
    "for Flux": (lambda: {"controlnet_blocks.0.weight": torch.zeros(2)}, "another family"),
    "a lite one": (lambda: {"lllite_unet_x.down.0.weight": torch.zeros(2)}, "ControlLLLite"),
    "a UNet": (lambda: unet("sd1").state_dict(), "no ControlNet"),
    "half of one": (
        lambda: {k: v for k, v in controlnet("sd1").state_dict().items() if "mid_block.resnets" not in k},
        "are missing: mid_block.resnets",
    ),
    "of odd shapes": (
        lambda: controlnet("sd1").state_dict() | {"down_blocks.1.resnets.0.conv1.weight": torch.zeros(3, 3)},
        "do not fit",
    ),
    "without dimensions": (
        lambda: controlnet("sd1").state_dict() | {"conv_in.weight": torch.tensor(1.0)},
        "make no sense",
    ),
    "with empty sides": (
        lambda: controlnet("sd1").state_dict() | {"down_blocks.0.resnets.0.conv2.weight": torch.zeros(1 << 40, 0)},
        "cannot be loaded|do not fit|make no sense|missing",
    ),
    "uneven levels": (
        lambda: {k: v for k, v in controlnet("sd1").state_dict().items() if "down_blocks.2.resnets.1" not in k},
        "make no sense",
    ),
    "an adapter for five colours": (
        lambda: t2i_adapter().state_dict() | {"adapter.conv_in.weight": torch.zeros(32, 320, 3, 3)},
        "make no sense",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_files_that_hold_something_else_are_refused_with_a_reason(what: str, tmp_path: Path) -> None:
    make, reason = WRONG[what]
    path = save(tmp_path / "wrong.safetensors", make())
    with pytest.raises(UnreadableModel, match=reason) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _pickle(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(100))


def _lying(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 1 << 62]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize("damage", [_cut, _pickle, _lying, lambda path: path.write_bytes(b""), Path.unlink])
def test_damaged_files_are_refused(damage: Callable[[Path], object], tmp_path: Path) -> None:
    path = save(tmp_path / "net.safetensors", controlnet("xl small").state_dict())
    damage(path)
    with pytest.raises(UnreadableModel):
        read_control_file(path)
    with pytest.raises(UnreadableModel):
        load(path)

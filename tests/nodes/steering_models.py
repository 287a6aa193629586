"""Small networks that steer, with random weights, and their files in the layouts that there are.

The names of the original layouts are made here by tables of this file's own, not by those that are tested.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

Made = TypeVar("Made", bound=nn.Module)
Weights = Mapping[str, Tensor]

CROSS, DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, UP = "CrossAttnUpBlock2D", "UpBlock2D"
XL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 1280 + 6 * 256,
}
#: The structures of ControlNets in a width that costs little; what cannot be seen in a file is as in the real ones.
CONTROLNETS: dict[str, dict[str, Any]] = {
    "sd1": {
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": (CROSS, CROSS, CROSS, DOWN),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sd2": {
        "block_out_channels": (32, 64, 128, 128),
        "down_block_types": (CROSS, CROSS, CROSS, DOWN),
        "cross_attention_dim": 1024,
        "attention_head_dim": (1, 1, 2, 2),
        "use_linear_projection": True,
    },
    "xl": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": (DOWN, CROSS, CROSS),
        "transformer_layers_per_block": (1, 2, 3),
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 1, 2),
        "use_linear_projection": True,
        **XL,
    },
    "xl mid": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": (DOWN, DOWN, CROSS),
        "transformer_layers_per_block": (1, 1, 1),
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 1, 2),
        "use_linear_projection": True,
        **XL,
    },
    "xl small": {
        "block_out_channels": (32, 64, 128),
        "down_block_types": (DOWN, DOWN, DOWN),
        "mid_block_type": "UNetMidBlock2D",
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 1, 2),
        "use_linear_projection": True,
        **XL,
    },
}
HINT_CHANNELS = (8, 8, 16, 16)
ADAPTERS: dict[str, dict[str, Any]] = {
    "full": {"channels": [32, 64, 64, 64], "adapter_type": "full_adapter"},
    "grey": {"in_channels": 1, "channels": [32, 64, 64, 64], "adapter_type": "full_adapter"},
    "xl": {"channels": [32, 64, 128, 128], "adapter_type": "full_adapter_xl", "downscale_factor": 16},
    "light": {"channels": [32, 64, 64], "adapter_type": "light_adapter", "num_res_blocks": 4},
}


def seeded(make: Callable[[], Made], seed: int = 0) -> Made:
    """A network whose weights are all random: those that begin as zeros would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        module = make().eval().requires_grad_(False)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return module


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pictures(count: int = 1, height: int = 64, width: int = 64, seed: int = 3) -> Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def controlnet(structure: str = "sd1", seed: int = 0) -> ControlNetModel:
    config: dict[str, Any] = CONTROLNETS[structure] | {"conditioning_embedding_out_channels": HINT_CHANNELS}
    return seeded(lambda: ControlNetModel(**config), seed)


def union_controlnet(kinds: int = 6, seed: int = 0) -> ControlNetUnionModel:
    own: dict[str, Any] = {"num_control_type": kinds, "num_trans_channel": 32, "num_proj_channel": 32}
    config: dict[str, Any] = CONTROLNETS["xl"] | own | {"conditioning_embedding_out_channels": HINT_CHANNELS}
    return seeded(lambda: ControlNetUnionModel(**config), seed)


def t2i_adapter(kind: str = "full", seed: int = 0) -> T2IAdapter:
    return seeded(lambda: T2IAdapter(**ADAPTERS[kind]), seed)


def unet(structure: str = "sd1", seed: int = 1, **changes: Any) -> UNet2DConditionModel:
    """The UNet whose encoder a ControlNet of the same structure copies."""
    config = {name: value for name, value in CONTROLNETS[structure].items() if name != "mid_block_type"}
    up = tuple({CROSS: CROSS_UP, DOWN: UP}[kind] for kind in reversed(config["down_block_types"]))
    return seeded(lambda: UNet2DConditionModel(**config, up_block_types=up, **changes), seed)


def vision_model(seed: int = 0, **changes: Any) -> CLIPVisionModelWithProjection:
    config: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 96, "projection_dim": 24, "num_hidden_layers": 3,
        "num_attention_heads": 1, "image_size": 28, "patch_size": 14, "hidden_act": "quick_gelu",
    }  # fmt: skip
    return seeded(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**(config | changes))), seed)


def save(path: Path, weights: Weights, dtype: torch.dtype = torch.float32) -> Path:
    """A safetensors file of these weights, below folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.to(dtype).contiguous().clone() for name, tensor in weights.items()}, path)
    return path


# --- original names --------------------------------------------------------------------------------------------------

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_ENDS = {
    "conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}  # fmt: skip


def original_controlnet(net: nn.Module, prefix: str = "control_model.", layers: int = 2) -> dict[str, Tensor]:
    """A ControlNet's weights under the names of the original code."""
    return {prefix + _original_name(name, layers): tensor for name, tensor in net.state_dict().items()}


def _original_name(name: str, layers: int) -> str:
    stem, _, kind = name.rpartition(".")
    if stem in _ENDS:
        return f"{_ENDS[stem]}.{kind}"
    if match := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d)", stem):
        return f"input_hint_block.{2 + 2 * int(match[1])}.{kind}"
    if match := re.fullmatch(r"controlnet_down_blocks\.(\d+)", stem):
        return f"zero_convs.{match[1]}.0.{kind}"
    if match := re.fullmatch(r"down_blocks\.(\d)\.(resnets|attentions|downsamplers)\.(\d)\.(.+)", name):
        first = 1 + int(match[1]) * (layers + 1)
        if match[2] == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{kind}"
        block, inner = f"input_blocks.{first + int(match[3])}", match[4]
        return f"{block}.0.{_resnet_name(inner)}" if match[2] == "resnets" else f"{block}.1.{inner}"
    match = re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name)
    assert match is not None, name
    inner = _resnet_name(match[3]) if match[1] == "resnets" else match[3]
    return f"middle_block.{1 if match[1] == 'attentions' else 2 * int(match[2])}.{inner}"


def _resnet_name(inner: str) -> str:
    layer, _, kind = inner.partition(".")
    return f"{_RESNET[layer]}.{kind}"


def original_adapter(net: nn.Module, kind: str) -> dict[str, Tensor]:
    """A T2I-Adapter's weights under the names of its authors."""
    named: dict[str, Tensor] = {}
    for name, tensor in net.state_dict().items():
        inner = name.removeprefix("adapter.")
        match = re.fullmatch(r"body\.(\d)\.resnets\.(\d)\.(.+)", inner)
        if match is None:
            stage = re.fullmatch(r"body\.(\d)\.in_conv\.(.+)", inner)
            new = inner if stage is None or kind == "light" else f"body.{2 * int(stage[1])}.in_conv.{stage[2]}"
        elif kind == "light":
            new = f"body.{match[1]}.body.{match[2]}.{match[3]}"
        else:
            new = f"body.{2 * int(match[1]) + int(match[2])}.{match[3]}"
        named[new] = tensor
    return named


def open_clip_vision(model: nn.Module, prefix: str = "visual.") -> dict[str, Tensor]:
    """A vision model's weights under open_clip's names."""
    weights = {name.removeprefix("vision_model."): tensor for name, tensor in model.state_dict().items()}
    ends = {
        "embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "pre_layrnorm.weight": "ln_pre.weight", "pre_layrnorm.bias": "ln_pre.bias",
        "post_layernorm.weight": "ln_post.weight", "post_layernorm.bias": "ln_post.bias",
    }  # fmt: skip
    layer = {
        "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }  # fmt: skip
    named: dict[str, Tensor] = {"proj": weights["visual_projection.weight"].T}
    for name, tensor in weights.items():
        if name in ends:
            named[ends[name]] = tensor
        elif match := re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            block = f"transformer.resblocks.{match[1]}"
            if match[2] in layer:
                named[f"{block}.{layer[match[2]]}.{match[3]}"] = tensor
            elif match[2].endswith("q_proj"):
                parts = [weights[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
                named[f"{block}.attn.in_proj_{match[3]}"] = torch.cat(parts)
    return {prefix + name: tensor for name, tensor in named.items()}


# --- pictures as prompts ---------------------------------------------------------------------------------------------


def ip_adapter(model: UNet2DConditionModel, kind: str = "plain", seed: int = 0) -> dict[str, Tensor]:
    """An IP-Adapter's file for a UNet: `plain` looks at [24], the others at [T, 64]."""
    width = int(model.config["cross_attention_dim"])
    shapes: dict[str, tuple[int, ...]] = {
        "plain": {"proj.weight": (4 * width, 24), "proj.bias": (4 * width,), "norm.weight": (width,)},
        "full": {
            "proj.0.weight": (64, 64), "proj.0.bias": (64,), "proj.2.weight": (width, 64), "proj.2.bias": (width,),
            "proj.3.weight": (width,), "proj.3.bias": (width,),
        },
        "plus": _resampler(width),
    }[kind]  # fmt: skip
    if kind == "plain":
        shapes["norm.bias"] = (width,)
    weights = {f"image_proj.{name}": shape for name, shape in shapes.items()}
    crossing = [name for name in model.attn_processors if name.endswith("attn2.processor")]
    for i, name in enumerate(crossing):
        inner = model.get_submodule(name.removesuffix(".processor")).get_parameter("to_q.weight").shape[0]
        for part in ("to_k_ip", "to_v_ip"):
            weights[f"ip_adapter.{2 * i + 1}.{part}.weight"] = (inner, width)
    return {name: randn(*shape, seed=seed + i) * 0.1 for i, (name, shape) in enumerate(weights.items())}


def _resampler(width: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 5, 64), "proj_in.weight": (64, 64), "proj_in.bias": (64,), "proj_out.weight": (width, 64),
        "proj_out.bias": (width,), "norm_out.weight": (width,), "norm_out.bias": (width,),
    }  # fmt: skip
    for i in range(4):
        block = f"layers.{i}"
        shapes |= {f"{block}.0.{norm}.{kind}": (64,) for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
        shapes |= {f"{block}.0.to_q.weight": (64, 64), f"{block}.0.to_kv.weight": (128, 64)}
        shapes |= {f"{block}.0.to_out.weight": (64, 64), f"{block}.1.0.weight": (64,), f"{block}.1.0.bias": (64,)}
        shapes |= {f"{block}.1.1.weight": (256, 64), f"{block}.1.3.weight": (64, 256)}
    return shapes


def style_adapter(width: int = 64, words: int = 128, tokens: int = 3, layers: int = 2) -> dict[str, Tensor]:
    """A style adapter's file."""
    shapes: dict[str, tuple[int, ...]] = {
        "style_embedding": (1, tokens, width), "proj": (width, words), "ln_pre.weight": (width,),
        "ln_pre.bias": (width,), "ln_post.weight": (width,), "ln_post.bias": (width,),
    }  # fmt: skip
    for i in range(layers):
        block = f"transformer_layes.{i}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{block}.attn.out_proj.weight": (width, width), f"{block}.attn.out_proj.bias": (width,)}
        shapes |= {f"{block}.{norm}.{kind}": (width,) for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")}
        shapes |= {f"{block}.mlp.c_fc.weight": (4 * width, width), f"{block}.mlp.c_fc.bias": (4 * width,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (width, 4 * width), f"{block}.mlp.c_proj.bias": (width,)}
    return {name: randn(*shape, seed=i) * 0.2 for i, (name, shape) in enumerate(shapes.items())}


def gligen_file(gated: UNet2DConditionModel, layout: str = "original") -> dict[str, Tensor]:
    """The layers that a UNet with gated attention has beyond a plain one, as a GLIGEN file."""
    weights = {k: v for k, v in gated.state_dict().items() if ".fuser." in k or k.startswith("position_net.")}
    if layout == "diffusers":
        return weights
    layers = int(gated.config["layers_per_block"])
    return {_fuser_name(name, layers): tensor for name, tensor in weights.items()}


def _fuser_name(name: str, layers: int) -> str:
    if match := re.fullmatch(r"down_blocks\.(\d)\.attentions\.(\d)\.(.+)", name):
        return f"input_blocks.{1 + int(match[1]) * (layers + 1) + int(match[2])}.1.{match[3]}"
    if match := re.fullmatch(r"up_blocks\.(\d)\.attentions\.(\d)\.(.+)", name):
        return f"output_blocks.{int(match[1]) * (layers + 1) + int(match[2])}.1.{match[3]}"
    return name.replace("mid_block.attentions.0.", "middle_block.1.")

"""ControlNets (Zhang et al. 2023, arXiv:2302.05543) from one file: what it holds, by its header, and the module.

Two layouts are known: that of the original code, in which a ControlNet has the names of the UNet whose encoder it
copies, and that of diffusers. Configurations are read off the shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.ldm_keys import unet_layers, unet_to_diffusers
from nodes.diffusion.one_file import Shapes, build, count, describing, read_shapes, read_weights
from nodes.diffusion.t2i_adapter import is_t2i_adapter, t2i_config, t2i_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Kind = Literal["controlnet", "controlnet_union", "t2i_adapter"]

PREFIX = "control_model."
TIME_IDS_WIDTH = 256  # into how many numbers Stable Diffusion XL spreads each of a picture's sizes

#: What a file is that is no ControlNet, by how some name in it begins.
_OTHERS = {
    "model.diffusion_model.": "a checkpoint without a ControlNet",
    "lllite_": "a ControlLLLite, which is not supported",
    "lora_": "a LoRA",
    "controlnet_blocks.": "a ControlNet for another family of models, which is not supported",
    "controlnet_x_embedder.": "a ControlNet for another family of models, which is not supported",
    "double_blocks.": "for another family of models, which is not supported",
    "image_proj.": "an IP-Adapter",
    "ip_adapter.": "an IP-Adapter",
    "position_net.": "a GLIGEN model",
    "style_embedding": "a style model",
    "vision_model.": "a CLIP vision model",
    "decoder.": "a VAE",
}


@dataclass(frozen=True, slots=True)
class ControlFile:
    """What a file that steers holds. difference: its weights are to be added to those of a UNet."""

    kind: Kind
    layout: Literal["original", "diffusers"]
    prefix: str = ""
    difference: bool = False


def read_control_file(path: Path) -> tuple[ControlFile, Shapes]:
    """What a file holds, by its header alone. Raises UnreadableModel for one that holds no network that steers."""
    shapes = read_shapes(path)
    found = recognise(shapes)
    if found is None:
        raise UnreadableModel(f"{path} is no ControlNet and no T2I-Adapter{_what_else(shapes)}")
    describing(path, lambda: config_of(found, shapes))
    return found, shapes


def recognise(shapes: Shapes) -> ControlFile | None:
    """Which of the known networks a file holds, or None."""
    for prefix in (PREFIX, ""):
        if {f"{prefix}input_hint_block.0.weight", f"{prefix}zero_convs.0.0.weight"} <= shapes.keys():
            if f"{prefix}task_embedding" in shapes:
                return None
            return ControlFile("controlnet", "original", prefix, "difference" in shapes)
    if "controlnet_cond_embedding.conv_in.weight" in shapes and "controlnet_mid_block.weight" in shapes:
        return ControlFile("controlnet_union" if "task_embedding" in shapes else "controlnet", "diffusers")
    return ControlFile("t2i_adapter", "original") if is_t2i_adapter(shapes) else None


def _what_else(shapes: Shapes) -> str:
    if not shapes:
        return ": it is empty"
    found = [what for start, what in _OTHERS.items() if any(name.startswith(start) for name in shapes)]
    return f": it seems to be {found[0]}" if found else ""


def names_of(file: ControlFile, shapes: Shapes) -> dict[str, str]:
    """Name in the file → name in diffusers' module; names that belong to something else are left out."""
    if file.kind == "t2i_adapter":
        return t2i_names(shapes)
    if file.layout == "diffusers":
        return {name: name for name in shapes}
    inner = {name.removeprefix(file.prefix): name for name in shapes if name.startswith(file.prefix)}
    layers = unet_layers(inner)
    named = unet_to_diffusers(inner, layers, len(layers)) | _own_names(inner)
    return {inner[old]: new for old, new in named.items()}


def _own_names(names: Mapping[str, str]) -> dict[str, str]:
    """Original names of what a ControlNet has beyond a UNet's encoder → those of diffusers."""
    hints = {int(match[1]) for name in names if (match := re.match(r"input_hint_block\.(\d{1,3})\.", name))}
    order = sorted(hints)
    ends = {number: f"blocks.{i - 1}" for i, number in enumerate(order)}
    ends |= {order[0]: "conv_in", order[-1]: "conv_out"} if order else {}
    named: dict[str, str] = {}
    for name in names:
        if match := re.fullmatch(r"input_hint_block\.(\d{1,3})\.(weight|bias)", name):
            named[name] = f"controlnet_cond_embedding.{ends[int(match[1])]}.{match[2]}"
        elif match := re.fullmatch(r"zero_convs\.(\d{1,3})\.0\.(weight|bias)", name):
            named[name] = f"controlnet_down_blocks.{match[1]}.{match[2]}"
        elif match := re.fullmatch(r"middle_block_out\.0\.(weight|bias)", name):
            named[name] = f"controlnet_mid_block.{match[1]}"
    return named


def config_of(file: ControlFile, shapes: Shapes) -> dict[str, Any]:
    """The arguments of the diffusers class. Raises KeyError, IndexError or ValueError for shapes without sense."""
    if file.kind == "t2i_adapter":
        return t2i_config(shapes)
    named = {new: shapes[old] for old, new in names_of(file, shapes).items()}
    config = controlnet_config(named)
    if file.kind == "controlnet_union":
        types, width = named["task_embedding"]
        config |= {
            "num_control_type": types,
            "num_trans_channel": width,
            "num_trans_layer": count(named, "transformer_layes."),
            "num_proj_channel": named["spatial_ch_projs.weight"][0],
            "addition_time_embed_dim": named["control_add_embedding.linear_1.weight"][1] // types,
        }
    return config


def controlnet_config(shapes: Shapes) -> dict[str, Any]:
    """The arguments of diffusers' ControlNetModel by the shapes of its weights, under diffusers' names.

    How many heads attention has cannot be seen: Stable Diffusion 1 has 8 everywhere; those that project linearly
    (2 and XL) have one for each 64 channels.
    """
    levels = count(shapes, "down_blocks.")
    layers = [count(shapes, f"down_blocks.{i}.resnets.") for i in range(levels)]
    if not levels or len(set(layers)) != 1:
        raise ValueError(f"levels of {layers} layers")
    channels = tuple(shapes[f"down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(levels))
    depths = [_depth(shapes, f"down_blocks.{i}") for i in range(levels)]
    middle = _depth(shapes, "mid_block")
    if middle and depths[-1] not in (0, middle):
        raise ValueError(f"{depths[-1]} transformers in the last level and {middle} in the middle")
    projection = [shapes[name] for name in shapes if name.endswith(".attentions.0.proj_in.weight")]
    linear = any(len(shape) == 2 for shape in projection)
    widths = [shapes[name][1] for name in shapes if name.endswith(".attn2.to_k.weight")]
    return {
        "in_channels": shapes["conv_in.weight"][1],
        "block_out_channels": channels,
        "down_block_types": tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths),
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "layers_per_block": layers[0],
        "transformer_layers_per_block": (*(depth or 1 for depth in depths[:-1]), middle or depths[-1] or 1),
        "cross_attention_dim": widths[0] if widths else 768,
        "use_linear_projection": linear,
        "attention_head_dim": tuple(_heads(width, linear=linear) for width in channels),
        "norm_num_groups": next(n for n in (32, 16, 8, 4, 2, 1) if all(width % n == 0 for width in channels)),
        **_hint_config(shapes),
        **_size_config(shapes),
    }


def _depth(shapes: Shapes, block: str) -> int:
    return count(shapes, f"{block}.attentions.0.transformer_blocks.")


def _heads(channels: int, *, linear: bool) -> int:
    return max(1, channels // 64) if linear else next(n for n in (8, 4, 2, 1) if channels % n == 0)


def _hint_config(shapes: Shapes) -> dict[str, Any]:
    """How the hint is encoded: pairs of layers, of which the second halves the sides and widens."""
    start = "controlnet_cond_embedding"
    first, blocks = shapes[f"{start}.conv_in.weight"], count(shapes, f"{start}.blocks.")
    widths = [shapes[f"{start}.blocks.{i}.weight"][0] for i in range(1, blocks, 2)]
    return {"conditioning_channels": first[1], "conditioning_embedding_out_channels": (first[0], *widths)}


def _size_config(shapes: Shapes) -> dict[str, Any]:
    """Stable Diffusion XL is told a pooled prompt and the picture's sizes."""
    told = shapes.get("add_embedding.linear_1.weight")
    if told is None:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME_IDS_WIDTH,
        "projection_class_embeddings_input_dim": told[1],
    }


def load_control(
    path: Path, device: torch.device, dtype: torch.dtype, base: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """A ControlNetModel, ControlNetUnionModel or T2IAdapter of diffusers from one file, in evaluation mode.

    base: the weights of a UNet under diffusers' names, which a file of differences is added to. A union ControlNet
    gets one more row of its `task_embedding`, of zeros, for a hint of no particular kind. Raises UnreadableModel.
    """
    file, shapes = read_control_file(path)
    if file.difference and base is None:
        raise UnreadableModel(f"{path} holds differences to a model's weights; load it with DiffControlNetLoader")

    def read() -> dict[str, Tensor]:
        weights = read_weights(path)
        named = {new: weights[old] for old, new in names_of(file, shapes).items()}
        return added_to(base, named) if file.difference and base is not None else named

    config = config_of(file, shapes)
    module = build(path, lambda: _unfilled(file.kind, config), read, device, dtype)
    return _with_no_kind(module) if file.kind == "controlnet_union" else module


def added_to(base: Mapping[str, Tensor], differences: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a ControlNet from their differences to those of a UNet; what a UNet has not is taken as it is.

    Raises UnreadableModel if the UNet is of another shape.
    """
    added: dict[str, Tensor] = {}
    for name, difference in differences.items():
        own = base.get(name)
        if own is not None and own.shape != difference.shape:
            raise UnreadableModel(f"the differences are to a model of another family ({name})")
        added[name] = difference if own is None else own.float() + difference.to(own.device).float()
    return added


def _unfilled(kind: Kind, config: Mapping[str, Any]) -> nn.Module:
    if kind == "t2i_adapter":
        from diffusers.models.adapter import T2IAdapter

        return T2IAdapter(**config)
    if kind == "controlnet_union":
        from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

        return ControlNetUnionModel(**{name: value for name, value in config.items() if name != "mid_block_type"})
    from diffusers.models.controlnets.controlnet import ControlNetModel

    return ControlNetModel(**config)


def _with_no_kind(union: Any) -> nn.Module:
    import torch

    kinds = union.task_embedding.data
    union.task_embedding = torch.nn.Parameter(torch.cat([kinds, torch.zeros_like(kinds[:1])]), requires_grad=False)
    return union

"""Names of weights: single-file (LDM) ↔ diffusers/transformers: unet_to_diffusers, unet_to_ldm, vae_to_diffusers,
vae_to_ldm, text_from_open_clip, text_to_open_clip, unet_layers, PREFIXES.

Latent Diffusion (Rombach et al. 2022, arXiv:2112.10752) numbers the blocks of a UNet through, and diffusers names them
by level. The maps follow from that, so that they hold for any number of levels, layers and transformers: Stable
Diffusion 1, 2, XL and its refiner, and smaller ones. All maps take names without the prefix that a checkpoint puts
before them (see PREFIXES), either of weights (`….weight`) or of layers; names that they do not know are left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

#: What a single-file checkpoint puts before the names of a part's weights, by part and layout.
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "clip_l": "cond_stage_model.transformer.text_model.",  # SD 1
    "open_clip": "cond_stage_model.model.",  # SD 2
    "xl_clip_l": "conditioner.embedders.0.transformer.text_model.",
    "xl_open_clip": "conditioner.embedders.1.model.",
    "refiner_open_clip": "conditioner.embedders.0.model.",
}

_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_VAE_MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
#: The weights of a VAE's attention that LDM keeps as convolutions by 1 × 1, [out, in, 1, 1], diffusers as [out, in].
VAE_CONVOLUTIONS = tuple(f".attentions.0.{name}.weight" for name in ("to_q", "to_k", "to_v", "to_out.0"))

Layers = int | Sequence[int]


def unet_layers(names: Iterable[str]) -> tuple[int, ...]:
    """Layers per level of a UNet by its LDM names: what `layers_per_block` says in a diffusers configuration."""
    blocks: set[int] = set()
    downsamplers: set[int] = set()
    for name in names:
        match = re.match(r"input_blocks\.(\d{1,4})\.0\.(op\.)?", name)
        if match:
            blocks.add(int(match[1]))
            if match[2]:
                downsamplers.add(int(match[1]))
    ends = [0, *sorted(downsamplers), max(blocks, default=0) + 1]
    return tuple(after - before - 1 for before, after in itertools.pairwise(ends))


def unet_to_diffusers(
    names: Iterable[str], layers_per_block: Layers = 2, levels: int = 4, labels: str = "add_embedding"
) -> dict[str, str]:
    """LDM name → diffusers name of a UNet2DConditionModel.

    layers_per_block: as in diffusers' configuration, a number for all levels or one each (`unet_layers` reads them off
    the names). labels: what diffusers calls the layers of `label_emb`: `add_embedding` (XL) or `class_embedding`.
    """
    layers = _by_level(layers_per_block, levels)
    down = [place for level, count in enumerate(layers) for place in [(level, i) for i in range(count + 1)]]
    up = [(level, i) for level, count in enumerate(reversed(layers)) for i in range(count + 1)]
    found = ((name, _unet_to_diffusers(name, layers, down, up, labels)) for name in names)
    return {name: new for name, new in found if new is not None}


def _unet_to_diffusers(
    name: str, layers: Sequence[int], down: list[tuple[int, int]], up: list[tuple[int, int]], labels: str
) -> str | None:
    end = _swap_start(name, _UNET_ENDS)
    if end is not None:
        return labels + end.removeprefix("add_embedding") if end.startswith("add_embedding") else end
    kind, *rest = name.split(".")
    if kind == "middle_block" and len(rest) >= 2 and rest[0] in _MIDDLE:
        return _layer("mid_block", _MIDDLE[rest[0]], ".".join(rest[1:]))
    if kind not in ("input_blocks", "output_blocks") or len(rest) < 3 or not rest[0].isdecimal():
        return None
    index, slot, inner = int(rest[0]), rest[1], ".".join(rest[2:])
    places, number = (down, index - 1) if kind == "input_blocks" else (up, index)
    if not 0 <= number < len(places):
        return None
    level, i = places[number]
    if kind == "input_blocks" and i == layers[level]:
        return _downsampler(level, slot, inner)
    block = f"{'down' if kind == 'input_blocks' else 'up'}_blocks.{level}"
    if kind == "output_blocks" and slot in ("1", "2") and (inner == "conv" or inner.startswith("conv.")):
        return f"{block}.upsamplers.0.{inner}"
    return _layer(block, f"resnets.{i}" if slot == "0" else f"attentions.{i}", inner) if slot in ("0", "1") else None


def _downsampler(level: int, slot: str, inner: str) -> str | None:
    if slot != "0" or inner.split(".")[0] != "op":
        return None
    return f"down_blocks.{level}.downsamplers.0.conv{inner[2:]}"


def _layer(block: str, part: str, inner: str) -> str | None:
    """A name inside a residual block, or inside a transformer, whose inner names are the same on both sides."""
    new = _swap_start(inner, _RESNET) if part.startswith("resnets") else inner
    return None if new is None else f"{block}.{part}.{new}"


def unet_to_ldm(names: Iterable[str], layers_per_block: Layers = 2, levels: int = 4) -> dict[str, str]:
    """diffusers name → LDM name of a UNet2DConditionModel; the reverse of `unet_to_diffusers`.

    names: all of them together, for where an upsampler goes depends on whether its level has transformers.
    """
    names = list(names)
    layers = _by_level(layers_per_block, levels)
    attended = {match[1] for name in names if (match := re.match(r"up_blocks\.(\d+)\.attentions\.", name))}
    found = ((name, _unet_to_ldm(name, layers, attended)) for name in names)
    return {name: new for name, new in found if new is not None}


def _unet_to_ldm(name: str, layers: Sequence[int], attended: set[str]) -> str | None:
    ends = {new: old for old, new in _UNET_ENDS.items()}
    end = _swap_start(name.replace("class_embedding.", "add_embedding.", 1), ends)
    if end is not None:
        return end
    kind, *rest = name.split(".")
    if kind == "mid_block" and len(rest) >= 3:
        slots = {new: old for old, new in _MIDDLE.items()}
        slot = slots.get(".".join(rest[:2]))
        inner = _ldm_layer(rest[0], ".".join(rest[2:]))
        return None if slot is None or inner is None else f"middle_block.{slot}.{inner}"
    if kind not in ("down_blocks", "up_blocks") or len(rest) < 4 or not (rest[0] + rest[2]).isdecimal():
        return None
    level, part, i, inner = int(rest[0]), rest[1], int(rest[2]), ".".join(rest[3:])
    counts = layers if kind == "down_blocks" else layers[::-1]
    if level >= len(counts):
        return None
    first = sum(count + 1 for count in counts[:level])
    if part == "downsamplers" and kind == "down_blocks" and rest[3] == "conv":
        return f"input_blocks.{first + counts[level] + 1}.0.op{inner[4:]}"
    if part == "upsamplers" and kind == "up_blocks":
        return f"output_blocks.{first + counts[level]}.{2 if rest[0] in attended else 1}.{inner}"
    new = _ldm_layer(part, inner)
    if new is None:
        return None
    block = f"input_blocks.{first + i + 1}" if kind == "down_blocks" else f"output_blocks.{first + i}"
    return f"{block}.{0 if part == 'resnets' else 1}.{new}"


def _ldm_layer(part: str, inner: str) -> str | None:
    if part == "attentions":
        return inner
    return _swap_start(inner, {new: old for old, new in _RESNET.items()}) if part == "resnets" else None


def vae_to_diffusers(names: Iterable[str]) -> dict[str, str]:
    """LDM name → diffusers name of an AutoencoderKL; names without the prefix `first_stage_model.`.

    The weights named by VAE_CONVOLUTIONS lose two dimensions on the way: [out, in, 1, 1] → [out, in].
    """
    names = list(names)
    levels = 1 + max((int(m[1]) for name in names if (m := re.match(r"decoder\.up\.(\d{1,4})\.", name))), default=0)
    found = ((name, _vae_to_diffusers(name, levels)) for name in names)
    return {name: new for name, new in found if new is not None}


def _vae_to_diffusers(name: str, levels: int) -> str | None:
    side, *rest = name.split(".")
    if side in ("quant_conv", "post_quant_conv"):
        return name
    if side not in ("encoder", "decoder") or not rest:
        return None
    inner = ".".join(rest)
    if rest[0] in ("conv_in", "conv_out"):
        return name
    if rest[0] == "norm_out":
        return f"{side}.conv_norm_out{inner[len('norm_out') :]}"
    if rest[0] == "mid" and len(rest) >= 3 and rest[1] in _VAE_MIDDLE:
        within = ".".join(rest[2:])
        new = _swap_start(within, _VAE_ATTENTION) if rest[1] == "attn_1" else _shortcut(within, to_ldm=False)
        return None if new is None else f"{side}.mid_block.{_VAE_MIDDLE[rest[1]]}.{new}"
    match = re.fullmatch(r"(down|up)\.(\d{1,4})\.(block\.(\d+)|downsample|upsample)\.(.+)", inner)
    if match is None:
        return None
    level = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
    part = f"resnets.{match[4]}" if match[4] else f"{match[3]}rs.0"
    return f"{side}.{match[1]}_blocks.{level}.{part}.{_shortcut(match[5], to_ldm=False)}"


def vae_to_ldm(names: Iterable[str]) -> dict[str, str]:
    """diffusers name → LDM name of an AutoencoderKL; the reverse of `vae_to_diffusers`.

    The weights named by VAE_CONVOLUTIONS gain two dimensions on the way: [out, in] → [out, in, 1, 1].
    """
    names = list(names)
    levels = 1 + max(
        (int(m[1]) for name in names if (m := re.match(r"decoder\.up_blocks\.(\d{1,4})\.", name))), default=0
    )
    found = ((name, _vae_to_ldm(name, levels)) for name in names)
    return {name: new for name, new in found if new is not None}


def _vae_to_ldm(name: str, levels: int) -> str | None:
    side, *rest = name.split(".")
    if side in ("quant_conv", "post_quant_conv"):
        return name
    if side not in ("encoder", "decoder") or not rest:
        return None
    inner = ".".join(rest)
    if rest[0] in ("conv_in", "conv_out"):
        return name
    if rest[0] == "conv_norm_out":
        return f"{side}.norm_out{inner[len('conv_norm_out') :]}"
    if rest[0] == "mid_block" and len(rest) >= 4:
        slot = {new: old for old, new in _VAE_MIDDLE.items()}.get(".".join(rest[1:3]))
        within = ".".join(rest[3:])
        attention = {new: old for old, new in _VAE_ATTENTION.items()}
        new = _swap_start(within, attention) if slot == "attn_1" else _shortcut(within, to_ldm=True)
        return None if slot is None or new is None else f"{side}.mid.{slot}.{new}"
    match = re.fullmatch(r"(down|up)_blocks\.(\d{1,4})\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.+)", inner)
    if match is None:
        return None
    level = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
    part = f"block.{match[4]}" if match[3] == "resnets" else match[3].removesuffix("rs")
    return f"{side}.{match[1]}.{level}.{part}.{_shortcut(match[5], to_ldm=True)}"


def _shortcut(inner: str, *, to_ldm: bool) -> str:
    """LDM's VAE calls a residual block's way past its layers `nin_shortcut`."""
    return (
        _swap_start(inner, {"conv_shortcut": "nin_shortcut"} if to_ldm else {"nin_shortcut": "conv_shortcut"}) or inner
    )


# --- text encoders ---------------------------------------------------------------------------------------------------

_OPEN_CLIP_ENDS = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final": "final_layer_norm",
}
_OPEN_CLIP_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def open_clip_name(name: str) -> str | None:
    """The transformers name (without `text_model.`) of an open_clip text encoder's weight or layer, or None.

    `attn.in_proj_weight`, which holds three of transformers' weights, and `text_projection` have none: see
    `text_from_open_clip`.
    """
    end = _swap_start(name, _OPEN_CLIP_ENDS)
    if end is not None:
        return end
    match = re.fullmatch(r"transformer\.resblocks\.(\d{1,4})\.(.+)", name)
    inner = None if match is None else _swap_start(match[2], _OPEN_CLIP_LAYER)
    return None if match is None or inner is None else f"encoder.layers.{match[1]}.{inner}"


def text_from_open_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's text encoder as transformers names and keeps it, without `text_model.`; views, no copies.

    `in_proj` [3 D, D] is cut into queries, keys and values; `text_projection` [D, E], by which open_clip multiplies
    from the right, becomes the layer `text_projection.weight` [E, D].
    """
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        match = re.fullmatch(r"transformer\.resblocks\.(\d{1,4})\.attn\.in_proj_(weight|bias)", name)
        if match:
            for part, piece in zip(_PROJECTIONS, tensor.chunk(3), strict=False):
                named[f"encoder.layers.{match[1]}.self_attn.{part}.{match[2]}"] = piece
        elif name == "text_projection":
            named["text_projection.weight"] = tensor.T
        elif name == "text_projection.weight":
            named[name] = tensor
        elif (new := open_clip_name(name)) is not None:
            named[new] = tensor
    return named


def text_to_open_clip(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `text_from_open_clip`, contiguous; names may begin with `text_model.`."""
    ends = {new: old for old, new in _OPEN_CLIP_ENDS.items()}
    layer = {new: old for old, new in _OPEN_CLIP_LAYER.items()}
    plain = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    named: dict[str, Tensor] = {}
    for name, tensor in plain.items():
        match = re.fullmatch(r"encoder\.layers\.(\d{1,4})\.(.+)", name)
        if name == "text_projection.weight":
            named["text_projection"] = tensor.T.contiguous()
        elif match is None:
            end = _swap_start(name, ends)
            if end is not None:
                named[end] = tensor.contiguous()
        elif (inner := _swap_start(match[2], layer)) is not None:
            named[f"transformer.resblocks.{match[1]}.{inner}"] = tensor.contiguous()
        elif match[2] in ("self_attn.q_proj.weight", "self_attn.q_proj.bias"):
            parts = [plain[name.replace("q_proj", part)] for part in _PROJECTIONS]
            kind = match[2].rpartition(".")[2]
            named[f"transformer.resblocks.{match[1]}.attn.in_proj_{kind}"] = torch.cat(parts)
    return named


def _by_level(layers: Layers, levels: int) -> list[int]:
    return [layers] * levels if isinstance(layers, int) else list(layers)


def _swap_start(name: str, table: Mapping[str, str]) -> str | None:
    """`name` with its first layers renamed by `table`, or None if none of them is there."""
    for old, new in table.items():
        if name == old or name.startswith(old + "."):
            return new + name[len(old) :]
    return None

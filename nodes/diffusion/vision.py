"""CLIP's encoder of pictures (Radford et al. 2021, arXiv:2103.00020): from one file, and what it makes of pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.ldm_keys import text_from_open_clip
from nodes.diffusion.one_file import Shapes, build, count, describing, read_shapes, read_weights

if TYPE_CHECKING:
    from torch import nn

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

#: What stands before open_clip's names: alone, with its text encoder, and in an unCLIP checkpoint.
OPEN_CLIP_PREFIXES = ("visual.", "embedder.model.visual.", "")
TRANSFORMERS_PREFIXES = ("vision_model.", "clip_vision.vision_model.", "image_encoder.vision_model.")
#: Widths of which the heads are not 64 wide: ViT-H and ViT-bigG, which also have the plain GELU.
_WIDE = {1280: 16, 1408: 16, 1664: 16}

_OPEN_CLIP = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "ln_post.weight": "vision_model.post_layernorm.weight",
    "ln_post.bias": "vision_model.post_layernorm.bias",
}


def layout_of(shapes: Shapes) -> tuple[str, str] | None:
    """Whose names a file uses (`transformers` or `open_clip`) and what stands before them; None if neither."""
    for prefix in TRANSFORMERS_PREFIXES:
        if f"{prefix}embeddings.patch_embedding.weight" in shapes:
            return "transformers", prefix
    for prefix in OPEN_CLIP_PREFIXES:
        if {f"{prefix}conv1.weight", f"{prefix}class_embedding", f"{prefix}positional_embedding"} <= shapes.keys():
            return "open_clip", prefix
    return None


def read_vision_file(path: Path) -> dict[str, Any]:
    """The configuration of the encoder in a file, by its header alone. Raises UnreadableModel."""
    shapes = read_shapes(path)
    found = layout_of(shapes)
    if found is None:
        raise UnreadableModel(f"{path} holds no CLIP vision model")
    return describing(path, lambda: vision_config(shapes, *found))


def vision_config(shapes: Shapes, layout: str, prefix: str) -> dict[str, Any]:
    """The arguments of transformers' CLIPVisionConfig. Raises KeyError, IndexError or ValueError.

    How wide heads are and which GELU is used cannot be seen; both follow from the width for the models that there are.
    """
    if layout == "transformers":
        patches = shapes[f"{prefix}embeddings.patch_embedding.weight"]
        places = shapes[f"{prefix}embeddings.position_embedding.weight"][0]
        layers = f"{prefix}encoder.layers."
        inner = shapes[f"{layers}0.mlp.fc1.weight"][0]
        projection = shapes[_projection_name(shapes, prefix)][0]
    else:
        patches = shapes[f"{prefix}conv1.weight"]
        places = shapes[f"{prefix}positional_embedding"][0]
        layers = f"{prefix}transformer.resblocks."
        inner = shapes[f"{layers}0.mlp.c_fc.weight"][0]
        projection = shapes[f"{prefix}proj"][1]
    width, patch = patches[0], patches[-1]
    side = round((places - 1) ** 0.5)
    if side < 1 or side * side != places - 1:
        raise ValueError(f"{places} places do not make a square and one more")
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection,
        "num_hidden_layers": count(shapes, layers),
        "num_attention_heads": _WIDE.get(width, max(1, width // 64)),
        "image_size": side * patch,
        "patch_size": patch,
        "hidden_act": "gelu" if width in _WIDE else "quick_gelu",
    }


def _projection_name(shapes: Shapes, prefix: str) -> str:
    names = (prefix.removesuffix("vision_model.") + "visual_projection.weight", "visual_projection.weight")
    return next(name for name in names if name in shapes) if any(n in shapes for n in names) else names[0]


def load_vision(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A CLIPVisionModelWithProjection of transformers from one file, in evaluation mode. Raises UnreadableModel."""
    config = read_vision_file(path)
    return build(path, lambda: _unfilled(config), lambda: vision_weights(read_weights(path)), device, dtype)


def _unfilled(config: Mapping[str, Any]) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))


def vision_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the encoder in a file under transformers' names; views, no copies."""
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    layout, prefix = layout_of(shapes) or ("transformers", "")
    if layout == "transformers":
        own = {
            "vision_model." + name.removeprefix(prefix): tensor
            for name, tensor in weights.items()
            if name.startswith(prefix) and not re.search(r"position_ids$", name)
        }
        return own | {"visual_projection.weight": weights[_projection_name(shapes, prefix)]}
    inner = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    named = {new: inner[old] for old, new in _OPEN_CLIP.items() if old in inner}
    named["visual_projection.weight"] = inner["proj"].T
    layers = {name: tensor for name, tensor in inner.items() if name.startswith("transformer.")}
    return named | {f"vision_model.{name}": tensor for name, tensor in text_from_open_clip(layers).items()}


def prepared(pictures: Tensor, size: int, *, crop: bool) -> Tensor:
    """Pictures [B, H, W, 3] as the encoder wants them, [B, 3, size, size].

    crop: the shorter side is resized to `size` and the middle cut out; else both sides are resized. Bicubic with
    anti-aliasing, in steps of 1/255, as CLIP's own preparation gives them.
    """
    picture = pictures.movedim(-1, 1).float()
    height, width = picture.shape[-2:]
    if crop:
        short = min(height, width)
        height, width = int(size * height / short), int(size * width / short)
    else:
        height = width = size
    resized = functional.interpolate(picture, size=(height, width), mode="bicubic", antialias=True)
    top, left = (height - size) // 2, (width - size) // 2
    cut = (resized[:, :, top : top + size, left : left + size] * 255).round().clamp(0, 255) / 255
    mean, std = (torch.tensor(numbers, device=cut.device).view(3, 1, 1) for numbers in (MEAN, STD))
    return (cut - mean) / std


def encode(model: Any, pictures: Tensor, *, crop: bool) -> dict[str, Tensor]:
    """What a CLIPVisionModelWithProjection makes of pictures [B, H, W, 3]: float32 on the CPU.

    `image_embeds` [B, D], `last_hidden_state` [B, T, W], and `penultimate_hidden_states`, those one layer before.
    """
    with torch.no_grad():
        pixels = prepared(pictures, model.config.image_size, crop=crop)
        given = model(pixels.to(model.device, model.dtype), output_hidden_states=True)
    return {
        "image_embeds": given.image_embeds.float().cpu(),
        "last_hidden_state": given.last_hidden_state.float().cpu(),
        "penultimate_hidden_states": given.hidden_states[-2].float().cpu(),
    }

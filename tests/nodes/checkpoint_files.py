"""Small models with random weights, written as single files in the original layout of each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from nodes.diffusion.ldm_keys import VAE_CONVOLUTIONS, text_to_open_clip, unet_to_ldm, vae_to_ldm


@dataclass(slots=True)
class Family:
    """A family's structure, with few channels: its UNet, and its text encoders with what stands before their names."""

    unet: dict[str, Any]
    texts: list[tuple[str, int]] = field(default_factory=list)


_PLAIN = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
_XL = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2],
    "use_linear_projection": True,
    "attention_head_dim": [1, 2],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
_L, _H = "cond_stage_model.transformer.text_model.", "cond_stage_model.model."
FAMILIES: dict[str, Family] = {
    "sd1": Family(_PLAIN | {"cross_attention_dim": 768, "attention_head_dim": 8}, [(_L, 768)]),
    "sd1 inpainting": Family(
        _PLAIN | {"cross_attention_dim": 768, "attention_head_dim": 8, "in_channels": 9}, [(_L, 768)]
    ),
    "sd2": Family(
        _PLAIN | {"cross_attention_dim": 1024, "attention_head_dim": [1, 2], "use_linear_projection": True},
        [(_H, 1024)],
    ),
    "sdxl": Family(
        _XL | {"cross_attention_dim": 2048, "projection_class_embeddings_input_dim": 2816},
        [("conditioner.embedders.0.transformer.text_model.", 768), ("conditioner.embedders.1.model.", 1280)],
    ),
    "sdxl_refiner": Family(
        _XL | {"cross_attention_dim": 1280, "projection_class_embeddings_input_dim": 2560},
        [("conditioner.embedders.0.model.", 1280)],
    ),
}


@dataclass(slots=True)
class Made:
    """A model that was written: its modules, to compare with."""

    path: Path
    unet: Any
    vae: Any
    texts: list[nn.Module]


def randomised(module: Any, seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module.eval()


def make_unet(family: str, seed: int = 0) -> UNet2DConditionModel:
    make: Any = UNet2DConditionModel
    config = {"block_out_channels": (64, 128), "layers_per_block": 1, "sample_size": 8, **FAMILIES[family].unet}
    return randomised(make(**config), seed)


def make_vae(seed: int = 1) -> AutoencoderKL:
    make: Any = AutoencoderKL
    config = {
        "block_out_channels": (32, 64),
        "latent_channels": 4,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "layers_per_block": 1,
    }
    return randomised(make(**config), seed)


def make_text(width: int, seed: int = 2) -> nn.Module:
    config = CLIPTextConfig(
        vocab_size=60, hidden_size=width, intermediate_size=width, num_hidden_layers=2, projection_dim=width,
        num_attention_heads=width // 64, hidden_act="quick_gelu" if width == 768 else "gelu",
        bos_token_id=58, eos_token_id=59, pad_token_id=0,
    )  # fmt: skip
    return randomised((CLIPTextModel if width == 768 else CLIPTextModelWithProjection)(config), seed)


def unet_weights(unet: Any) -> dict[str, Tensor]:
    state = unet.state_dict()
    names = unet_to_ldm(state, unet.config.layers_per_block, len(unet.config.block_out_channels))
    return {names[name]: tensor for name, tensor in state.items()}


def vae_weights(vae: Any) -> dict[str, Tensor]:
    state = vae.state_dict()
    names = vae_to_ldm(state)
    return {names[n]: t[:, :, None, None] if n.endswith(VAE_CONVOLUTIONS) else t for n, t in state.items()}


def text_weights(text: Any, prefix: str) -> dict[str, Tensor]:
    plain = {name.removeprefix("text_model."): tensor for name, tensor in text.state_dict().items()}
    return {prefix + n: t for n, t in (plain if "transformer" in prefix else text_to_open_clip(plain)).items()}


def save(path: Path, weights: Mapping[str, Tensor], notes: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()}, path, notes)
    return path


def make_checkpoint(path: Path, family: str, *, dtype: torch.dtype = torch.float32, **leave_out: bool) -> Made:
    """Write a checkpoint; `vae=False` or `texts=False` leave those out."""
    unet, vae = make_unet(family), make_vae()
    texts = [make_text(width, seed) for seed, (_, width) in enumerate(FAMILIES[family].texts, 2)]
    weights = {"model.diffusion_model." + name: tensor for name, tensor in unet_weights(unet).items()}
    if leave_out.get("vae", True):
        weights |= {"first_stage_model." + name: tensor for name, tensor in vae_weights(vae).items()}
    if leave_out.get("texts", True):
        for (prefix, _), text in zip(FAMILIES[family].texts, texts, strict=True):
            weights |= text_weights(text, prefix)
    save(path, {name: tensor.to(dtype) for name, tensor in weights.items()})
    return Made(path, unet, vae, texts)

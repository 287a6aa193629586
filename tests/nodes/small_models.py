"""Small networks of Stable Diffusion's structures with random weights, made without touching global chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

Made = TypeVar("Made", bound=nn.Module)

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
XL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 56}
#: The structures of the Stable Diffusion UNets, in a width that costs nothing.
UNETS: dict[str, dict[str, Any]] = {
    "sd1": {
        "block_out_channels": (8, 16, 16, 16),
        "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
    },
    "sd2": {
        "block_out_channels": (8, 16, 16, 16),
        "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
        "use_linear_projection": True,
    },
    "xl": {
        "block_out_channels": (8, 16, 16),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        **XL,
    },
    "refiner": {
        "block_out_channels": (8, 16, 16, 16),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, UP),
        "transformer_layers_per_block": 4,
        "use_linear_projection": True,
        **XL,
    },
    "tiny": {
        "block_out_channels": (8, 16, 16),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "layers_per_block": 1,
    },
    "uneven": {
        "block_out_channels": (8, 16, 16),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "layers_per_block": (1, 3, 2),
    },
}


def unet(structure: str = "sd1", seed: int = 0, **changes: Any) -> UNet2DConditionModel:
    config: dict[str, Any] = (
        {"norm_num_groups": 4, "cross_attention_dim": 8, "attention_head_dim": 4} | UNETS[structure] | changes
    )
    return _seeded(lambda: UNet2DConditionModel(**config), seed)


def vae(levels: int = 4, layers: int = 2, seed: int = 0) -> AutoencoderKL:
    config: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": (4, 8, 8, 8, 8)[:levels],
        "layers_per_block": layers,
        "norm_num_groups": 2,
    }
    return _seeded(lambda: AutoencoderKL(**config), seed)


def text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        projection_dim=6, max_position_embeddings=7, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip


def text_encoder(seed: int = 0) -> CLIPTextModel:
    return _seeded(lambda: CLIPTextModel(text_config()), seed)


def projecting_text_encoder(seed: int = 0) -> CLIPTextModelWithProjection:
    return _seeded(lambda: CLIPTextModelWithProjection(text_config()), seed)


def _seeded(make: Callable[[], Made], seed: int) -> Made:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().eval().requires_grad_(False)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

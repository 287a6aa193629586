"""Tiny UNets with random weights, one of each kind that is told something else."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel

WIDTH = 16
POOLED = 24
#: What makes a UNet of each kind, beside the sizes.
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sdxl": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": POOLED + 6 * 8,
    },
    "refiner": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": POOLED + 5 * 8,
    },
    "inpainting": {"in_channels": 9},
    "instructions": {"in_channels": 8},
    "upscaler": {"in_channels": 7, "num_class_embeds": 1000},
    "unclip": {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2 * POOLED},
}


def make_unet(kind: str = "plain", seed: int = 0) -> UNet2DConditionModel:
    """A UNet of three levels (8, 16, 32 channels), with attention on all of them and in the middle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16, 32),
            down_block_types=("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3,
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=4,
            **KINDS[kind],
        )
    return unet.eval().requires_grad_(False)

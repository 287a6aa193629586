"""Pictures that a network is shown: encoded ones (unCLIP), and small ones to enlarge; both with noise, if wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.noise import generator, independent_seed

Statistics = tuple[Tensor, Tensor]
"""Mean and standard deviation [1, D] of the encoded pictures that a model was trained with."""

STEPS = 1000
MERGED = 0.05
"""Noise on a sum of several encoded pictures, as a part of the most: a sum looks like no single picture's code."""


def cosine_signal(step: int) -> float:
    """The signal level after `step` of the cosine schedule (Nichol and Dhariwal 2021, eq. 17), betas below 0.999."""
    level = 1.0
    for i in range(step + 1):
        ratio = _cosine((i + 1) / STEPS) / _cosine(i / STEPS)
        level *= 1 - min(1 - ratio, 0.999)
    return level


def _cosine(part: float) -> float:
    return math.cos((part + 0.008) / 1.008 * math.pi / 2) ** 2


def encoded_pictures(options: Mapping[str, Any], width: int, seed: int, statistics: Statistics | None) -> Tensor:
    """[1 or B, width]: the encoded pictures of an entry's `unclip_conditioning`, and how noisy they are.

    Each is noised by its `noise_augmentation` (0 ... 1), joined with the embedding of that level, and counts with its
    `strength`; several are added up, and the sum is noised slightly again (Stable unCLIP). Without any, zeros.
    """
    pictures: Sequence[Mapping[str, Any]] = options.get("unclip_conditioning") or ()
    if not pictures:
        return torch.zeros(1, width)
    seed = independent_seed(seed, "unclip")
    codes = [
        noised_code(
            picture["clip_vision_output"]["image_embeds"].float().cpu(),
            float(picture.get("noise_augmentation", 0.0)),
            seed,
            statistics,
        )
        * float(picture.get("strength", 1.0))
        for picture in pictures
    ]
    if len(codes) == 1:
        return codes[0]
    rows = max(len(code) for code in codes)
    total = torch.stack([code.expand(rows, -1) for code in codes]).sum(dim=0)
    return noised_code(total[:, : total.shape[1] // 2], MERGED, seed, statistics)


def noised_code(code: Tensor, amount: float, seed: int, statistics: Statistics | None) -> Tensor:
    """[B, 2 D]: the code [B, D] noised by `amount` (0 ... 1) of the cosine schedule, and the embedding of the step."""
    from diffusers.models.embeddings import get_timestep_embedding

    mean, deviation = statistics or (torch.zeros(1, code.shape[1]), torch.ones(1, code.shape[1]))
    step = round((STEPS - 1) * amount)
    signal = cosine_signal(step)
    noise = torch.randn(code.shape, generator=generator(seed))
    noised = ((code - mean) / deviation * math.sqrt(signal) + noise * math.sqrt(1 - signal)) * deviation + mean
    steps = torch.full((len(code),), step)
    level = get_timestep_embedding(steps, code.shape[1], flip_sin_to_cos=True, downscale_freq_shift=0)
    return torch.cat([noised, level], dim=1)


def noised_picture(picture: Tensor, step: int, seed: int) -> Tensor:
    """A picture [B, 3, h, w] (-1 ... 1) after `step` of the schedule that is linear in sqrt(beta), 0.0001 ... 0.02."""
    betas = torch.linspace(math.sqrt(0.0001), math.sqrt(0.02), STEPS, dtype=torch.float64) ** 2
    signal = float(torch.cumprod(1 - betas, dim=0)[step])
    noise = torch.randn(picture.shape, generator=generator(independent_seed(seed, "small picture")))
    return picture * math.sqrt(signal) + noise.to(picture) * math.sqrt(1 - signal)

"""Small networks that enlarge pictures, with weights drawn here, in the layouts that files of them have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]


def _drawer(seed: int) -> Callable[[Weights, str, int, int], None]:
    generator = torch.Generator().manual_seed(seed)

    def draw(weights: Weights, name: str, out: int, inner: int) -> None:
        weights[f"{name}.weight"] = torch.randn(out, inner, 3, 3, generator=generator) * (0.7 / (inner * 9) ** 0.5)
        weights[f"{name}.bias"] = torch.randn(out, generator=generator) * 0.05

    return draw


def esrgan(
    scale: int = 4, *, unshuffle: int = 1, channels: int = 3, features: int = 8, growth: int = 4, blocks: int = 2
) -> Weights:
    """ESRGAN's weights under the names of Real-ESRGAN."""
    weights: Weights = {}
    draw = _drawer(0)
    draw(weights, "conv_first", features, channels * unshuffle**2)
    for i in range(blocks):
        for j in range(1, 4):
            for k in range(1, 6):
                out = growth if k < 5 else features
                draw(weights, f"body.{i}.rdb{j}.conv{k}", out, features + (k - 1) * growth)
    draw(weights, "conv_body", features, features)
    for i in range((scale * unshuffle).bit_length() - 1):
        draw(weights, f"conv_up{i + 1}", features, features)
    draw(weights, "conv_hr", features, features)
    draw(weights, "conv_last", channels, features)
    return weights


def compact(scale: int = 2, *, channels: int = 3, features: int = 6, convolutions: int = 2) -> Weights:
    """The weights of Real-ESRGAN's compact network."""
    weights: Weights = {}
    draw = _drawer(1)
    sizes = [channels, *[features] * (convolutions + 1), channels * scale**2]
    for i, (inner, out) in enumerate(itertools.pairwise(sizes)):
        draw(weights, f"body.{2 * i}", out, inner)
        if i <= convolutions:
            weights[f"body.{2 * i + 1}.weight"] = torch.full((features,), 0.2)
    return weights


def nearest(scale: int = 2, channels: int = 3) -> Weights:
    """A compact network that adds nothing to larger pixels."""
    return {name: torch.zeros_like(tensor) for name, tensor in compact(scale, channels=channels).items()}


def save_compact(path: Path, scale: int = 2) -> None:
    save_file(compact(scale), path)

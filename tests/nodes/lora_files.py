"""LoRA files with random tensors, made for the layers of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodegraph.context import Context
from nodes.models import module_of
from tests.nodes.conftest import Tiny

Chance = Callable[..., Tensor]


def chance(seed: int = 0) -> Chance:
    """Tensors of normal numbers, a sequence that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator)


def layers_of(module: nn.Module, inside: str = "") -> dict[str, Tensor]:
    """Layer → weight, of the linear layers and convolutions whose names hold `inside`."""
    weights = {name.removesuffix(".weight"): each for name, each in module.named_parameters() if each.ndim > 1}
    return {name: weight.detach() for name, weight in weights.items() if inside in name}


def lora_tensors(
    weights: Mapping[str, Tensor], prefix: str, rank: int = 4, alpha: float | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """A LoRA in kohya's names for layers by their weights, of a size that shows in pictures."""
    draw = chance(seed)
    tensors: dict[str, Tensor] = {}
    for layer, weight in weights.items():
        key = prefix + layer.replace(".", "_")
        tensors[f"{key}.lora_down.weight"] = draw(rank, *weight.shape[1:]) / weight[0].numel() ** 0.5
        tensors[f"{key}.lora_up.weight"] = draw(weight.shape[0], rank, *[1] * (weight.ndim - 2)) / rank**0.5
        if alpha is not None:
            tensors[f"{key}.alpha"] = torch.tensor(alpha)
    return tensors


def lora_folder(context: Context) -> Path:
    """The folder that a context finds LoRAs in."""
    folder = context.roots.models[0] / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tiny_lora(tiny: Tiny, name: str = "styles/tiny.safetensors", seed: int = 0) -> str:
    """A LoRA of the shipped model's UNet and text encoder, written once; its name."""
    path = lora_folder(tiny.context) / name
    if not path.is_file():
        unet, encoder = (module_of(each, tiny.context) for each in (tiny.checkpoint.MODEL, tiny.checkpoint.CLIP))
        tensors = lora_tensors(layers_of(unet), "lora_unet_", seed=seed)
        tensors |= lora_tensors(layers_of(encoder, "encoder"), "lora_te_text_model_", seed=seed + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)
    return name

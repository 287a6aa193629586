"""Small stand-ins, with random weights, for the models that the shipped workflows ask for, and such that fit `tiny`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from nodes.checkpoints import CheckpointLoaderSimple
from nodes.models import module_of
from tests.helpers import context_in
from tests.nodes.checkpoint_files import make_checkpoint, make_unet, save
from tests.nodes.lora_files import layers_of, lora_tensors
from tests.nodes.steering_models import controlnet, original_controlnet, randn
from tests.nodes.upscale_models import esrgan, nearest

Make = Callable[[Path], object]

SD1 = "checkpoints/v1-5-pruned-emaonly.safetensors"
LORA, LOCON = "loras/style.safetensors", "loras/character-locon.safetensors"
CANNY = "controlnet/control_v11p_sd15_canny_fp16.safetensors"
TILE = "controlnet/control_v11f1e_sd15_tile_fp16.safetensors"
WORD, FLAWS = "embeddings/watercolour-style.safetensors", "embeddings/easynegative.safetensors"
UPSCALER = "upscale_models/RealESRGAN_x4plus.safetensors"

#: The files that each workflow needs beside the embedded model.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "inpaint-model": ("checkpoints/sd-v1-5-inpainting.safetensors",),
    "locon": (SD1, LOCON, LORA),
    "lora": (SD1, LORA),
    "sdxl-base-refiner": ("checkpoints/sd_xl_base_1.0.safetensors", "checkpoints/sd_xl_refiner_1.0.safetensors"),
    "textual-inversion": (SD1, WORD, FLAWS),
    "two-controlnets": (SD1, CANNY, TILE),
    "unclip": ("checkpoints/sd21-unclip-h.safetensors",),
    "upscale": (UPSCALER,),
}


def _checkpoint(family: str) -> Make:
    return lambda path: make_checkpoint(path, family, dtype=torch.float16)


def _unclip(path: Path) -> None:
    """A checkpoint that looks like an unCLIP one."""
    make_checkpoint(path, "sd2", dtype=torch.float16)
    save(path, load_file(path) | {"embedder.model.visual.conv1.weight": torch.zeros(1)})


def _lora(inside: str) -> Make:
    return lambda path: save(path, lora_tensors(layers_of(make_unet("sd1"), inside), "lora_unet_"))


def _controlnet(path: Path) -> None:
    save(path, original_controlnet(controlnet("sd1")))


STAND_INS: Mapping[str, Make] = {
    SD1: _checkpoint("sd1"),
    "checkpoints/sd-v1-5-inpainting.safetensors": _checkpoint("sd1 inpainting"),
    "checkpoints/sd_xl_base_1.0.safetensors": _checkpoint("sdxl"),
    "checkpoints/sd_xl_refiner_1.0.safetensors": _checkpoint("sdxl_refiner"),
    "checkpoints/sd21-unclip-h.safetensors": _unclip,
    LORA: _lora("attn"),
    LOCON: _lora(""),
    CANNY: _controlnet,
    TILE: _controlnet,
    WORD: lambda path: save(path, {"emb_params": randn(2, 768)}),
    FLAWS: lambda path: save(path, {"emb_params": randn(4, 768)}),
    UPSCALER: lambda path: save(path, esrgan(4)),
}


def make_stand_ins(models: Path) -> Path:
    """Write a file of the right kind for everything that a workflow needs into a folder of models."""
    for name, make in STAND_INS.items():
        make(models / name)
    return models


def make_files_for_tiny(folder: Path) -> Path:
    """Write files under the same names that fit the embedded model into folder/models, as far as it can use any."""
    context, models = context_in(folder), folder / "models"
    checkpoint = CheckpointLoaderSimple("tiny", context)
    unet, encoder = module_of(checkpoint.MODEL, context), module_of(checkpoint.CLIP, context)
    for name, inside, seed in ((LORA, "attn", 1), (LOCON, "", 2)):
        tensors = lora_tensors(layers_of(unet, inside), "lora_unet_", seed=seed)
        tensors |= lora_tensors(layers_of(encoder, "encoder"), "lora_te_text_model_", seed=seed)
        save(models / name, tensors)
    for seed, name in enumerate((CANNY, TILE)):
        save(models / name, _controlnet_like(unet, seed))
    for seed, name in enumerate((WORD, FLAWS)):
        save(models / name, {"emb_params": randn(2, 128, seed=seed) * 0.5})
    save(models / UPSCALER, nearest(4))
    return models


def _controlnet_like(unet: Any, seed: int) -> dict[str, torch.Tensor]:
    from diffusers.models.controlnets.controlnet import ControlNetModel

    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 16, 16))
    return {name: randn(*each.shape, seed=seed + i) * 0.1 for i, (name, each) in enumerate(net.state_dict().items())}

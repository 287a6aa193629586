"""Arguments to try loaders and text encoders with; the files that they load are made when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.helpers import copy_of_tiny
from tests.nodes.arguments import Arguments
from tests.nodes.checkpoint_files import make_checkpoint, make_text, make_unet, make_vae, save, text_weights
from tests.nodes.conftest import Tiny


def models(tiny: Tiny) -> Path:
    """A folder of models with one of each kind."""
    folder = tiny.context.roots.models[0]
    if not (folder / "checkpoints/sd1.safetensors").exists():
        make_checkpoint(folder / "checkpoints/sd1.safetensors", "sd1")
        made = make_checkpoint(folder / "checkpoints/unclip.safetensors", "sd2").path
        save(made, load_file(made) | {"embedder.model.visual.conv1.weight": torch.zeros(1)})
        (folder / "configs").mkdir()
        (folder / "configs/v.yaml").write_text("parameterization: v")
        save(folder / "unet/u.safetensors", make_unet("sd1").state_dict())
        save(folder / "vae/v.safetensors", make_vae().state_dict())
        save(folder / "clip/l.safetensors", {f"text_model.{n}": t for n, t in make_text(768).state_dict().items()})
        save(folder / "clip/g.safetensors", text_weights(make_text(1280), ""))
        copy_of_tiny(folder / "diffusers/mine")
    return folder


def loading(**arguments: Any) -> Any:
    """Arguments that need the files to be there."""

    def give(tiny: Tiny) -> dict[str, Any]:
        models(tiny)
        return arguments

    return give


ARGUMENTS: Arguments = {
    "CheckpointLoader": loading(config_name="v.yaml", ckpt_name="sd1.safetensors"),
    "CLIPLoader": loading(clip_name="l.safetensors"),
    "CLIPSetLastLayer": lambda tiny: {"clip": tiny.checkpoint.CLIP, "stop_at_clip_layer": -2},
    "CLIPTextEncodeControlnet": lambda tiny: {
        "clip": tiny.checkpoint.CLIP,
        "conditioning": tiny.positive,
        "text": "a blue fish",
    },
    "CLIPTextEncodeSDXL": lambda tiny: {"clip": tiny.checkpoint.CLIP, "text_g": "a star", "text_l": "a star"},
    "CLIPTextEncodeSDXLRefiner": lambda tiny: {"clip": tiny.checkpoint.CLIP, "text": "a star"},
    "DiffusersLoader": loading(model_path="mine"),
    "DualCLIPLoader": loading(clip_name1="l.safetensors", clip_name2="g.safetensors"),
    "unCLIPCheckpointLoader": loading(ckpt_name="unclip.safetensors"),
    "UNETLoader": loading(unet_name="u.safetensors"),
    "VAELoader": loading(vae_name="v.safetensors"),
}

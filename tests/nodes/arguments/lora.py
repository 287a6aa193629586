"""Arguments to try the nodes with that change weights, or save them."""

from __future__ import annotations

from typing import Any

from nodegraph.sockets import Clip, Model
from nodes.loras import LoraLoader
from nodes.merging import CLIPMergeSubtract, ModelMergeSubtract
from tests.nodes.arguments import Arguments
from tests.nodes.conftest import Tiny
from tests.nodes.lora_files import tiny_lora


def changed(tiny: Tiny) -> tuple[Model, Clip]:
    """The model with a LoRA: another one, to merge with."""
    return LoraLoader(tiny.checkpoint.MODEL, tiny.checkpoint.CLIP, tiny_lora(tiny), 0.8, 0.5, tiny.context)


def models(tiny: Tiny) -> dict[str, Any]:
    return {"model1": tiny.checkpoint.MODEL, "model2": changed(tiny)[0]}


def clips(tiny: Tiny) -> dict[str, Any]:
    return {"clip1": tiny.checkpoint.CLIP, "clip2": changed(tiny)[1]}


def difference(tiny: Tiny) -> dict[str, Any]:
    model, clip = changed(tiny)
    return {
        "model_diff": ModelMergeSubtract(model, tiny.checkpoint.MODEL),
        "text_encoder_diff": CLIPMergeSubtract(clip, tiny.checkpoint.CLIP),
    }


ARGUMENTS: Arguments = {
    "LoraLoader": lambda tiny: {
        "model": tiny.checkpoint.MODEL,
        "clip": tiny.checkpoint.CLIP,
        "lora_name": tiny_lora(tiny),
        "strength_clip": 0.5,
    },
    "LoraLoaderModelOnly": lambda tiny: {"model": tiny.checkpoint.MODEL, "lora_name": tiny_lora(tiny)},
    "ModelMergeSimple": lambda tiny: models(tiny) | {"ratio": 0.3},
    "ModelMergeBlocks": lambda tiny: models(tiny) | {"input": 0.3, "out": 0.6},
    "ModelMergeSubtract": lambda tiny: models(tiny) | {"multiplier": 0.5},
    "ModelMergeAdd": models,
    "CLIPMergeSimple": lambda tiny: clips(tiny) | {"ratio": 0.3},
    "CLIPMergeSubtract": clips,
    "CLIPMergeAdd": clips,
    "CheckpointSave": lambda tiny: {
        "model": changed(tiny)[0],
        "clip": changed(tiny)[1],
        "vae": tiny.checkpoint.VAE,
    },
    "ModelSave": lambda tiny: {"model": changed(tiny)[0]},
    "CLIPSave": lambda tiny: {"clip": changed(tiny)[1]},
    "VAESave": lambda tiny: {"vae": tiny.checkpoint.VAE},
    "LoraSave": lambda tiny: difference(tiny) | {"rank": 4},
}

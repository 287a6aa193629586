"""Arguments to try the nodes of networks that steer with; their small files are made when first asked for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from nodegraph.sockets import ClipVision, ClipVisionOutput, ControlNet, Gligen, IPAdapter, StyleModel
from nodes.control import ControlNetLoader
from nodes.gligen import GLIGENLoader
from nodes.ip_adapter import IPAdapterModelLoader
from nodes.vision import CLIPVisionLoader, StyleModelLoader
from tests.nodes.arguments import Arguments, picture
from tests.nodes.conftest import Tiny
from tests.nodes.steering_models import (
    controlnet,
    gligen_file,
    ip_adapter,
    original_controlnet,
    randn,
    save,
    style_adapter,
    unet,
    vision_model,
)

FILE = "small.safetensors"
DIFFERENCES = "differences.safetensors"


@cache
def _written(models: Path) -> Path:
    """The folder of models with a small file of each kind in it."""
    net, base = controlnet("sd1"), unet("sd1", attention_type="gated")
    save(models / "controlnet" / FILE, net.state_dict())
    save(models / "controlnet" / DIFFERENCES, original_controlnet(net) | {"difference": torch.zeros(1)})
    save(models / "clip_vision" / FILE, vision_model().state_dict())
    save(models / "style_models" / FILE, style_adapter(words=128))
    save(models / "ipadapter" / FILE, ip_adapter(base))
    save(models / "gligen" / FILE, gligen_file(base))
    return models


def ready(tiny: Tiny) -> Tiny:
    _written(tiny.context.roots.models[0])
    return tiny


def control_net(tiny: Tiny) -> ControlNet:
    return ControlNetLoader(FILE, ready(tiny).context)


def clip_vision(tiny: Tiny) -> ClipVision:
    return CLIPVisionLoader(FILE, ready(tiny).context)


def style_model(tiny: Tiny) -> StyleModel:
    return StyleModelLoader(FILE, ready(tiny).context)


def adapter(tiny: Tiny) -> IPAdapter:
    return IPAdapterModelLoader(FILE, ready(tiny).context)


def gligen(tiny: Tiny) -> Gligen:
    return GLIGENLoader(FILE, ready(tiny).context)


def seen() -> ClipVisionOutput:
    return {
        "image_embeds": randn(1, 24),
        "last_hidden_state": randn(1, 5, 64, seed=1),
        "penultimate_hidden_states": randn(1, 5, 64, seed=2),
    }


def prompts(tiny: Tiny) -> dict[str, Any]:
    return {"positive": tiny.positive, "negative": tiny.negative}


ARGUMENTS: Arguments = {
    "ControlNetLoader": lambda tiny: {"control_net_name": ready(tiny) and FILE},
    "DiffControlNetLoader": lambda tiny: {
        "model": tiny.checkpoint.MODEL,
        "control_net_name": ready(tiny) and DIFFERENCES,
    },
    "SetUnionControlNetType": lambda tiny: {"control_net": control_net(tiny), "type": "depth"},
    "ControlNetApply": lambda tiny: {
        "conditioning": tiny.positive,
        "control_net": control_net(tiny),
        "image": picture(),
    },
    "ControlNetApplyAdvanced": lambda tiny: (
        prompts(tiny) | {"control_net": control_net(tiny), "image": picture(), "strength": 0.5, "end_percent": 0.8}
    ),
    "CLIPVisionLoader": lambda tiny: {"clip_name": ready(tiny) and FILE},
    "CLIPVisionEncode": lambda tiny: {"clip_vision": clip_vision(tiny), "image": picture()},
    "unCLIPConditioning": lambda tiny: {"conditioning": tiny.positive, "clip_vision_output": seen(), "strength": 0.5},
    "StyleModelLoader": lambda tiny: {"style_model_name": ready(tiny) and FILE},
    "StyleModelApply": lambda tiny: {
        "conditioning": tiny.positive,
        "style_model": style_model(tiny),
        "clip_vision_output": seen(),
    },
    "IPAdapterModelLoader": lambda tiny: {"ipadapter_file": ready(tiny) and FILE},
    "IPAdapterApply": lambda tiny: {
        "model": tiny.checkpoint.MODEL,
        "ipadapter": adapter(tiny),
        "clip_vision_output": seen(),
        "weight": 0.7,
    },
    "GLIGENLoader": lambda tiny: {"gligen_name": ready(tiny) and FILE},
    "GLIGENTextBoxApply": lambda tiny: {
        "conditioning_to": tiny.positive,
        "clip": tiny.checkpoint.CLIP,
        "gligen_textbox_model": gligen(tiny),
        "text": "a star",
    },
}

"""Arguments to try the nodes with that guide a model: conditionings, guiders, custom sampling, changes of a model."""

from __future__ import annotations

from typing import Any

import torch

from nodegraph.sockets import Guider, LatentOperation, Noise, Sampler
from nodes.conditioning import ConditioningSetArea
from nodes.model_patches import FreeU, HyperTile, PerturbedAttentionGuidance, SelfAttentionGuidance, TomePatchModel
from tests.nodes.arguments import Arguments, latent, mask
from tests.nodes.conftest import Tiny

SIGMAS = torch.tensor([14.6, 3.0, 0.8, 0.0])


def model(tiny: Tiny) -> dict[str, Any]:
    return {"model": tiny.checkpoint.MODEL}


def prompts(tiny: Tiny) -> dict[str, Any]:
    return {"positive": tiny.positive, "negative": tiny.negative}


def conditioning(tiny: Tiny) -> dict[str, Any]:
    return {"conditioning": tiny.positive}


def changed(tiny: Tiny) -> dict[str, Any]:
    """A model with a bit of everything, and a prompt that counts in a part of the picture."""
    changed_model = TomePatchModel(HyperTile(FreeU(tiny.checkpoint.MODEL), 32), 0.3)
    changed_model = SelfAttentionGuidance(PerturbedAttentionGuidance(changed_model))
    return {"model": changed_model, "positive": ConditioningSetArea(tiny.positive, 64, 64), "negative": tiny.negative}


def custom(tiny: Tiny) -> dict[str, Any]:
    return {"sampler": Sampler("euler_ancestral", (("eta", 0.5),)), "sigmas": SIGMAS, "latent_image": latent()}


ARGUMENTS: Arguments = {
    "AddNoise": lambda tiny: model(tiny) | {"noise": Noise(3), "sigmas": SIGMAS, "latent_image": latent()},
    "BasicGuider": lambda tiny: model(tiny) | conditioning(tiny),
    "CFGGuider": lambda tiny: model(tiny) | prompts(tiny),
    "CFGNorm": model,
    "CFGZeroStar": model,
    "ConditioningAverage": lambda tiny: {
        "conditioning_to": tiny.positive, "conditioning_from": tiny.negative, "conditioning_to_strength": 0.3,
    },
    "ConditioningCombine": lambda tiny: {"conditioning_1": tiny.positive, "conditioning_2": tiny.negative},
    "ConditioningConcat": lambda tiny: {"conditioning_to": tiny.positive, "conditioning_from": tiny.negative},
    "ConditioningSetArea": lambda tiny: conditioning(tiny) | {"x": 8},
    "ConditioningSetAreaPercentage": lambda tiny: conditioning(tiny) | {"width": 0.5},
    "ConditioningSetAreaStrength": lambda tiny: conditioning(tiny) | {"strength": 2.0},
    "ConditioningSetMask": lambda tiny: conditioning(tiny) | {"mask": mask()},
    "ConditioningSetTimestepRange": lambda tiny: conditioning(tiny) | {"end": 0.5},
    "ConditioningZeroOut": conditioning,
    "DifferentialDiffusion": model,
    "DualCFGGuider": lambda tiny: model(tiny) | {
        "cond1": tiny.positive, "cond2": tiny.positive, "negative": tiny.negative,
    },
    "FreeU": model,
    "FreeU_V2": model,
    "HyperTile": model,
    "LatentApplyOperationCFG": lambda tiny: model(tiny) | {
        "operation": LatentOperation("tonemap_reinhard", (("multiplier", 1.0),)),
    },
    "ModelComputeDtype": lambda tiny: model(tiny) | {"dtype": "bf16"},
    "ModelSamplingContinuousEDM": model,
    "ModelSamplingContinuousV": model,
    "ModelSamplingDiscrete": lambda tiny: model(tiny) | {"sampling": "v_prediction", "zsnr": True},
    "PerpNeg": lambda tiny: model(tiny) | {"empty_conditioning": tiny.negative},
    "PerpNegGuider": lambda tiny: model(tiny) | prompts(tiny) | {"empty_conditioning": tiny.negative},
    "PerturbedAttentionGuidance": model,
    "RescaleCFG": model,
    "SamplerCustom": lambda tiny: changed(tiny) | custom(tiny),
    "SamplerCustomAdvanced": lambda tiny: custom(tiny) | {
        "noise": Noise(3),
        "guider": Guider("cfg", tiny.checkpoint.MODEL, tuple(prompts(tiny).items()), (("cfg", 3.0),)),
    },
    "SelfAttentionGuidance": model,
    "TomePatchModel": model,
    "TorchCompileModel": model,
}  # fmt: skip

"""Arguments to try the nodes of latents, the autoencoder, texts and plain values with."""

from __future__ import annotations

from typing import Any

from nodegraph.sockets import LatentOperation
from tests.nodes.arguments import Arguments, latent, mask, picture
from tests.nodes.conftest import Tiny

TWO = {"samples1": latent(1), "samples2": latent(2)}
MASKED = latent() | {"noise_mask": mask(), "batch_index": [3]}
TEXT = {"string": "A heart and a star", "regex_pattern": "a (h?e?s?t?)"}


def guided(tiny: Tiny) -> dict[str, Any]:
    return {"positive": tiny.positive, "negative": tiny.negative}


def encoded(tiny: Tiny) -> dict[str, Any]:
    return {"vae": tiny.checkpoint.VAE, "pixels": picture(side=70)}


def with_mask(tiny: Tiny) -> dict[str, Any]:
    return encoded(tiny) | {"mask": mask(side=70).round()}


ARGUMENTS: Arguments = {
    "CaseConverter": lambda tiny: {"string": "a red star", "mode": "Title Case"},
    "InpaintModelConditioning": lambda tiny: guided(tiny) | with_mask(tiny),
    "InstructPixToPixConditioning": lambda tiny: guided(tiny) | encoded(tiny),
    "LatentAdd": lambda tiny: TWO,
    "LatentApplyOperation": lambda tiny: {"samples": MASKED, "operation": LatentOperation("sharpen")},
    "LatentBatch": lambda tiny: {"samples1": MASKED, "samples2": latent(2, 4)},
    "LatentBatchSeedBehavior": lambda tiny: {"samples": MASKED},
    "LatentBlend": lambda tiny: TWO,
    "LatentComposite": lambda tiny: {"samples_to": latent(1), "samples_from": latent(2, 4), "x": 16, "feather": 16},
    "LatentConcat": lambda tiny: {"samples1": MASKED, "samples2": latent(2)},
    "LatentCrop": lambda tiny: {"samples": latent(side=16) | {"noise_mask": mask()}, "width": 64, "height": 64, "x": 8},
    "LatentCut": lambda tiny: {"samples": MASKED, "index": 2, "amount": 3},
    "LatentFlip": lambda tiny: {"samples": MASKED},
    "LatentFromBatch": lambda tiny: {"samples": MASKED},
    "LatentInterpolate": lambda tiny: TWO | {"ratio": 0.3},
    "LatentMultiply": lambda tiny: {"samples": latent(), "multiplier": -0.5},
    "LatentOperationSharpen": lambda tiny: {},
    "LatentOperationTonemapReinhard": lambda tiny: {},
    "LatentRotate": lambda tiny: {"samples": MASKED, "rotation": "90 degrees"},
    "LatentSubtract": lambda tiny: TWO,
    "LatentUpscaleBy": lambda tiny: {"samples": latent(), "upscale_method": "bislerp"},
    "LoadLatent": lambda tiny: {"latent": "small.latent"},
    "PrimitiveBoolean": lambda tiny: {"value": True},
    "PrimitiveFloat": lambda tiny: {"value": 0.1},
    "PrimitiveInt": lambda tiny: {"value": -7},
    "PrimitiveString": lambda tiny: {"value": "a star"},
    "PrimitiveStringMultiline": lambda tiny: {"value": "a\nstar"},
    "RegexExtract": lambda tiny: TEXT,
    "RegexMatch": lambda tiny: TEXT,
    "RegexReplace": lambda tiny: TEXT | {"replace": r"the \1"},
    "RepeatLatentBatch": lambda tiny: {"samples": MASKED, "amount": 2},
    "SD_4XUpscale_Conditioning": lambda tiny: guided(tiny) | {"images": picture()},
    "SaveLatent": lambda tiny: {"samples": latent()},
    "SetLatentNoiseMask": lambda tiny: {"samples": latent(), "mask": mask()},
    "StringCompare": lambda tiny: {"string_a": "star", "string_b": "st"},
    "StringConcatenate": lambda tiny: {"string_a": "a", "string_b": "star", "delimiter": " "},
    "StringContains": lambda tiny: {"string": "star", "substring": "t"},
    "StringLength": lambda tiny: {"string": "star"},
    "StringReplace": lambda tiny: {"string": "star", "find": "t", "replace": "c"},
    "StringSubstring": lambda tiny: {"string": "star", "start": 1, "end": -1},
    "StringTrim": lambda tiny: {"string": " star "},
    "VAEDecodeTiled": lambda tiny: {
        "samples": latent(side=12), "vae": tiny.checkpoint.VAE, "tile_size": 64, "overlap": 32,
    },
    "VAEEncodeForInpaint": with_mask,
    "VAEEncodeTiled": lambda tiny: encoded(tiny) | {"pixels": picture(side=96), "tile_size": 64, "overlap": 32},
}  # fmt: skip

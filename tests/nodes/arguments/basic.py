"""Arguments to try the nodes of the first picture with."""

from __future__ import annotations

from typing import Any

from tests.nodes.arguments import Arguments, latent, picture
from tests.nodes.conftest import Tiny


def sampling(tiny: Tiny) -> dict[str, Any]:
    return {
        "model": tiny.checkpoint.MODEL,
        "positive": tiny.positive,
        "negative": tiny.negative,
        "latent_image": latent(),
        "steps": 3,
    }


ARGUMENTS: Arguments = {
    "CheckpointLoaderSimple": lambda tiny: {"ckpt_name": "tiny"},
    "CLIPTextEncode": lambda tiny: {"text": "a (red:1.2) star", "clip": tiny.checkpoint.CLIP},
    "EmptyLatentImage": lambda tiny: {"width": 64, "height": 64},
    "ImageScale": lambda tiny: {"image": picture(), "width": 32, "height": 48},
    "KSampler": lambda tiny: sampling(tiny) | {"sampler_name": "dpmpp_2m_sde", "denoise": 0.8},
    "KSamplerAdvanced": lambda tiny: sampling(tiny) | {"start_at_step": 1},
    "LatentUpscale": lambda tiny: {"samples": latent(), "width": 128, "height": 96},
    "LoadImage": lambda tiny: {"image": "pictures/heart.png"},
    "PreviewImage": lambda tiny: {"images": picture()},
    "SaveImage": lambda tiny: {"images": picture()},
    "VAEDecode": lambda tiny: {"samples": latent(), "vae": tiny.checkpoint.VAE},
    "VAEEncode": lambda tiny: {"pixels": picture(), "vae": tiny.checkpoint.VAE},
    "XYGrid": lambda tiny: {"images": (picture(1), picture(2)), "title": "two"},
}

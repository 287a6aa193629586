"""Prompts and latents that were made for another kind of model are told before anything runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nodegraph.sockets import Conditioning, Latent
from nodes.fit import check_fit
from tests.helpers import problem
from tests.nodes.diffusion.unets import POOLED, WIDTH, make_unet

LATENT: Latent = {"samples": torch.zeros(1, 4, 8, 8)}


def prompt(**options: Any) -> Conditioning:
    return Conditioning([(torch.zeros(1, 7, WIDTH), options)])


def shown(width: int) -> dict[str, Any]:
    return {"unclip_conditioning": [{"clip_vision_output": {"image_embeds": torch.zeros(1, width)}}]}


FITTING: dict[str, dict[str, Any]] = {
    "plain": {},
    "sdxl": {"pooled_output": torch.zeros(1, POOLED)},
    "refiner": {"pooled_output": torch.zeros(1, POOLED)},
    "inpainting": {"concat_latent_image": torch.zeros(1, 4, 8, 8)},
    "instructions": {"concat_latent_image": torch.zeros(1, 4, 8, 8)},
    "upscaler": {"concat_image": torch.zeros(1, 3, 8, 8)},
    "unclip": shown(POOLED),
}


@pytest.mark.parametrize("kind", FITTING)
def test_what_was_made_for_a_model_fits_it(kind: str) -> None:
    check_fit(make_unet(kind), LATENT, {"positive": prompt(**FITTING[kind])})


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("sdxl", {}, "pooled prompt"),
        ("sdxl", {"pooled_output": torch.zeros(1, POOLED + 3)}, "pooled prompt"),
        ("unclip", shown(POOLED + 1), f"width {POOLED}"),
        ("inpainting", {"concat_latent_image": torch.zeros(1, 16, 8, 8)}, "4 channels, not 16"),
        ("instructions", {"concat_latent_image": torch.zeros(1, 16, 8, 8)}, "4 channels, not 16"),
    ],
)
def test_options_of_another_kind_are_told(kind: str, options: dict[str, Any], told: str) -> None:
    found = problem(lambda: check_fit(make_unet(kind), LATENT, {"negative": prompt(**options)}))
    assert (found.code, found.input) == ("bad_value", "negative")
    assert told in found.message


def test_a_network_of_unknown_channels_is_told() -> None:
    odd = SimpleNamespace(config=SimpleNamespace(in_channels=6, out_channels=4))
    found = problem(lambda: check_fit(odd, LATENT, {}))
    assert (found.code, found.input) == ("bad_value", "model")

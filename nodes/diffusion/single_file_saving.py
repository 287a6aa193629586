"""Modules as single-file (LDM) checkpoints name and keep their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from nodes.diffusion.ldm_keys import PREFIXES, VAE_CONVOLUTIONS, text_to_open_clip, unet_to_ldm, vae_to_ldm
from nodes.diffusion.lora.keys import unet_structure


class NoSuchName(ValueError):
    """A module with weights that single-file checkpoints have no names for; the message names some."""


def unet_weights(unet: nn.Module, prefix: str = PREFIXES["unet"]) -> dict[str, Tensor]:
    """A UNet2DConditionModel's weights by LDM's names. Raises NoSuchName."""
    weights = unet.state_dict()
    names = unet_to_ldm(weights, *unet_structure(weights))
    return _renamed(weights, names, prefix)


def vae_weights(vae: nn.Module, prefix: str = PREFIXES["vae"]) -> dict[str, Tensor]:
    """An AutoencoderKL's weights by LDM's names, attention as convolutions by 1 × 1. Raises NoSuchName."""
    weights = {
        name: tensor[..., None, None] if name.endswith(VAE_CONVOLUTIONS) else tensor
        for name, tensor in vae.state_dict().items()
    }
    return _renamed(weights, vae_to_ldm(weights), prefix)


def _renamed(weights: Mapping[str, Tensor], names: Mapping[str, str], prefix: str) -> dict[str, Tensor]:
    nameless = [name for name in weights if name not in names]
    if nameless:
        raise NoSuchName(f"{len(nameless)} weights have no name in single files: {', '.join(nameless[:3])}")
    return {prefix + names[name]: tensor for name, tensor in weights.items()}


def text_weights(encoder: nn.Module, prefix: str, *, open_clip: bool) -> dict[str, Tensor]:
    """A CLIP text encoder's weights, named as transformers or as open_clip does, after a prefix."""
    weights = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    named = text_to_open_clip(weights) if open_clip else weights
    return {prefix + name: tensor for name, tensor in named.items()}


def text_prefixes(encoders: list[nn.Module], unet: nn.Module) -> list[tuple[str, bool]]:
    """(prefix, whether named as by open_clip) of a checkpoint's text encoders.

    Stable Diffusion 1 has OpenAI's CLIP, 2 has open_clip's, which computes with the plain GELU; XL has both, and its
    refiner the second alone.
    """
    if len(encoders) > 1:
        return [(PREFIXES["xl_clip_l"], False), (PREFIXES["xl_open_clip"], True)]
    config: Any = encoders[0].config
    if config.hidden_act != "gelu":
        return [(PREFIXES["clip_l"], False)]
    refines = getattr(unet, "add_embedding", None) is not None
    return [(PREFIXES["refiner_open_clip" if refines else "open_clip"], True)]

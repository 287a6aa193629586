"""Models in single files: a checkpoint's parts, or one part alone, in the original (LDM) or in diffusers' layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.diffusion.configs import noted_config, text_config, unet_config, vae_config
from nodes.diffusion.families import TEXT_PREFIXES, VAE_PREFIX, recognise
from nodes.diffusion.headers import Header, UnreadableModel
from nodes.diffusion.ldm_keys import (
    VAE_CONVOLUTIONS,
    open_clip_name,
    text_from_open_clip,
    unet_layers,
    unet_to_diffusers,
    vae_to_diffusers,
)
from nodes.diffusion.loading import Blueprint

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text encoder in a file: what stands before its names, whose names they are (`transformers` or `open_clip`), and
    the width of what it gives."""

    prefix: str
    layout: str
    width: int


def text_parts(header: Header) -> tuple[TextPart, ...]:
    """The text encoders in a file, the first one first."""
    found: list[TextPart] = []
    for prefix, layout in TEXT_PREFIXES.items():
        mark = "embeddings.token_embedding.weight" if layout == "transformers" else "token_embedding.weight"
        shape = header.shape(prefix + mark)
        if len(shape) == 2:
            found.append(TextPart(prefix, layout, shape[1]))
    if not found and (alone := recognise(header)).kind == "clip":
        found.append(TextPart(alone.prefix, alone.layout, alone.width))
    return tuple(found)


def vae_prefix(header: Header) -> str | None:
    """What stands before the names of a file's VAE; None if it has none."""
    return next((p for p in (VAE_PREFIX, "", "vae.") if f"{p}decoder.conv_in.weight" in header.tensors), None)


def blueprint(path: Path, header: Header, part: str) -> Blueprint:
    """How a part of a single file is made. Raises UnreadableModel if it is not there."""
    place = f"the {part.replace('_', ' ')} of {path.name}"
    if part == "unet":
        return _unet(path, header, place)
    if part == "vae":
        return _vae(path, header, place)
    texts = text_parts(header)
    number = 1 if part == "text_encoder_2" else 0
    if number >= len(texts):
        raise UnreadableModel(f"{path} has no text encoder{' of that number' if number else ''}")
    return _text(path, header, texts[number], place, part)


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}


def _shapes(header: Header, prefix: str) -> dict[str, tuple[int, ...]]:
    return {n[len(prefix) :]: info.shape for n, info in header.tensors.items() if n.startswith(prefix)}


def _unet(path: Path, header: Header, place: str) -> Blueprint:
    found = recognise(header)
    if found.kind not in ("checkpoint", "unet"):
        raise UnreadableModel(f"{path} has no UNet: it is {found.words}")
    noted, prefix = noted_config(header, "unet"), found.prefix
    if found.layout == "diffusers":
        config = noted or _diffusers_unet_config(_shapes(header, prefix))
        return Blueprint(
            place, "UNet2DConditionModel", config, (path,), lambda weights: _below(weights, prefix), (prefix,)
        )
    shapes = _shapes(header, prefix)
    config = noted or unet_config(shapes)
    labels = "class_embedding" if config.get("class_embed_type") else "add_embedding"
    layers = unet_layers(shapes)
    names = unet_to_diffusers(shapes, layers, len(layers), labels)
    if "label_emb.weight" in shapes:
        names["label_emb.weight"] = "class_embedding.weight"

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {names[name]: tensor for name, tensor in _below(weights, prefix).items() if name in names}

    return Blueprint(place, "UNet2DConditionModel", config, (path,), select, (prefix,))


def _diffusers_unet_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The configuration by diffusers' names: by way of the original ones, which the rules are written for."""
    from nodes.diffusion.ldm_keys import unet_to_ldm

    levels = 1 + max((int(m[1]) for name in shapes if (m := re.match(r"down_blocks\.(\d{1,3})\.", name))), default=0)
    layers = [
        1
        + max((int(m[1]) for n in shapes if (m := re.match(rf"down_blocks\.{level}\.resnets\.(\d+)\.", n))), default=0)
        for level in range(levels)
    ]
    names = unet_to_ldm(shapes, layers, levels)
    return unet_config({names[name]: shape for name, shape in shapes.items() if name in names})


def _vae(path: Path, header: Header, place: str) -> Blueprint:
    found, prefix = recognise(header), vae_prefix(header)
    if prefix is None and found.layout != "taesd":
        raise UnreadableModel(f"{path} has no VAE: it is {found.words}")
    if found.layout == "taesd" or prefix is None:
        return Blueprint(place, "AutoencoderTiny", {}, (path,), lambda weights: weights)
    shapes, noted = _shapes(header, prefix), noted_config(header, "vae")
    if any(name.startswith("encoder.down_blocks.") for name in shapes):
        from nodes.diffusion.ldm_keys import vae_to_ldm

        names = vae_to_ldm(shapes)
        config = noted or vae_config({names[name]: shape for name, shape in shapes.items() if name in names})
        return Blueprint(place, "AutoencoderKL", config, (path,), lambda weights: _below(weights, prefix), (prefix,))
    names = vae_to_diffusers(shapes)

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        named = {names[name]: tensor for name, tensor in _below(weights, prefix).items() if name in names}
        return {n: t[:, :, 0, 0] if n.endswith(VAE_CONVOLUTIONS) and t.ndim == 4 else t for n, t in named.items()}

    return Blueprint(place, "AutoencoderKL", noted or vae_config(shapes), (path,), select, (prefix,))


def _text(path: Path, header: Header, text: TextPart, place: str, part: str) -> Blueprint:
    shapes, noted = _shapes(header, text.prefix), noted_config(header, part)
    if text.layout == "open_clip":
        named = {new: shape for name, shape in shapes.items() if (new := open_clip_name(name)) is not None}
        layers = [name for name in shapes if name.endswith(".mlp.c_fc.weight")]
        named |= {f"encoder.layers.{name.split('.')[2]}.mlp.fc1.weight": shapes[name] for name in layers}
        if "text_projection" in shapes:
            named["text_projection.weight"] = shapes["text_projection"][::-1]
        projects = "text_projection" in shapes or "text_projection.weight" in shapes
        name = "CLIPTextModelWithProjection" if projects else "CLIPTextModel"
        return Blueprint(
            place,
            name,
            noted or text_config(named),
            (path,),
            lambda weights: text_from_open_clip(_below(weights, text.prefix)),
            (text.prefix,),
        )
    projection = text.prefix.removesuffix("text_model.") + "text_projection.weight"
    projects = projection in header.tensors
    if projects:
        shapes["text_projection.weight"] = header.shape(projection)

    def select(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        named = _below(weights, text.prefix)
        return named | ({"text_projection.weight": weights[projection]} if projects else {})

    name = "CLIPTextModelWithProjection" if projects else "CLIPTextModel"
    return Blueprint(place, name, noted or text_config(shapes), (path,), select, (text.prefix,))

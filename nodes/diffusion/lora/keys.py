"""Which layer of a model the tensors of a LoRA file belong to, by name alone.

Files name layers in several ways: with `_` between the parts (kohya) or with `.` (diffusers, peft), and by diffusers'
names of blocks or by those of single-file checkpoints. All names of a model's layers are derived from the model's own,
and a file's are looked up among them. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nodes.diffusion.ldm_keys import open_clip_layer_names, unet_to_ldm

#: Whom a key addresses: the UNet, the only text encoder, or the first or second of two.
Addressee = Literal["unet", "te", "te1", "te2"]

#: What a key may begin with → whom it addresses. The longest that fits counts.
PREFIXES: Mapping[str, tuple[Addressee, ...]] = {
    "lora_unet_": ("unet",),
    "lycoris_": ("unet",),
    "unet.": ("unet",),
    "diffusion_model.": ("unet",),
    "model.diffusion_model.": ("unet",),
    "lora_te_": ("te",),
    "lora_te1_": ("te1",),
    "lora_te2_": ("te2",),
    "text_encoder.": ("te", "te1"),
    "text_encoder_2.": ("te2",),
    "text_encoders.clip_l.transformer.": ("te", "te1"),
    "text_encoders.clip_h.transformer.": ("te",),
    "text_encoders.clip_g.transformer.": ("te2",),
}

_ROLES: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"[._]lora(?:_linear_layer)?[._](down|up|mid)\.weight$"), str),
    (re.compile(r"\.lora_([AB])(?:\.\w+)?\.weight$"), {"A": "down", "B": "up"}.__getitem__),
    (re.compile(r"\.lora_(magnitude_vector)(?:\.\w+)?(?:\.weight)?$"), lambda _: "dora_scale"),
    (re.compile(r"\.(hada_[wt][12](?:_[ab])?|lokr_(?:w[12](?:_[ab])?|t2))$"), str),
    (re.compile(r"\.(alpha|dora_scale|diff|diff_b|w_norm|b_norm|on_input)$"), str),
    (re.compile(r"\.(weight)$"), str),  # of an IA3, beside its `on_input`
)
_PROCESSOR = re.compile(r"\.processor\.(to_[qkv]|to_out)$")
_OLD_TEXT = re.compile(r"\.self_attn\.to_([qkv]|out)$")


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of a model by its name, or one of `parts` that the rows of a file's joint tensor are divided among."""

    layer: str
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Matched:
    """What belongs together: layer → role → key in the file; and the keys that this model has no layer for.

    divided: layers whose tensors are a part of the file's. foreign: keys that address another part of the model.
    """

    layers: Mapping[str, Mapping[str, str]]
    divided: Mapping[str, Place] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def split_key(key: str) -> tuple[str, str] | None:
    """(layer as the file names it, role) of a key: `lora_unet_x.lora_up.weight` → (`lora_unet_x`, `up`), or None."""
    for pattern, role in _ROLES:
        match = pattern.search(key)
        if match:
            return _plain_layer(key[: match.start()]), role(match[1])
    return None


def _plain_layer(layer: str) -> str:
    """A layer's name without the attention processors that diffusers' files once named."""
    layer = _PROCESSOR.sub(lambda match: "." + {"to_out": "to_out.0"}.get(match[1], match[1]), layer)
    return _OLD_TEXT.sub(lambda match: f".self_attn.{match[1]}_proj", layer)


def kohya_name(layer: str, addressee: Addressee) -> str:
    """What a layer of a model is called in files that are written here: as most programs know it."""
    short = layer.removeprefix("text_model.")
    inside = addressee != "unet" and not short.startswith("text_projection")
    return f"lora_{addressee}_{'text_model_' if inside else ''}{short}".replace(".", "_")


def holds_lora(keys: Iterable[str]) -> bool:
    """Whether any of a file's keys is one of a LoRA; a bare `….weight`, which any model has, is none."""
    roles = (split_key(key) for key in keys)
    return any(role is not None and role[1] not in ("weight", "alpha") for role in roles)


def addressees(key: str) -> tuple[Addressee, ...]:
    """Whom a key addresses; () if that cannot be told."""
    fitting = [prefix for prefix in PREFIXES if key.startswith(prefix)]
    return PREFIXES[max(fitting, key=len)] if fitting else ()


def match_keys(keys: Iterable[str], parameters: Iterable[str], addressee: Addressee) -> Matched:
    """Sort a file's keys by the layers of a model, given by the names of its parameters."""
    known = layer_names(parameters, addressee)
    keys = list(keys)
    layers: dict[str, dict[str, str]] = {}
    divided: dict[str, Place] = {}
    unmatched: list[str] = []
    foreign: list[str] = []
    with_ia3 = {split[0] for key in keys if (split := split_key(key)) and split[1] == "on_input"}
    for key in keys:
        split = split_key(key)
        places = () if split is None else known.get(split[0], ())
        if split is None or not places or (split[1] == "weight" and split[0] not in with_ia3):
            (unmatched if _is_ours(key, addressee) else foreign).append(key)
            continue
        for place in places:
            layers.setdefault(place.layer, {})[split[1]] = key
            if place.parts > 1:
                divided[place.layer] = place
    return Matched(layers, divided, tuple(unmatched), tuple(foreign))


def _is_ours(key: str, addressee: Addressee) -> bool:
    """Whether a key that matches nothing is worth telling of. A UNet answers for keys that address nobody."""
    told = addressees(key)
    if not told:
        return addressee == "unet"
    # A model with one text encoder is given what was made for one with two.
    return addressee in told or (addressee == "te" and "unet" not in told)


def layer_names(parameters: Iterable[str], addressee: Addressee) -> dict[str, tuple[Place, ...]]:
    """Every name that a file may call a layer of this model → the layer."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in parameters))
    return _unet_names(layers) if addressee == "unet" else _text_names(layers, addressee)


def _unet_names(layers: list[str]) -> dict[str, tuple[Place, ...]]:
    numbered = unet_to_ldm(layers, *unet_structure(layers))
    names: dict[str, tuple[Place, ...]] = {}
    for layer in layers:
        place = (Place(layer),)
        for name in {layer, numbered.get(layer, layer)}:
            joined = name.replace(".", "_")
            dotted = (f"{prefix}{name}" for prefix in ("unet.", "diffusion_model.", "model.diffusion_model."))
            for known in (f"lora_unet_{joined}", f"lycoris_{joined}", name, f"base_model.model.{name}", *dotted):
                names[known] = place
    return names


def unet_structure(layers: Iterable[str]) -> tuple[list[int], int]:
    """(layers per level, levels) of a UNet by its diffusers names."""
    found: dict[int, set[str]] = {}
    for layer in layers:
        match = re.match(r"down_blocks\.(\d+)\.resnets\.(\d+)", layer)
        if match:
            found.setdefault(int(match[1]), set()).add(match[2])
    counts = [len(found[level]) for level in sorted(found)]
    return counts, len(counts)


def _text_names(layers: list[str], addressee: Addressee) -> dict[str, tuple[Place, ...]]:
    kohya = f"lora_{addressee}_"
    prefixes = [prefix for prefix, told in PREFIXES.items() if addressee in told and prefix != kohya]
    names: dict[str, tuple[Place, ...]] = {}
    for layer in layers:
        short = layer.removeprefix("text_model.")
        for name in (short, f"text_model.{short}"):
            for known in (kohya + name.replace(".", "_"), *(prefix + name for prefix in prefixes)):
                names[known] = (Place(layer),)
    known_layers = {layer.removeprefix("text_model."): layer for layer in layers}
    for name, parts in open_clip_layer_names(known_layers).items():
        places = tuple(Place(known_layers[part], i, len(parts)) for i, part in enumerate(parts))
        for known in (kohya + name.replace(".", "_"), *(prefix + name for prefix in prefixes)):
            names.setdefault(known, places)
    return names

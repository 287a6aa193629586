"""Laying a LoRA over a module: which of its weights change, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Size, Tensor, nn

from nodes.diffusion.changes import Change
from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.lora.deltas import (
    Factors,
    WrongShape,
    add_to_bias,
    add_to_weight,
    changes_bias,
    changes_weight,
    check_bias,
    check_weight,
)
from nodes.diffusion.lora.files import LoraFile
from nodes.diffusion.lora.keys import Addressee, Matched, match_keys

#: What diffusers calls the part of a model in a file's metadata.
_PARTS = {"unet": "unet", "te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2"}


@dataclass(frozen=True, slots=True)
class Laid:
    """A LoRA laid over a module: the change it makes, and the keys of its file that nothing was found for."""

    change: Change
    unmatched: tuple[str, ...]


def lay(lora: LoraFile, module: nn.Module, addressee: Addressee, strength: float) -> Laid:
    """A LoRA for a module, every tensor checked to fit before anything is computed.

    Raises UnreadableModel for tensors of other shapes than the layers they name, and for a file that addresses this
    part of a model and has none of its layers.
    """
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    matched = match_keys(lora.tensors, shapes, addressee)
    if not matched.layers and matched.unmatched:
        raise UnreadableModel(
            f"{lora.name} is for another kind of model: none of its layers is here ({matched.unmatched[0]} …)"
        )
    factors = {layer: _factors(lora, roles, matched, layer) for layer, roles in matched.layers.items()}
    weights = {f"{layer}.weight": each for layer, each in factors.items() if changes_weight(each)}
    biases = {f"{layer}.bias": each for layer, each in factors.items() if changes_bias(each)}
    _check(lora, matched, weights, biases, shapes)
    alpha = lora.alphas.get(_PARTS[addressee])

    def apply(name: str, tensor: Tensor) -> Tensor:
        if name in weights:
            return add_to_weight(tensor, weights[name], strength, alpha)
        return add_to_bias(tensor, biases[name], strength)

    return Laid(Change(frozenset((*weights, *biases)), apply), matched.unmatched)


def _factors(lora: LoraFile, roles: Mapping[str, str], matched: Matched, layer: str) -> Factors:
    tensors = {role: lora.tensors[key] for role, key in roles.items()}
    place = matched.divided.get(layer)
    if place is None:
        return tensors
    for role, tensor in tensors.items():
        if role in ("up", "diff", "diff_b") and tensor.ndim and tensor.shape[0] % place.parts == 0:
            tensors[role] = tensor.chunk(place.parts)[place.part]
        elif role not in ("down", "alpha"):
            raise UnreadableModel(f"{lora.name}: {roles[role]} {list(tensor.shape)} cannot be divided among layers")
    return tensors


def _check(
    lora: LoraFile,
    matched: Matched,
    weights: Mapping[str, Factors],
    biases: Mapping[str, Factors],
    shapes: Mapping[str, Size],
) -> None:
    """Raise UnreadableModel, naming the first tensor that does not fit and how many layers do not."""
    wrong: list[str] = []
    for name, factors in (*weights.items(), *biases.items()):
        roles = matched.layers[name.rpartition(".")[0]]
        shape = shapes.get(name)
        if shape is None:
            wrong.append(f"{next(iter(roles.values()))} changes {name}, which this model has not")
            continue
        try:
            (check_weight if name in weights else check_bias)(factors, shape)
        except WrongShape as error:
            wrong.append(f"{roles.get(error.role, next(iter(roles.values())))} {error}")
    if wrong:
        more = f" (and {len(wrong) - 1} more layers)" if len(wrong) > 1 else ""
        raise UnreadableModel(f"{lora.name} does not fit this model: {wrong[0]}{more}")

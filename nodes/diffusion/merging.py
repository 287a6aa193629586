"""Merging models of one structure, weight by weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodes.diffusion.changes import Change

#: Parameter name → (what the model's own weight counts, what the other's counts).
Shares = Callable[[str], tuple[float, float]]

_MIDDLE = ("mid_block.",)
_OUT = ("up_blocks.", "conv_norm_out.", "conv_out.")


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge as a change; `misfits` are weights that stay as they are, for the other model has none of that shape."""

    change: Change
    misfits: tuple[str, ...]


class Unlike(ValueError):
    """Two models that cannot be merged; the message says why."""


def merge(module: nn.Module, other: nn.Module, shares: Shares) -> Merge:
    """own · W + other's · W', for every weight that both have in the same shape.

    Raises Unlike if fewer than half of the weights are in both.
    """
    theirs = {name: parameter.detach() for name, parameter in other.named_parameters()}
    own = {name: parameter.shape for name, parameter in module.named_parameters()}
    misfits = tuple(name for name, shape in own.items() if name not in theirs or theirs[name].shape != shape)
    if 2 * len(misfits) > len(own):
        raise Unlike(f"{len(misfits)} of {len(own)} weights have no counterpart, {misfits[0]} among them")
    names = frozenset(name for name in own.keys() - set(misfits) if shares(name) != (1, 0))

    def apply(name: str, weight: Tensor) -> Tensor:
        mine, its = shares(name)
        if (mine, its) == (0, 1):
            return theirs[name]  # shared, not copied
        other_weight = theirs[name].to(weight.device, torch.float32)
        if mine + its == 1:
            return torch.lerp(weight.float(), other_weight, its)
        return torch.add(weight.float() * mine, other_weight, alpha=its)

    return Merge(Change(names, apply), misfits)


def by_block(into: float, middle: float, out: float) -> Shares:
    """Ratios of a UNet's own weights by where they stand: before the middle, in it, and after it."""

    def shares(name: str) -> tuple[float, float]:
        ratio = middle if name.startswith(_MIDDLE) else out if name.startswith(_OUT) else into
        return ratio, 1 - ratio

    return shares

"""Copies of modules that share their weights, so that a change of one of them leaves the others as they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def structural_clone(module: Module) -> Module:
    """A module of the same structure over the same tensors: it costs milliseconds and no memory.

    What is set on the clone (an attention processor, a weight replaced by another tensor) is not seen by the original.
    Writing into a tensor is seen by both, so that nobody may do it.
    """
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def with_weights(module: Module, weights: Mapping[str, Tensor]) -> Module:
    """A clone in which the named parameters are other tensors; all others are shared. Raises AttributeError."""
    clone = structural_clone(module)
    for name, tensor in weights.items():
        owner, _, last = name.rpartition(".")
        clone.get_submodule(owner)._parameters[last] = nn.Parameter(tensor, requires_grad=False)
    return clone

"""Changes of weights: any number of them laid over a module, one weight at a time, from the module's own weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from nodes.diffusion.clones import with_weights

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of some of a module's weights.

    names: the parameters it changes. apply: (name, the weight so far) → the weight after; it writes into nothing, and
    may give a tensor of another module back as it is.
    """

    names: frozenset[str]
    apply: Callable[[str, Tensor], Tensor]


def apply_changes(module: Module, changes: Sequence[Change], check: Callable[[], object] = lambda: None) -> Module:
    """The module with changes made in order; the module itself if they change nothing.

    Every changed weight is computed in float32 from the module's own and rounded to its number format once, so that
    nothing drifts however often a strength is changed. All other weights are shared. check: called for each weight,
    to report progress or to stop by raising.
    """
    if not any(change.names for change in changes):
        return module
    changed: dict[str, Tensor] = {}
    with torch.inference_mode(False), torch.no_grad():
        for name, parameter in module.named_parameters():
            own = [change for change in changes if name in change.names]
            if own:
                check()
                changed[name] = _like(_applied(name, parameter.detach(), own), parameter)
        return with_weights(module, changed)


def _applied(name: str, weight: Tensor, changes: Sequence[Change]) -> Tensor:
    for change in changes:
        weight = change.apply(name, weight)
    return weight


def _like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A tensor in the number format, place and order of memory of the parameter that it replaces."""
    tensor = tensor.to(parameter.device, parameter.dtype)
    last = torch.channels_last
    if parameter.ndim == 4 and parameter.is_contiguous(memory_format=last) and not parameter.is_contiguous():
        return tensor.contiguous(memory_format=last)
    return tensor


def changed_bytes(module: nn.Module, changes: Sequence[Change]) -> int:
    """Bytes of the weights that changes will make anew."""
    names = frozenset[str]().union(*(change.names for change in changes))
    return sum(p.numel() * p.element_size() for name, p in module.named_parameters() if name in names)


def storage_pieces(tensors: Mapping[str, Tensor]) -> dict[Hashable, int]:
    """Where tensors lie → bytes there; tensors that share memory share such pieces."""
    storages = [tensor.untyped_storage() for tensor in tensors.values()]
    return {(str(storage.device), storage.data_ptr()): storage.nbytes() for storage in storages if storage.nbytes()}

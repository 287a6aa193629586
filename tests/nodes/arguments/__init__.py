"""Arguments to try every built-in node with, one module a part; values that several of them need."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import torch

from tests.nodes.conftest import Tiny

#: Node type → its arguments (without the context), made from the shipped model.
Arguments = Mapping[str, Callable[[Tiny], dict[str, Any]]]


def all_arguments() -> Arguments:
    """Those of every module here; a node type belongs to one of them."""
    found: dict[str, Callable[[Tiny], dict[str, Any]]] = {}
    for module in pkgutil.iter_modules(__path__):
        arguments: Arguments = importlib.import_module(f"{__name__}.{module.name}").ARGUMENTS
        assert not found.keys() & arguments.keys()
        found.update(arguments)
    return found


def picture(seed: int = 0, side: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.rand(1, side, side, channels, generator=torch.Generator().manual_seed(seed))


def mask(seed: int = 0, side: int = 64) -> torch.Tensor:
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(seed))


def latent(seed: int = 0, side: int = 8) -> dict[str, torch.Tensor]:
    return {"samples": torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed))}

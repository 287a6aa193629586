"""What changes inside a UNet have in common: where its self-attention is, and what it is called with."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Processor(Protocol):
    """How an attention layer computes, as diffusers calls it; `hidden_states` is [B, N, C]."""

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What a UNet is called with at the moment: the latent's size and the timestep of its first row."""

    height: int
    width: int
    timestep: float

    def size_at(self, depth: int) -> tuple[int, int]:
        """Height and width of the features after `depth` halvings, each rounded up."""
        height, width = self.height, self.width
        for _ in range(depth):
            height, width = (height + 1) // 2, (width + 1) // 2
        return height, width


_CALL: ContextVar[Call | None] = ContextVar("unet_call", default=None)


def tell_calls(unet: nn.Module) -> None:
    """Let `current_call` tell what this module is being called with."""

    def tell(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sample = args[0] if args else kwargs["sample"]
        timestep = args[1] if len(args) > 1 else kwargs["timestep"]
        first = torch.as_tensor(timestep).reshape(-1)[0]
        _CALL.set(Call(sample.shape[-2], sample.shape[-1], float(first)))

    unet.register_forward_pre_hook(tell, with_kwargs=True)


def current_call() -> Call | None:
    """What the UNet that computes in this thread was called with."""
    return _CALL.get()


def self_attentions(unet: Any) -> Iterator[tuple[int, Any]]:
    """(depth, layer) of every self-attention of a `UNet2DConditionModel`; depth counts halvings of the latent."""
    deepest = len(unet.down_blocks) - 1
    for i, block in enumerate(unet.down_blocks):
        yield from ((i, layer) for layer in _layers(block))
    yield from ((deepest, layer) for layer in _layers(unet.mid_block))
    for i, block in enumerate(unet.up_blocks):
        yield from ((deepest - i, layer) for layer in _layers(block))


def middle_self_attentions(unet: Any) -> list[Any]:
    """The self-attention layers of a UNet's middle. Raises ValueError if it has none."""
    layers = _layers(unet.mid_block)
    if not layers:
        raise ValueError("this model has no attention in its middle")
    return layers


def _layers(block: nn.Module | None) -> list[Any]:
    named = block.named_modules() if block is not None else ()
    return [layer for name, layer in named if name.rpartition(".")[2] == "attn1"]

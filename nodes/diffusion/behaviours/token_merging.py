"""Token merging: self-attention over fewer tokens, of which similar ones are merged (Bolya and Hoffman 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.behaviours.attention import Processor, current_call, self_attentions, tell_calls
from nodes.diffusion.noise import generator, independent_seed

CELL = 2
"""One token of each square of so many tokens a side is kept for others to be merged into."""


def merge_tokens(unet: nn.Module, ratio: float) -> None:
    """Let the self-attention of the UNet's first level run on fewer tokens, by the share `ratio`; for a clone."""
    tell_calls(unet)
    for depth, layer in self_attentions(unet):
        if depth == 0:
            layer.set_processor(_Merged(layer.processor, ratio))


class _Merged:
    """A processor that runs another one on merged tokens, and gives each token what its own one got."""

    def __init__(self, inner: Processor, ratio: float) -> None:
        self._inner, self._ratio = inner, ratio

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        call = current_call()
        tokens = hidden_states.shape[1]
        count = int(tokens * self._ratio)
        if call is None or call.height * call.width != tokens or count == 0 or min(call.height, call.width) < CELL:
            return self._inner(attn, hidden_states, *args, **kwargs)
        seed = independent_seed(int(call.timestep * 1000) & 0xFFFFFFFF, "cells")
        pairs = match(hidden_states, targets(call.height, call.width, seed), count)
        return pairs.apart(self._inner(attn, pairs.together(hidden_states), *args, **kwargs))


def targets(height: int, width: int, seed: int) -> Tensor:
    """[height * width] bool: one token of every whole cell, drawn by the seed."""
    rows, columns = height // CELL, width // CELL
    drawn = torch.randint(CELL * CELL, (rows, columns), generator=generator(seed))
    y = torch.arange(rows)[:, None] * CELL + drawn // CELL
    x = torch.arange(columns)[None, :] * CELL + drawn % CELL
    chosen = torch.zeros(height * width, dtype=torch.bool)
    chosen[(y * width + x).flatten()] = True
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which tokens are merged into which.

    sources, targets: token numbers, [S] and [T]. kept, merged: numbers within the sources of those left alone and of
    those merged, [B, S - R] and [B, R]. into: the number within the targets that each merged one goes to, [B, R].
    """

    sources: Tensor
    targets: Tensor
    kept: Tensor
    merged: Tensor
    into: Tensor

    def together(self, tokens: Tensor) -> Tensor:
        """[B, N - R, C] of [B, N, C]: those left alone, then the targets, each the mean of what it stands for."""
        sources = tokens[:, self.sources]
        # A product with zeros and ones: sums by scattering come in another order on each run of a GPU.
        share = functional.one_hot(self.into, len(self.targets)).transpose(1, 2).to(tokens.dtype)
        total = tokens[:, self.targets] + share @ _taken(sources, self.merged)
        return torch.cat([_taken(sources, self.kept), total / (1 + share.sum(dim=2, keepdim=True))], dim=1)

    def apart(self, tokens: Tensor) -> Tensor:
        """[B, N, C] of [B, N - R, C]: each merged token gets what its target has."""
        alone, targets = tokens.split([self.kept.shape[1], len(self.targets)], dim=1)
        width = tokens.shape[2]
        sources = tokens.new_empty(len(tokens), len(self.sources), width)
        sources.scatter_(1, self.kept[..., None].expand(-1, -1, width), alone)
        sources.scatter_(1, self.merged[..., None].expand(-1, -1, width), _taken(targets, self.into))
        found = tokens.new_empty(len(tokens), len(self.sources) + len(self.targets), width)
        found[:, self.sources], found[:, self.targets] = sources, targets
        return found


def match(tokens: Tensor, is_target: Tensor, count: int) -> Pairs:
    """Pair each token that is no target with the target most like it, and merge the `count` best pairs.

    tokens: [B, N, C], compared by the cosine of their angle (bipartite soft matching, Bolya et al. 2023).
    """
    sources, chosen = ((is_target == wanted).nonzero().flatten().to(tokens.device) for wanted in (False, True))
    directions = functional.normalize(tokens, dim=2)
    likeness, target = (directions[:, sources] @ directions[:, chosen].transpose(1, 2)).max(dim=2)
    order = likeness.argsort(dim=1, descending=True, stable=True)
    merged, kept = order[:, :count], order[:, count:]
    return Pairs(sources, chosen, kept, merged, target.gather(1, merged))


def _taken(tokens: Tensor, numbers: Tensor) -> Tensor:
    return tokens.gather(1, numbers[..., None].expand(-1, -1, tokens.shape[2]))

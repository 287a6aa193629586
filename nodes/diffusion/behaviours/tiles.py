"""HyperTile: self-attention within tiles of the picture, faster on large ones (github.com/tfernd/HyperTile)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nodes.diffusion.behaviours.attention import Processor, current_call, self_attentions, tell_calls
from nodes.diffusion.noise import independent_seed

SMALLEST_TILE = 32
"""In pixels."""


def hyper_tile(unet: nn.Module, tile_size: int, swap_size: int, max_depth: int, scale_depth: bool) -> None:
    """Let tokens attend to those of their own tile only, on the levels down to `max_depth`; for a clone.

    tile_size: the least side of a tile in pixels. swap_size: of how many sizes one is taken, another at each step, so
    that no seams show. scale_depth: the least side in tokens doubles with each level, where it else stays the same.
    """
    tell_calls(unet)
    side = max(SMALLEST_TILE, tile_size) // 8
    for i, (depth, layer) in enumerate(self_attentions(unet)):
        if depth <= max_depth:
            least = side * 2**depth if scale_depth else side
            layer.set_processor(_Tiled(layer.processor, depth, least, swap_size, i))


def tile_sides(length: int, least: int, count: int) -> list[int]:
    """The `count` smallest divisors of `length` from `least` up; `length` itself if it is shorter."""
    return [side for side in range(min(least, length), length + 1) if length % side == 0][:count]


class _Tiled:
    """A processor that runs another one on each tile."""

    def __init__(self, inner: Processor, depth: int, least: int, swap: int, number: int) -> None:
        self._inner, self._depth, self._least, self._swap, self._number = inner, depth, least, swap, number

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        call = current_call()
        height, width = call.size_at(self._depth) if call is not None else (0, 0)
        rows, tokens, channels = hidden_states.shape
        if call is None or height * width != tokens:
            return self._inner(attn, hidden_states, *args, **kwargs)
        chance = independent_seed(int(call.timestep * 1000) & 0xFFFFFFFF, f"tile {self._number}")
        sides = tile_sides(height, self._least, self._swap), tile_sides(width, self._least, self._swap)
        h, w = sides[0][chance % len(sides[0])], sides[1][(chance >> 32) % len(sides[1])]
        grid = height // h, width // w
        tiles = hidden_states.reshape(rows, grid[0], h, grid[1], w, channels).transpose(2, 3)
        found = self._inner(attn, tiles.reshape(-1, h * w, channels), *args, **kwargs)
        return found.reshape(rows, *grid, h, w, -1).transpose(2, 3).reshape(rows, tokens, -1)

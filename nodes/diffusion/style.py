"""The style adapter of T2I-Adapter (Mou et al. 2023, arXiv:2302.08453): an encoded picture as words of a prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.one_file import Shapes, build, count, describing, read_shapes, read_weights

HEADS = 8  # not to be seen in the weights


class StyleAdapter(nn.Module):
    """Learned tokens that attend to a picture's and to each other, and become words of a prompt.

    `forward` takes the last hidden layer [B, T, width] of a CLIP vision model, gives [B, tokens, words].
    """

    def __init__(self, width: int, words: int, tokens: int, layers: int) -> None:
        from diffusers.models.controlnets.controlnet_union import ResidualAttentionBlock

        super().__init__()
        heads = HEADS if width % HEADS == 0 else 1
        self.style_embedding = nn.Parameter(torch.empty(1, tokens, width))
        self.proj = nn.Parameter(torch.empty(width, words))
        self.ln_pre = nn.LayerNorm(width)
        self.ln_post = nn.LayerNorm(width)
        self.transformer_layes = nn.ModuleList([ResidualAttentionBlock(width, heads) for _ in range(layers)])

    def forward(self, seen: Tensor) -> Tensor:
        """The words [B, tokens, words] of a picture's last hidden layer [B, T, width]."""
        tokens = self.style_embedding.expand(len(seen), -1, -1)
        x = self.ln_pre(torch.cat([seen, tokens], dim=1))
        x = x.transpose(0, 1)  # the layers want [T, B, width]
        for layer in self.transformer_layes:
            x = layer(x)
        return self.ln_post(x.transpose(0, 1)[:, -tokens.shape[1] :]) @ self.proj


def read_style_file(path: Path) -> dict[str, Any]:
    """The sizes of the style adapter in a file, by its header alone. Raises UnreadableModel."""
    shapes = read_shapes(path)
    if not {"style_embedding", "proj", "ln_pre.weight"} <= shapes.keys():
        raise UnreadableModel(f"{path} holds no style adapter")
    return describing(path, lambda: style_config(shapes))


def style_config(shapes: Shapes) -> dict[str, Any]:
    """The arguments of StyleAdapter. Raises KeyError or ValueError for shapes without sense."""
    _, tokens, width = shapes["style_embedding"]
    rows, words = shapes["proj"]
    if rows != width:
        raise ValueError(f"tokens of width {width} cannot be projected from {rows}")
    layers = count(shapes, "transformer_layes.")
    return {"width": width, "words": words, "tokens": tokens, "layers": layers}


def load_style(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A StyleAdapter from one file, in evaluation mode. Raises UnreadableModel."""
    config = read_style_file(path)
    return build(path, lambda: StyleAdapter(**config), lambda: read_weights(path), device, dtype)

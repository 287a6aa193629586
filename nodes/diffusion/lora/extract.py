"""Making a LoRA of a difference of models: the best low-rank approximation of each layer's difference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nodes.diffusion.lora.keys import Addressee, kohya_name

EXTRA = 8  # more directions than asked for, which makes the ones asked for better
ROUNDS = 4
EXACT_UP_TO = 512  # rows or columns below which nothing is gained by approximating


def low_rank(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(B [m, r], A [r, n]) whose product is the closest to a matrix [m, n] of those of rank r, r at most min(m, n).

    By its singular values (Eckart and Young 1936), each half taking the root of them. Large matrices are projected
    first to where most of them happens, by subspace iteration from a fixed start (Halko, Martinsson and Tropp 2011,
    arXiv:0909.4061, algorithms 4.4 and 5.1).
    """
    rank = min(rank, *matrix.shape)
    width = rank + EXTRA
    if min(matrix.shape) <= max(EXACT_UP_TO, 2 * width):
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    else:
        start = torch.randn(matrix.shape[1], width, generator=torch.Generator().manual_seed(0)).to(matrix)
        basis = torch.linalg.qr(matrix @ start).Q
        for _ in range(ROUNDS):
            basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.mT @ basis).Q).Q
        inner, s, vh = torch.linalg.svd(basis.mT @ matrix, full_matrices=False)
        u = basis @ inner
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


def layer_tensors(weight: Tensor, rank: int, *, full: bool) -> dict[str, Tensor]:
    """A layer's difference by the roles that it has in a LoRA file: two factors, or as it is (`full`, or a vector)."""
    if full or weight.ndim < 2:
        return {"diff": weight.contiguous()}
    up, down = low_rank(weight.float().flatten(1), rank)
    ones = [1] * (weight.ndim - 2)
    return {
        "lora_up.weight": up.reshape(*up.shape, *ones).to(weight.dtype).contiguous(),
        "lora_down.weight": down.reshape(-1, *weight.shape[1:]).to(weight.dtype).contiguous(),
    }


def extract(
    difference: nn.Module,
    addressee: Addressee,
    rank: int,
    *,
    full: bool,
    biases: bool,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Tensor]:
    """A LoRA file's tensors of a module whose weights are a difference; layers without one are left out.

    biases: also of biases, and of the weights of normalisations, which are vectors.
    """
    named = [(name, parameter.detach()) for name, parameter in difference.named_parameters() if parameter.any()]
    found: dict[str, Tensor] = {}
    for i, (name, tensor) in enumerate(named):
        progress(i, len(named))
        layer, _, kind = name.rpartition(".")
        key = kohya_name(layer, addressee)
        if kind == "weight" and (tensor.ndim > 1 or biases):
            found |= {f"{key}.{role}": part for role, part in layer_tensors(tensor, rank, full=full).items()}
        elif kind == "bias" and biases:
            found[f"{key}.diff_b"] = tensor.contiguous()
    return found

"""What the tensors of a LoRA file add to the weight of a layer: ΔW of each kind.

W is [out, in] of a linear layer or [out, in, h, w] of a convolution, r the rank, α the file's `alpha` (r if there is
none). The kinds are described in the LyCORIS paper (Yeh et al. 2023, arXiv:2309.14859) and documentation:

    LoRA      ΔW = α/r · B A                        (Hu et al. 2021, arXiv:2106.09685)
    LoCon     the same of convolutions; with a core M [r, r, h, w], ΔW = α/r · Σ B_op M_pqhw A_qi
    LoHa      ΔW = α/r · (B₁ A₁) ⊙ (B₂ A₂)          (Hyeon-Woo et al. 2021, arXiv:2108.06098)
    LoKr      ΔW = α/r · W₁ ⊗ W₂, each whole or a product of two, W₂ also with a core
    DoRA      W + ΔW = m · V / ‖V‖, V = W + ΔW of one of the above  (Liu et al. 2024, arXiv:2402.09353)
    IA³       ΔW = W ⊙ w, w a vector along inputs or outputs  (Liu et al. 2022, arXiv:2205.05638)
    full      ΔW as it is

Everything is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Size, Tensor

#: role in the file → tensor, of one layer.
Factors = Mapping[str, Tensor]

_TINY = torch.finfo(torch.float32).tiny


class WrongShape(ValueError):
    """Tensors that do not fit a layer or each other; `role` is the one to blame."""

    def __init__(self, role: str, message: str) -> None:
        super().__init__(message)
        self.role = role


def changes_weight(factors: Factors) -> bool:
    """Whether these tensors change the layer's weight (else only its bias, or nothing)."""
    return not factors.keys().isdisjoint(("down", "up", "hada_w1_a", "diff", "w_norm", "on_input", *_KRONECKER))


def changes_bias(factors: Factors) -> bool:
    """Whether these tensors change the layer's bias."""
    return not factors.keys().isdisjoint(("diff_b", "b_norm"))


_KRONECKER = ("lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a")


def add_to_bias(bias: Tensor, factors: Factors, strength: float) -> Tensor:
    """bias + strength · Δb; a new float32 tensor."""
    delta = factors["diff_b"] if "diff_b" in factors else factors["b_norm"]
    return torch.add(bias.float(), _on(delta, bias).reshape(bias.shape), alpha=strength)


def add_to_weight(weight: Tensor, factors: Factors, strength: float, default_alpha: float | None = None) -> Tensor:
    """W + strength · ΔW as a new float32 tensor of W's shape, which `check_weight` has found to fit."""
    base = weight.float()
    if "on_input" in factors:
        return base * (1 + strength * _along(_on(factors["weight"], base), base.shape))
    if "dora_scale" in factors:
        tuned = decompose(base + weight_delta(factors, base, default_alpha), _on(factors["dora_scale"], base))
        return torch.lerp(base, tuned, strength) if strength != 1 else tuned
    if "down" in factors and "mid" not in factors:  # the most common kind: one product added, nothing in between
        up, down = (_on(factors[role], base).flatten(1) for role in ("up", "down"))
        scale = strength * _scale(factors, down.shape[0], default_alpha)
        return torch.addmm(base.flatten(1), up, down, alpha=scale).reshape(base.shape)
    return torch.add(base, weight_delta(factors, base, default_alpha), alpha=strength)


def weight_delta(factors: Factors, like: Tensor, default_alpha: float | None = None) -> Tensor:
    """ΔW in float32, in the shape of `like` and where it is; of DoRA the one before the decomposition."""
    if "down" in factors:
        return _lora(factors, like, default_alpha)
    if "hada_w1_a" in factors:
        return _loha(factors, like, default_alpha)
    if any(role in factors for role in _KRONECKER):
        return _lokr(factors, like, default_alpha)
    return _on(factors["diff"] if "diff" in factors else factors["w_norm"], like).reshape(like.shape)


def _lora(factors: Factors, like: Tensor, default_alpha: float | None) -> Tensor:
    up, down = (_on(factors[role], like).flatten(1) for role in ("up", "down"))
    scale = _scale(factors, down.shape[0], default_alpha)
    if "mid" in factors:
        return scale * torch.einsum("op,pqhw,qi->oihw", up, _on(factors["mid"], like), down).reshape(like.shape)
    return scale * (up @ down).reshape(like.shape)


def _loha(factors: Factors, like: Tensor, default_alpha: float | None) -> Tensor:
    tensors = {role: _on(tensor, like) for role, tensor in factors.items() if role.startswith("hada")}
    halves = [
        _tucker(tensors[f"hada_t{i}"], tensors[f"hada_w{i}_a"], tensors[f"hada_w{i}_b"])
        if f"hada_t{i}" in tensors
        else tensors[f"hada_w{i}_a"] @ tensors[f"hada_w{i}_b"]
        for i in (1, 2)
    ]
    scale = _scale(factors, tensors["hada_w1_b"].shape[0], default_alpha)
    return scale * (halves[0] * halves[1]).reshape(like.shape)


def _lokr(factors: Factors, like: Tensor, default_alpha: float | None) -> Tensor:
    tensors = {role: _on(tensor, like) for role, tensor in factors.items() if role.startswith("lokr")}
    first, second = _kronecker_factor(tensors, 1), _kronecker_factor(tensors, 2)
    first = first.reshape(*first.shape, *[1] * (second.ndim - 2))
    ranks = [tensors[role].shape[0] for role in ("lokr_w1_b", "lokr_w2_b") if role in tensors]
    # Two whole factors have no rank, so that α says nothing.
    scale = _scale(factors, ranks[0], default_alpha) if ranks else 1.0
    # kron of strided factors fails in some releases of torch.
    return scale * torch.kron(first.contiguous(), second.contiguous()).reshape(like.shape)


def _kronecker_factor(tensors: Factors, i: int) -> Tensor:
    whole, a, b = (tensors.get(f"lokr_w{i}{end}") for end in ("", "_a", "_b"))
    if whole is not None:
        return whole
    assert a is not None and b is not None  # by check_weight
    core = tensors.get("lokr_t2") if i == 2 else None
    return a @ b if core is None else _tucker(core, a, b)


def _tucker(core: Tensor, out: Tensor, into: Tensor) -> Tensor:
    """[out, in, h, w] of a core [r, r, h, w], out [r, out] and into [r, in]."""
    return torch.einsum("ijhw,ip,jr->prhw", core, out, into)


def decompose(direction: Tensor, magnitude: Tensor) -> Tensor:
    """m · V / ‖V‖: each column of V gets the length that DoRA learned for it.

    By the paper, columns are the weights of one input (m is [1, in]); files whose m is [out, 1] have learned a length
    for each output, and are read so. Of convolutions a column is all that belongs to one input, or output, channel.
    """
    flat = direction.flatten(2) if direction.ndim > 2 else direction[..., None]
    by_output = _is_by_output(magnitude.shape, direction.shape)
    norm = torch.linalg.vector_norm(flat, dim=(1, 2) if by_output else (0, 2)).clamp_min(_TINY)
    scale = magnitude.flatten() / norm
    return direction * _reach(scale, direction.ndim, 0 if by_output else 1)


def _is_by_output(magnitude: Size, weight: Size) -> bool:
    """Whether lengths are those of outputs: [out], [out, 1 …]; of inputs they are [1, in, 1 …]."""
    return len(magnitude) == 1 or (magnitude[0] == weight[0] and math.prod(magnitude[1:]) == 1)


def _along(vector: Tensor, shape: Size) -> Tensor:
    """An IA³ vector in a shape that multiplies a weight: [1, in] along inputs, [out, 1] or [out] along outputs."""
    if vector.ndim > 1 and vector.shape[0] == 1 and vector.numel() == shape[1]:
        return _reach(vector.flatten(), len(shape), 1)
    return _reach(vector.flatten(), len(shape), 0)


def _reach(vector: Tensor, dimensions: int, axis: int) -> Tensor:
    return vector.reshape([-1 if i == axis else 1 for i in range(dimensions)])


def _scale(factors: Factors, rank: int, default_alpha: float | None) -> float:
    alpha = float(factors["alpha"]) if "alpha" in factors else default_alpha
    return 1.0 if alpha is None else alpha / rank


def _on(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.device, torch.float32)


# --- do they fit? ----------------------------------------------------------------------------------------------------


def check_bias(factors: Factors, shape: Size) -> None:
    """Raise WrongShape for a difference of biases that does not fit."""
    role = "diff_b" if "diff_b" in factors else "b_norm"
    if factors[role].numel() != math.prod(shape):
        raise WrongShape(role, f"is {list(factors[role].shape)}, where the bias is {list(shape)}")


def check_weight(factors: Factors, shape: Size) -> None:
    """Raise WrongShape for tensors that do not make a ΔW of this shape, from their shapes alone."""
    if "alpha" in factors and (factors["alpha"].numel() != 1 or not math.isfinite(float(factors["alpha"]))):
        raise WrongShape("alpha", "is not one number")
    if "on_input" in factors:
        vector = factors.get("weight")
        if vector is None or len(shape) < 2 or vector.numel() not in (shape[0], shape[1]):
            found = None if vector is None else list(vector.shape)
            raise WrongShape("weight", f"is {found}, where the layer is {list(shape)}")
        return
    role, found = _delta_shape(factors)
    alike = found == tuple(shape) if len(found) == len(shape) else found[:1] == tuple(shape[:1])
    if not alike or math.prod(found) != math.prod(shape):
        raise WrongShape(role, f"makes a change of {list(found)}, where the layer is {list(shape)}")
    magnitude = factors.get("dora_scale")
    if magnitude is not None:
        wanted = shape[0] if _is_by_output(magnitude.shape, shape) else math.prod(shape[1:2])
        if magnitude.numel() != wanted or len(shape) < 2:
            raise WrongShape("dora_scale", f"is {list(magnitude.shape)}, where the layer is {list(shape)}")


def _delta_shape(factors: Factors) -> tuple[str, tuple[int, ...]]:
    """The role whose shape says most, and the shape of ΔW that the tensors make."""
    if "down" in factors or "up" in factors:
        return "down", _lora_shape(factors)
    if "hada_w1_a" in factors:
        halves = [_product_shape(factors, f"hada_w{i}_a", f"hada_w{i}_b", f"hada_t{i}") for i in (1, 2)]
        if halves[0] != halves[1]:
            raise WrongShape("hada_w2_a", f"makes {list(halves[1])}, where hada_w1_a makes {list(halves[0])}")
        return "hada_w1_a", halves[0]
    if any(role in factors for role in _KRONECKER):
        first, second = (
            tuple(factors[f"lokr_w{i}"].shape)
            if f"lokr_w{i}" in factors
            else _product_shape(factors, f"lokr_w{i}_a", f"lokr_w{i}_b", "lokr_t2" if i == 2 else "")
            for i in (1, 2)
        )
        if len(first) != 2 or len(second) < 2:
            raise WrongShape("lokr_w1" if "lokr_w1" in factors else "lokr_w1_a", "is no matrix")
        return "lokr_w2" if "lokr_w2" in factors else "lokr_w2_a", (
            first[0] * second[0], first[1] * second[1], *second[2:],
        )  # fmt: skip
    role = "diff" if "diff" in factors else "w_norm"
    return role, tuple(factors[role].shape)


def _lora_shape(factors: Factors) -> tuple[int, ...]:
    up, down = _need(factors, "up"), _need(factors, "down")
    rank = _check_rank("down", down.shape[0] if down.ndim > 1 else 0)
    inner = math.prod(up.shape[1:])
    if up.ndim < 2 or inner != rank:
        raise WrongShape("up", f"is {list(up.shape)}, and lora_down {list(down.shape)}: their ranks differ")
    if "mid" not in factors:
        return (up.shape[0], *down.shape[1:])
    mid = factors["mid"]
    if mid.ndim != 4 or tuple(mid.shape[:2]) != (rank, rank) or math.prod(down.shape[2:]) != 1:
        raise WrongShape("mid", f"is {list(mid.shape)} between lora_down {list(down.shape)} and a rank of {rank}")
    return (up.shape[0], down.shape[1], *mid.shape[2:])


def _product_shape(factors: Factors, a: str, b: str, core: str) -> tuple[int, ...]:
    """The shape of a @ b [out, in], or of a core [r, r, h, w] between a [r, out] and b [r, in]."""
    first, second = _need(factors, a), _need(factors, b)
    if first.ndim != 2 or second.ndim != 2:
        raise WrongShape(a, f"is {list(first.shape)}, and {b} {list(second.shape)}: not two matrices")
    rank = _check_rank(b, second.shape[0])
    if core in factors:
        middle = factors[core]
        if middle.ndim != 4 or tuple(middle.shape[:2]) != (first.shape[0], rank):
            raise WrongShape(core, f"is {list(middle.shape)} between {list(first.shape)} and {list(second.shape)}")
        return (first.shape[1], second.shape[1], *middle.shape[2:])
    if first.shape[1] != rank:
        raise WrongShape(a, f"is {list(first.shape)}, and {b} {list(second.shape)}: their ranks differ")
    return (first.shape[0], second.shape[1])


def _check_rank(role: str, rank: int) -> int:
    if rank < 1:
        raise WrongShape(role, "has a rank of 0")
    return rank


def _need(factors: Factors, role: str) -> Tensor:
    if role not in factors:
        raise WrongShape(next(iter(factors)), f"has no {role} beside it")
    return factors[role]

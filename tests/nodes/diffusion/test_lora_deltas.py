"""What each kind of LoRA adds to a weight, against the formulas written out entry by entry."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Size, Tensor
from torch.nn import functional

from nodes.diffusion.lora.deltas import WrongShape, add_to_bias, add_to_weight, check_bias, check_weight
from tests.nodes.lora_files import chance

OUT, IN, K, RANK = 6, 4, 3, 2
draw = chance(1)
LINEAR, CONV = draw(OUT, IN), draw(OUT, IN, K, K)


def delta(weight: Tensor, factors: Mapping[str, Tensor], strength: float = 1.0) -> np.ndarray:
    """What is added to a weight, after a look at the shapes."""
    check_weight(factors, weight.shape)
    before = weight.clone()
    changed = add_to_weight(weight, factors, strength)
    assert torch.equal(weight, before)
    assert changed.dtype == torch.float32
    assert changed.shape == weight.shape
    return (changed - weight).numpy()


def near(given: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(given, expected, atol=2e-5)


def product(a: Tensor, b: Tensor) -> np.ndarray:
    """a @ b, one entry at a time."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    entries = [[sum(float(a[i, k] * b[k, j]) for k in range(inner)) for j in range(columns)] for i in range(rows)]
    return np.array(entries)


def cored(core: Tensor, out: Tensor, into: Tensor) -> np.ndarray:
    """Σ_ij core[i, j, h, w] out[i, p] into[j, q] for every p, q, h, w."""
    result = np.zeros((out.shape[1], into.shape[1], *core.shape[2:]))
    for i, j in itertools.product(range(core.shape[0]), range(core.shape[1])):
        for p, q in itertools.product(range(out.shape[1]), range(into.shape[1])):
            result[p, q] += core[i, j].numpy() * float(out[i, p] * into[j, q])
    return result


def test_lora_of_a_linear_layer():
    up, down = draw(OUT, RANK), draw(RANK, IN)
    near(delta(LINEAR, {"up": up, "down": down}), product(up, down))
    near(delta(LINEAR, {"up": up, "down": down, "alpha": torch.tensor(0.5)}, -2), -2 * 0.25 * product(up, down))


def test_alpha_from_the_files_metadata_counts_where_the_layer_has_none():
    up, down = draw(OUT, RANK), draw(RANK, IN)
    changed = add_to_weight(LINEAR, {"up": up, "down": down}, 1, default_alpha=3)
    near((changed - LINEAR).numpy(), 1.5 * product(up, down))


def test_locon_does_what_its_two_convolutions_do_after_each_other():
    up, down = draw(OUT, RANK, 1, 1), draw(RANK, IN, K, K)
    x = draw(1, IN, 7, 7)
    added = functional.conv2d(functional.conv2d(x, down), up)
    given = functional.conv2d(x, torch.from_numpy(delta(CONV, {"up": up, "down": down})))
    torch.testing.assert_close(given, added, atol=1e-4, rtol=1e-4)


def test_locon_with_a_core_does_what_its_three_convolutions_do_after_each_other():
    up, mid, down = draw(OUT, RANK, 1, 1), draw(RANK, RANK, K, K), draw(RANK, IN, 1, 1)
    x = draw(1, IN, 7, 7)
    added = functional.conv2d(functional.conv2d(functional.conv2d(x, down), mid), up)
    given = functional.conv2d(x, torch.from_numpy(delta(CONV, {"up": up, "down": down, "mid": mid})))
    torch.testing.assert_close(given, added, atol=1e-4, rtol=1e-4)


def test_a_convolution_by_one_and_a_linear_layer_take_each_others_factors():
    up, down = draw(OUT, RANK), draw(RANK, IN)
    wide = {"up": up[..., None, None], "down": down[..., None, None]}
    near(delta(LINEAR, wide), product(up, down))
    near(delta(LINEAR[..., None, None], {"up": up, "down": down})[..., 0, 0], product(up, down))


def test_loha():
    a1, b1, a2, b2 = draw(OUT, RANK), draw(RANK, IN), draw(OUT, RANK), draw(RANK, IN)
    factors = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "alpha": torch.tensor(1.0)}
    near(delta(LINEAR, factors), 0.5 * product(a1, b1) * product(a2, b2))


def test_loha_of_a_convolution_flat_and_with_cores():
    a1, b1, a2, b2 = draw(OUT, RANK), draw(RANK, IN * K * K), draw(OUT, RANK), draw(RANK, IN * K * K)
    factors = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2}
    near(delta(CONV, factors), (product(a1, b1) * product(a2, b2)).reshape(CONV.shape))
    a1, b1, a2, b2 = draw(RANK, OUT), draw(RANK, IN), draw(RANK, OUT), draw(RANK, IN)
    t1, t2 = draw(RANK, RANK, K, K), draw(RANK, RANK, K, K)
    factors = {"hada_w1_a": a1, "hada_w1_b": b1, "hada_w2_a": a2, "hada_w2_b": b2, "hada_t1": t1, "hada_t2": t2}
    near(delta(CONV, factors), cored(t1, a1, b1) * cored(t2, a2, b2))


def kron(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of [m, n] and [p, q, …]: every entry of the first times the whole second, block by block."""
    rows = [np.concatenate([a[i, j] * b for j in range(a.shape[1])], axis=1) for i in range(a.shape[0])]
    return np.concatenate(rows, axis=0)


def test_lokr_of_whole_factors_ignores_alpha():
    w1, w2 = draw(3, 2), draw(2, 2)
    factors = {"lokr_w1": w1, "lokr_w2": w2, "alpha": torch.tensor(100.0)}
    near(delta(LINEAR, factors), kron(w1.numpy(), w2.numpy()))
    w2 = draw(2, 2, K, K)
    near(delta(CONV, {"lokr_w1": w1, "lokr_w2": w2}), kron(w1.numpy(), w2.numpy()))


def test_lokr_of_products():
    a1, b1, a2, b2 = draw(3, RANK), draw(RANK, 2), draw(2, RANK), draw(RANK, 2)
    factors = {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": torch.tensor(1.0)}
    near(delta(LINEAR, factors), 0.5 * kron(product(a1, b1), product(a2, b2)))
    b2 = draw(RANK, 2 * K * K)
    second = product(a2, b2).reshape(2, 2, K, K)
    near(delta(CONV, factors | {"lokr_w2_b": b2}), 0.5 * kron(product(a1, b1), second))


def test_lokr_with_a_core():
    w1, core, a2, b2 = draw(3, 2), draw(RANK, RANK, K, K), draw(RANK, 2), draw(RANK, 2)
    factors = {"lokr_w1": w1, "lokr_t2": core, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": torch.tensor(4.0)}
    near(delta(CONV, factors), 2 * kron(w1.numpy(), cored(core, a2, b2)))


def dora(weight: Tensor, magnitude: Tensor, direction: np.ndarray, axis: int) -> np.ndarray:
    """m times the unit vector of each slice of the direction along an axis."""
    result = np.zeros(direction.shape)
    for i in range(direction.shape[axis]):
        index = (i,) if axis == 0 else (slice(None), i)
        piece = direction[index]
        result[index] = float(magnitude.flatten()[i]) * piece / np.sqrt((piece**2).sum())
    return result - weight.numpy()


@pytest.mark.parametrize("weight", [LINEAR, CONV], ids=["linear", "convolution"])
@pytest.mark.parametrize("axis", [0, 1], ids=["lengths of outputs", "lengths of inputs"])
def test_dora_gives_each_column_the_length_it_learned(weight: Tensor, axis: int):
    up, down = draw(OUT, RANK), draw(RANK, *weight.shape[1:])
    magnitude = draw(*[size if i == axis else 1 for i, size in enumerate(weight.shape)]).abs() + 0.1
    factors = {"up": up, "down": down, "alpha": torch.tensor(1.0)}
    direction = weight.numpy() + 0.5 * product(up, down.flatten(1)).reshape(weight.shape)
    expected = dora(weight, magnitude, direction, axis)
    near(delta(weight, factors | {"dora_scale": magnitude}), expected)
    near(delta(weight, factors | {"dora_scale": magnitude}, 0.3), 0.3 * expected)


def test_dora_that_learned_the_lengths_that_were_there_changes_directions_only():
    """By the paper a fine-tuning begins like that: m = ‖W‖, B = 0, and the layer as it was."""
    nothing = {"up": torch.zeros(OUT, RANK), "down": draw(RANK, IN)}
    near(delta(LINEAR, nothing | {"dora_scale": LINEAR.norm(dim=0, keepdim=True)}), np.zeros((OUT, IN)))
    near(delta(LINEAR, nothing | {"dora_scale": LINEAR.norm(dim=1, keepdim=True)}), np.zeros((OUT, IN)))
    near(delta(LINEAR, nothing | {"dora_scale": LINEAR.norm(dim=1)}), np.zeros((OUT, IN)))


def test_dora_of_other_kinds_decomposes_their_weights():
    w1, w2 = draw(3, 2), draw(2, 2)
    magnitude = draw(1, IN).abs()
    direction = LINEAR.numpy() + kron(w1.numpy(), w2.numpy())
    near(delta(LINEAR, {"lokr_w1": w1, "lokr_w2": w2, "dora_scale": magnitude}), dora(LINEAR, magnitude, direction, 1))


def test_ia3_scales_inputs_or_outputs():
    by_input, by_output = draw(1, IN), draw(OUT, 1)
    marks = {"on_input": torch.tensor(True)}
    near(delta(LINEAR, marks | {"weight": by_input}, 2), 2 * LINEAR.numpy() * by_input.numpy())
    near(delta(LINEAR, marks | {"weight": by_output}), LINEAR.numpy() * by_output.numpy())
    near(delta(CONV, marks | {"weight": by_input}), CONV.numpy() * by_input.numpy()[..., None, None])


def test_whole_differences_of_weights_biases_and_normalisations():
    change, bias, scale = draw(OUT, IN, K, K), draw(OUT), draw(OUT)
    near(delta(CONV, {"diff": change, "alpha": torch.tensor(7.0)}, 0.5), 0.5 * change.numpy())
    near(delta(draw(OUT), {"w_norm": scale}), scale.numpy())
    for role in ("diff_b", "b_norm"):
        check_bias({role: bias}, Size([OUT]))
        near(add_to_bias(torch.ones(OUT), {role: bias}, -1).numpy(), 1 - bias.numpy())


@given(st.floats(-3, 3, allow_subnormal=False), st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
def test_a_strength_and_its_opposite_give_the_weight_back(strength: float, dtype: torch.dtype):
    factors = {"up": LINEAR[:, :RANK].to(dtype), "down": LINEAR[:RANK].to(dtype)}
    there = add_to_weight(LINEAR.to(dtype), factors, strength)
    back = add_to_weight(there, factors, -strength)
    torch.testing.assert_close(back, LINEAR.to(dtype).float(), atol=1e-6, rtol=1e-6)


MISFITS: dict[str, tuple[Tensor, dict[str, Tensor]]] = {
    "another layer's inputs": (LINEAR, {"up": draw(OUT, RANK), "down": draw(RANK, IN + 1)}),
    "another layer's outputs": (LINEAR, {"up": draw(OUT + 1, RANK), "down": draw(RANK, IN)}),
    "the same number of entries": (LINEAR, {"up": draw(IN, RANK), "down": draw(RANK, OUT)}),
    "a kernel turned": (CONV, {"up": draw(OUT, RANK), "down": draw(RANK, K, IN, K)}),
    "two ranks": (LINEAR, {"up": draw(OUT, RANK), "down": draw(RANK + 1, IN)}),
    "no rank": (LINEAR, {"up": draw(OUT, 0), "down": draw(0, IN), "alpha": torch.tensor(1.0)}),
    "half of a pair": (LINEAR, {"up": draw(OUT, RANK)}),
    "the other half": (LINEAR, {"down": draw(RANK, IN)}),
    "vectors": (LINEAR, {"up": draw(OUT), "down": draw(IN)}),
    "a core of another rank": (
        CONV,
        {"up": draw(OUT, RANK), "down": draw(RANK, IN, 1, 1), "mid": draw(RANK, RANK + 1, K, K)},
    ),
    "halves of LoHa that differ": (
        LINEAR,
        {"hada_w1_a": draw(OUT, 2), "hada_w1_b": draw(2, IN), "hada_w2_a": draw(OUT, 2), "hada_w2_b": draw(2, IN + 1)},
    ),
    "a LoHa without its second half": (LINEAR, {"hada_w1_a": draw(OUT, 2), "hada_w1_b": draw(2, IN)}),
    "Kronecker factors of another layer": (LINEAR, {"lokr_w1": draw(2, 2), "lokr_w2": draw(2, 2)}),
    "half of a Kronecker product": (LINEAR, {"lokr_w1": draw(3, 2)}),
    "a number for a Kronecker factor": (LINEAR, {"lokr_w1": torch.tensor(1.0), "lokr_w2": draw(OUT, IN)}),
    "lengths of other columns": (
        LINEAR,
        {"up": draw(OUT, RANK), "down": draw(RANK, IN), "dora_scale": draw(1, IN + 1)},
    ),
    "an alpha that is no number": (
        LINEAR,
        {"up": draw(OUT, RANK), "down": draw(RANK, IN), "alpha": torch.tensor(float("nan"))},
    ),
    "several alphas": (LINEAR, {"up": draw(OUT, RANK), "down": draw(RANK, IN), "alpha": torch.ones(2)}),
    "another layer's difference": (LINEAR, {"diff": draw(IN, OUT)}),
    "an IA3 vector without a place": (LINEAR, {"on_input": torch.tensor(True), "weight": draw(OUT + 1)}),
    "IA3 without its vector": (LINEAR, {"on_input": torch.tensor(True)}),
}


@pytest.mark.parametrize("name", sorted(MISFITS))
def test_what_does_not_fit_is_refused_by_shapes_alone(name: str):
    weight, factors = MISFITS[name]
    with pytest.raises(WrongShape) as caught:
        check_weight(factors, weight.shape)
    assert caught.value.role in {*factors, "weight"}


def test_a_bias_of_another_layer_is_refused():
    with pytest.raises(WrongShape, match=r"\[5\]"):
        check_bias({"diff_b": draw(5)}, Size([OUT]))

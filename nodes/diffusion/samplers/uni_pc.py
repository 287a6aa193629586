"""UniPC: a multistep predictor and corrector of one order (Zhao et al. 2023, "UniPC", data prediction)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Start, Step, denoise_at, ignore, steps

MAX_ORDER = 3
LAST_SIGMA = 0.001
"""Stands for a final sigma of 0, where lambda = -log sigma has no value."""

History = Sequence[tuple[float, Tensor]]
"""(sigma, denoised) of the points so far, the latest first."""


def _weights(ratios: Sequence[float], h: float, b_of_h: float) -> list[float]:
    """The paper's weights a_m for differences of D at `ratios` of a step `h` in lambda.

    One difference alone gets 1/2, which needs no system (as the paper does).
    """
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    rows: list[list[float]] = []
    right: list[float] = []
    phi = -math.expm1(-h) / h - 1
    for k in range(len(ratios)):
        rows.append([ratio**k for ratio in ratios])
        right.append(phi * math.factorial(k + 1) / b_of_h)
        phi = -phi / h - 1 / math.factorial(k + 2)
    system = torch.tensor(rows, dtype=torch.float64)
    return torch.linalg.solve(system, torch.tensor(right, dtype=torch.float64)).tolist()


def _advance(
    model: Model, x: Tensor, history: History, sigma_next: float, *, b_is_h: bool, correct: bool
) -> tuple[Tensor, Tensor | None]:
    """Predict x at `sigma_next` and, when `correct`, evaluate there and correct: (x, denoised or None).

    The order is the length of `history`.
    """
    (sigma, denoised), *past = history
    h = math.log(sigma / sigma_next)
    b_of_h = -h if b_is_h else math.expm1(-h)
    ratios = [math.log(sigma / past_sigma) / h for past_sigma, _ in past]
    slopes = [(past_denoised - denoised) / ratio for ratio, (_, past_denoised) in zip(ratios, past, strict=True)]
    linear = sigma_next / sigma * x + (1 - sigma_next / sigma) * denoised

    predicted = linear
    for weight, slope in zip(_weights(ratios, h, b_of_h), slopes, strict=True):
        predicted = predicted - (b_of_h * weight) * slope
    if not correct:
        return predicted, None

    denoised_next = denoise_at(model, predicted, sigma_next)
    corrected = linear
    slopes.append(denoised_next - denoised)
    for weight, slope in zip(_weights([*ratios, 1.0], h, b_of_h), slopes, strict=True):
        corrected = corrected - (b_of_h * weight) * slope
    return corrected, denoised_next


def sample_uni_pc(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
    variant: str = "bh1",
) -> Tensor:
    """UniPC of order 3, lower where there are few steps and in the first and the last ones.

    One evaluation per step, since the corrector uses the one that the next step needs anyway; the last step
    is not corrected. `variant` is the paper's B1(h) = h or B2(h) = exp(h) - 1, with h negated for data
    prediction.
    """
    if variant not in ("bh1", "bh2"):
        raise ValueError(f"variant must be bh1 or bh2, got {variant!r}")
    callback = callback or ignore
    levels = sigmas.tolist()
    count = len(levels) - 1
    if start.i >= count:
        return x
    if levels[-1] == 0:
        levels[-1] = LAST_SIGMA
    highest = max(1, min(MAX_ORDER, count - 1))
    denoised: Tensor | None = denoise_at(model, x, levels[start.i])
    history: tuple[tuple[float, Tensor], ...] = start.memory
    for i, sigma, sigma_next in steps(levels, start):
        assert denoised is not None  # only the last step leaves it out
        callback(Step(i, count, sigma, x, denoised, history))
        order = min(highest, i + 1, count - i)
        history = ((sigma, denoised), *history)[:highest]
        x, denoised = _advance(model, x, history[:order], sigma_next, b_is_h=variant == "bh1", correct=i < count - 1)
    return x


def sample_uni_pc_bh2(
    model: Model,
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: Any = None,
    callback: Callback | None = None,
    start: Start = BEGINNING,
) -> Tensor:
    """UniPC with B2(h) = exp(h) - 1, which the paper prefers for many steps."""
    return sample_uni_pc(model, x, sigmas, noise=noise, callback=callback, start=start, variant="bh2")

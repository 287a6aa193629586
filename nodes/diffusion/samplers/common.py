"""What all samplers share: their types and the split of a step into a drift and fresh noise.

Samplers work in the variance-exploding coordinates of Karras et al. 2022 ("Elucidating the design space of
diffusion-based generative models"): a latent at noise level sigma is picture + sigma * standard normal noise,
and the model gives the denoised picture D(x; sigma). The probability-flow ODE is dx/dsigma = (x - D) / sigma.
Scalars are computed in Python's double precision, tensors in the dtype of `x`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]
"""`model(x [B, ...], sigma [B]) -> denoised [B, ...]`."""


class GuidedModel(Protocol):
    """A model that can also tell what it would have given without its prompt, which the CFG++ samplers ask for."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...

    def both(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """(denoised, unconditional), each [B, ...]: with guidance, and by the negative prompt alone."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Step `i` of `n`, from 0: the latent `x` at noise level `sigma`, and what the model sees behind it.

    `n` is a number known beforehand, except where a sampler chooses its steps on the way; there it is an estimate.
    `memory` is what a multistep method knows of the steps before: numbers, tensors and tuples of such.
    `unconditional` is what CFG++ samplers use beside `denoised`.
    """

    i: int
    n: int
    sigma: float
    x: Tensor
    denoised: Tensor
    memory: tuple[Any, ...] = ()
    unconditional: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where a sampler begins: at step `i`, with the `memory` that its callback was given in that step.

    It is given that step's `x` then, and a model that knows that step's `denoised` already (see `knowing`).
    """

    i: int = 0
    memory: tuple[Any, ...] = ()


BEGINNING = Start()

Callback = Callable[[Step], None]
"""Called once per step, after its first evaluation and before it draws noise.

An exception that it raises ends the sampling (which is how a run is cancelled).
"""


Sampler = Callable[..., Tensor]
"""`sample_x(model, x, sigmas, *, noise, callback, **options) -> x`: x [B, ...] from sigmas[0] to sigmas[n].

Every sampler takes by name `noise` (a NoiseSampler; those that draw none ignore it), a `callback`, and a `start`: from
what a Step held, with noise that goes on as it did from there, it ends in the very same latent.
"""


def denoise_at(model: Model, x: Tensor, sigma: float) -> Tensor:
    """The model's denoised picture for a batch that is all at one noise level."""
    return model(x, x.new_full((x.shape[0],), sigma))


def both_of(model: Model, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(denoised, unconditional) of a GuidedModel; of any other model, what it gives for both."""
    if hasattr(model, "both"):
        return cast(GuidedModel, model).both(x, sigma)
    denoised = model(x, sigma)
    return denoised, denoised


def denoise_both(model: Model, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """`both_of` for a batch that is all at one noise level."""
    return both_of(model, x, x.new_full((x.shape[0],), sigma))


def knowing(model: Model, denoised: Tensor, unconditional: Tensor | None = None) -> GuidedModel:
    """`model`, of which the first evaluation is known: a step that is taken up again has that one behind it.

    It saves the evaluation; for UniPC there is no other way, which evaluates where its predictor led, not at `x`.
    """
    return _Knowing(model, [(denoised, denoised if unconditional is None else unconditional)])


@dataclass(frozen=True, slots=True, eq=False)
class _Knowing:
    model: Model
    known: list[tuple[Tensor, Tensor]]

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.known.pop()[0] if self.known else self.model(x, sigma)

    def both(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self.known.pop() if self.known else both_of(self.model, x, sigma)


def steps(levels: Sequence[float], start: Start) -> Iterator[tuple[int, float, float]]:
    """(i, sigma, sigma_next) of the steps between noise levels that are still to do."""
    for i in range(start.i, len(levels) - 1):
        yield i, levels[i], levels[i + 1]


def ignore(step: Step) -> None:
    """The callback of someone who does not want to know."""


def ancestral_split(sigma: float, sigma_next: float, eta: float = 1.0) -> tuple[float, float]:
    """(sigma_down, sigma_up): step down to the first deterministically, then add noise of the second.

    The variances add up to sigma_next^2. `eta` 1 is the posterior of the forward process (Song et al. 2021,
    eq. 16), `eta` 0 takes no noise at all.
    """
    if eta == 0 or sigma_next == 0:
        return sigma_next, 0.0
    variance = sigma_next**2 * max(sigma**2 - sigma_next**2, 0) / sigma**2
    up = min(sigma_next, eta * math.sqrt(variance))
    return math.sqrt(sigma_next**2 - up**2), up

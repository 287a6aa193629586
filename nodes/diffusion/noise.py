"""Where random numbers come from: always an explicit generator made from a seed, never the global one.

Seeds are integers 0 ... 2^64 - 1. A noise sampler is a function `noise(sigma, sigma_next) -> Tensor` that
gives standard normal noise of the latent's shape for the step between two noise levels (floats).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchsde import BrownianTree

NoiseSampler = Callable[[float, float], Tensor]


class StepNoise(Protocol):
    """A noise sampler that can be left and taken up again by another one made of the same seed and latent."""

    def __call__(self, sigma: float, sigma_next: float) -> Tensor: ...

    def state(self) -> Tensor | None:
        """What the next draws depend on beside the seed, a CPU tensor; None if nothing does."""
        ...

    def restore(self, state: Tensor | None) -> None:
        """Go on from a `state`. Raises ValueError for one of another kind of noise."""
        ...


MAX_SEED = 2**64 - 1


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own that gives what the global one would give after `torch.manual_seed(seed)`."""
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"a seed lies between 0 and 2^64 - 1, got {seed}")
    return torch.Generator(device=device).manual_seed(seed)


def initial_noise(seed: int, shape: Sequence[int]) -> Tensor:
    """The noise that sampling starts from: one CPU float32 draw of the whole batch's shape.

    Always drawn on the CPU, so that a seed means the same picture on every device.
    """
    return torch.randn(tuple(shape), generator=generator(seed), dtype=torch.float32)


def noise_for_batch(seed: int, shape: Sequence[int], batch_index: Sequence[int] | None = None) -> Tensor:
    """Initial noise of `shape` [B, ...] in which item i is the `batch_index[i]`-th single draw of the seed.

    A picture that was taken out of a batch keeps its noise that way. Equal indices give equal noise.
    Without `batch_index` this is `initial_noise`. Raises ValueError for a list that does not fit the batch.
    """
    if batch_index is None:
        return initial_noise(seed, shape)
    if len(batch_index) != shape[0] or any(i < 0 for i in batch_index):
        raise ValueError(f"{shape[0]} latents need as many batch indices from 0 up, got {list(batch_index)}")
    rng = generator(seed)
    wanted = set(batch_index)
    draws: dict[int, Tensor] = {}
    for i in range(max(batch_index) + 1):
        draw = torch.randn((1, *shape[1:]), generator=rng, dtype=torch.float32)
        if i in wanted:
            draws[i] = draw
    return torch.cat([draws[i] for i in batch_index])


def independent_seed(seed: int, purpose: str) -> int:
    """Another seed, fixed by the seed and a purpose, whose noise has nothing to do with the first one's."""
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def ancestral_noise(seed: int, x: Tensor, *, independent: bool = False) -> StepNoise:
    """One fresh draw per call, on the device and in the dtype of the latent `x`.

    With the same seed as the initial noise, the first draw on a CPU *equals* the initial noise. That is what
    ComfyUI draws, so it is the default; `independent=True` draws from a seed derived from this one instead.
    """
    rng = generator(independent_seed(seed, "ancestral") if independent else seed, x.device)
    return _FreshNoise(rng, x.shape, x.dtype, x.device)


@dataclass(frozen=True, slots=True, eq=False)
class _FreshNoise:
    rng: torch.Generator
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(self.shape, generator=self.rng, dtype=self.dtype, device=self.device)

    def state(self) -> Tensor | None:
        return self.rng.get_state()

    def restore(self, state: Tensor | None) -> None:
        if state is None:
            raise ValueError("fresh noise needs the state of its generator")
        try:
            self.rng.set_state(state.cpu())
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"this is no state of a generator: {error}") from error


def brownian_noise(x: Tensor, sigma_min: float, sigma_max: float, seed: int, *, on_device: bool = False) -> StepNoise:
    """Increments of one Brownian path over sigma_min..sigma_max, scaled to unit variance.

    The path is fixed by the seed alone, so a finer schedule follows the same path and draws nearly the same
    picture (Li et al. 2020, "Scalable gradients for SDEs", as torchsde implements it). Drawn on the CPU, so that a
    seed means the same on every device, or `on_device`, which is faster on a GPU and another path there.
    """
    return _BrownianNoise(x, sigma_min, sigma_max, seed, x.device if on_device else torch.device("cpu"))


class _BrownianNoise:
    """The path is halved at fixed places, each with a seed of its own, so no draw depends on the ones before."""

    def __init__(self, x: Tensor, sigma_min: float, sigma_max: float, seed: int, device: torch.device) -> None:
        self._x, self._sigma_min, self._sigma_max, self._seed = x, sigma_min, sigma_max, seed
        self._device = device
        self._tree: BrownianTree | None = None

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        x = self._x
        low, high = min(sigma, sigma_next), max(sigma, sigma_next)
        if low == high:
            return torch.zeros_like(x)
        if self._tree is None:
            from torchsde import BrownianTree  # a second to import, for the SDE samplers only

            origin = torch.zeros(x.shape, dtype=x.dtype, device=self._device)
            self._tree = BrownianTree(self._sigma_min, origin, self._sigma_max, entropy=self._seed)
        # torchsde rounds the ends of its path to six digits and warns about a query beyond them.
        start, end = round(self._sigma_min, 6), round(self._sigma_max, 6)
        increment = cast(Tensor, self._tree(max(low, start), min(high, end))) / math.sqrt(high - low)
        # The path runs upwards in sigma; a sampler walks it downwards, against its increments.
        return (increment if sigma < sigma_next else -increment).to(x.device)

    def state(self) -> Tensor | None:
        return None

    def restore(self, state: Tensor | None) -> None:
        if state is not None:
            raise ValueError("a Brownian path has no state")

"""Where random numbers come from: always an explicit generator made from a seed, never the global one.

Seeds are integers 0 ... 2^64 - 1. A noise sampler is a function `noise(sigma, sigma_next) -> Tensor` that
gives standard normal noise of the latent's shape for the step between two noise levels (floats).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchsde import BrownianTree

NoiseSampler = Callable[[float, float], Tensor]

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


def ancestral_noise(seed: int, x: Tensor, *, independent: bool = False) -> NoiseSampler:
    """One fresh draw per call, on the device and in the dtype of the latent `x`.

    With the same seed as the initial noise, the first draw on a CPU *equals* the initial noise. That is what
    ComfyUI draws, so it is the default; `independent=True` draws from a seed derived from this one instead.
    """
    rng = generator(independent_seed(seed, "ancestral") if independent else seed, x.device)
    shape, dtype, device = x.shape, x.dtype, x.device

    def noise(sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(shape, generator=rng, dtype=dtype, device=device)

    return noise


def brownian_noise(x: Tensor, sigma_min: float, sigma_max: float, seed: int) -> NoiseSampler:
    """Increments of one Brownian path over sigma_min..sigma_max, scaled to unit variance.

    The path is fixed by the seed alone, so a finer schedule follows the same path and draws nearly the same
    picture (Li et al. 2020, "Scalable gradients for SDEs", as torchsde implements it). Drawn on the CPU.
    """
    tree: BrownianTree | None = None
    # torchsde rounds the ends of its path to six digits and warns about a query beyond them.
    start, end = round(sigma_min, 6), round(sigma_max, 6)

    def noise(sigma: float, sigma_next: float) -> Tensor:
        nonlocal tree
        low, high = min(sigma, sigma_next), max(sigma, sigma_next)
        if low == high:
            return torch.zeros_like(x)
        if tree is None:
            from torchsde import BrownianTree  # a second to import, for the SDE samplers only

            tree = BrownianTree(sigma_min, torch.zeros(x.shape, dtype=x.dtype), sigma_max, entropy=seed)
        increment = cast(Tensor, tree(max(low, start), min(high, end))) / math.sqrt(high - low)
        # The path runs upwards in sigma; a sampler walks it downwards, against its increments.
        return (increment if sigma < sigma_next else -increment).to(x.device)

    return noise

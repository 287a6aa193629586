"""A data distribution whose denoiser is known exactly: a mixture of four round Gaussians in 4-D."""

import torch
from torch import Tensor

from nodes.diffusion.noise import generator

MEANS = torch.tensor(
    [[2.0, -1.0, 0.5, 1.0], [-1.5, 2.0, -1.0, 0.0], [0.0, -2.0, -2.0, 1.5], [-2.0, -1.0, 1.5, -1.5]],
    dtype=torch.float64,
)
SPREADS = torch.tensor([0.3, 0.5, 0.4, 0.6], dtype=torch.float64)
WEIGHTS = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)


def denoise(x: Tensor, sigma: Tensor) -> Tensor:
    """The expectation of the data point behind each x [B, 4] at noise level sigma [B]."""
    means, spreads, weights = (t.to(x.dtype) for t in (MEANS, SPREADS, WEIGHTS))
    variance = spreads**2 + sigma[:, None] ** 2
    distance = (x[:, None] - means).square().sum(-1)
    share = (weights.log() - distance / (2 * variance) - means.shape[1] / 2 * variance.log()).softmax(-1)
    towards = spreads**2 / variance
    guess = means + towards[..., None] * (x[:, None] - means)
    return (share[..., None] * guess).sum(1)


def draw(count: int, seed: int) -> Tensor:
    """`count` points [count, 4] of the distribution itself."""
    rng = generator(seed)
    which = torch.multinomial(WEIGHTS, count, replacement=True, generator=rng)
    noise = torch.randn(count, 4, generator=rng, dtype=torch.float64)
    return MEANS[which] + SPREADS[which, None] * noise


def sliced_wasserstein(a: Tensor, b: Tensor, seed: int = 0, directions: int = 64) -> float:
    """The mean Wasserstein-1 distance of two equally large samples [N, 4] along random directions."""
    rays = torch.randn(a.shape[1], directions, generator=generator(seed), dtype=torch.float64)
    rays = rays / rays.norm(dim=0)
    return float(((a.double() @ rays).sort(0).values - (b.double() @ rays).sort(0).values).abs().mean())

"""What nodegraph adds to a network: the KSampler node against diffusers' module in a hand-written loop.

Both use the same weights, noise, noise levels and guidance, in one run and by turns, so that what else the machine
does falls on both alike. Nothing is read from disk: the weights are random, which costs the same as trained ones.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.table import print_table
from nodegraph.context import Context, Estimate, NoPool, Size
from nodegraph.sockets import Conditioning, Latent, Model
from nodes.sampling import KSampler

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")
CFG = 7.5
SEED = 7
STABLE_DIFFUSION_15: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
SMALL: dict[str, Any] = {
    **STABLE_DIFFUSION_15,
    "block_out_channels": (64, 128, 128, 128),
    "layers_per_block": 1,
    "cross_attention_dim": 64,
}


class OneModule(NoPool):
    """A model pool that has the one module already."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate = 0) -> Any:
        return self.module


def make_unet(config: dict[str, Any]) -> nn.Module:
    """A UNet with random weights, the same on every run."""
    import torch
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel(sample_size=64, in_channels=4, out_channels=4, **config).eval()


def bare_loop(unet: nn.Module, sigmas: Tensor, timesteps: Tensor, noise: Tensor, context: Tensor) -> Tensor:
    """Euler steps (Karras et al. 2022, algorithm 1 without churn) with guidance in one batch; latents as the VAE
    has them."""
    import torch

    with torch.no_grad():
        x = noise * (1 + sigmas[0] ** 2) ** 0.5
        for i, timestep in enumerate(timesteps):
            sigma = sigmas[i]
            scaled = torch.cat([x, x]) / (1 + sigma**2) ** 0.5
            eps = unet(scaled, timestep.expand(2), encoder_hidden_states=context, return_dict=False)[0]
            positive, negative = eps.chunk(2)
            x = x + (negative + CFG * (positive - negative)) * (sigmas[i + 1] - sigma)
    return x / 0.18215


def main(small: bool = False) -> None:
    """Print the table."""
    import torch

    from nodes.diffusion.noise import initial_noise
    from nodes.diffusion.schedules import schedule
    from nodes.diffusion.sigmas import ModelSigmas

    config, side, steps, rounds = (SMALL, 16, 5, 3) if small else (STABLE_DIFFUSION_15, 32, 2, 4)
    unet = make_unet(config)
    width = config["cross_attention_dim"]
    prompts = torch.randn(2, 77, width, generator=torch.Generator().manual_seed(1))
    model_sigmas = ModelSigmas.stable_diffusion()
    sigmas = schedule("normal", model_sigmas, steps, 1.0)
    timesteps = model_sigmas.timestep(sigmas[:-1])
    noise = initial_noise(SEED, (1, 4, side, side))
    positive, negative = Conditioning([(prompts[:1], {})]), Conditioning([(prompts[1:], {})])
    model = Model("benchmark", "", "random", "unet")
    context = Context(pool=OneModule(unet), previews=False)
    latent: Latent = {"samples": torch.zeros(1, 4, side, side)}

    def ours() -> Tensor:
        return KSampler(
            model, SEED, steps, CFG, "euler", "normal",
            positive=positive, negative=negative, latent_image=latent, context=context,
        )["samples"]  # fmt: skip

    def bare() -> Tensor:
        return bare_loop(unet, sigmas, timesteps, noise, prompts)

    wanted, given = bare(), ours()
    error = float((wanted - given).abs().max() / wanted.abs().max())
    assert error < 1e-3, f"the two loops give different pictures (relative difference {error:.1e})"
    seconds = by_turns([ours, bare], rounds)
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    ours_least, bare_least = min(seconds[0]), min(seconds[1])
    parameters = sum(parameter.numel() for parameter in unet.parameters()) / 1e6
    print_table(
        f"Sampling: UNet of {parameters:,.0f} million parameters, latent {side}×{side}, {steps} Euler steps, cfg {CFG}",
        ["", "least s", "median s"],
        [
            ["KSampler", ours_least, statistics.median(seconds[0])],
            ["diffusers in a bare loop", bare_least, statistics.median(seconds[1])],
            ["ratio", f"{ours_least / bare_least:.4f}", f"{statistics.median(ratios):.4f}"],
        ],
        f"{rounds} rounds by turns, {torch.get_num_threads()} threads; the median ratio is that of pairs. "
        f"Latents differ by {error:.0e} of their range (target: a ratio within 1.02 at full size).",
    )


def by_turns(works: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each work in each round; who goes first changes from round to round."""
    seconds: list[list[float]] = [[0.0] * rounds for _ in works]
    for i in range(rounds):
        order = range(len(works)) if i % 2 == 0 else reversed(range(len(works)))
        for which in order:
            began = time.perf_counter()
            works[which]()
            seconds[which][i] = time.perf_counter() - began
    return seconds

"""Train the autoencoder on (`python -m training.refine`), with two objects and with small ones, which it smears most.

Whole pictures, errors in and around the objects weighing more, and a loss that also compares neighbouring pixels'
differences. The encoder is held near the latents that it gave before (`ANCHOR`), so that a UNet trained on those
need only get used to the new ones: encode again afterwards.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.common import SCALING_FACTOR, SEED, WORK, Module, load_state, save_state, to_tensor
from training.data import PAIR_PICTURES, PICTURES, Pictures
from training.pairs import APART, RELATIONS, Pair
from training.pairs import SIZES as PAIR_SIZES
from training.scenes import PLACES, REACH, SIDE, SIZES, Scene
from training.unet import Examples, Team, load_examples
from training.vae import HELD_BACK, KL_WEIGHT, REFINED, build_vae, load_vae, measure

STATE = WORK / "refine-state.pt"
LEARNING_RATE = 1e-3
BATCH = 16
NOISE = 0.04
ANCHOR = 0.03
FOCUS = 4.0  # how much more an error counts around an object than elsewhere


def boxes(scene: Scene | Pair) -> list[tuple[float, float, float]]:
    """Middle and half side of the square around each object, in pixels, wide enough for all jitter."""
    if isinstance(scene, Scene):
        dx, dy = PLACES[scene.place]
        reach, half = REACH[scene.size], SIZES[scene.size] / 2 * 1.1 + 0.04
        return [(SIDE * (0.5 + dx * reach), SIDE * (0.5 + dy * reach), SIDE * half)]
    dx, dy = RELATIONS[scene.relation]
    return [
        (SIDE * (0.5 + sign * dx * APART), SIDE * (0.5 + sign * dy * APART), SIDE * (PAIR_SIZES[t.size] / 2 + 0.05))
        for t, sign in zip(scene.things, (1, -1), strict=True)
    ]


def focus(scenes: Sequence[Scene | Pair]) -> torch.Tensor:
    """The weight of each pixel, with mean 1: Bx1xSIDExSIDE."""
    weight = torch.ones(len(scenes), 1, SIDE, SIDE)
    for one, scene in zip(weight, scenes, strict=True):
        for x, y, half in boxes(scene):
            x0, x1, y0, y1 = (max(0, round(v)) for v in (x - half, x + half, y - half, y + half))
            one[:, y0:y1, x0:x1] = FOCUS
    return weight / weight.mean((1, 2, 3), keepdim=True)


def loss_of(
    vae: Module, x: torch.Tensor, before: torch.Tensor, weight: torch.Tensor, noise: torch.Tensor, *, rough: bool
) -> torch.Tensor:
    """Weighted L1 + MSE, differences of neighbours, KL, and how far the scaled latents are from those `before`."""
    with torch.autocast("cpu", torch.bfloat16, enabled=rough):
        posterior = vae.encode(x).latent_dist
        spread = (posterior.std.square() + (NOISE / SCALING_FACTOR) ** 2).sqrt()
        y = vae.decode(posterior.mean + spread * noise).sample.float()
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    error = y - x
    edges = sum((weight.narrow(d, 1, SIDE - 1) * error.diff(dim=d).abs()).mean() for d in (2, 3))
    kl = 0.5 * (mean.square() * SCALING_FACTOR**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    anchor = (mean * SCALING_FACTOR - before).square().mean()
    return (weight * (error.abs() + error.square())).mean() + edges + KL_WEIGHT * kl + ANCHOR * anchor


def without_held_back(examples: Examples, singles: int) -> Examples:
    """The same examples, where the last of either kind are never picked."""
    chance = np.diff(examples.upto, prepend=0.0)
    for end in {singles, len(chance)}:
        chance[end - HELD_BACK : end] = 0.0
    return Examples(examples.scenes, examples.latents, (chance / chance.sum()).cumsum())


def _take(sources: Sequence[Pictures], pick: NDArray[np.intp]) -> torch.Tensor:
    singles = len(sources[0])
    some = [sources[0][i] if i < singles else sources[1][i - singles] for i in pick]
    return to_tensor(np.stack(some)).contiguous(memory_format=torch.channels_last)


def _work(rank: int, team: Team, minutes: float) -> None:
    torch.set_num_threads(1)
    sources = [np.load(path, mmap_mode="r") for path in (PICTURES, PAIR_PICTURES) if path.exists()]
    examples = without_held_back(load_examples(), len(sources[0]))
    vae = load_vae().to(memory_format=torch.channels_last).train()
    parameters = list(vae.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = 0, 0.0
    if (state := load_state(STATE)) is not None:
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    begun, saved = time.monotonic() - spent, time.monotonic()
    losses: list[float] = []
    while True:
        turn = step % 2
        if rank == 0:
            spent = time.monotonic() - begun
            team.done[turn] = min(1.0, spent / (60 * minutes))
        rng, generator = np.random.default_rng([SEED, 5, step]), torch.Generator().manual_seed(SEED * 7 + step)
        pick = examples.pick(rng, BATCH)
        noise = torch.randn((BATCH, *examples.latents.shape[1:]), generator=generator)
        pick, noise = pick[rank :: team.size], noise[rank :: team.size]
        before = torch.from_numpy(examples.latents[pick].astype(np.float32))
        # The share of the training is everyone's only after the barrier: the last step's will do here.
        rough = float(team.done[1 - turn]) < 0.85
        loss = loss_of(vae, _take(sources, pick), before, focus([examples.scenes[i] for i in pick]), noise, rough=rough)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        team.average(rank, turn, parameters)
        done = float(team.done[turn])
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step += 1
        losses.append(loss.item())
        if rank == 0 and step % 50 == 0:
            print(f"refine: step {step} {spent:.0f} s done {done:.3f} loss {np.mean(losses[-50:]):.4f}", flush=True)
        if rank == 0 and (done >= 1 or time.monotonic() - saved > 120):
            save_state(STATE, {"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "step": step,
                               "spent": spent})  # fmt: skip
            saved = time.monotonic()
            print("refine: held-back", *(f"{measure(vae, s, sheet=False):.2f} dB" for s in sources), flush=True)
        if done >= 1:
            if rank == 0:
                save_state(REFINED, {"vae": vae.state_dict()})
            return


def main() -> None:
    """Train unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=18)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if REFINED.exists():
        return
    count = sum(p.numel() for p in build_vae().parameters())
    context = torch.multiprocessing.get_context("spawn")
    gradients = torch.zeros(2, args.processes, count).share_memory_()
    team = Team(args.processes, gradients, torch.zeros(2).share_memory_(), context.Barrier(args.processes))
    torch.multiprocessing.spawn(_work, (team, args.minutes), nprocs=args.processes)


if __name__ == "__main__":
    main()

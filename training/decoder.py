"""Train the decoder on alone (`python -m training.decoder`), once the latents are fixed: for crisper edges.

Whole pictures, latents with a little noise as the UNet leaves it, and a loss that also compares differences of
neighbouring pixels, in bfloat16 but for the last fifth.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch

from training.common import SCALING_FACTOR, SEED, WORK, Module, load_state, save_state, to_tensor
from training.data import load_pictures
from training.encode import LATENTS
from training.vae import HELD_BACK, SHARP, load_vae, measure

STATE = WORK / "decoder-state.pt"
LEARNING_RATE = 8e-4
BATCH = 12
NOISE = 0.04


def loss_of(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """L1 + MSE of the pixels, and L1 of the differences to the right and downwards."""
    error = y - x
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + error.square().mean() + edges


def train(steps: int, minutes: float) -> Module:
    """Train for `steps` steps or `minutes` of wall clock, whichever ends first; continues from STATE."""
    pictures = load_pictures()
    latents = np.load(LATENTS)
    vae = load_vae().to(memory_format=torch.channels_last)
    modules = torch.nn.ModuleList([vae.post_quant_conv, vae.decoder])
    optimiser = torch.optim.AdamW(modules.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = 0, 0.0
    if (state := load_state(STATE)) is not None:
        modules.load_state_dict(state["modules"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    begun, saved = time.monotonic() - spent, -math.inf
    while True:
        spent = time.monotonic() - begun
        done = max(step / steps, spent / (60 * minutes))
        if done >= 1 or time.monotonic() - saved > 90:
            save_state(STATE, {"modules": modules.state_dict(), "optimiser": optimiser.state_dict(), "step": step,
                               "spent": spent})  # fmt: skip
            saved = time.monotonic()
            print(f"decoder: step {step} {spent:.0f} s held-back {measure(vae, pictures):.2f} dB", flush=True)
        if done >= 1:
            return vae
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        rng, generator = np.random.default_rng([SEED, 3, step]), torch.Generator().manual_seed(SEED * 5 + step)
        pick = np.sort(rng.integers(len(pictures) - HELD_BACK, size=BATCH))
        x = to_tensor(pictures[pick]).contiguous(memory_format=torch.channels_last)
        z = torch.from_numpy(latents[pick].astype(np.float32))
        z = (z + NOISE * torch.randn(z.shape, generator=generator)) / SCALING_FACTOR
        with torch.autocast("cpu", torch.bfloat16, enabled=done < 0.8):
            y = vae.decode(z.contiguous(memory_format=torch.channels_last)).sample.float()
        loss = loss_of(y, x)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 20 == 0:
            print(f"decoder: step {step} {spent:.0f} s loss {loss.item():.4f}", flush=True)


def main() -> None:
    """Train unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    args = parser.parse_args()
    if not SHARP.exists():
        save_state(SHARP, {"vae": train(args.steps, args.minutes).state_dict()})


if __name__ == "__main__":
    main()

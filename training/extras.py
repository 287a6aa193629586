"""What the small networks beside `tiny` share: the frozen model that they are trained for, and the training's loop.

Each of them is trained on pictures drawn for it, in the same way as the UNet: noise is added to latents, and what is
learnt must help the frozen UNet to tell it. A run continues from its checkpoint in the work folder, and what it draws
at random depends on the seed and the step's number alone.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.common import (
    MODEL,
    ROOT,
    SCALING_FACTOR,
    WORK,
    Module,
    load_state,
    replace_file,
    save_array,
    save_state,
    to_tensor,
)
from training.encode import up_to_date
from training.plots import plot
from training.tokenizer import load_tokenizer, token_ids
from training.unet import alphas_cumprod, falling, noised, random_steps, weighted_error, weights_at

MODELS = ROOT / "models"
LIMIT = 3_000_000
"""The most bytes that one file may have."""
SAVE_EVERY = 60.0
"""Seconds from one checkpoint to the next."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model that is steered, in float32; nothing in it is trained."""

    unet: Module
    text: Module
    vae: Module
    tokenizer: CLIPTokenizer
    alphas: Tensor

    def ids(self, texts: Sequence[str]) -> Tensor:
        """Token numbers of captions, each as long as the text encoder takes."""
        return token_ids(self.tokenizer, texts)


def options(description: str | None, steps: int) -> argparse.ArgumentParser:
    """What the command line of each of these trainings takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--output", type=Path, default=MODELS)
    return parser


def load_base(folder: Path = MODEL) -> Base:
    """The exported model in a folder."""
    unet: Module = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    vae: Module = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True)
    text: Module = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
    for part in (unet, vae, text):
        part.float().eval().requires_grad_(False)
    unet.to(memory_format=torch.channels_last)
    return Base(unet, text, vae, load_tokenizer(folder / "tokenizer"), alphas_cumprod())


@torch.no_grad()
def encoded(base: Base, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
    """The scaled mean latents of pictures (N x 4 x 16 x 16)."""
    parts = [base.vae.encode(x).latent_dist.mean * SCALING_FACTOR for x in to_tensor(pictures).split(16)]
    return torch.cat(parts).contiguous().numpy().astype(np.float16)


@dataclass(frozen=True, slots=True)
class Noised:
    """Latents with the noise that was added to them at timesteps t, and how much the error of each counts."""

    noisy: Tensor
    t: Tensor
    noise: Tensor
    weight: Tensor

    def error(self, predicted: Tensor) -> Tensor:
        """The weighted error of the predicted noise, as in the UNet's own training."""
        return weighted_error(predicted, self.noise, self.weight)


def add_noise(base: Base, latents: NDArray[np.float16], generator: torch.Generator) -> Noised:
    """Noise for each of the latents at a random timestep, the noisier half more often."""
    x = torch.from_numpy(latents.astype(np.float32))
    t = random_steps(len(latents), generator)
    noise = torch.randn(x.shape, generator=generator)
    noisy = noised(x, t, noise, base.alphas)
    return Noised(noisy.contiguous(memory_format=torch.channels_last), t, noise, weights_at(t, base.alphas))


@dataclass(frozen=True, slots=True)
class Run:
    """A training: what is trained, the loss of a step by its number, and when it ends (steps or minutes)."""

    name: str
    parameters: Mapping[str, nn.Parameter]
    loss_at: Callable[[int], Tensor]
    rate: float
    steps: int
    minutes: float = math.inf
    keep: float = 0.99
    weight_decay: float = 0.0

    @property
    def state(self) -> Path:
        """The file of its checkpoint."""
        return WORK / f"{self.name}-state.pt"

    def done(self, progress: Progress) -> float:
        """The share of the training that is behind us, 0 to 1."""
        return min(1.0, max(progress.step / max(1, self.steps), progress.spent / (60 * self.minutes)))


@dataclass(slots=True)
class Progress:
    """How far a training is; `losses` has the mean loss of every ten steps."""

    average: dict[str, Tensor]
    step: int = 0
    spent: float = 0.0
    losses: list[float] = field(default_factory=list)


def train(run: Run) -> dict[str, Tensor]:
    """Train until steps or minutes are used up, continuing from the checkpoint; the averaged weights."""
    optimiser = torch.optim.AdamW(
        run.parameters.values(), lr=run.rate, betas=(0.9, 0.99), weight_decay=run.weight_decay
    )
    progress = _begin(run, optimiser)
    begun, saved, recent = time.monotonic() - progress.spent, time.monotonic(), list[float]()
    while (done := run.done(progress)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = run.rate * min(1.0, (progress.step + 1) / 30) * (0.02 + 0.98 * falling(done))
        loss = run.loss_at(progress.step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.parameters.values(), 1.0)
        optimiser.step()
        progress.step += 1
        progress.spent = time.monotonic() - begun
        _average(run, progress)
        recent.append(loss.item())
        if len(recent) == 10:
            progress.losses.append(float(np.mean(recent)))
            recent.clear()
        if progress.step % 100 == 0:
            print(f"{run.name}: step {progress.step} {progress.spent:.0f} s done {run.done(progress):.3f} "
                  f"loss {np.mean(progress.losses[-10:]):.4f}", flush=True)  # fmt: skip
        if time.monotonic() - saved > SAVE_EVERY:
            _save(run, progress, optimiser)
            saved = time.monotonic()
    _save(run, progress, optimiser)
    plot(WORK / f"{run.name}-loss.png", progress.losses, f"{10 * len(progress.losses)} steps")
    return progress.average


def _average(run: Run, progress: Progress) -> None:
    keep = min(run.keep, progress.step / (progress.step + 9))
    with torch.no_grad():
        for name, parameter in run.parameters.items():
            progress.average[name].lerp_(parameter, 1 - keep)


def _begin(run: Run, optimiser: torch.optim.Optimizer) -> Progress:
    """The checkpoint's progress, its weights put in place; else a beginning."""
    state = load_state(run.state)
    if state is None:
        return Progress({name: each.detach().clone() for name, each in run.parameters.items()})
    with torch.no_grad():
        for name, parameter in run.parameters.items():
            parameter.copy_(state["weights"][name])
    optimiser.load_state_dict(state["optimiser"])
    return Progress(state["average"], state["step"], state["spent"], state["losses"])


def _save(run: Run, progress: Progress, optimiser: torch.optim.Optimizer) -> None:
    weights = {name: parameter.detach() for name, parameter in run.parameters.items()}
    save_state(
        run.state,
        {
            "weights": weights, "average": progress.average, "optimiser": optimiser.state_dict(),
            "step": progress.step, "spent": progress.spent, "losses": progress.losses,
        },
    )  # fmt: skip


def kept(path: Path, count: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The `count` rows of a file in the work folder, which `make` gives if they are not there, or of an older VAE."""
    if not up_to_date(path) or len(np.load(path, mmap_mode="r")) != count:
        save_array(path, make())
    return np.load(path, mmap_mode="r")


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file of weights in fp16. Ends the program for one that is too large, or not finite."""
    half = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in tensors.items()}
    size = sum(2 * tensor.numel() for tensor in half.values())
    if size > LIMIT:
        raise SystemExit(f"{path.name}: {size} bytes of weights, {LIMIT} at most")
    if not all(tensor.isfinite().all() for tensor in half.values()):
        raise SystemExit(f"{path.name}: not all weights are finite")
    replace_file(path, lambda p: save_file(half, p, metadata=dict(metadata)))
    path.chmod(0o644)
    print(f"{path.name}: {path.stat().st_size} bytes")

"""Train the UNet and the text encoder of `tiny` together (`python -m training.unet`) on encoded scenes.

Noise prediction after Ho et al. 2020 with Stable Diffusion's scaled-linear betas; classifier-free guidance after
Ho & Salimans 2022 (a tenth of the captions empty). The loss of a timestep weighs clamp(SNR, 0.1, 5) / SNR, as
in Min-SNR (Hang et al. 2023) with a floor, so that the noisiest steps, which decide what is where, count.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.captions import caption, caption_pair
from training.common import SEED, WORK, Module, load_state, save_state
from training.data import load_pairs, load_scenes
from training.encode import LATENTS, PAIR_LATENTS
from training.pairs import Pair
from training.scenes import Scene
from training.tokenizer import LENGTH, load_tokenizer, token_ids

STATE = WORK / "unet-state.pt"
BATCH = 32
LEARNING_RATE = 1e-3
EMA = 0.998
EMPTY = 0.1
LOOSE = 0.3
NOISIER = 0.5  # the share of samples from the noisier half alone, where it is settled what lies where
PAIRS = 0.6  # the share of samples that show two objects
SMALL = 2.5  # how much more often a small object on its own is shown than another
STEPS = 1000


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder: two layers of width 128."""
    special: Any = tokenizer
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        projection_dim=128,
        bos_token_id=special.bos_token_id,
        eos_token_id=special.eos_token_id,
        pad_token_id=special.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet() -> Module:
    """The untrained UNet for 4x16x16 latents; its last convolution starts at zero."""
    make: Module = UNet2DConditionModel
    unet = make(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(48, 80, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


def alphas_cumprod() -> torch.Tensor:
    """The signal's share of the variance at each of the 1000 timesteps of Stable Diffusion's schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


@dataclass(slots=True)
class Training:
    """Everything that training changes, and that a checkpoint therefore holds."""

    models: torch.nn.ModuleDict
    average: dict[str, torch.Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent: float = 0.0

    def save(self) -> None:
        """Write the checkpoint."""
        save_state(STATE, {"models": self.models.state_dict(), "average": self.average,
                           "optimiser": self.optimiser.state_dict(), "step": self.step,
                           "spent": self.spent})  # fmt: skip


def begin(tokenizer: CLIPTokenizer) -> Training:
    """Fresh models from the seed, or the checkpoint's."""
    torch.manual_seed(SEED + 1)
    models = torch.nn.ModuleDict({"unet": build_unet(), "text": build_text_encoder(tokenizer)})
    unet: Module = models["unet"]
    unet.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(
        models.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    state = load_state(STATE)
    if state is None:
        average = {k: v.detach().clone() for k, v in models.state_dict().items()}
        return Training(models, average, optimiser)
    models.load_state_dict(state["models"])
    optimiser.load_state_dict(state["optimiser"])
    for group in optimiser.param_groups:
        group.update(fused=True, foreach=False)
    return Training(models, state["average"], optimiser, state["step"], state["spent"])


def load_averaged(tokenizer: CLIPTokenizer) -> tuple[Module, Module]:
    """The averaged UNet and text encoder of the checkpoint (untrained ones when there is none)."""
    unet, text = build_unet(), build_text_encoder(tokenizer)
    if (state := load_state(STATE)) is not None:
        torch.nn.ModuleDict({"unet": unet, "text": text}).load_state_dict(state["average"])
    return unet.eval(), text.eval()


def batch_texts(scenes: Sequence[Scene | Pair], rng: np.random.Generator) -> list[str]:
    """A caption for each scene: a share of them loose, some empty."""
    return ["" if rng.random() < EMPTY else _text(s, rng, loose=rng.random() < LOOSE) for s in scenes]


def _text(scene: Scene | Pair, rng: np.random.Generator, *, loose: bool) -> str:
    return caption_pair(scene, rng, loose=loose) if isinstance(scene, Pair) else caption(scene, rng, loose=loose)


@dataclass(frozen=True, slots=True)
class Examples:
    """All scenes with their latents (N x 4 x 16 x 16), and `upto`, the running sum of their chances (ends at 1)."""

    scenes: Sequence[Scene | Pair]
    latents: NDArray[np.float16]
    upto: NDArray[np.float64]

    def pick(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """`count` random examples by their chances."""
        return np.searchsorted(self.upto, rng.random(count), side="right").clip(max=len(self.scenes) - 1)


def chances(singles: Sequence[Scene], pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """How likely each scene is to be picked: PAIRS of them all show two objects, and small ones come SMALL times."""
    one = np.array([SMALL if scene.size == "small" else 1.0 for scene in singles])
    share = PAIRS if pairs else 0.0
    return np.concatenate([one / one.sum() * (1 - share), np.full(len(pairs), share / max(1, len(pairs)))])


def load_examples() -> Examples:
    """Everything that was drawn and encoded."""
    singles, pairs = load_scenes(), load_pairs() if PAIR_LATENTS.exists() else []
    latents = np.concatenate([np.load(path) for path in (LATENTS, PAIR_LATENTS) if path.exists()])
    upto = chances(singles, pairs).cumsum()
    return Examples([*singles, *pairs], latents, upto)


def loss_of(
    models: Any, latents: torch.Tensor, ids: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, alphas: torch.Tensor
) -> torch.Tensor:
    """Weighted error of the predicted noise for latents BxCxHxW (spread 1), token ids Bx77 and timesteps B."""
    noisy = noised(latents, t, noise, alphas)
    with torch.autocast("cpu", torch.bfloat16):
        context = models["text"](ids)[0]
        predicted = models["unet"](noisy.contiguous(memory_format=torch.channels_last), t, context).sample
    return weighted_error(predicted, noise, weights_at(t, alphas))


def random_steps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random timesteps, the noisier half more often."""
    t = torch.randint(STEPS, (count,), generator=generator)
    noisier = torch.randint(STEPS // 2, STEPS, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < NOISIER, noisier, t)


def noised(latents: torch.Tensor, t: torch.Tensor, noise: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """Latents with as much noise as there is at timesteps."""
    share = alphas[t].view(-1, 1, 1, 1)
    return share.sqrt() * latents + (1 - share).sqrt() * noise


def weights_at(t: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
    """How much errors at timesteps count."""
    snr = alphas[t] / (1 - alphas[t])
    return snr.clamp(0.1, 5) / snr


def weighted_error(predicted: torch.Tensor, noise: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The mean error of the predicted noise."""
    return (weight * (predicted.float() - noise).square().mean((1, 2, 3))).mean()


def learning_rate(done: float, step: int) -> float:
    """Warm-up over 200 steps, constant, then half a cosine to 1 % over the second half of the training."""
    return LEARNING_RATE * min(1.0, (step + 1) / 200) * (0.01 + 0.99 * falling(done))


def falling(done: float) -> float:
    """Constant, then half a cosine to 0 over the second half of the training."""
    return 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * done - 1)))


@dataclass(frozen=True, slots=True)
class Budget:
    """When training ends: after so many samples or minutes, whichever comes first."""

    samples: int
    minutes: float

    def done(self, training: Training) -> float:
        """The share of the training that is behind us, 0 to 1."""
        return min(1.0, max(training.step * BATCH / self.samples, training.spent / (60 * self.minutes)))


@dataclass(frozen=True, slots=True)
class Team:
    """Processes that share each batch: one core each beats threads that wait for each other in every operation.

    Each process has the same models. It writes the gradients of its share of the batch into `gradients` and reads
    the others' after the barrier. Two buffers in turn make one barrier a step enough. `done` is the first
    process's word on how far the training is, so that all use the same learning rate and stop together.
    """

    size: int
    gradients: torch.Tensor
    done: torch.Tensor
    barrier: Any

    def average(self, rank: int, turn: int, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace the gradients of `parameters` by their mean over all processes."""
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        torch.cat([g.reshape(-1) for g in grads], out=self.gradients[turn, rank])
        self.barrier.wait(1800)  # others may have the cores for a long while
        mean = self.gradients[turn].mean(0)
        for gradient, part in zip(grads, mean.split([g.numel() for g in grads]), strict=True):
            gradient.copy_(part.view(gradient.shape))


def _work(rank: int, team: Team, budget: Budget) -> None:
    torch.set_num_threads(1)
    tokenizer, alphas = load_tokenizer(), alphas_cumprod()
    examples = load_examples()
    training = begin(tokenizer)
    models = training.models.train()
    names, parameters = zip(*models.named_parameters(), strict=True)
    begun, saved = time.monotonic() - training.spent, time.monotonic()
    recent: list[float] = []
    while True:
        turn = training.step % 2
        if rank == 0:
            training.spent = time.monotonic() - begun
            team.done[turn] = budget.done(training)
        x, ids, t, noise = _batch(training.step, examples, tokenizer)
        part = slice(rank, None, team.size)
        loss = loss_of(models, x[part], ids[part], t[part], noise[part], alphas)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        team.average(rank, turn, parameters)
        done = float(team.done[turn])
        for group in training.optimiser.param_groups:
            group["lr"] = learning_rate(done, training.step)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        training.optimiser.step()
        training.step += 1
        recent.append(loss.item())
        if rank == 0:
            keep = min(EMA, training.step / (training.step + 9))
            with torch.no_grad():
                torch._foreach_lerp_([training.average[n] for n in names], list(parameters), 1 - keep)
            if training.step % 100 == 0:
                print(f"unet: {training.step * BATCH} samples {training.spent:.0f} s done {done:.3f} "
                      f"loss {np.mean(recent[-100:]):.4f}", flush=True)  # fmt: skip
            if done >= 1 or time.monotonic() - saved > 120:
                training.save()
                saved = time.monotonic()
        if done >= 1:
            return


def _batch(
    step: int, examples: Examples, tokenizer: CLIPTokenizer
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, token ids, timesteps and noise of a step: the same in a continued run as in an unbroken one."""
    rng, generator = np.random.default_rng([SEED, 2, step]), torch.Generator().manual_seed(SEED * 3 + step)
    pick = examples.pick(rng, BATCH)
    texts = batch_texts([examples.scenes[i] for i in pick], rng)
    x = torch.from_numpy(examples.latents[pick].astype(np.float32))
    t = random_steps(BATCH, generator)
    return x, token_ids(tokenizer, texts), t, torch.randn(x.shape, generator=generator)


def train(budget: Budget, processes: int) -> None:
    """Train until the budget is spent; resumable."""
    count = sum(p.numel() for p in begin(load_tokenizer()).models.parameters())
    context = torch.multiprocessing.get_context("spawn")
    gradients = torch.zeros(2, processes, count).share_memory_()
    team = Team(processes, gradients, torch.zeros(2).share_memory_(), context.Barrier(processes))
    torch.multiprocessing.spawn(_work, (team, budget), nprocs=processes)


def main() -> None:
    """Train, or continue training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--until", type=float, default=math.inf, help="Unix time by which to end")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    state = load_state(STATE)
    spent = state["spent"] if state else 0.0
    minutes = min(args.minutes, (args.until - time.time() + spent) / 60)
    train(Budget(args.samples, minutes), args.processes)


if __name__ == "__main__":
    main()

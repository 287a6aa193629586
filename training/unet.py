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

from training.captions import caption
from training.common import SEED, WORK, load_state, save_state
from training.data import load_scenes
from training.encode import LATENTS
from training.scenes import Scene
from training.tokenizer import LENGTH, load_tokenizer

STATE = WORK / "unet-state.pt"
BATCH = 32
LEARNING_RATE = 1e-3
EMA = 0.998
EMPTY = 0.1
STEPS = 1000


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """The untrained text encoder: two layers of width 128."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        projection_dim=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_unet() -> UNet2DConditionModel:
    """The untrained UNet for 4x16x16 latents; its last convolution starts at zero."""
    unet = UNet2DConditionModel(
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
    models["unet"].to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = torch.optim.AdamW(models.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    state = load_state(STATE)
    if state is None:
        average = {k: v.detach().clone() for k, v in models.state_dict().items()}
        return Training(models, average, optimiser)
    models.load_state_dict(state["models"])
    optimiser.load_state_dict(state["optimiser"])
    return Training(models, state["average"], optimiser, state["step"], state["spent"])


def load_averaged(tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """The averaged UNet and text encoder of the checkpoint (untrained ones when there is none)."""
    unet, text = build_unet(), build_text_encoder(tokenizer)
    if (state := load_state(STATE)) is not None:
        torch.nn.ModuleDict({"unet": unet, "text": text}).load_state_dict(state["average"])
    return unet.eval(), text.eval()


def batch_texts(scenes: Sequence[Scene], rng: np.random.Generator) -> list[str]:
    """A caption for each scene: half of them loose, a tenth empty."""
    return ["" if rng.random() < EMPTY else caption(s, rng, loose=rng.random() < 0.5) for s in scenes]


def loss_of(
    models: Any, latents: torch.Tensor, ids: torch.Tensor, alphas: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Weighted error of the predicted noise for latents BxCxHxW (spread 1) and token ids Bx77."""
    t = torch.randint(STEPS, (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    share = alphas[t].view(-1, 1, 1, 1)
    noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
    with torch.autocast("cpu", torch.bfloat16):
        context = models["text"](ids)[0]
        predicted = models["unet"](noisy.contiguous(memory_format=torch.channels_last), t, context).sample
    snr = alphas[t] / (1 - alphas[t])
    weight = snr.clamp(0.1, 5) / snr
    return (weight * (predicted.float() - noise).square().mean((1, 2, 3))).mean()


def learning_rate(done: float, step: int) -> float:
    """Warm-up over 200 steps, constant, then half a cosine to 1 % over the second half of the training."""
    falling = 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * done - 1)))
    return LEARNING_RATE * min(1.0, (step + 1) / 200) * (0.01 + 0.99 * falling)


def train(samples: int, minutes: float, until: float) -> None:
    """Train on `samples` samples, or until the minutes or the clock (a Unix time) end it; resumable."""
    tokenizer = load_tokenizer()
    scenes: Sequence[Scene] = load_scenes()
    latents: NDArray[np.float16] = np.load(LATENTS)
    alphas = alphas_cumprod()
    training = begin(tokenizer)
    models = training.models.train()
    parameters = dict(models.named_parameters())
    begun, saved, since = time.monotonic() - training.spent, time.monotonic(), training.step
    if until < math.inf:
        minutes = min(minutes, (until - time.time() + training.spent) / 60)
    recent: list[float] = []
    while True:
        training.spent = time.monotonic() - begun
        done = max(training.step * BATCH / samples, training.spent / (60 * minutes))
        if done >= 1 or time.monotonic() - saved > 120:
            training.save()
            saved = time.monotonic()
        if done >= 1:
            break
        for group in training.optimiser.param_groups:
            group["lr"] = learning_rate(done, training.step)
        # Seeding by the step makes a continued run draw what an unbroken one would have drawn.
        rng = np.random.default_rng([SEED, 2, training.step])
        generator = torch.Generator().manual_seed(SEED * 3 + training.step)
        pick = rng.integers(len(latents), size=BATCH)
        texts = batch_texts([scenes[i] for i in pick], rng)
        ids = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
        x = torch.from_numpy(latents[pick].astype(np.float32))
        loss = loss_of(models, x, ids.input_ids, alphas, generator)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(models.parameters(), 1.0)
        training.optimiser.step()
        keep = min(EMA, (training.step + 1) / (training.step + 10))
        with torch.no_grad():
            names = list(parameters)
            torch._foreach_lerp_([training.average[n] for n in names], [parameters[n] for n in names], 1 - keep)
        training.step += 1
        recent.append(loss.item())
        if training.step % 100 == 0:
            rate = (training.step - since) * BATCH / (time.monotonic() - begun - 0) if since == 0 else math.nan
            print(f"unet: {training.step * BATCH} samples {training.spent:.0f} s done {done:.3f} "
                  f"loss {np.mean(recent):.4f} {rate:.0f}/s", flush=True)  # fmt: skip
            recent = []


def main() -> None:
    """Train, or continue training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--until", type=float, default=math.inf, help="Unix time by which to end")
    args = parser.parse_args()
    train(args.samples, args.minutes, args.until)


if __name__ == "__main__":
    main()

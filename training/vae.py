"""Train the autoencoder of `tiny` (`python -m training.vae`): 128x128 pictures to 4x16x16 latents and back.

An AutoencoderKL as in Kingma & Welling 2014 and Rombach et al. 2022, small. These keep the posterior
from collapsing: the means start white, the log-variances start at -6, the KL weighs only 1e-5, and in the first
tenth of the training three latent channels are drawn towards the colours of the picture.
At the end the latents' mean and spread are folded into the 1x1 convolutions around them, so that latents times
the usual scaling factor have mean 0 and spread 1 in each channel.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from training.common import (
    SCALING_FACTOR,
    SEED,
    WORK,
    Module,
    load_state,
    save_sheet,
    save_state,
    to_pictures,
    to_tensor,
)
from training.data import load_pictures

STATE = WORK / "vae-state.pt"
FINAL = WORK / "vae.pt"
REFINED = WORK / "vae-refined.pt"  # the same trained on with small and with two objects
SHARP = WORK / "vae-sharp.pt"  # either with the decoder trained on
KL_WEIGHT = 1e-5
LEARNING_RATE = 2e-3
HELD_BACK = 256  # the last pictures are for measuring only


def build_vae() -> Module:
    """The untrained autoencoder: four levels as in Stable Diffusion, so latents have an eighth of the side."""
    make: Module = AutoencoderKL
    return make(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(16, 32, 48, 48),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=128,
        scaling_factor=SCALING_FACTOR,
    )


@torch.no_grad()
def prepare(vae: Module, pictures: torch.Tensor) -> None:
    """Whiten the mean rows of quant_conv on `pictures` and start with small variances."""
    conv = vae.quant_conv
    mean = vae.encode(pictures).latent_dist.mean.transpose(0, 1).flatten(1).double()
    middle = mean.mean(dim=1)
    values, vectors = torch.linalg.eigh(torch.cov(mean))
    whiten = vectors / values.clamp(min=1e-8).sqrt() @ vectors.T
    conv.weight[:4] = torch.einsum("ij,jchw->ichw", whiten.float(), conv.weight[:4])
    conv.bias[:4] = (whiten @ (conv.bias[:4].double() - middle)).float()
    conv.weight[4:] *= 0.1
    conv.bias[4:] = -6.0


@torch.no_grad()
def fold_spread(vae: Module, mean: torch.Tensor, spread: torch.Tensor) -> None:
    """Make latents that had this mean and spread per channel have mean 0 and spread 1/scaling_factor."""
    before, after = vae.quant_conv, vae.post_quant_conv
    unit = spread * SCALING_FACTOR
    before.weight[:4] /= unit[:, None, None, None]
    before.bias[:4] = (before.bias[:4] - mean) / unit
    before.bias[4:] -= 2 * unit.log()
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= unit[None, :, None, None]


def crops(pictures: NDArray[np.uint8], rng: np.random.Generator, count: int, side: int) -> torch.Tensor:
    """`count` random crops of `side` pixels from random training pictures."""
    pick = rng.integers(len(pictures) - HELD_BACK, size=count)
    room = pictures.shape[1] - side + 1
    at = rng.integers(room, size=(count, 2))
    cut = [pictures[i, y : y + side, x : x + side] for i, (y, x) in zip(pick, at, strict=True)]
    return to_tensor(np.stack(cut)).contiguous(memory_format=torch.channels_last)


def loss_of(
    vae: Module, x: torch.Tensor, generator: torch.Generator, *, guide: float, rough: bool
) -> tuple[torch.Tensor, float, float]:
    """Training loss, and for the log its mean squared error and the KL divergence per latent pixel.

    `guide` weighs how far the first three latent channels are from the colours at their place: at the start it
    makes the latents carry hue, which they else learn only after brightness and shape.
    `rough` computes in bfloat16, which processors with AVX512-BF16 do nearly twice as fast.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=rough):
        posterior = vae.encode(x).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        y = vae.decode(posterior.mean + posterior.std * noise).sample.float()
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(1).mean()
    error = y - x
    mse = error.square().mean()
    colours = torch.nn.functional.avg_pool2d(x, 8) * 1.5
    astray = (mean[:, :3] - colours).square().mean()
    return error.abs().mean() + mse + KL_WEIGHT * kl + guide * astray, mse.item(), kl.item()


@torch.no_grad()
def measure(vae: Module, pictures: NDArray[np.uint8], sheet: bool = True) -> float:
    """PSNR in dB on pictures never trained on; writes a sheet of originals above reconstructions."""
    x = to_tensor(pictures[-64:])
    y = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample.clamp(-1, 1) for part in x.split(16)])
    if sheet:
        pairs = np.concatenate([np.asarray(pictures[-64:-40]), to_pictures(y[:24])], axis=1)
        save_sheet(WORK / "vae-sheet.png", pairs, 12)
    return 10 * math.log10(4 / (y - x).square().mean().item())


def train(steps: int, minutes: float) -> Module:
    """Train for `steps` steps or `minutes` of wall clock, whichever ends first; continues from STATE."""
    torch.manual_seed(SEED)
    pictures = load_pictures()
    vae = build_vae()
    prepare(vae, to_tensor(pictures[:64]))
    vae = vae.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = 0, 0.0
    if (state := load_state(STATE)) is not None:
        vae.load_state_dict(state["vae"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    begun, saved = time.monotonic() - spent, time.monotonic()
    while True:
        spent = time.monotonic() - begun
        done = max(step / steps, spent / (60 * minutes))
        if done >= 1 or time.monotonic() - saved > 90:
            save_state(STATE, {"vae": vae.state_dict(), "optimiser": optimiser.state_dict(), "step": step,
                               "spent": spent})  # fmt: skip
            saved = time.monotonic()
            print(f"vae: step {step} {spent:.0f} s held-back {measure(vae, pictures):.2f} dB", flush=True)
        if done >= 1:
            return vae
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        # Seeding by the step makes a continued run draw what an unbroken one would have drawn.
        rng, generator = np.random.default_rng([SEED, step]), torch.Generator().manual_seed(SEED + step)
        x = crops(pictures, rng, 32, 64) if done < 0.75 else crops(pictures, rng, 8, 128)
        loss, mse, kl = loss_of(vae, x, generator, guide=max(0.0, 0.5 - 5 * done), rough=done < 0.85)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 20 == 0:
            print(f"vae: step {step} {spent:.0f} s {10 * math.log10(4 / mse):.2f} dB kl {kl:.1f}", flush=True)


def finish(vae: Module) -> None:
    """Fold the latents' statistics and save the weights to FINAL."""
    pictures = load_pictures()
    with torch.no_grad():
        parts = to_tensor(pictures[:1536]).split(64)
        latents = torch.cat([vae.encode(part).latent_dist.mean for part in parts])
    before = measure(vae, pictures, sheet=False)
    fold_spread(vae, latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    after = measure(vae, pictures)
    print(f"vae: {before:.2f} dB, {after:.2f} dB with the spread folded in", flush=True)
    save_state(FINAL, {"vae": vae.state_dict()})


def load_vae() -> Module:
    """The trained autoencoder, as far as it got."""
    vae = build_vae()
    state = load_state(SHARP) or load_state(REFINED) or load_state(FINAL)
    assert state is not None, "train the autoencoder first"
    vae.load_state_dict(state["vae"])
    return vae.eval()


def main() -> None:
    """Train and finish, unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    args = parser.parse_args()
    if not FINAL.exists():
        finish(train(args.steps, args.minutes))


if __name__ == "__main__":
    main()

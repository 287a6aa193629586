"""Train a small decoder for previews (`python -m training.preview`), in the layout of TAESD's.

TAESD (Ollin Boer Bohan, 2023) is a stack of residual blocks that draws nearly what a VAE's decoder does. This one is
16 channels wide, so that it takes a third of the time of `tiny`'s own decoder, whose pictures it is taught. Half of the
latents that it sees are blurred or have noise in them, as what a sampler shows of its early steps has.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DecoderTiny
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.common import SCALING_FACTOR, SEED, WORK, Module, to_pictures, to_tensor
from training.encode import LATENTS
from training.extras import Base, Run, kept, load_base, options, train, write
from training.vae import HELD_BACK

WIDTH = 16
BLOCKS = (3, 3, 3, 1)
BATCH = 8
LESSONS = 4000
TARGETS = WORK / "preview-targets.npy"
FILE = "vae_approx/tiny_decoder.safetensors"


def build_decoder() -> nn.Module:
    """The untrained decoder."""
    torch.manual_seed(SEED + 5)
    decoder: Module = DecoderTiny(4, 3, BLOCKS, (WIDTH,) * 4, 2, "relu", "nearest")
    return decoder.to(memory_format=torch.channels_last)


def named_as_taesd(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names in TAESD's own files, which count its first layer, that has none."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        number, _, rest = name.removeprefix("layers.").partition(".")
        named[f"{int(number) + 1}.{rest}"] = tensor
    return named


def varied(latents: NDArray[np.float16]) -> Tensor:
    """Latents as a sampler may show them: a quarter blurred, a quarter with noise, the others as they are."""
    z, generator = torch.from_numpy(latents.astype(np.float32)), torch.Generator().manual_seed(SEED * 7)
    z[::4] = functional.avg_pool2d(functional.pad(z[::4], (1, 1, 1, 1), "replicate"), 3, 1)
    z[1::4] += 0.15 * torch.randn(z[1::4].shape, generator=generator)
    return z


def lessons(base: Base, count: int) -> tuple[Tensor, NDArray[np.uint8]]:
    """`count` latents and what the VAE's own decoder draws of them, which is done once and kept in the work folder."""
    z = varied(np.load(LATENTS, mmap_mode="r")[:count])

    def make() -> NDArray[np.uint8]:
        return np.concatenate([to_pictures(drawn(base.vae, part)) for part in z.split(16)])

    return z, kept(TARGETS, count, make)


def loss_of(y: Tensor, x: Tensor) -> Tensor:
    """L1 and squared error of the pixels, and L1 of the differences to the right and downwards."""
    error = y - x
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * edges


@torch.no_grad()
def drawn(vae: Module, z: Tensor) -> Tensor:
    """What the VAE's own decoder draws of scaled latents."""
    return vae.decode(z / SCALING_FACTOR).sample.float().clamp(-1, 1)


@torch.no_grad()
def measure(base: Base, decoder: nn.Module, latents: NDArray[np.float16]) -> float:
    """PSNR (dB) between the pictures of both decoders, for the latents of pictures that were kept back."""
    squared = 0.0
    for part in np.array_split(latents[-HELD_BACK:].astype(np.float32), HELD_BACK // 16):
        z = torch.from_numpy(part)
        squared += float((decoder(z).clamp(-1, 1) - drawn(base.vae, z)).square().mean()) / (HELD_BACK // 16)
    return 10 * math.log10(4 / squared)


def teach(base: Base, steps: int, minutes: float, count: int = LESSONS) -> nn.Module:
    """The trained decoder."""
    decoder = build_decoder()
    base.vae.to(memory_format=torch.channels_last)
    latents, pictures = lessons(base, count)

    def loss_at(step: int) -> Tensor:
        pick = np.sort(np.random.default_rng([SEED, 5, step]).integers(count, size=BATCH))
        x = to_tensor(pictures[pick]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            y = decoder(latents[torch.from_numpy(pick)].contiguous(memory_format=torch.channels_last)).float()
        return loss_of(y, x)

    run = Run("preview", dict(decoder.named_parameters()), loss_at, 2e-3, steps, minutes, keep=0.998)
    decoder.load_state_dict(train(run))
    return decoder.eval()


def main() -> None:
    """Train, or continue, then export."""
    args = options(__doc__, 12_000).parse_args()
    base = load_base(args.model)
    decoder = teach(base, args.steps, args.minutes)
    print(f"preview: {measure(base, decoder, np.load(LATENTS, mmap_mode='r')):.2f} dB on latents kept back")
    write(args.output / FILE, named_as_taesd(decoder.state_dict()), {"for": "tiny"})


if __name__ == "__main__":
    main()

"""Encode the pictures once (`python -m training.encode`), so that the UNet's training never touches pixels."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.common import SCALING_FACTOR, WORK, replace_file, to_tensor
from training.data import load_pictures
from training.vae import load_vae

LATENTS = WORK / "latents.npy"


@torch.no_grad()
def encode(count: int) -> NDArray[np.float16]:
    """The scaled mean latents of the first `count` training pictures: N x 4 x 16 x 16."""
    vae, pictures = load_vae(), load_pictures()[:count]
    vae = vae.to(memory_format=torch.channels_last)
    parts: list[NDArray[np.float16]] = []
    for start in range(0, len(pictures), 64):
        x = to_tensor(pictures[start : start + 64]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            mean = vae.encode(x).latent_dist.mean.float() * SCALING_FACTOR
        parts.append(mean.contiguous().numpy().astype(np.float16))
        if start % 1600 == 0:
            print(f"encode: {start}", flush=True)
    return np.concatenate(parts)


def main() -> None:
    """Encode unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=16_000)
    args = parser.parse_args()
    if LATENTS.exists():
        return
    latents = encode(args.count)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, latents)

    replace_file(LATENTS, write)
    flat = latents.astype(np.float32)
    print(f"encode: {latents.shape} mean {flat.mean((0, 2, 3)).round(3)} spread {flat.std((0, 2, 3)).round(3)}")


if __name__ == "__main__":
    main()

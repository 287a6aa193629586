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


_CHUNK = 500


@torch.no_grad()
def _encode(start: int) -> NDArray[np.float16]:
    torch.set_num_threads(1)  # a process on each core beats threads that wait for each other
    vae = load_vae().to(memory_format=torch.channels_last)
    parts: list[NDArray[np.float16]] = []
    for part in np.array_split(load_pictures()[start : start + _CHUNK], 10):
        x = to_tensor(part).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            mean = vae.encode(x).latent_dist.mean.float() * SCALING_FACTOR
        parts.append(mean.contiguous().numpy().astype(np.float16))
    return np.concatenate(parts)


def encode(count: int, processes: int) -> NDArray[np.float16]:
    """The scaled mean latents of the first `count` training pictures (a multiple of 500): N x 4 x 16 x 16."""
    parts: list[NDArray[np.float16]] = []
    with torch.multiprocessing.get_context("spawn").Pool(processes) as pool:
        for part in pool.imap(_encode, range(0, count, _CHUNK)):
            parts.append(part)
            print(f"encode: {len(parts) * _CHUNK}", flush=True)
    return np.concatenate(parts)


def main() -> None:
    """Encode unless that is done already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if LATENTS.exists():
        return
    latents = encode(args.count, args.processes)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, latents)

    replace_file(LATENTS, write)
    flat = latents.astype(np.float32)
    print(f"encode: {latents.shape} mean {flat.mean((0, 2, 3)).round(3)} spread {flat.std((0, 2, 3)).round(3)}")


if __name__ == "__main__":
    main()

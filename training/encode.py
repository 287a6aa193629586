"""Encode the pictures once (`python -m training.encode`), so that the UNet's training never touches pixels."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.common import SCALING_FACTOR, WORK, save_array, to_tensor
from training.data import PAIR_PICTURES, PICTURES
from training.vae import FINAL, REFINED, load_vae

LATENTS = WORK / "latents.npy"
PAIR_LATENTS = WORK / "pair-latents.npy"
_CHUNK = 500


@torch.no_grad()
def _encode(job: tuple[Path, int]) -> NDArray[np.float16]:
    path, start = job
    torch.set_num_threads(1)  # a process on each core beats threads that wait for each other
    vae = load_vae().to(memory_format=torch.channels_last)
    parts: list[NDArray[np.float16]] = []
    for part in np.array_split(np.array(np.load(path, mmap_mode="r")[start : start + _CHUNK]), 10):
        x = to_tensor(part).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            mean = vae.encode(x).latent_dist.mean.float() * SCALING_FACTOR
        parts.append(mean.contiguous().numpy().astype(np.float16))
    return np.concatenate(parts)


def encode(source: Path, count: int | None, processes: int) -> NDArray[np.float16]:
    """The scaled mean latents of a file's pictures (a multiple of 500), or of its first `count`: N x 4 x 16 x 16."""
    total = len(np.load(source, mmap_mode="r"))
    starts = range(0, total if count is None else min(count, total), _CHUNK)
    parts: list[NDArray[np.float16]] = []
    with torch.multiprocessing.get_context("spawn").Pool(processes) as pool:
        for part in pool.imap(_encode, [(source, start) for start in starts]):
            parts.append(part)
            print(f"encode: {len(parts) * _CHUNK}", flush=True)
    return np.concatenate(parts)


def up_to_date(target: Path) -> bool:
    """Whether latents are there and no encoder is newer (training the decoder alone leaves them valid)."""
    if not target.exists():
        return False
    return all(target.stat().st_mtime >= path.stat().st_mtime for path in (FINAL, REFINED) if path.exists())


def main() -> None:
    """Encode what is not there already, or was encoded by an older autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=None, help="the first so many pictures only")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    for source, target in ((PICTURES, LATENTS), (PAIR_PICTURES, PAIR_LATENTS)):
        if source.exists() and not up_to_date(target):
            _write(target, encode(source, args.count, args.processes))


def _write(target: Path, latents: NDArray[np.float16]) -> None:
    save_array(target, latents)
    flat = latents.astype(np.float32)
    print(f"encode: {latents.shape} mean {flat.mean((0, 2, 3)).round(3)} spread {flat.std((0, 2, 3)).round(3)}")


if __name__ == "__main__":
    main()

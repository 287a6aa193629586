"""VAEDecodeTiled, VAEEncodeTiled, and going on in tiles when memory is short."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.context import Cancelled, CancelToken, Context, NoPool
from nodegraph.resources import shipped
from nodegraph.sockets import Image, Latent
from nodes.diffusion.pictures import read_picture
from nodes.image_sizes import ImageScale
from nodes.models import module_of
from nodes.vae import VAEDecode, VAEDecodeTiled, VAEEncode, VAEEncodeTiled
from tests.helpers import problem
from tests.nodes.conftest import Tiny


def heart(width: int = 256, height: int = 192) -> Image:
    picture, _ = read_picture(shipped("workflows") / "pictures" / "heart.png")
    return ImageScale(Image(picture), "bicubic", width, height)


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean difference, in spreads of the second."""
    return float((one - other).abs().mean() / other.std())


def test_a_picture_in_tiles_looks_like_the_one_in_one_piece(tiny: Tiny) -> None:
    latent = VAEEncode(heart(), tiny.checkpoint.VAE, tiny.context)
    whole = VAEDecode(latent, tiny.checkpoint.VAE, tiny.context)
    for tile, overlap, near in ((512, 64, 0.0), (128, 64, 0.08), (64, 32, 0.1), (64, 4096, 0.1)):
        tiled = VAEDecodeTiled(latent, tiny.checkpoint.VAE, tile, overlap, context=tiny.context)
        assert tiled.shape == whole.shape
        assert tiled.min() >= 0 and tiled.max() <= 1
        assert distance(tiled, whole) <= near
    for tile, overlap, near in ((512, 64, 0.0), (128, 64, 0.06), (64, 32, 0.1)):
        tiled = VAEEncodeTiled(heart(), tiny.checkpoint.VAE, tile, overlap, context=tiny.context)["samples"]
        assert distance(tiled, latent["samples"]) <= near


def test_sizes_are_cut_as_when_encoding_in_one_piece(tiny: Tiny) -> None:
    picture = heart(93, 70)
    tiled = VAEEncodeTiled(picture, tiny.checkpoint.VAE, context=tiny.context)
    assert torch.equal(tiled["samples"], VAEEncode(picture, tiny.checkpoint.VAE, tiny.context)["samples"])


def test_settings_for_videos_do_nothing_to_pictures(tiny: Tiny) -> None:
    latent = tiny.canvas(64)
    plain = VAEDecodeTiled(latent, tiny.checkpoint.VAE, context=tiny.context)
    other = VAEDecodeTiled(latent, tiny.checkpoint.VAE, 512, 64, 8, 4, context=tiny.context)
    assert torch.equal(plain, other)


def test_each_tile_is_reported_and_the_work_can_be_stopped_there(tiny: Tiny) -> None:
    token = CancelToken()
    reports: list[tuple[float, float]] = []

    def progress(value: float, total: float) -> None:
        reports.append((value, total))
        if value == 3:
            token.cancel()

    context = replace(tiny.context, token=token, on_progress=progress)
    with pytest.raises(Cancelled):
        VAEDecodeTiled(tiny.canvas(128, 2), tiny.checkpoint.VAE, 64, 0, context=context)
    assert reports == [(0, 8), (1, 8), (2, 8), (3, 8)]


def test_wrong_latents_and_pictures_are_told(tiny: Tiny) -> None:
    vae = tiny.checkpoint.VAE
    other: Latent = {"samples": torch.zeros(1, 16, 8, 8)}
    assert problem(lambda: VAEDecodeTiled(other, vae, context=tiny.context)).input == "samples"
    broken: Latent = {"samples": torch.full((1, 4, 8, 8), float("nan"))}
    assert problem(lambda: VAEDecodeTiled(broken, vae, context=tiny.context)).code == "not_finite"
    endless: Latent = {"samples": torch.full((1, 4, 8, 8), float("inf"))}
    assert problem(lambda: VAEDecode(endless, vae, tiny.context)).code == "not_finite"
    assert problem(lambda: VAEEncodeTiled(heart(7, 64), vae, context=tiny.context)).input == "pixels"
    for encode in (VAEEncode, VAEEncodeTiled):
        gaps = Image(torch.full((1, 64, 64, 3), float("nan")))
        assert problem(lambda encode=encode, gaps=gaps: encode(gaps, vae, context=tiny.context)).code == "not_finite"


# --- not enough memory


class Small(torch.nn.Module):
    """An autoencoder on a machine that has only so much memory: as many pixels at a time as given."""

    def __init__(self, module: Any, pixels: int) -> None:
        super().__init__()
        self.module, self.config, self.pixels = module, module.config, pixels

    def _check(self, pixels: int) -> None:
        if pixels > self.pixels:
            raise torch.OutOfMemoryError(f"out of memory. Tried to allocate room for {pixels} pixels")

    def decode(self, latent: torch.Tensor, return_dict: bool = True) -> Any:
        self._check(latent.shape[-1] * latent.shape[-2] * 64)
        return self.module.decode(latent, return_dict=return_dict)

    def encode(self, picture: torch.Tensor) -> Any:
        self._check(picture.shape[-1] * picture.shape[-2])
        return self.module.encode(picture)


class PoolOf(NoPool):
    """A pool that holds one module."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def get(self, key: str, load: Any, size: Any, estimate: Any = 0) -> Any:
        return self.module


def short_of_memory(tiny: Tiny, pixels: int) -> tuple[Context, list[str], list[tuple[float, float]]]:
    """A context in which not more than so many pixels fit, with its warnings and reports."""
    warnings: list[str] = []
    reports: list[tuple[float, float]] = []
    pool = PoolOf(Small(module_of(tiny.checkpoint.VAE, tiny.context), pixels))
    context = replace(
        tiny.context, pool=pool, warn=warnings.append, on_progress=lambda value, total: reports.append((value, total))
    )
    return context, warnings, reports


def test_decoding_goes_on_in_tiles_when_memory_is_short(tiny: Tiny) -> None:
    vae = tiny.checkpoint.VAE
    latent = VAEEncode(Image(torch.cat([heart(), heart()])), vae, tiny.context)
    context, warnings, reports = short_of_memory(tiny, 128 * 128)
    found = VAEDecode(latent, vae, context)
    assert torch.equal(found, VAEDecodeTiled(latent, vae, 128, 32, context=tiny.context))
    assert len(warnings) == 1
    assert "not enough memory to decode 256 × 192 pixels" in warnings[0]
    assert "128 × 128" in warnings[0]
    assert [value for value, _ in reports] == sorted(value for value, _ in reports)
    assert {total for _, total in reports} == {2}


def test_encoding_goes_on_in_tiles_when_memory_is_short(tiny: Tiny) -> None:
    vae = tiny.checkpoint.VAE
    context, warnings, _ = short_of_memory(tiny, 64 * 64)
    found = VAEEncode(heart(), vae, context)["samples"]
    assert torch.equal(found, VAEEncodeTiled(heart(), vae, 64, 16, context=tiny.context)["samples"])
    assert len(warnings) == 2 and "encode" in warnings[0]


def test_with_memory_for_nothing_it_is_the_lack_of_memory_that_is_told(tiny: Tiny) -> None:
    context, _, _ = short_of_memory(tiny, 100)
    with pytest.raises(torch.OutOfMemoryError):
        VAEDecode(tiny.canvas(128), tiny.checkpoint.VAE, context)


REALLY_SHORT = """
import resource, sys
from dataclasses import replace
from pathlib import Path
import torch
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.vae import VAEDecode
from tests.helpers import context_in

torch.set_num_threads(1)
context = context_in(Path(sys.argv[1]))
vae = CheckpointLoaderSimple("tiny", context).VAE
VAEDecode({"samples": torch.zeros(1, 4, 8, 8)}, vae, context)
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (90 << 20), resource.RLIM_INFINITY))
warnings = []
picture = VAEDecode({"samples": torch.zeros(1, 4, 96, 96)}, vae, replace(context, warn=warnings.append))
print(tuple(picture.shape), len(warnings) > 0)
"""


def test_the_real_thing_in_a_process_that_may_not_take_more(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", REALLY_SHORT, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "(1, 768, 768, 3) True", done.stderr

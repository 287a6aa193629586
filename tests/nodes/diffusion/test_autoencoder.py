"""Tiles, their blending, and what is done when memory is short."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from nodes.diffusion.autoencoder import (
    NonFinite,
    cell_size,
    decode,
    decode_tiled,
    encode,
    encode_tiled,
    latent_channels,
    span_weights,
    tile_spans,
    within_memory,
)
from nodes.diffusion.memory import is_out_of_memory


def kl(blocks: int = 4, channels: int = 4) -> Any:
    settings: dict[str, Any] = {
        "block_out_channels": (8,) * blocks,
        "down_block_types": ("DownEncoderBlock2D",) * blocks,
        "up_block_types": ("UpDecoderBlock2D",) * blocks,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoencoderKL(**settings, latent_channels=channels, norm_num_groups=4, mid_block_add_attention=False)
    return module.eval()


def small_tiny(**settings: Any) -> Any:
    sizes: Any = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoencoderTiny(**sizes, **settings).eval()


def picture(height: int = 64, width: int = 64, batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(0))


def latent(height: int = 8, width: int = 8, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(0))


def nobody(done: int, total: int) -> None:
    """Reports to nobody."""


# --- kinds of autoencoders


@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_how_many_pixels_a_cell_stands_for(blocks: int) -> None:
    module = kl(blocks)
    cell = cell_size(module)
    assert cell == 2 ** (blocks - 1)
    assert decode(module, latent(4, 6)).shape == (1, 4 * cell, 6 * cell, 3)
    assert encode(module, picture(4 * cell, 6 * cell)).shape == (1, 4, 4, 6)


@pytest.mark.parametrize("make", [kl, small_tiny])
def test_both_kinds_give_pictures_and_latents_of_the_same_form(make: Any) -> None:
    module = make()
    assert (cell_size(module), latent_channels(module)) == (8, 4)
    decoded, encoded = decode(module, latent(4, 6, 2)), encode(module, picture(32, 48, 2, channels=4))
    assert (decoded.shape, encoded.shape) == ((2, 32, 48, 3), (2, 4, 4, 6))
    assert decoded.dtype == encoded.dtype == torch.float32
    assert decoded.min() >= 0 and decoded.max() <= 1
    assert not decoded.requires_grad and not encoded.requires_grad


def test_a_tiny_autoencoders_factor_stands_between_it_and_raw_latents() -> None:
    plain, scaled = small_tiny(), small_tiny(scaling_factor=0.25)
    torch.testing.assert_close(encode(scaled, picture()), encode(plain, picture()) * 4)
    torch.testing.assert_close(decode(scaled, latent()), decode(plain, latent() * 0.25))


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(NonFinite, match="picture"):
        decode(kl(), latent() * float("inf"))
    with pytest.raises(NonFinite, match="latent"):
        encode(kl(), picture() * float("nan"))


# --- tiles


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 100))
def test_tiles_cover_an_axis_equally_long_with_the_overlap_asked_for(length: int, tile: int, overlap: int) -> None:
    spans = tile_spans(length, tile, overlap)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert {stop - start for start, stop in spans} == {min(tile, length)}
    shared = [before[1] - after[0] for before, after in pairwise(spans)]
    assert all(each >= min(overlap, tile // 2) for each in shared)
    assert all(before[0] < after[0] for before, after in pairwise(spans))
    step = tile - min(overlap, tile // 2)
    assert len(spans) <= max(1, -(-(length - tile) // step) + 1)  # no more than are needed


@given(st.integers(1, 120), st.integers(1, 60), st.integers(0, 60), st.sampled_from([1, 2, 8]))
def test_the_weights_of_all_tiles_add_up_to_one_everywhere(length: int, tile: int, overlap: int, unit: int) -> None:
    spans = tile_spans(length, tile, overlap)
    total = torch.zeros(length * unit)
    for (start, stop), weight in zip(spans, span_weights(spans, unit), strict=True):
        assert (weight > 0).all()
        total[start * unit : stop * unit] += weight
    torch.testing.assert_close(total, torch.ones_like(total))


def test_tiles_fade_into_each_other() -> None:
    spans = tile_spans(12, 8, 4)
    assert spans == [(0, 8), (4, 12)]
    first, second = span_weights(spans, 1)
    assert first.tolist() == [1, 1, 1, 1, 0.875, 0.625, 0.375, 0.125]
    assert torch.equal(second, first.flip(0))


@pytest.mark.parametrize("make", [kl, small_tiny])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 0), (512, 64), (4096, 4096)])
def test_a_picture_in_one_tile_is_the_picture_bit_by_bit(make: Any, tile: int, overlap: int) -> None:
    module = make()
    assert torch.equal(decode_tiled(module, latent(8, 6), tile, overlap, nobody), decode(module, latent(8, 6)))
    assert torch.equal(encode_tiled(module, picture(64, 48), tile, overlap, nobody), encode(module, picture(64, 48)))


@pytest.mark.parametrize(("height", "width"), [(24, 8), (9, 21), (16, 16)])
def test_a_picture_in_many_tiles_is_nearly_the_same_where_no_layer_looks_at_the_whole(height: int, width: int) -> None:
    module = small_tiny()
    whole = decode(module, latent(height, width))
    tiled = decode_tiled(module, latent(height, width), 64, 32, nobody)
    assert tiled.shape == whole.shape
    assert (tiled - whole).abs().mean() < 0.1 * whole.std()
    pixels = picture(height * 8, width * 8)
    codes = encode(module, pixels)
    assert (encode_tiled(module, pixels, 64, 32, nobody) - codes).abs().mean() < 0.3 * codes.std()


def test_a_batch_in_tiles_is_its_pictures_one_by_one_and_is_reported() -> None:
    module = kl()
    reports: list[tuple[int, int]] = []
    together = decode_tiled(module, latent(8, 20, 2), 64, 16, lambda done, total: reports.append((done, total)))
    assert reports == [(i, 6) for i in range(6)]
    for i in range(2):
        alone = decode_tiled(module, latent(8, 20, 2)[i : i + 1], 64, 16, nobody)
        assert torch.equal(together[i : i + 1], alone)


def test_inputs_are_only_read() -> None:
    codes, pixels = latent(10, 10), picture(80, 80)
    before = codes.clone(), pixels.clone()
    decode_tiled(kl(), codes, 64, 32, nobody)
    encode_tiled(kl(), pixels, 64, 32, nobody)
    decode(kl(), codes)
    encode(kl(), pixels)
    assert torch.equal(codes, before[0]) and torch.equal(pixels, before[1])


# --- memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: Error code 12"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5.05 GB)"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (SafetensorError("Error while mapping: Cannot allocate memory (os error 12)"), True),
        (OSError(2, "No such file"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_how_a_lack_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def limited(most: int, tried: list[tuple[int, int | None]]) -> Any:
    """Work that needs more memory than there is above a tile size."""

    def attempt(i: int, tile: int | None) -> torch.Tensor:
        tried.append((i, tile))
        if tile is None or tile > most:
            raise torch.OutOfMemoryError("out of memory")
        return torch.tensor([i])

    return attempt


def test_tiles_get_smaller_until_they_fit_and_stay_so() -> None:
    tried: list[tuple[int, int | None]] = []
    noticed: list[int] = []
    assert within_memory(3, 1000, limited(256, tried), noticed.append).tolist() == [0, 1, 2]
    assert tried == [(0, None), (0, 512), (0, 256), (1, 256), (2, 256)]
    assert noticed == [512, 256]


def test_tiles_that_are_no_smaller_than_the_picture_are_not_tried() -> None:
    tried: list[tuple[int, int | None]] = []
    within_memory(1, 256, limited(128, tried), lambda tile: None)
    assert tried == [(0, None), (0, 128)]


def test_if_even_the_smallest_tile_does_not_fit_that_is_what_is_raised() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        within_memory(1, 1000, limited(8, []), lambda tile: None)


def test_other_errors_are_raised_at_once() -> None:
    tried: list[int | None] = []

    def attempt(i: int, tile: int | None) -> torch.Tensor:
        tried.append(tile)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(1, 1000, attempt, lambda tile: None)
    assert tried == [None]

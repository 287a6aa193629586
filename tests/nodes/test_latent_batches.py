"""Batches of latents: which latents, which masks, and above all which noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.sockets import Latent
from nodes.diffusion.noise import noise_for_batch
from nodes.diffusion.sampling import latent_mask
from nodes.latent_batches import (
    LatentBatch,
    LatentBatchSeedBehavior,
    LatentFromBatch,
    RebatchLatents,
    RepeatLatentBatch,
)
from nodes.sampling import KSampler
from tests.helpers import problem
from tests.nodes.conftest import Tiny


def batch(count: int = 4, size: int = 4, **more: Any) -> Latent:
    numbers = torch.arange(float(count)).view(count, 1, 1, 1).expand(count, 4, size, size)
    result: Any = {"samples": numbers, **more}
    return result


def numbers(result: Latent) -> list[float]:
    return result["samples"][:, 0, 0, 0].tolist()


def noise(result: Latent, seed: int = 5) -> torch.Tensor:
    """What a sampler begins with for this latent."""
    return noise_for_batch(seed, result["samples"].shape, result.get("batch_index"))


@pytest.mark.parametrize(
    ("index", "length", "expected"), [(0, 1, [0]), (1, 2, [1, 2]), (3, 1, [3]), (2, 64, [2, 3]), (63, 2, [3])]
)
def test_latents_are_taken_out_of_a_batch_with_their_noise(index: int, length: int, expected: list[int]) -> None:
    result = LatentFromBatch(batch(), index, length)
    assert numbers(result) == expected
    assert result.get("batch_index") == expected
    assert torch.equal(noise(result), noise_for_batch(5, (4, 4, 4, 4))[expected])


def test_numbers_that_a_batch_has_already_are_kept() -> None:
    result = LatentFromBatch(batch(batch_index=[9, 4, 4, 2]), 1, 2)
    assert result.get("batch_index") == [4, 4]


def test_a_latent_drawn_alone_is_the_same_as_in_its_batch(tiny: Tiny) -> None:
    def draw(latent: Latent) -> torch.Tensor:
        return KSampler(
            tiny.checkpoint.MODEL, 3, 2, 2.0, positive=tiny.positive, negative=tiny.negative,
            latent_image=latent, context=tiny.context,
        )["samples"]  # fmt: skip

    canvas = tiny.canvas(batch=3)
    torch.testing.assert_close(draw(LatentFromBatch(canvas, 2, 1)), draw(canvas)[2:], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_masks_belong_to_their_latents(count: int) -> None:
    masks = torch.arange(float(count)).view(count, 1, 1).expand(count, 8, 8)
    given_ = batch(noise_mask=masks)
    whole = latent_mask(masks, given_["samples"])
    for index in range(4):
        result = LatentFromBatch(given_, index, 2)
        own = latent_mask(result.get("noise_mask", torch.empty(0)), result["samples"])
        assert torch.equal(own, whole[index : index + 2])


def test_repeated_latents_get_noise_of_their_own() -> None:
    result = RepeatLatentBatch(batch(2), 3)
    assert numbers(result) == [0, 1, 0, 1, 0, 1]
    assert len(noise(result).unique(dim=0)) == 6
    assert torch.equal(noise(result)[:2], noise(batch(2)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5, unique=True), st.integers(1, 6))
def test_repeating_repeats_no_number(indices: list[int], amount: int) -> None:
    result = RepeatLatentBatch(batch(len(indices), batch_index=indices), amount)
    found = result.get("batch_index", [])
    assert found[: len(indices)] == indices
    assert len(set(found)) == len(found) == len(indices) * amount == len(result["samples"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_masks_are_repeated_with_their_latents(count: int) -> None:
    masks = torch.arange(float(count)).view(count, 1, 1).expand(count, 8, 8)
    given_ = batch(3, noise_mask=masks)
    result = RepeatLatentBatch(given_, 2)
    own = latent_mask(result.get("noise_mask", torch.empty(0)), result["samples"])
    assert torch.equal(own, latent_mask(masks, given_["samples"]).repeat(2, 1, 1, 1))


def test_joined_batches_keep_the_noise_that_they_had_apart() -> None:
    one, other = LatentFromBatch(batch(), 2, 1), batch(2)
    result = LatentBatch(one, other)
    assert numbers(result) == [2, 0, 1]
    assert result.get("batch_index") == [2, 0, 1]
    assert torch.equal(noise(result), torch.cat((noise(one), noise(LatentFromBatch(other, 0, 2)))))


def test_a_batch_taken_apart_and_joined_is_what_it_was() -> None:
    whole = batch(batch_index=[0, 1, 2, 3])
    again = LatentBatch(LatentFromBatch(whole, 0, 3), LatentFromBatch(whole, 3, 1))
    assert numbers(again) == numbers(whole)
    assert again.get("batch_index") == whole.get("batch_index")


def test_sizes_are_fitted_and_masks_joined() -> None:
    masked = batch(2, 4, noise_mask=torch.zeros(1, 32, 32))
    for pair, expected in (((masked, batch(1, 8)), [0, 0, 1]), ((batch(1, 8), masked), [1, 0, 0])):
        result = LatentBatch(*pair)
        side = pair[0]["samples"].shape[-1]
        assert result["samples"].shape == (3, 4, side, side)
        mask = result.get("noise_mask")
        assert mask is not None and mask.shape == (3, 1, side, side)
        assert mask.amax((1, 2, 3)).tolist() == expected
    assert "noise_mask" not in LatentBatch(batch(), batch())


def test_latents_of_different_models_are_told() -> None:
    other: Latent = {"samples": torch.zeros(1, 16, 4, 4)}
    assert problem(lambda: LatentBatch(batch(), other)).input == "samples2"


def test_a_fixed_seed_gives_all_the_first_ones_noise_and_a_random_one_each_its_own() -> None:
    fixed = LatentBatchSeedBehavior(batch(3, batch_index=[4, 1, 2]), "fixed")
    assert fixed.get("batch_index") == [4, 4, 4]
    assert len(noise(fixed).unique(dim=0)) == 1
    assert LatentBatchSeedBehavior(batch(2)).get("batch_index") == [0, 0]
    free = LatentBatchSeedBehavior(fixed, "random")
    assert "batch_index" not in free
    assert len(noise(free).unique(dim=0)) == 3


@given(st.integers(1, 6), st.integers(1, 7))
def test_a_batch_that_is_split_keeps_its_noise(count: int, size: int) -> None:
    parts = RebatchLatents([batch(count)], size)
    assert [number for part in parts for number in numbers(part)] == list(range(count))
    assert all(len(part["samples"]) == size for part in parts[:-1])
    assert torch.equal(torch.cat([noise(part) for part in parts]), noise(batch(count)))


def test_latents_of_several_batches_are_numbered_on_unless_they_have_numbers() -> None:
    (whole,) = RebatchLatents([batch(2), batch(1, batch_index=[9]), batch(2)], 10)
    assert whole.get("batch_index") == [0, 1, 9, 3, 4]
    assert numbers(whole) == [0, 1, 0, 0, 1]


def test_latents_of_another_size_begin_a_new_batch() -> None:
    parts = RebatchLatents([batch(3), batch(2, size=8), batch(1, size=8)], 2)
    assert [tuple(part["samples"].shape) for part in parts] == [(2, 4, 4, 4), (1, 4, 4, 4), (2, 4, 8, 8), (1, 4, 8, 8)]


def mask_of(result: Latent) -> torch.Tensor:
    mask = result.get("noise_mask")
    assert mask is not None
    return mask


def test_masks_go_with_their_latents() -> None:
    masks = torch.arange(2.0).view(2, 1, 1).expand(2, 32, 32) * 0.5
    one, other = RebatchLatents([batch(2, noise_mask=masks)], 1)
    assert mask_of(one).unique().tolist() == [0]
    assert mask_of(other).unique().tolist() == [0.5]
    assert mask_of(one).shape == (1, 1, 32, 32)
    (both,) = RebatchLatents([batch(1, noise_mask=masks[:1]), batch(1)], 2)
    assert latent_mask(mask_of(both), both["samples"]).flatten(1).unique(dim=1).tolist() == [[0.0], [1.0]]
    (shared,) = RebatchLatents([batch(3, noise_mask=masks[1:])], 3)
    assert mask_of(shared).shape == (3, 1, 32, 32)
    assert "noise_mask" not in RebatchLatents([batch(2)], 2)[0]
    assert RebatchLatents([], 2) == []

"""Latents resized, laid over each other, calculated with; operations on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nodegraph.sockets import Latent, LatentOperation, Mask
from nodes.latent_math import (
    LatentAdd,
    LatentApplyOperation,
    LatentInterpolate,
    LatentMultiply,
    LatentOperationSharpen,
    LatentOperationTonemapReinhard,
    LatentSubtract,
)
from nodes.latents import LatentBlend, LatentComposite, LatentUpscaleBy, SetLatentNoiseMask
from tests.helpers import problem


def latent(*shape: int, seed: int = 0) -> Latent:
    return {"samples": torch.randn(*(shape or (1, 4, 6, 8)), generator=torch.Generator().manual_seed(seed))}


def filled(value: float, *shape: int) -> Latent:
    return {"samples": torch.full(shape or (1, 4, 6, 8), float(value))}


def rows(result: Latent) -> list[list[float]]:
    """The first channel of the first latent."""
    return result["samples"][0, 0].tolist()


COMBINING: list[Any] = [LatentAdd, LatentSubtract, LatentBlend, LatentInterpolate, LatentComposite]


# --- sizes


@pytest.mark.parametrize(
    ("factor", "size"), [(1.5, (9, 12)), (2, (12, 16)), (0.5, (3, 4)), (0.01, (1, 1)), (1, (6, 8))]
)
def test_a_latent_grows_by_a_factor(factor: float, size: tuple[int, int]) -> None:
    given_: Latent = {**latent(), "batch_index": [5]}
    result = LatentUpscaleBy(given_, "bilinear", factor)
    assert result["samples"].shape == (1, 4, *size)
    assert result.get("batch_index") == [5]
    assert factor != 1 or torch.equal(result["samples"], given_["samples"])


# --- one over the other


def test_a_latent_is_laid_over_another_one_at_its_place() -> None:
    result = LatentComposite(filled(0), filled(1, 1, 4, 2, 3), x=16, y=24)
    expected = torch.zeros(6, 8)
    expected[3:5, 2:5] = 1
    assert torch.equal(result["samples"][0, 0], expected)


@pytest.mark.parametrize(("x", "y", "covered"), [(48, 0, 4), (48, 40, 2), (64, 0, 0), (0, 800, 0), (0, 0, 6)])
def test_what_sticks_out_is_cut_off(x: int, y: int, covered: int) -> None:
    result = LatentComposite(filled(0), filled(1, 1, 4, 2, 3), x, y)
    assert result["samples"].shape == (1, 4, 6, 8)
    assert result["samples"][0, 0].sum() == covered


def test_edges_inside_the_picture_are_feathered_and_those_on_its_border_are_not() -> None:
    result = LatentComposite(filled(0, 1, 4, 1, 8), filled(1, 1, 4, 1, 6), x=16, feather=16)
    assert rows(result) == [[0, 0, 0.5, 1, 1, 1, 1, 1]]
    result = LatentComposite(filled(0, 1, 4, 1, 8), filled(1, 1, 4, 1, 6), x=8, feather=32)
    assert rows(result) == [[0, 0.25, 0.5, 0.75, 0.75, 0.5, 0.25, 0]]


def test_one_latent_is_laid_over_all_of_a_batch() -> None:
    below = latent(3, 4, 6, 8)
    result = LatentComposite(below, filled(7, 1, 4, 1, 1))["samples"]
    assert (result[:, :, 0, 0] == 7).all()
    assert torch.equal(result[:, :, 1:], below["samples"][:, :, 1:])


def test_a_blend_is_a_weighted_mean_in_favour_of_the_first() -> None:
    assert rows(LatentBlend(filled(4), filled(8), 0.75))[0][0] == 5
    first, second = latent(seed=1), latent(seed=2)
    assert torch.equal(LatentBlend(first, second, 1)["samples"], first["samples"])
    assert torch.equal(LatentBlend(first, second, 0)["samples"], second["samples"])


def test_a_mask_travels_with_the_latent() -> None:
    mask = Mask(torch.rand(2, 16, 24, generator=torch.Generator().manual_seed(0)))
    result = SetLatentNoiseMask(latent(), mask)
    assert torch.equal(result.get("noise_mask", mask), mask[:, None])
    flat = SetLatentNoiseMask(latent(), Mask(mask[0])).get("noise_mask")
    assert flat is not None and flat.shape == (1, 1, 16, 24)


# --- arithmetic


@given(st.integers(0, 50), st.integers(51, 100))
def test_what_is_added_can_be_taken_away_again(seed: int, other: int) -> None:
    first, second = latent(seed=seed), latent(seed=other)
    back = LatentSubtract(LatentAdd(first, second), second)
    torch.testing.assert_close(back["samples"], first["samples"], atol=1e-5, rtol=0)
    assert torch.equal(
        LatentSubtract(first, second)["samples"], LatentMultiply(LatentSubtract(second, first), -1)["samples"]
    )


def test_known_sums() -> None:
    assert rows(LatentAdd(filled(1.5), filled(2)))[0][0] == 3.5
    assert rows(LatentSubtract(filled(1.5), filled(2)))[0][0] == -0.5
    assert rows(LatentMultiply(filled(1.5), -2))[0][0] == -3


@pytest.mark.parametrize("combine", COMBINING)
def test_the_second_latent_is_fitted_to_the_first_and_only_the_first_ones_company_is_kept(combine: Any) -> None:
    first: Latent = {**latent(4, 4, 6, 8), "noise_mask": torch.ones(1, 1, 2, 2), "batch_index": [4, 5, 6, 7]}
    second: Latent = {**latent(2, 4, 3, 3, seed=1), "noise_mask": torch.zeros(1, 1, 2, 2), "batch_index": [0, 1]}
    result = combine(first, second)
    assert result["samples"].shape == (4, 4, 6, 8)
    assert result["noise_mask"] is first.get("noise_mask")
    assert result["batch_index"] == [4, 5, 6, 7]


def test_a_batch_that_is_too_short_is_repeated_from_its_beginning() -> None:
    second: Latent = {"samples": torch.arange(2.0).view(2, 1, 1, 1).expand(2, 4, 6, 8)}
    result = LatentAdd(filled(0, 5, 4, 6, 8), second)["samples"]
    assert result[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("combine", COMBINING)
def test_latents_of_different_models_are_told(combine: Any) -> None:
    found = problem(lambda: combine(latent(), latent(1, 16, 6, 8)))
    assert found.code == "bad_value"
    assert found.input in ("samples2", "samples_from")
    assert "4 and of 16 channels" in found.message


def lengths(tensor: Tensor) -> Tensor:
    return tensor.norm(dim=1)


@given(st.floats(0, 1), st.integers(0, 20))
def test_interpolation_mixes_lengths_and_keeps_them_where_blending_shortens(ratio: float, seed: int) -> None:
    first, second = latent(seed=seed), latent(seed=seed + 100)
    result = LatentInterpolate(first, second, ratio)["samples"]
    wanted = lengths(first["samples"]) * ratio + lengths(second["samples"]) * (1 - ratio)
    torch.testing.assert_close(lengths(result), wanted, atol=1e-4, rtol=1e-4)
    assert (lengths(LatentBlend(first, second, ratio)["samples"]) <= wanted + 1e-4).all()


def test_the_ends_of_an_interpolation_are_its_latents() -> None:
    first, second = latent(seed=1), latent(seed=2)
    torch.testing.assert_close(LatentInterpolate(first, second, 1.0)["samples"], first["samples"])
    torch.testing.assert_close(LatentInterpolate(first, second, 0.0)["samples"], second["samples"])


def test_empty_latents_can_be_interpolated() -> None:
    assert not LatentInterpolate(filled(0), filled(0), 0.5)["samples"].any()
    halfway = LatentInterpolate(filled(0), filled(2), 0.5)["samples"]
    torch.testing.assert_close(halfway, torch.ones_like(halfway))


# --- operations


def test_operations_are_recipes_with_a_digest_of_their_own() -> None:
    recipes = [
        LatentOperationTonemapReinhard(), LatentOperationTonemapReinhard(2), LatentOperationSharpen(),
        LatentOperationSharpen(3), LatentOperationSharpen(alpha=0.2),
    ]  # fmt: skip
    assert len({recipe.digest for recipe in recipes}) == len(recipes)
    assert LatentOperationTonemapReinhard(2).digest == LatentOperationTonemapReinhard(2.0).digest


def test_an_operation_changes_the_samples_and_nothing_else() -> None:
    given_: Latent = {**latent(), "batch_index": [2]}
    for recipe in (LatentOperationTonemapReinhard(), LatentOperationSharpen()):
        result = LatentApplyOperation(given_, recipe)
        assert result["samples"].shape == given_["samples"].shape
        assert not torch.equal(result["samples"], given_["samples"])
        assert result.get("batch_index") == [2]


@pytest.mark.parametrize(
    "wrong",
    [
        LatentOperation("melt"),
        LatentOperation("sharpen", (("sharpness", 1.0),)),
        LatentOperation("sharpen", (("alpha", "much"),)),
    ],
)
def test_an_unknown_operation_is_told(wrong: LatentOperation) -> None:
    found = problem(lambda: LatentApplyOperation(latent(), wrong))
    assert (found.code, found.input) == ("bad_value", "operation")

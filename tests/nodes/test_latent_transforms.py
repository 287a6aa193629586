"""Latents turned, mirrored, cut and put together, with their noise masks."""

from __future__ import annotations

from functools import reduce
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.sockets import Latent
from nodes.diffusion.sampling import latent_mask
from nodes.latent_transforms import LatentConcat, LatentCrop, LatentCut, LatentFlip, LatentRotate
from tests.helpers import digest_of, problem

sides = st.integers(1, 12)


def numbered(height: int = 6, width: int = 8, batch: int = 1) -> Latent:
    """A latent whose first channel counts its cells, with a mask of 8 pixels a cell that says the same."""
    cells = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    samples = torch.cat([cells + 1000 * i for i in range(batch * 4)]).view(batch, 4, height, width)
    mask = cells.repeat_interleave(8, 2).repeat_interleave(8, 3) / (height * width)
    return {"samples": samples, "noise_mask": mask, "batch_index": list(range(7, 7 + batch))}


def mask_says_the_same(result: Latent, cells: int) -> None:
    """The mask that a sampler will see still belongs to each cell."""
    samples, mask = result["samples"], result.get("noise_mask")
    assert mask is not None
    torch.testing.assert_close(latent_mask(mask, samples)[:, 0] * cells, samples[:, 0] % 1000, atol=1e-3, rtol=0)


def first(result: Latent) -> list[list[float]]:
    return result["samples"][0, 0].tolist()


def test_turning_by_90_degrees_is_clockwise() -> None:
    given_: Latent = {"samples": torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])}
    assert first(LatentRotate(given_, "none")) == [[1, 2, 3], [4, 5, 6]]
    assert first(LatentRotate(given_, "90 degrees")) == [[4, 1], [5, 2], [6, 3]]
    assert first(LatentRotate(given_, "180 degrees")) == [[6, 5, 4], [3, 2, 1]]
    assert first(LatentRotate(given_, "270 degrees")) == [[3, 6], [2, 5], [1, 4]]


def test_flipping_about_the_x_axis_turns_it_upside_down() -> None:
    given_: Latent = {"samples": torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])}
    assert first(LatentFlip(given_, "x-axis: vertically")) == [[4, 5, 6], [1, 2, 3]]
    assert first(LatentFlip(given_, "y-axis: horizontally")) == [[3, 2, 1], [6, 5, 4]]


@given(sides, sides)
def test_four_turns_and_two_flips_give_back_what_was_there(height: int, width: int) -> None:
    given_ = numbered(height, width)
    for change in (
        lambda x: LatentFlip(LatentFlip(x, "x-axis: vertically"), "x-axis: vertically"),
        lambda x: LatentFlip(LatentFlip(x, "y-axis: horizontally"), "y-axis: horizontally"),
        lambda x: reduce(lambda turned, _: LatentRotate(turned, "90 degrees"), range(4), x),
        lambda x: LatentRotate(LatentRotate(x, "90 degrees"), "270 degrees"),
        lambda x: LatentFlip(LatentFlip(LatentRotate(x, "180 degrees"), "x-axis: vertically"), "y-axis: horizontally"),
    ):
        assert digest_of(change(given_)) == digest_of(given_)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: LatentRotate(x, "90 degrees"),
        lambda x: LatentFlip(x, "x-axis: vertically"),
        lambda x: LatentCrop(x, 64, 64, 16, 8),
        lambda x: LatentCut(x, "y", 2, 3),
        lambda x: LatentCut(x, "x", -3, 2),
    ],
)
def test_the_mask_goes_with_its_cells(change: Any) -> None:
    result = change(numbered(12, 16))
    mask_says_the_same(result, 12 * 16)
    assert result["batch_index"] == [7]


def test_a_mask_of_any_size_is_cut_as_the_sampler_would_see_it() -> None:
    given_: Latent = {**numbered(9, 9), "noise_mask": torch.rand(2, 13, 20, generator=torch.Generator().manual_seed(0))}
    seen = latent_mask(given_.get("noise_mask", torch.empty(0)), torch.zeros(2, 4, 9, 9))
    result = LatentCrop({**given_, "samples": given_["samples"].repeat(2, 1, 1, 1)}, 64, 64, 8, 0)
    torch.testing.assert_close(
        latent_mask(result.get("noise_mask", torch.empty(0)), result["samples"]), seen[..., 0:8, 1:9]
    )


@pytest.mark.parametrize(
    ("width", "height", "x", "y", "rows", "columns"),
    [
        (64, 72, 16, 8, (1, 10), (2, 10)),
        (512, 512, 0, 0, (0, 12), (0, 16)),
        (64, 64, 120, 88, (4, 12), (8, 16)),  # too far out: moved in until 64 pixels are inside
        (512, 64, 40, 16384, (4, 12), (5, 16)),
    ],
)
def test_cropping(width: int, height: int, x: int, y: int, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    given_ = numbered(12, 16)
    result = LatentCrop(given_, width, height, x, y)
    assert torch.equal(result["samples"], given_["samples"][..., slice(*rows), slice(*columns)])


def test_a_latent_smaller_than_the_least_crop_is_kept() -> None:
    given_ = numbered(3, 5)
    assert torch.equal(LatentCrop(given_, 64, 64, 800, 800)["samples"], given_["samples"])


@given(sides, sides, st.sampled_from(["x", "y"]), st.integers(-20, 20), st.integers(1, 20))
def test_a_cut_is_pythons_slice_kept_inside(
    height: int, width: int, dim: Literal["x", "y"], index: int, amount: int
) -> None:
    given_ = numbered(height, width)
    places = list(range(width if dim == "x" else height))
    start = max(index + len(places), 0) if index < 0 else min(index, len(places) - 1)
    wanted = places[start : start + amount]
    result = LatentCut(given_, dim, index, amount)["samples"]
    assert torch.equal(result, given_["samples"].index_select(-1 if dim == "x" else -2, torch.tensor(wanted)))


@given(st.integers(2, 12), st.integers(2, 12), st.sampled_from(["x", "y"]), st.data())
def test_what_is_cut_in_two_can_be_put_together_again(
    height: int, width: int, dim: Literal["x", "y"], data: st.DataObject
) -> None:
    given_ = numbered(height, width, 2)
    length = width if dim == "x" else height
    place = data.draw(st.integers(1, length - 1))
    left, right = LatentCut(given_, dim, 0, place), LatentCut(given_, dim, place, length)
    minus: Any = f"-{dim}"
    for joined in (LatentConcat(left, right, dim), LatentConcat(right, left, minus)):
        assert torch.equal(joined["samples"], given_["samples"])
        mask_says_the_same(joined, height * width)


def test_a_latent_without_a_mask_counts_as_drawn_everywhere() -> None:
    masked: Latent = {"samples": torch.zeros(1, 4, 2, 2), "noise_mask": torch.zeros(1, 16, 16)}
    bare: Latent = {"samples": torch.zeros(1, 4, 2, 3)}
    for one, other, expected in ((masked, bare, [0, 0, 1, 1, 1]), (bare, masked, [1, 1, 1, 0, 0])):
        mask = LatentConcat(one, other, "x").get("noise_mask")
        assert mask is not None and mask[0, 0, 0].tolist() == expected
    assert "noise_mask" not in LatentConcat(bare, bare)


def test_a_short_batch_is_repeated_to_be_put_beside_a_long_one() -> None:
    result = LatentConcat(numbered(2, 2, 3), numbered(2, 1))
    assert result["samples"].shape == (3, 4, 2, 3)
    assert result.get("batch_index") == [7, 8, 9]


def test_sizes_and_kinds_that_do_not_go_together_are_told() -> None:
    found = problem(lambda: LatentConcat(numbered(2, 3), numbered(3, 3), "x"))
    assert (found.code, found.input) == ("bad_value", "samples2")
    assert "24 × 16 and 24 × 24 pixels cannot be put together along x" in found.message
    other: Latent = {"samples": torch.zeros(1, 16, 2, 3)}
    assert "4 and of 16 channels" in problem(lambda: LatentConcat(numbered(2, 3), other)).message


def test_only_videos_have_a_time_axis() -> None:
    for call in (lambda: LatentCut(numbered(), "t"), lambda: LatentConcat(numbered(), numbered(), "-t")):
        found = problem(call)
        assert (found.code, found.input) == ("bad_value", "dim")
        assert found.hint and "Batch" in found.hint
    video: Latent = {"samples": torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 4, 5, 2, 2)}
    cut = LatentCut(video, "t", 1, 3)
    assert cut["samples"][0, 0, :, 0, 0].tolist() == [1, 2, 3]
    assert LatentConcat(cut, video, "-t")["samples"][0, 0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 1, 2, 3]

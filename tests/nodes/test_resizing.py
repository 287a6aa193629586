"""EmptyLatentImage, LatentUpscale and ImageScale: sizes, proportions, methods."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from nodegraph.sockets import Image, Latent
from nodes.image_sizes import ImageScale, ImageUpscaleMethod
from nodes.latents import EmptyLatentImage, LatentUpscale, LatentUpscaleMethod
from tests.helpers import digest_of

LATENT_METHODS = get_args(LatentUpscaleMethod)
IMAGE_METHODS = get_args(ImageUpscaleMethod)


def latent(batch: int = 2, height: int = 8, width: int = 12) -> Latent:
    return {"samples": torch.randn(batch, 4, height, width, generator=torch.Generator().manual_seed(0))}


def gradient(width: int = 64, height: int = 48, batch: int = 2) -> Image:
    """A smooth picture: red grows to the right, green downwards."""
    x, y = torch.linspace(0, 1, width), torch.linspace(0, 1, height)
    plane = torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.full((height, width), 0.5)], -1
    )
    return Image(plane.expand(batch, height, width, 3).contiguous())


@pytest.mark.parametrize(("width", "height", "expected"), [(512, 512, (64, 64)), (16, 24, (3, 2)), (100, 71, (8, 12))])
def test_an_empty_latent_is_an_eighth_of_the_size(width: int, height: int, expected: tuple[int, int]) -> None:
    samples = EmptyLatentImage(width, height, 3)["samples"]
    assert samples.shape == (3, 4, *expected)
    assert samples.dtype == torch.float32
    assert not samples.any()


@pytest.mark.parametrize("method", LATENT_METHODS)
@pytest.mark.parametrize("crop", ["disabled", "center"])
@pytest.mark.parametrize(("width", "height"), [(192, 64), (40, 200), (96, 64), (8, 8), (4, 4)])
def test_a_latent_gets_the_size_asked_for(method: LatentUpscaleMethod, crop: str, width: int, height: int) -> None:
    before = latent()
    kept = digest_of(before)
    after = LatentUpscale(before, method, width, height, crop)["samples"]  # pyright: ignore[reportArgumentType]
    assert after.shape == (2, 4, max(1, height // 8), max(1, width // 8))
    assert torch.isfinite(after).all()
    assert digest_of(before) == kept
    assert digest_of(after) == digest_of(LatentUpscale(before, method, width, height, crop)["samples"])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("method", LATENT_METHODS)
def test_a_latent_of_the_size_asked_for_stays_as_it_is(method: LatentUpscaleMethod) -> None:
    before = latent()
    for width, height in ((96, 64), (0, 0)):
        after = LatentUpscale(before, method, width, height)["samples"]
        torch.testing.assert_close(after, before["samples"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("width", "height", "expected"), [(192, 0, (16, 24)), (0, 128, (16, 24)), (0, 0, (8, 12))])
def test_a_latents_side_of_0_keeps_the_proportions(width: int, height: int, expected: tuple[int, int]) -> None:
    assert LatentUpscale(latent(), "bilinear", width, height)["samples"].shape[-2:] == expected


def test_what_comes_with_a_latent_stays_with_it() -> None:
    mask = torch.ones(1, 64, 96)
    after = LatentUpscale({**latent(), "noise_mask": mask, "batch_index": [3, 4]}, "area", 64, 64)
    assert after.get("noise_mask") is mask
    assert after.get("batch_index") == [3, 4]


def test_bislerp_keeps_the_length_of_vectors_where_bilinear_shortens_them() -> None:
    opposite = torch.zeros(1, 4, 1, 2)
    opposite[0, 0, 0, 0] = 1
    opposite[0, 1, 0, 1] = 1  # two unit vectors at a right angle
    lengths = {
        method: LatentUpscale({"samples": opposite}, method, 64, 8)["samples"].norm(dim=1)
        for method in ("bislerp", "bilinear")
    }
    torch.testing.assert_close(lengths["bislerp"], torch.ones(1, 1, 8))
    assert lengths["bilinear"].min() < 0.8


@pytest.mark.parametrize("method", IMAGE_METHODS)
@pytest.mark.parametrize(("width", "height"), [(100, 30), (33, 97), (64, 48), (1, 1), (7, 200)])
@pytest.mark.parametrize("crop", ["disabled", "center"])
def test_a_picture_gets_the_size_asked_for(method: ImageUpscaleMethod, width: int, height: int, crop: str) -> None:
    before = gradient()
    kept = digest_of(before)
    after = ImageScale(before, method, width, height, crop)  # pyright: ignore[reportArgumentType]
    assert after.shape == (2, height, width, 3)
    assert after.dtype == torch.float32
    assert torch.equal(after[0], after[1])
    assert after.min() > -0.1 and after.max() < 1.1
    assert digest_of(before) == kept


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_a_larger_picture_shows_the_same(method: ImageUpscaleMethod) -> None:
    torch.testing.assert_close(ImageScale(gradient(), method, 128, 96), gradient(128, 96), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(128, 0, (96, 128)), (0, 24, (24, 32)), (0, 0, (48, 64)), (1, 0, (1, 1)), (0, 1, (1, 1))],
)
def test_a_pictures_side_of_0_keeps_the_proportions(width: int, height: int, expected: tuple[int, int]) -> None:
    assert ImageScale(gradient(), "lanczos", width, height).shape[1:3] == expected


def test_cropping_cuts_the_middle_out_instead_of_stretching() -> None:
    after = ImageScale(gradient(64, 48), "bilinear", 48, 48, "center")
    torch.testing.assert_close(after, gradient(64, 48)[:, :, 8:56], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("old", "new"), [((1, 1000), (1000, 1)), ((1000, 1), (1, 1000)), ((2, 2), (2, 16384))])
def test_cropping_to_extreme_proportions_leaves_something(old: tuple[int, int], new: tuple[int, int]) -> None:
    after = ImageScale(gradient(*old, batch=1), "nearest-exact", *new, "center")
    assert after.shape == (1, new[1], new[0], 3)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_can_be_resized(channels: int) -> None:
    picture = Image(torch.rand(1, 10, 12, channels, generator=torch.Generator().manual_seed(0)))
    for method in IMAGE_METHODS:
        assert ImageScale(picture, method, 5, 7).shape == (1, 7, 5, channels)

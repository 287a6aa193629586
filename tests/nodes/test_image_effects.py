"""Effects on pictures: light, noise, blending, blur, fewer colours, edges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.sockets import Image
from nodes.image_effects import (
    Canny,
    ImageAddNoise,
    ImageBlend,
    ImageBlur,
    ImageInvert,
    ImageQuantize,
    ImageRGBToYUV,
    ImageSharpen,
    ImageYUVToRGB,
    Morphology,
)
from nodes.image_sizes import ImageScale
from tests.nodes.pictures import PICTURES, levels_of, picture, picture_of, pillow_of

MODES: tuple[Any, ...] = ("normal", "multiply", "screen", "overlay", "soft_light", "difference")


@given(PICTURES)
def test_inverting_twice_changes_nothing_and_transparency_stays(image: Image) -> None:
    torch.testing.assert_close(ImageInvert(ImageInvert(image)), image)
    if image.shape[-1] == 4:
        assert torch.equal(ImageInvert(image)[..., 3], image[..., 3])


def test_noise_follows_the_seed_and_its_strength() -> None:
    image = picture_of(64, 64, (0.5, 0.5, 0.5))
    assert torch.equal(ImageAddNoise(image, 1, 0.1), ImageAddNoise(image, 1, 0.1))
    assert not torch.equal(ImageAddNoise(image, 1, 0.1), ImageAddNoise(image, 2, 0.1))
    assert torch.equal(ImageAddNoise(image, 1, 0.0), image)
    added = ImageAddNoise(image, 2**64 - 1, 0.1) - image
    assert float(added.std()) == pytest.approx(0.1, rel=0.05)
    strong = ImageAddNoise(image, 5, 1.0)
    assert strong.min() == 0 and strong.max() == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", 0.75),
        ("multiply", 0.1875),
        ("screen", 0.8125),
        ("overlay", 0.375),
        ("soft_light", 0.25 + 0.5 * (0.5 - 0.25)),
        ("difference", 0.5),
    ],
)
def test_two_greys_blend_into_a_known_one(mode: Any, expected: float) -> None:
    below, above = picture_of(2, 2, (0.25,) * 3), picture_of(2, 2, (0.75,) * 3)
    assert float(ImageBlend(below, above, 1.0, mode)[0, 0, 0, 0]) == pytest.approx(expected)
    assert float(ImageBlend(below, above, 0.5, mode)[0, 0, 0, 0]) == pytest.approx((0.25 + expected) / 2)


@given(PICTURES, st.sampled_from(MODES), st.floats(0, 1), st.integers(0, 9))
def test_a_blend_is_a_picture_of_the_first_ones_size(image: Image, mode: Any, factor: float, seed: int) -> None:
    above = picture(5, 8, 4, batch=2, seed=seed)
    blended = ImageBlend(image, above, factor, mode)
    assert blended.shape == (max(2, len(image)), *image.shape[1:])
    assert blended.min() >= 0 and blended.max() <= 1
    torch.testing.assert_close(ImageBlend(image, above, 0.0, mode)[0], image[0])


def test_black_and_white_leave_what_they_should() -> None:
    image = picture()
    black, white = picture_of(6, 9, (0, 0, 0)), picture_of(6, 9, (1, 1, 1))
    for above, mode in ((white, "multiply"), (black, "screen"), (black, "difference")):
        torch.testing.assert_close(ImageBlend(image, above, 1.0, mode), image)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(ImageBlend(image, picture_of(6, 9, (0.5,) * 3), 1.0, "soft_light"), image)


def blurred_by_hand(image: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """A blur with NumPy: each pixel the weighted mean of its square, mirrored at the borders."""
    place = np.linspace(-1, 1, 2 * radius + 1)
    weights = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    result = np.zeros_like(image)
    for (i, j), weight in np.ndenumerate(weights):
        result += weight * padded[i : i + image.shape[0], j : j + image.shape[1]]
    return result


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (4, 0.5), (3, 10.0), (31, 1.0)])
@pytest.mark.parametrize("shape", [(6, 9, 3), (1, 5, 4), (1, 1, 1)])
def test_a_blur_is_a_weighted_mean(radius: int, sigma: float, shape: tuple[int, int, int]) -> None:
    image = picture(*shape)
    expected = np.stack([blurred_by_hand(one.numpy().astype(np.float64), radius, sigma) for one in image])
    torch.testing.assert_close(ImageBlur(image, radius, sigma).double(), torch.from_numpy(expected), atol=1e-5, rtol=0)


def test_a_plain_picture_stays_as_it_is_when_blurred_or_sharpened() -> None:
    plain = picture_of(8, 8, (0.2, 0.4, 0.6))
    torch.testing.assert_close(ImageBlur(plain, 9, 2.0), plain)
    torch.testing.assert_close(ImageSharpen(plain, 9, 2.0, 5.0), plain, atol=1e-4, rtol=0)


def test_sharpening_adds_what_a_blur_takes_away() -> None:
    image = Image(picture() * 0.2 + 0.4)
    torch.testing.assert_close(
        ImageSharpen(image, 2, 0.7, 0.05), image + 0.5 * (image - ImageBlur(image, 2, 0.7)), atol=1e-6, rtol=0
    )
    assert torch.equal(ImageSharpen(image, 2, 0.7, 0.0), image)
    strong = ImageSharpen(picture(), 1, 1.0, 5.0)
    assert strong.min() == 0 and strong.max() == 1


def smooth() -> Image:
    """A grey ramp, and below it one from red to blue."""
    ramp = torch.linspace(0, 1, 64).expand(32, 64)
    upper = torch.stack([ramp, ramp, ramp], dim=-1)
    lower = torch.stack([ramp, torch.zeros_like(ramp), 1 - ramp], dim=-1)
    return Image(torch.cat([upper, lower])[None])


DITHERS: tuple[Any, ...] = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


@pytest.mark.parametrize("dither", DITHERS)
@pytest.mark.parametrize("colors", [1, 2, 5, 256])
def test_no_more_colours_are_left_than_asked_for(dither: Any, colors: int) -> None:
    for image in (smooth(), picture(20, 20)):
        reduced = ImageQuantize(image, colors, dither)
        assert reduced.shape == image.shape
        for one in reduced:
            assert 1 <= len(one.reshape(-1, 3).unique(dim=0)) <= colors


@pytest.mark.parametrize("dither", DITHERS[1:])
@pytest.mark.parametrize("colors", [3, 5, 8])
def test_dithering_comes_nearer_to_the_picture_from_afar(dither: Any, colors: int) -> None:
    ramp = Image(torch.linspace(0, 1, 99)[:, None].expand(1, 64, 99, 3))

    def far_off(image: Image) -> float:
        return float((ImageScale(image, "area", 11, 1) - ImageScale(ramp, "area", 11, 1)).abs().mean())

    assert far_off(ImageQuantize(ramp, colors, dither)) < far_off(ImageQuantize(ramp, colors, "none"))


def test_few_colours_are_kept_exactly() -> None:
    image = torch.cat([picture_of(4, 4, colour) for colour in ((1, 0, 0), (0, 0.2, 1), (1, 1, 1))], dim=1)
    for dither in DITHERS[:2]:
        torch.testing.assert_close(ImageQuantize(Image(image), 3, dither), image)


def test_brightness_and_colour_are_those_of_jpeg_files() -> None:
    image = picture(12, 12, batch=1)
    y, u, v = ImageRGBToYUV(image)
    ours = torch.stack([plane[0, ..., 0] for plane in (y, u, v)], dim=-1) * 255
    theirs = levels_of(pillow_of(image[0]).convert("YCbCr"))
    torch.testing.assert_close(ours, theirs.float(), atol=1.5, rtol=0)
    for plane in (y, u, v):
        assert plane.shape == image.shape
        assert torch.equal(plane[..., 0], plane[..., 2])


@given(PICTURES)
def test_a_picture_put_together_from_brightness_and_colour_is_itself(image: Image) -> None:
    expected = image[..., :3] if image.shape[-1] > 1 else image.expand(-1, -1, -1, 3)
    torch.testing.assert_close(ImageYUVToRGB(*ImageRGBToYUV(image)), expected, atol=1e-5, rtol=0)


def test_colour_of_a_lower_resolution_is_enlarged() -> None:
    y, u, v = ImageRGBToYUV(picture_of(8, 8, (0.8, 0.1, 0.3)))
    joined = ImageYUVToRGB(y, Image(u[:, ::2, ::2]), Image(v[:, ::2, ::4]))
    torch.testing.assert_close(joined, picture_of(8, 8, (0.8, 0.1, 0.3)))


def test_bright_spots_grow_and_vanish() -> None:
    image = picture_of(9, 9, (0, 0, 0)).clone()
    image[0, 4, 4] = 1
    assert Morphology(Image(image), "dilate", 3)[0, ..., 0].sum() == 9
    assert not Morphology(Image(image), "erode", 3).any()
    assert torch.equal(Morphology(Image(image), "top_hat", 3), image)
    assert Morphology(Image(image), "gradient", 5)[0, ..., 0].sum() == 25
    assert Morphology(Image(image), "dilate", 999).all()


def test_edges_are_white_lines_on_black() -> None:
    image = torch.zeros(2, 16, 20, 3)
    image[:, :, 10:] = 1
    edges = Canny(Image(image))
    assert edges.shape == (2, 16, 20, 3)
    assert edges.unique().tolist() == [0, 1]
    assert edges[0, ..., 0].any(0).nonzero().flatten().tolist() in ([9], [10])
    assert edges[0, ..., 0].any(1).all()


def test_a_soft_step_is_an_edge_only_below_a_low_threshold() -> None:
    image = torch.zeros(1, 16, 20, 3)
    image[:, :, 10:] = 0.1  # 25 levels; Sobel's filter makes them four times as strong
    assert not Canny(Image(image), 0.4, 0.8).any()
    assert Canny(Image(image), 0.1, 0.3).any()


@pytest.mark.parametrize("node", [Canny, ImageQuantize])
def test_long_work_can_be_stopped(context: Context, node: Any) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        node(picture(), context=replace(context, token=token))

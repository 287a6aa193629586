"""Pictures that models are shown: for inpainting, editing by instruction, and upscaling."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodegraph.sockets import Conditioning, Image, Latent, Mask
from nodes.sampling import KSampler
from nodes.vae import (
    InpaintModelConditioning,
    InstructPixToPixConditioning,
    SD_4XUpscale_Conditioning,
    VAEEncode,
    VAEEncodeForInpaint,
)
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny


def picture(height: int = 64, width: int = 64, batch: int = 1, channels: int = 3) -> Image:
    return Image(torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(0)))


def box(top: int, left: int, bottom: int, right: int, height: int = 64, width: int = 64) -> Mask:
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return Mask(mask)


def encoded(tiny: Tiny, pixels: torch.Tensor) -> torch.Tensor:
    return VAEEncode(Image(pixels), tiny.checkpoint.VAE, tiny.context)["samples"]


def for_inpainting(tiny: Tiny, pixels: Image, mask: Mask, grow: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    latent = VAEEncodeForInpaint(pixels, tiny.checkpoint.VAE, mask, grow, tiny.context)
    noise_mask = latent.get("noise_mask")
    assert noise_mask is not None
    return latent["samples"], noise_mask


# --- VAEEncodeForInpaint


def test_what_is_masked_is_grey_before_it_is_encoded_and_all_else_as_it_was(tiny: Tiny) -> None:
    pixels, mask = picture(), box(16, 8, 40, 32)
    blank = pixels.clone()
    blank[:, 16:40, 8:32] = 0.5
    assert torch.equal(for_inpainting(tiny, pixels, mask)[0], encoded(tiny, blank))
    assert torch.equal(for_inpainting(tiny, pixels, Mask(mask * 0))[0], encoded(tiny, pixels))


def test_a_soft_mask_is_rounded(tiny: Tiny) -> None:
    pixels = picture()
    soft = box(16, 8, 40, 32) * 0.7 + 0.2
    for one, other in zip(
        for_inpainting(tiny, pixels, Mask(soft)), for_inpainting(tiny, pixels, box(16, 8, 40, 32)), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("grow", [0, 1, 6, 64])
def test_the_noise_mask_is_the_mask_made_wider(tiny: Tiny, grow: int) -> None:
    _, mask = for_inpainting(tiny, picture(), box(20, 30, 22, 33), grow)
    before, after = max(0, grow - 1) // 2, grow // 2
    wanted = box(max(0, 20 - before), max(0, 30 - before), 22 + after, 33 + after)
    assert torch.equal(mask, wanted[:, None])


def test_a_sampler_then_draws_within_the_mask_only(tiny: Tiny) -> None:
    pixels, mask = picture(), box(0, 0, 64, 32)
    latent = VAEEncodeForInpaint(pixels, tiny.checkpoint.VAE, mask, 0, tiny.context)
    drawn = KSampler(
        tiny.checkpoint.MODEL, 1, 2, 2.0, positive=tiny.positive, negative=tiny.negative, latent_image=latent,
        context=tiny.context,
    )["samples"]  # fmt: skip
    torch.testing.assert_close(drawn[..., 4:], latent["samples"][..., 4:], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(drawn[..., :4], latent["samples"][..., :4], atol=0.1)


@pytest.mark.parametrize(("height", "width"), [(70, 65), (64, 71), (15, 9)])
def test_masks_are_cut_with_their_pictures(tiny: Tiny, height: int, width: int) -> None:
    pixels = picture(height, width)
    mask = Mask(picture(height, width, channels=1)[..., 0].round())
    top, left = (height % 8) // 2, (width % 8) // 2
    rows, columns = slice(top, top + height // 8 * 8), slice(left, left + width // 8 * 8)
    samples, noise_mask = for_inpainting(tiny, pixels, mask, 0)
    blank = torch.where(mask[..., None] > 0, 0.5, pixels)[:, rows, columns]
    assert torch.equal(samples, encoded(tiny, blank.contiguous()))
    assert torch.equal(noise_mask[:, 0], mask[:, rows, columns])


def test_a_mask_of_another_size_is_stretched_over_the_picture(tiny: Tiny) -> None:
    _, small = for_inpainting(tiny, picture(), Mask(box(4, 0, 8, 8, 8, 8)), 0)
    assert torch.equal(small, box(32, 0, 64, 64)[:, None])
    _, flat = for_inpainting(tiny, picture(), Mask(box(32, 0, 64, 64)[0]), 0)
    assert torch.equal(flat, small)


def test_one_mask_is_for_all_pictures_and_several_are_one_each(tiny: Tiny) -> None:
    pixels = picture(batch=2)
    one, two = box(0, 0, 32, 32), box(32, 32, 64, 64)
    for masks in ([one], [one, two]):
        samples, noise_mask = for_inpainting(tiny, pixels, Mask(torch.cat([*masks])), 0)
        assert noise_mask.shape == (2, 1, 64, 64)
        for i in range(2):
            alone = for_inpainting(tiny, Image(pixels[i : i + 1]), masks[min(i, len(masks) - 1)], 0)
            assert torch.equal(samples[i : i + 1], alone[0])
            assert torch.equal(noise_mask[i : i + 1], alone[1])


# --- prompts that a picture is added to


def prompts(tiny: Tiny) -> dict[str, Any]:
    """A positive one of two entries with options of their own, and a negative one."""
    tensor, options = tiny.positive[0]
    return {
        "positive": Conditioning([(tensor, options), (tensor * 0.5, {**options, "strength": 0.3})]),
        "negative": tiny.negative,
    }


def options_of(conditioning: Conditioning, name: str) -> list[Any]:
    return [options[name] for _, options in conditioning]


def same_prompts(before: dict[str, Any], after: Any, added: set[str]) -> None:
    """All entries are there with what they had, and with `added`."""
    for role in ("positive", "negative"):
        entries = getattr(after, role)
        assert len(entries) == len(before[role])
        for (old, known), (new, options) in zip(before[role], entries, strict=True):
            assert torch.equal(old, new)
            assert {name: value for name, value in options.items() if name not in added} == known
            assert added <= options.keys() and not added & known.keys()


def test_an_inpainting_model_is_shown_the_rest_of_the_picture_and_the_mask(tiny: Tiny) -> None:
    given, pixels, mask = prompts(tiny), picture(70, 64), box(16, 8, 40, 32, 70)
    before = digest_of(list(given.values()))
    result = InpaintModelConditioning(**given, vae=tiny.checkpoint.VAE, pixels=pixels, mask=mask, context=tiny.context)
    same_prompts(given, result, {"concat_latent_image", "concat_mask"})
    blank = torch.where(mask[..., None] > 0, 0.5, pixels)
    for role in (result.positive, result.negative):
        for shown, at in zip(options_of(role, "concat_latent_image"), options_of(role, "concat_mask"), strict=True):
            assert torch.equal(shown, encoded(tiny, blank))
            assert torch.equal(at, mask[:, None, 3:67])
    assert torch.equal(result.latent["samples"], encoded(tiny, pixels))
    assert torch.equal(result.latent.get("noise_mask", torch.empty(0)), mask[:, None, 3:67])
    assert digest_of(list(given.values())) == before


def test_the_noise_mask_of_an_inpainting_model_is_as_told(tiny: Tiny) -> None:
    result = InpaintModelConditioning(
        **prompts(tiny), vae=tiny.checkpoint.VAE, pixels=picture(), mask=box(0, 0, 8, 8), noise_mask=False,
        context=tiny.context,
    )  # fmt: skip
    assert "noise_mask" not in result.latent


def test_a_model_that_edits_is_shown_the_picture_by_both_prompts(tiny: Tiny) -> None:
    given, pixels = prompts(tiny), picture(64, 75)
    result = InstructPixToPixConditioning(**given, vae=tiny.checkpoint.VAE, pixels=pixels, context=tiny.context)
    same_prompts(given, result, {"concat_latent_image"})
    codes = encoded(tiny, pixels)
    for prompt in (result.positive, result.negative):
        assert all(torch.equal(shown, codes) for shown in options_of(prompt, "concat_latent_image"))
    assert result.latent["samples"].shape == codes.shape and not result.latent["samples"].any()


@pytest.mark.parametrize(
    ("ratio", "size"), [(4.0, (20, 32)), (2.0, (10, 16)), (1.0, (5, 8)), (10.0, (50, 80)), (0.0, (1, 1))]
)
def test_an_upscaler_sees_the_picture_at_a_quarter_of_what_it_draws(
    tiny: Tiny, ratio: float, size: tuple[int, int]
) -> None:
    given, images = prompts(tiny), picture(20, 32, 2, 4)
    result = SD_4XUpscale_Conditioning(images, **given, scale_ratio=ratio, noise_augmentation=0.25)
    same_prompts(given, result, {"concat_image", "noise_augmentation"})
    for role in (result.positive, result.negative):
        for shown, noise in zip(options_of(role, "concat_image"), options_of(role, "noise_augmentation"), strict=True):
            assert shown.shape == (2, 3, *size)
            assert shown.min() >= -1 and shown.max() <= 1
            assert noise == 0.25
            assert ratio != 4 or torch.equal(shown, images[..., :3].movedim(-1, 1) * 2 - 1)
    assert result.latent["samples"].shape == (2, 4, *size)


def test_pictures_too_small_to_encode_are_told(tiny: Tiny) -> None:
    vae, context, small = tiny.checkpoint.VAE, tiny.context, picture(7, 64)
    calls: list[Any] = [
        lambda: VAEEncodeForInpaint(small, vae, box(0, 0, 1, 1), context=context),
        lambda: InpaintModelConditioning(**prompts(tiny), vae=vae, pixels=small, mask=box(0, 0, 1, 1), context=context),
        lambda: InstructPixToPixConditioning(**prompts(tiny), vae=vae, pixels=small, context=context),
    ]
    for call in calls:
        found = problem(call)
        assert (found.code, found.input) == ("bad_value", "pixels")


def test_an_upscalers_latent_is_empty(tiny: Tiny) -> None:
    latent: Latent = SD_4XUpscale_Conditioning(picture(), **prompts(tiny)).latent
    assert not latent["samples"].any()

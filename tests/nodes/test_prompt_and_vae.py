"""CLIPTextEncode, VAEEncode and VAEDecode on the embedded model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nodegraph.context import Cancelled, CancelToken
from nodegraph.resources import shipped
from nodegraph.sockets import Image, Latent
from nodes.diffusion.pictures import read_picture
from nodes.prompt import CLIPTextEncode
from nodes.vae import VAEDecode, VAEEncode
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny


def encode(tiny: Tiny, text: str) -> tuple[Tensor, Tensor]:
    (entry,) = CLIPTextEncode(text, tiny.checkpoint.CLIP, tiny.context)
    return entry[0], entry[1]["pooled_output"]


def smooth(width: int = 64, height: int = 64, channels: int = 3, batch: int = 1) -> Image:
    """Soft colours without an edge."""
    x, y = torch.linspace(0, 1, width), torch.linspace(0, 1, height)[:, None]
    planes = [
        0.3 + 0.4 * x.expand(height, width),
        0.7 - 0.4 * y.expand(height, width),
        torch.full((height, width), 0.5),
    ]
    planes.append(torch.full((height, width), 0.25))
    return Image(torch.stack(planes[:channels], -1).expand(batch, height, width, channels).contiguous())


# --- prompts


def test_a_prompt_is_77_vectors_and_one_for_the_whole(tiny: Tiny) -> None:
    for text in ("a red star", "", "   \n", "星 ★ émoji 🐻", "\0\x7f\u202e", "((((", "a:b:)(:1.2)"):
        vectors, pooled = encode(tiny, text)
        assert vectors.shape == (1, 77, 128)
        assert pooled.shape == (1, 128)
        assert vectors.dtype == pooled.dtype == torch.float32
        assert torch.isfinite(vectors).all()


def test_equal_prompts_are_equal_and_other_words_and_weights_are_not(tiny: Tiny) -> None:
    texts = ["a red star", "a blue star", "a (red) star", "a (red:1.5) star", "a (red:0.2) star", ""]
    digests = [digest_of(CLIPTextEncode(text, tiny.checkpoint.CLIP, tiny.context)) for text in texts]
    assert len(set(digests)) == len(texts)
    assert digests[0] == digest_of(CLIPTextEncode("a (red:1) star", tiny.checkpoint.CLIP, tiny.context))
    assert digests == [digest_of(CLIPTextEncode(text, tiny.checkpoint.CLIP, tiny.context)) for text in texts]


def test_a_long_prompt_is_encoded_in_chunks(tiny: Tiny) -> None:
    assert encode(tiny, "a red star, " * 20)[0].shape == (1, 154, 128)
    assert encode(tiny, "star " * 75)[0].shape == (1, 77, 128)
    assert encode(tiny, "star " * 76)[0].shape == (1, 154, 128)


@pytest.mark.parametrize("text", ["a red star " * 9000, "x" * 10_000, "(" * 10_000, "((a) " * 2500, "🐻" * 2500])
def test_a_text_without_measure_is_encoded(tiny: Tiny, text: str) -> None:
    vectors, _ = encode(tiny, text)
    assert vectors.shape[1] % 77 == 0
    assert vectors.shape[1] > 10 * 77
    assert torch.isfinite(vectors).all()


# --- the autoencoder


def test_a_picture_survives_the_way_through_latents(tiny: Tiny) -> None:
    picture, _ = read_picture(shipped("workflows") / "pictures" / "heart.png")
    picture = Image(picture)
    latent = VAEEncode(picture, tiny.checkpoint.VAE, tiny.context)
    assert latent["samples"].shape == (1, 4, picture.shape[1] // 8, picture.shape[2] // 8)
    assert latent["samples"].dtype == torch.float32
    back = VAEDecode(latent, tiny.checkpoint.VAE, tiny.context)
    assert back.shape == picture.shape
    assert back.min() >= 0 and back.max() <= 1
    assert -10 * torch.log10((back - picture).square().mean()) > 25  # dB of a signal to noise ratio


@pytest.mark.parametrize(("width", "height"), [(70, 65), (8, 8), (63, 15), (9, 100)])
def test_other_sizes_are_cut_to_multiples_of_8_in_the_middle(tiny: Tiny, width: int, height: int) -> None:
    picture = smooth(width, height)
    latent = VAEEncode(picture, tiny.checkpoint.VAE, tiny.context)["samples"]
    assert latent.shape == (1, 4, height // 8, width // 8)
    left, top = (width % 8) // 2, (height % 8) // 2
    middle = Image(picture[:, top : top + height // 8 * 8, left : left + width // 8 * 8].contiguous())
    torch.testing.assert_close(VAEEncode(middle, tiny.checkpoint.VAE, tiny.context)["samples"], latent)


@pytest.mark.parametrize(("width", "height"), [(7, 64), (64, 7), (1, 1)])
def test_a_picture_smaller_than_one_latent_is_told(tiny: Tiny, width: int, height: int) -> None:
    found = problem(lambda: VAEEncode(smooth(width, height), tiny.checkpoint.VAE, tiny.context))
    assert (found.code, found.input) == ("bad_value", "pixels")
    assert f"{width} × {height}" in found.message


def test_transparency_is_left_out_and_grey_is_a_colour(tiny: Tiny) -> None:
    with_alpha = VAEEncode(smooth(channels=4), tiny.checkpoint.VAE, tiny.context)
    assert digest_of(with_alpha) == digest_of(VAEEncode(smooth(), tiny.checkpoint.VAE, tiny.context))
    grey = smooth(channels=1)
    coloured = VAEEncode(Image(grey.repeat(1, 1, 1, 3)), tiny.checkpoint.VAE, tiny.context)
    assert digest_of(VAEEncode(grey, tiny.checkpoint.VAE, tiny.context)) == digest_of(coloured)


def test_a_batch_is_its_pictures_one_by_one(tiny: Tiny) -> None:
    pictures = Image(torch.cat([smooth(), 1 - smooth(), smooth().flip(1)]))
    latents = VAEEncode(pictures, tiny.checkpoint.VAE, tiny.context)
    decoded = VAEDecode(latents, tiny.checkpoint.VAE, tiny.context)
    assert decoded.shape == (3, 64, 64, 3)
    for i in range(3):
        alone = VAEEncode(Image(pictures[i : i + 1]), tiny.checkpoint.VAE, tiny.context)
        assert torch.equal(alone["samples"], latents["samples"][i : i + 1])
        assert torch.equal(VAEDecode(alone, tiny.checkpoint.VAE, tiny.context), decoded[i : i + 1])


def test_inputs_are_only_read(tiny: Tiny) -> None:
    picture = smooth()
    latent = VAEEncode(picture, tiny.checkpoint.VAE, tiny.context)
    before = digest_of(picture), digest_of(latent)
    first, second = (VAEDecode(latent, tiny.checkpoint.VAE, tiny.context) for _ in range(2))
    assert (digest_of(picture), digest_of(latent)) == before
    assert digest_of(first) == digest_of(second)


def test_a_latent_of_another_kind_or_without_numbers_is_told(tiny: Tiny) -> None:
    other: Latent = {"samples": torch.zeros(1, 16, 8, 8)}
    found = problem(lambda: VAEDecode(other, tiny.checkpoint.VAE, tiny.context))
    assert (found.code, found.input) == ("bad_value", "samples")
    broken: Latent = {"samples": torch.full((1, 4, 8, 8), float("nan"))}
    assert problem(lambda: VAEDecode(broken, tiny.checkpoint.VAE, tiny.context)).code == "not_finite"


def test_decoding_a_batch_can_be_cancelled(tiny: Tiny) -> None:
    token = CancelToken()
    reports: list[tuple[float, float]] = []

    def progress(value: float, total: float) -> None:
        reports.append((value, total))
        token.cancel()

    context = replace(tiny.context, token=token, on_progress=progress)
    with pytest.raises(Cancelled):
        VAEDecode(tiny.canvas(batch=3), tiny.checkpoint.VAE, context)
    assert reports == [(0, 3)]

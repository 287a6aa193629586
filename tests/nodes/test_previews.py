"""Previews by TAESD's decoder, when it is there, and by the linear map when it is not or cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.autoencoders.vae import DecoderTiny

from nodegraph.context import Context
from nodegraph.sockets import Conditioning, Model
from nodes.diffusion.preview import SD15_PREVIEW, SDXL_PREVIEW, decoded_preview, preview_image
from nodes.previews import preview_map, previewer
from nodes.sampling import KSampler
from nodes.single_files import UNETLoader
from tests.helpers import digest_of
from tests.nodes.checkpoint_files import make_unet, randomised, save, unet_weights
from tests.nodes.conftest import Tiny


def write_decoder(context: Context, name: str = "taesd", seed: int = 0) -> Any:
    """A random decoder, in the layout of its author's file."""
    decoder = randomised(AutoencoderTiny(), seed).decoder
    numbered = {name.removeprefix("layers."): tensor for name, tensor in decoder.state_dict().items()}
    named = {f"{int(n.partition('.')[0]) + 1}.{n.partition('.')[2]}": t for n, t in numbered.items()}
    save(context.roots.models[0] / f"vae_approx/{name}_decoder.safetensors", named)
    return decoder


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def a_unet(context: Context) -> Model:
    path = context.roots.models[0] / "unet/u.safetensors"
    if not path.is_file():
        save(path, unet_weights(make_unet("sd1")))
    return UNETLoader("u.safetensors", context=context)


def drawn(context: Context) -> tuple[list[Any], Any]:
    """The previews of two steps, and the latent."""
    seen: list[Any] = []
    prompt = Conditioning([(noise(1, 7, 768), {})])
    watched = replace(context, on_preview=seen.append)
    latent = KSampler(
        a_unet(context), 1, 2, 1.0, positive=prompt, negative=prompt,
        latent_image={"samples": torch.zeros(1, 4, 8, 8)}, context=watched,
    )  # fmt: skip
    return seen, latent


def pixels(image: Any) -> Any:
    return np.asarray(image).astype(int)


def test_samplers_show_what_the_decoder_draws_once_a_step(context: Context):
    plain, latent = drawn(context)
    decoder = write_decoder(context)
    shown, same = drawn(context)
    assert digest_of(latent) == digest_of(same)
    assert len(plain) == len(shown) == 2
    assert all(image.size == (64, 64) for image in (*plain, *shown))
    assert all((pixels(a) != pixels(b)).any() for a, b in zip(plain, shown, strict=True))
    last = same["samples"] * 0.18215  # the last step's denoised latent is the result
    with torch.no_grad():
        picture = (decoder(last)[0].movedim(0, -1).clamp(-1, 1) + 1) * 127.5
    assert np.abs(pixels(shown[-1]) - picture.numpy()).max() < 1.01  # cut off to whole numbers


def test_nothing_is_loaded_when_nobody_looks(context: Context):
    (context.roots.models[0] / "vae_approx").mkdir(parents=True)
    (context.roots.models[0] / "vae_approx/taesd_decoder.safetensors").write_bytes(b"no weights")
    told: list[str] = []
    quiet = replace(context, on_preview=lambda image: None, previews=False, warn=told.append)
    prompt = Conditioning([(noise(1, 7, 768), {})])
    canvas: Any = {"samples": torch.zeros(1, 4, 8, 8)}
    KSampler(a_unet(context), 1, 1, 1.0, positive=prompt, negative=prompt, latent_image=canvas, context=quiet)
    assert told == []


@pytest.mark.parametrize(("family", "rgb"), [("sd1", SD15_PREVIEW), ("sd2", SD15_PREVIEW), ("sdxl", SDXL_PREVIEW)])
def test_each_family_has_its_decoder(context: Context, family: str, rgb: Any):
    own, other = ("taesdxl", "taesd") if family == "sdxl" else ("taesd", "taesdxl")
    model = Model("file", "nowhere.safetensors", "content", "unet").with_options(family=family)
    latent = noise(1, 4, 8, 8)
    write_decoder(context, other, seed=1)
    assert (pixels(previewer(model, context)(latent)) == pixels(preview_image(latent, rgb))).all()
    decoder = write_decoder(context, own)
    assert (pixels(previewer(model, context)(latent)) == pixels(decoded_preview(latent, decoder))).all()


def test_the_decoder_is_loaded_once(context: Context):
    write_decoder(context)
    model = Model("file", "nowhere.safetensors", "content", "unet")
    previewer(model, context)
    used = context.pool.used
    previewer(model, context)
    assert used > 0 and context.pool.used == used


def test_a_model_with_latents_of_its_own_keeps_its_own_map(tiny: Tiny, context: Context):
    latent = noise(1, 4, 8, 8)
    before = pixels(previewer(tiny.checkpoint.MODEL, context)(latent))
    write_decoder(context)
    assert (pixels(previewer(tiny.checkpoint.MODEL, context)(latent)) == before).all()


def test_a_decoder_called_like_a_folder_is_for_its_model_however_small_it_is(tiny: Tiny, context: Context):
    latent = noise(1, 4, 8, 8)
    decoder = randomised(DecoderTiny(4, 3, (2, 1, 1, 3), (8,) * 4, 2, "relu", "nearest"), 3)
    named = {name.removeprefix("layers."): tensor for name, tensor in decoder.state_dict().items()}
    named = {f"{int(n.partition('.')[0]) + 1}.{n.partition('.')[2]}": t for n, t in named.items()}
    file = save(context.roots.models[0] / "vae_approx/tiny_decoder.safetensors", named)
    shown = pixels(previewer(tiny.checkpoint.MODEL, context)(latent))
    assert (shown == pixels(decoded_preview(latent, decoder))).all()
    file.write_bytes(b"")
    told: list[str] = []
    rough = previewer(tiny.checkpoint.MODEL, replace(context, warn=told.append))(latent)
    assert (pixels(rough) == pixels(preview_image(latent, preview_map(tiny.checkpoint.MODEL)))).all()
    assert len(told) == 1 and "decoder of tiny" in told[0]


def test_a_decoder_that_cannot_be_used_is_warned_of(context: Context):
    file = context.roots.models[0] / "vae_approx/taesd_decoder.safetensors"
    model = Model("file", "nowhere.safetensors", "content", "unet")
    latent = noise(1, 4, 8, 8)
    save(file, {"1.weight": torch.zeros(64, 4, 3, 3)})
    for spoil in (lambda: None, lambda: file.write_bytes(b"\x80\x02}q\x00."), lambda: file.write_bytes(b"")):
        spoil()
        told: list[str] = []
        picture = previewer(model, replace(context, warn=told.append))(latent)
        assert (pixels(picture) == pixels(preview_image(latent))).all()
        assert len(told) == 1 and "TAESD" in told[0]


@pytest.mark.parametrize(
    ("shape", "size"), [((4, 8, 4), (32, 64)), ((1, 4, 64, 64), (512, 512)), ((2, 4, 128, 32), (128, 512))]
)
def test_decoded_previews_are_at_most_512_pixels_long(tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int]):
    decoder = randomised(AutoencoderTiny(), 0).decoder
    assert decoded_preview(noise(*shape), decoder).size == size


def test_values_that_are_no_numbers_show_as_something(context: Context):
    decoder = randomised(AutoencoderTiny(), 0).decoder
    assert decoded_preview(torch.full((1, 4, 4, 4), float("nan")), decoder).size == (32, 32)

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from nodes.diffusion.noise import initial_noise
from nodes.diffusion.preview import LatentRGB, fit_preview, preview_image

IDENTITY = LatentRGB(torch.eye(4)[:, :3].clone(), torch.zeros(3))


@pytest.fixture(scope="module")
def vae():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config: dict[str, Any] = {
            "block_out_channels": (8, 8),
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "latent_channels": 4,
            "norm_num_groups": 4,
            "layers_per_block": 1,
            "scaling_factor": 0.5,
        }
        return AutoencoderKL(**config).eval()


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 4, 64, 64), (512, 512)),
        ((4, 16, 8), (64, 128)),
        ((3, 4, 128, 96), (384, 512)),
        ((1, 4, 1, 300), (512, 2)),
    ],
)
def test_a_preview_has_the_pictures_size_up_to_512(shape, size):
    image = preview_image(torch.zeros(shape))
    assert image.size == size
    assert image.mode == "RGB"


def test_minus_one_is_black_and_one_is_white():
    latent = torch.zeros(1, 4, 8, 8)
    latent[:, :3] = -1
    latent[:, :3, :, 4:] = 1
    pixels = np.asarray(preview_image(latent, IDENTITY))
    assert (pixels[:, :24] == 0).all()
    assert (pixels[:, 40:] == 255).all()


def test_a_batch_shows_its_first_item_and_extreme_values_are_clipped():
    latent = torch.full((2, 4, 8, 8), 1e9)
    latent[1] = float("nan")
    assert (np.asarray(preview_image(latent, IDENTITY)) == 255).all()
    assert np.asarray(preview_image(latent[1], IDENTITY)).shape == (64, 64, 3)


def test_the_default_map_tells_bright_from_dark():
    """The first channel of Stable Diffusion's latents is mostly brightness."""
    dark, bright = (torch.zeros(1, 4, 8, 8) for _ in range(2))
    dark[:, 0], bright[:, 0] = -2, 2
    assert np.asarray(preview_image(bright)).mean() > np.asarray(preview_image(dark)).mean() + 50


def test_a_fit_finds_a_linear_decoder_exactly():
    factors, bias = initial_noise(1, (4, 3)) * 0.2, torch.tensor([0.1, 0.0, -0.1])

    class LinearDecoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.config = type("Config", (), {"latent_channels": 4, "scaling_factor": 0.5})()

        def decode(self, latents, return_dict):
            pixels = ((latents * 0.5).movedim(1, -1) @ factors + bias).movedim(-1, 1)
            return (pixels.repeat_interleave(4, -1).repeat_interleave(4, -2),)

    fitted = fit_preview(LinearDecoder())
    torch.testing.assert_close(fitted.factors, factors, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fitted.bias, bias, rtol=1e-3, atol=1e-3)
    assert fitted.pixels_per_latent == 4


def test_a_fit_to_a_real_vae_explains_its_pictures_better_than_their_mean(vae):
    latents = initial_noise(7, (2, 4, 8, 8))
    fitted = fit_preview(vae, latents)
    assert fitted.pixels_per_latent == 2
    with torch.no_grad():
        pictures = vae.decode(latents / 0.5).sample
    coarse = torch.nn.functional.avg_pool2d(pictures, 2).movedim(1, -1)
    left = coarse - (latents.movedim(1, -1) @ fitted.factors + fitted.bias)
    assert float(left.var()) < 0.85 * float(coarse.var())
    assert preview_image(latents, fitted).size == (16, 16)

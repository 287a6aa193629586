"""Effects on pictures [B, H, W, C] with values 0 … 1."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.compositing import luma, with_channels


def reflected(count: int, border: int, device: torch.device | None = None) -> Tensor:
    """Indices that continue 0 … count - 1 by `border` on both sides, mirrored at the ends as often as it takes."""
    place = torch.arange(-border, count + border, device=device)
    if count == 1:
        return torch.zeros_like(place)
    place = place.remainder(2 * (count - 1))
    return torch.minimum(place, 2 * (count - 1) - place)


def bell(radius: int, sigma: float) -> Tensor:
    """A Gaussian bell curve of 2 · radius + 1 weights with the sum 1; `sigma` is its width in radii."""
    place = torch.linspace(-1, 1, 2 * radius + 1)
    weights = torch.exp(-place.square() / (2 * sigma * sigma))
    return weights / weights.sum()


def blur(pictures: Tensor, radius: int, sigma: float) -> Tensor:
    """Mix each pixel with its neighbours up to `radius` away, by a Gaussian bell `sigma` radii wide."""
    weights = bell(radius, sigma).to(pictures)
    batch, height, width, channels = pictures.shape
    planes = pictures.movedim(-1, 1).reshape(batch * channels, 1, height, width)
    planes = planes[..., reflected(width, radius, planes.device)]
    planes = functional.conv2d(planes, weights[None, None, None, :])
    planes = planes[..., reflected(height, radius, planes.device), :]
    planes = functional.conv2d(planes, weights[None, None, :, None])
    return planes.reshape(batch, channels, height, width).movedim(1, -1)


def sharpen(pictures: Tensor, radius: int, sigma: float, alpha: float) -> Tensor:
    """Unsharp masking: 10 · alpha times what `blur` takes away is added."""
    return (pictures + 10 * alpha * (pictures - blur(pictures, radius, sigma))).clamp(0, 1)


def to_yuv(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness and the two differences of colour, each [B, H, W, 1] in 0 … 1 (ITU-R BT.601, full range)."""
    rgb = with_channels(pictures, 3)
    y = luma(rgb)
    return y, (rgb[..., 2:] - y) / 1.772 + 0.5, (rgb[..., :1] - y) / 1.402 + 0.5


def from_yuv(y: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """The picture [B, H, W, 3] of which `to_yuv` gives these three [B, H, W, 1]."""
    red, blue = y + 1.402 * (v - 0.5), y + 1.772 * (u - 0.5)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return torch.cat([red, green, blue], dim=-1).clamp(0, 1)


# --- fewer colours


def quantize(pictures: Tensor, colors: int, dither: str) -> Tensor:
    """Pictures [B, H, W, 3] of at most `colors` colours each, chosen by median cut (Heckbert 1982).

    dither: none, floyd-steinberg, or bayer-2, -4, -8, -16 (ordered, by a matrix of that many rows).
    """
    levels = (with_channels(pictures, 3) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    results = [_quantize(one, colors, dither) for one in levels]
    return torch.from_numpy(np.stack(results).astype(np.float32) / 255).to(pictures.device)


def _quantize(levels: np.ndarray, colors: int, dither: str) -> np.ndarray:
    image = Image.fromarray(levels)
    palette = image.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if dither.startswith("bayer-"):
        shift = _bayer_shift(levels.shape[:2], int(dither.removeprefix("bayer-")), _distance(palette))
        image = Image.fromarray((levels + shift[..., None]).round().clip(0, 255).astype(np.uint8))
    diffuse = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    return np.asarray(image.quantize(palette=palette, dither=diffuse).convert("RGB"))


def bayer_matrix(rows: int) -> np.ndarray:
    """Bayer's matrix of 2, 4, 8 ... rows: each number 0 … rows² - 1 once, neighbours far apart (Bayer 1973)."""
    matrix = np.zeros((1, 1), dtype=np.int64)
    while len(matrix) < rows:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return matrix


def _bayer_shift(shape: tuple[int, ...], rows: int, distance: float) -> np.ndarray:
    """What is added to the levels of each pixel, from minus to plus half the distance between colours."""
    matrix = (bayer_matrix(rows) + 0.5) / rows**2 - 0.5
    height, width = shape[:2]
    tiled = np.tile(matrix, (-(-height // rows), -(-width // rows)))[:height, :width]
    return tiled * distance


def _distance(palette: Image.Image) -> float:
    """How many levels lie between a colour of a palette and the nearest other one, on average."""
    used = sorted(set(palette.tobytes()))
    colours = np.asarray(palette.getpalette("RGB"), dtype=np.int64).reshape(-1, 3)[used]
    if len(colours) < 2:
        return 0.0
    apart = np.abs(colours[:, None] - colours[None]).max(-1)
    np.fill_diagonal(apart, 256)
    return float(apart.min(-1).mean())

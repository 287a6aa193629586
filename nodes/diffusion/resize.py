"""Resizing of pictures and latents, [B, C, H, W]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def fill_size(width: int, height: int, old_width: int, old_height: int, *, minimum: int = 1) -> tuple[int, int]:
    """(width, height) where a 0 is filled in to keep the proportions; both 0 keep the old size."""
    if width == 0 and height == 0:
        return old_width, old_height
    if width == 0:
        return max(minimum, round(old_width * height / old_height)), height
    if height == 0:
        return width, max(minimum, round(old_height * width / old_width))
    return width, height


def scaled_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """(width, height) times a factor, at least a pixel each way."""
    return max(1, round(width * factor)), max(1, round(height * factor))


def center_crop(samples: Tensor, width: int, height: int) -> Tensor:
    """The largest centered part of [B, C, H, W] that has the proportions of width and height."""
    old_height, old_width = samples.shape[-2:]
    old_aspect, aspect = old_width / old_height, width / height
    x = round((old_width - old_width * (aspect / old_aspect)) / 2) if old_aspect > aspect else 0
    y = round((old_height - old_height * (old_aspect / aspect)) / 2) if old_aspect < aspect else 0
    x, y = min(x, (old_width - 1) // 2), min(y, (old_height - 1) // 2)  # a line stays of the thinnest part
    return samples[:, :, y : old_height - y, x : old_width - x]


def resize(samples: Tensor, width: int, height: int, method: str, *, crop: bool = False) -> Tensor:
    """Resize [B, C, H, W] to width and height.

    method: nearest-exact, bilinear, area, bicubic, bislerp (spherical, for latents) or lanczos (pictures with values
    0 … 1). crop: cut the middle out first, so that nothing is stretched.
    """
    if crop:
        samples = center_crop(samples, width, height)
    if method == "bislerp":
        return bislerp(samples, width, height)
    if method == "lanczos":
        return lanczos(samples, width, height)
    return functional.interpolate(samples, size=(height, width), mode=method)


def resize_pictures(pictures: Tensor, width: int, height: int, method: str, *, crop: bool = False) -> Tensor:
    """Resize pictures [B, H, W, C] by a method of `resize`; what has the size already stays as it is."""
    if pictures.shape[1:3] == (height, width):
        return pictures
    return resize(pictures.movedim(-1, 1), width, height, method, crop=crop).movedim(1, -1)


def resize_masks(masks: Tensor, width: int, height: int, method: str = "bilinear") -> Tensor:
    """Resize masks [B, H, W] by a method of `resize`; what has the size already stays as it is."""
    if masks.shape[1:] == (height, width):
        return masks
    return resize(masks[:, None], width, height, method)[:, 0]


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Lanczos resampling of pictures through 8-bit images."""
    import numpy as np
    from PIL import Image

    def one(picture: Tensor) -> Tensor:
        data = (picture.movedim(0, -1).clamp(0, 1) * 255).to(torch.uint8).numpy()
        image = Image.fromarray(data.squeeze(-1) if data.shape[-1] == 1 else data)
        resized = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / 255
        return torch.from_numpy(resized).reshape(height, width, -1).movedim(-1, 0)

    return torch.stack([one(picture) for picture in samples.cpu()]).to(samples)


def slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate vectors [..., C] along the sphere, their lengths linearly (Shoemake 1985); parallel ones plainly."""
    norm_a, norm_b = first.norm(dim=-1, keepdim=True), second.norm(dim=-1, keepdim=True)
    unit_a = torch.where(norm_a > 0, first / norm_a, torch.zeros_like(first))
    unit_b = torch.where(norm_b > 0, second / norm_b, torch.zeros_like(second))
    dot = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1)
    angle = torch.acos(dot)
    sine = torch.sin(angle)
    on_arc = (torch.sin((1 - share) * angle) * unit_a + torch.sin(share * angle) * unit_b) / sine
    on_arc = on_arc * (norm_a * (1 - share) + norm_b * share)
    return torch.where(dot.abs() > 1 - 1e-5, first * (1 - share) + second * share, on_arc)


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Bilinear resizing with spherical in place of linear interpolation: keeps the length of latent vectors."""
    return _slerp_axis(_slerp_axis(samples, width, 3), height, 2).to(samples.dtype)


def _slerp_axis(samples: Tensor, size: int, axis: int) -> Tensor:
    """Resize one axis of [B, C, H, W]; samples lie at the middles of their cells, edges are repeated."""
    old = samples.shape[axis]
    place = ((torch.arange(size, dtype=torch.float32) + 0.5) * (old / size) - 0.5).clamp(0, old - 1)
    low = place.floor().long()
    share = (place - low).to(samples.device)
    vectors = samples.float().movedim(1, -1).movedim(axis - 1, -2)  # [..., old, C]
    first = vectors[..., low, :]
    second = vectors[..., (low + 1).clamp(max=old - 1), :]
    mixed = slerp(first, second, share[:, None])
    return mixed.movedim(-2, axis - 1).movedim(-1, 1)

"""Operations on latents that are described as data, so that they can travel along a link: their functions, by kind.

They work on any [B, C, h, w] on any device: a latent, or what guidance is about to add to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

Setting = str | int | float | bool
#: What the difference to a blurred latent is multiplied by for alpha 1.
SHARPEN_GAIN = 10.0
#: The brightest vector that is told apart, in standard deviations above the mean.
TONEMAP_DEVIATIONS = 5.0


def apply_operation(
    operation_kind: str, settings: Mapping[str, Setting] | Iterable[tuple[str, Setting]], tensor: Tensor
) -> Tensor:
    """The tensor after the operation `operation_kind`; `settings` are the keyword arguments of its function.

    Raises ValueError for an unknown kind or settings that it does not have.
    """
    function = OPERATIONS.get(operation_kind)
    if function is None:
        raise ValueError(f"there is no latent operation {operation_kind!r}; there are {', '.join(OPERATIONS)}")
    try:
        return function(tensor, **dict(settings))
    except TypeError as error:
        raise ValueError(
            f"the latent operation {operation_kind!r} was given other settings than it has: {error}"
        ) from error


def tonemap_reinhard(latent: Tensor, multiplier: float = 1.0) -> Tensor:
    """Shorten the vectors along the channel axis, long ones more: m becomes m·top / (m + top).

    The global operator of Reinhard et al. 2002 (L / (1 + L)) on their lengths. top lies TONEMAP_DEVIATIONS standard
    deviations above the mean length of each latent, times `multiplier`. Tames what a high cfg overdraws.
    """
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    inner = tuple(range(1, latent.ndim))
    spread = length.std(inner, correction=min(1, length[0].numel() - 1), keepdim=True)
    top = multiplier * (length.mean(inner, keepdim=True) + TONEMAP_DEVIATIONS * spread)
    total = length + top
    return latent * torch.where(total > 0, top / total, 0)


def sharpen(latent: Tensor, sharpen_radius: int = 9, sigma: float = 1.0, alpha: float = 0.1) -> Tensor:
    """Unsharp masking of the directions of the vectors along the channel axis; their lengths are kept as a factor.

    The difference to a Gaussian blur is added SHARPEN_GAIN · alpha times. The blur reaches over `sharpen_radius` cells
    and is `sigma` radii wide.
    """
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    direction = latent / torch.where(length > 0, length, 1)
    blurred = gaussian_blur(direction, sharpen_radius, sigma * sharpen_radius)
    return length * (direction + SHARPEN_GAIN * alpha * (direction - blurred))


def gaussian_blur(latent: Tensor, radius: int, sigma: float) -> Tensor:
    """[B, C, h, w] blurred over `radius` cells on each side, mirrored at its edges; sigma is in cells."""
    place = torch.arange(-radius, radius + 1, dtype=torch.float32, device=latent.device)
    kernel = torch.exp(-((place / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum()).to(latent.dtype)
    channels = latent.shape[1]
    padded = _mirrored(_mirrored(latent, radius, 2), radius, 3)
    down = functional.conv2d(padded, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return functional.conv2d(down, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def _mirrored(samples: Tensor, radius: int, axis: int) -> Tensor:
    """An axis continued on both sides by its mirror image, as often as it takes."""
    size = samples.shape[axis]
    place = torch.arange(-radius, size + radius, device=samples.device) % max(1, 2 * (size - 1))
    return samples.index_select(axis, torch.where(place < size, place, 2 * (size - 1) - place))


OPERATIONS: Mapping[str, Callable[..., Tensor]] = {"tonemap_reinhard": tonemap_reinhard, "sharpen": sharpen}

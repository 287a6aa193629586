"""FreeU: weigh what a UNet's backbone and its skip connections bring (Si et al. 2023)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def free_u(unet: Any, b1: float, b2: float, s1: float, s2: float, by_structure: bool = False) -> None:
    """Strengthen half of the backbone's channels and dampen the low frequencies of the skips; for a clone.

    b1 and s1 hold where the backbone has the most channels of all levels, b2 and s2 where it has the next fewer (of
    Stable Diffusion 1280 and 640). by_structure: strengthen by how much there is at a place (the second version).
    """
    widths = sorted(set(unet.config.block_out_channels), reverse=True)
    scales = dict(zip(widths, ((b1, s1), (b2, s2)), strict=False))
    channels = unet.config.block_out_channels[-1]
    for block in unet.up_blocks:
        for resnet in block.resnets:
            if channels in scales:
                resnet.register_forward_pre_hook(_Weighing(channels, *scales[channels], by_structure))
            channels = resnet.out_channels


class _Weighing:
    """Weighs the input of a block: `channels` of the backbone, behind them those of the skip."""

    def __init__(self, channels: int, backbone: float, skip: float, by_structure: bool) -> None:
        self._channels, self._backbone, self._skip, self._by_structure = channels, backbone, skip, by_structure

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        from diffusers.utils.torch_utils import fourier_filter

        hidden, skip = args[0][:, : self._channels], args[0][:, self._channels :]
        half = self._channels // 2
        scale = 1 + (self._backbone - 1) * structure(hidden) if self._by_structure else self._backbone
        filtered = fourier_filter(skip, threshold=1, scale=self._skip)  # type: ignore[arg-type] # any number will do
        return (torch.cat([hidden[:, :half] * scale, hidden[:, half:], filtered], dim=1), *args[1:])


def structure(hidden: Tensor) -> Tensor:
    """[B, 1, h, w], 0 ... 1: the mean of the channels, from its least to its largest value in each picture."""
    mean = hidden.mean(dim=1, keepdim=True)
    low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
    return (mean - low) / (high - low).clamp(min=torch.finfo(mean.dtype).tiny)

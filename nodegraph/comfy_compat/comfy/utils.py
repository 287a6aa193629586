"""`comfy.utils` of ComfyUI's interface, as far as nodegraph has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.comfy_compat.progress import ProgressBar

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ProgressBar", "common_upscale"]


def common_upscale(samples: Tensor, width: int, height: int, upscale_method: str, crop: str) -> Tensor:
    """Resize [B, C, H, W]; crop: `center` cuts the middle out first, anything else stretches."""
    from nodes.diffusion.resize import resize

    return resize(samples, width, height, upscale_method, crop=crop == "center")

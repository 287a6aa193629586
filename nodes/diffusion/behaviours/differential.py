"""Masks that say how much may change, not only where."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nodes.diffusion.sigmas import ModelSigmas

MaskCourse = Callable[[Tensor, float], Tensor]
"""`course(mask, sigma) -> mask`: what a mask is at a noise level."""


def differential(model_sigmas: ModelSigmas, sigmas: Tensor, strength: float = 1.0) -> MaskCourse:
    """Let each place change from that part of the sampling on which its mask says (Levin and Fried 2023).

    A place of mask m is held until the share m of the timesteps is left, and for ever where m is 0. Below 1, `strength`
    mixes that with the mask as it is.
    """
    last = max(model_sigmas.sigma_min, float(sigmas[-1]))
    ends = torch.tensor([float(sigmas[0]), last])
    first, final = (float(step) for step in model_sigmas.to("cpu").timestep(ends))
    span = max(first - final, 1e-9)

    def course(mask: Tensor, sigma: float) -> Tensor:
        step = float(model_sigmas.timestep(model_sigmas.table.new_tensor([sigma]))[0])
        free = ((mask >= (step - final) / span) & (mask > 0)).to(mask.dtype)
        return free if strength == 1 else free * strength + mask * (1 - strength)

    return course

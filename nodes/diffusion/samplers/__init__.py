"""Every sampler by the name that workflows use, with the kind of noise that it draws on its way.

A sampler is a plain function `sample_x(model, x, sigmas, *, noise, callback, start, **options)`, see
`common.Sampler`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nodes.diffusion.samplers.common import BEGINNING, Callback, Model, Sampler, Start, Step
from nodes.diffusion.samplers.dpmpp import (
    sample_dpmpp_2m,
    sample_dpmpp_2m_sde,
    sample_dpmpp_2s_ancestral,
    sample_dpmpp_3m_sde,
    sample_dpmpp_sde,
)
from nodes.diffusion.samplers.first_order import (
    sample_ddim,
    sample_ddpm,
    sample_euler,
    sample_euler_ancestral,
    sample_lcm,
)
from nodes.diffusion.samplers.lms import sample_lms
from nodes.diffusion.samplers.second_order import sample_dpm_2, sample_dpm_2_ancestral, sample_heun
from nodes.diffusion.samplers.uni_pc import sample_uni_pc, sample_uni_pc_bh2

__all__ = ["BEGINNING", "SAMPLERS", "Callback", "Model", "NoiseKind", "Sampler", "SamplerSpec", "Start", "Step"]

NoiseKind = Literal["none", "ancestral", "brownian"]


@dataclass(frozen=True, slots=True)
class SamplerSpec:
    """A sampler and what its caller must know: the noise it draws, and its model evaluations per step."""

    function: Sampler
    noise_kind: NoiseKind = "none"
    evaluations: int = 1


SAMPLERS: dict[str, SamplerSpec] = {
    "euler": SamplerSpec(sample_euler),
    "euler_ancestral": SamplerSpec(sample_euler_ancestral, "ancestral"),
    "heun": SamplerSpec(sample_heun, evaluations=2),
    "dpm_2": SamplerSpec(sample_dpm_2, evaluations=2),
    "dpm_2_ancestral": SamplerSpec(sample_dpm_2_ancestral, "ancestral", evaluations=2),
    "lms": SamplerSpec(sample_lms),
    "dpmpp_2s_ancestral": SamplerSpec(sample_dpmpp_2s_ancestral, "ancestral", evaluations=2),
    "dpmpp_sde": SamplerSpec(sample_dpmpp_sde, "brownian", evaluations=2),
    "dpmpp_2m": SamplerSpec(sample_dpmpp_2m),
    "dpmpp_2m_sde": SamplerSpec(sample_dpmpp_2m_sde, "brownian"),
    "dpmpp_3m_sde": SamplerSpec(sample_dpmpp_3m_sde, "brownian"),
    "ddim": SamplerSpec(sample_ddim),
    "ddpm": SamplerSpec(sample_ddpm, "ancestral"),
    "lcm": SamplerSpec(sample_lcm, "ancestral"),
    "uni_pc": SamplerSpec(sample_uni_pc),
    "uni_pc_bh2": SamplerSpec(sample_uni_pc_bh2),
}

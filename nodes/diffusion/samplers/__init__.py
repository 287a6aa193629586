"""Every sampler by the name that workflows use, with the kind of noise that it draws on its way.

A sampler is a plain function `sample_x(model, x, sigmas, *, noise, callback, start, **options)`, see
`common.Sampler`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nodes.diffusion.samplers.cfg_pp import (
    sample_dpmpp_2m_cfg_pp,
    sample_dpmpp_2s_ancestral_cfg_pp,
    sample_euler_ancestral_cfg_pp,
    sample_euler_cfg_pp,
)
from nodes.diffusion.samplers.common import BEGINNING, Callback, GuidedModel, Model, Sampler, Start, Step
from nodes.diffusion.samplers.dpm_solver import sample_dpm_adaptive, sample_dpm_fast
from nodes.diffusion.samplers.dpmpp import (
    sample_dpmpp_2m,
    sample_dpmpp_2m_sde,
    sample_dpmpp_2m_sde_heun,
    sample_dpmpp_2s_ancestral,
    sample_dpmpp_3m_sde,
    sample_dpmpp_sde,
)
from nodes.diffusion.samplers.er_sde import sample_er_sde
from nodes.diffusion.samplers.first_order import (
    sample_ddim,
    sample_ddpm,
    sample_euler,
    sample_euler_ancestral,
    sample_lcm,
)
from nodes.diffusion.samplers.lms import sample_lms
from nodes.diffusion.samplers.multistep import (
    sample_deis,
    sample_gradient_estimation,
    sample_gradient_estimation_cfg_pp,
    sample_ipndm,
    sample_ipndm_v,
)
from nodes.diffusion.samplers.res import (
    sample_res_multistep,
    sample_res_multistep_ancestral,
    sample_res_multistep_ancestral_cfg_pp,
    sample_res_multistep_cfg_pp,
)
from nodes.diffusion.samplers.sa_solver import sample_sa_solver, sample_sa_solver_pece
from nodes.diffusion.samplers.second_order import (
    sample_dpm_2,
    sample_dpm_2_ancestral,
    sample_heun,
    sample_heunpp2,
)
from nodes.diffusion.samplers.seeds import sample_seeds_2, sample_seeds_3
from nodes.diffusion.samplers.uni_pc import sample_uni_pc, sample_uni_pc_bh2

__all__ = [
    "BEGINNING",
    "SAMPLERS",
    "Callback",
    "GuidedModel",
    "Model",
    "NoiseKind",
    "Sampler",
    "SamplerSpec",
    "Start",
    "Step",
]

NoiseKind = Literal["none", "ancestral", "brownian"]


@dataclass(frozen=True, slots=True)
class SamplerSpec:
    """A sampler and what its caller must know: the noise it draws, and its model evaluations per step.

    evaluations: in a full step; the first or the last ones may have fewer. noise_on_device: its Brownian path is drawn
    where the latent is. own_steps: it chooses its steps on the way, so that nobody knows beforehand how many there are.
    """

    function: Sampler
    noise_kind: NoiseKind = "none"
    evaluations: int = 1
    noise_on_device: bool = False
    own_steps: bool = False


def _on_device(function: Sampler, evaluations: int = 1) -> SamplerSpec:
    return SamplerSpec(function, "brownian", evaluations, noise_on_device=True)


SAMPLERS: dict[str, SamplerSpec] = {
    "euler": SamplerSpec(sample_euler),
    "euler_cfg_pp": SamplerSpec(sample_euler_cfg_pp),
    "euler_ancestral": SamplerSpec(sample_euler_ancestral, "ancestral"),
    "euler_ancestral_cfg_pp": SamplerSpec(sample_euler_ancestral_cfg_pp, "ancestral"),
    "heun": SamplerSpec(sample_heun, evaluations=2),
    "heunpp2": SamplerSpec(sample_heunpp2, evaluations=3),
    "dpm_2": SamplerSpec(sample_dpm_2, evaluations=2),
    "dpm_2_ancestral": SamplerSpec(sample_dpm_2_ancestral, "ancestral", evaluations=2),
    "lms": SamplerSpec(sample_lms),
    "dpm_fast": SamplerSpec(sample_dpm_fast, evaluations=3),
    "dpm_adaptive": SamplerSpec(sample_dpm_adaptive, "ancestral", evaluations=3, own_steps=True),
    "dpmpp_2s_ancestral": SamplerSpec(sample_dpmpp_2s_ancestral, "ancestral", evaluations=2),
    "dpmpp_2s_ancestral_cfg_pp": SamplerSpec(sample_dpmpp_2s_ancestral_cfg_pp, "ancestral", evaluations=2),
    "dpmpp_sde": SamplerSpec(sample_dpmpp_sde, "brownian", evaluations=2),
    "dpmpp_sde_gpu": _on_device(sample_dpmpp_sde, evaluations=2),
    "dpmpp_2m": SamplerSpec(sample_dpmpp_2m),
    "dpmpp_2m_cfg_pp": SamplerSpec(sample_dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": SamplerSpec(sample_dpmpp_2m_sde, "brownian"),
    "dpmpp_2m_sde_gpu": _on_device(sample_dpmpp_2m_sde),
    "dpmpp_2m_sde_heun": SamplerSpec(sample_dpmpp_2m_sde_heun, "brownian"),
    "dpmpp_2m_sde_heun_gpu": _on_device(sample_dpmpp_2m_sde_heun),
    "dpmpp_3m_sde": SamplerSpec(sample_dpmpp_3m_sde, "brownian"),
    "dpmpp_3m_sde_gpu": _on_device(sample_dpmpp_3m_sde),
    "ddpm": SamplerSpec(sample_ddpm, "ancestral"),
    "lcm": SamplerSpec(sample_lcm, "ancestral"),
    "ipndm": SamplerSpec(sample_ipndm),
    "ipndm_v": SamplerSpec(sample_ipndm_v),
    "deis": SamplerSpec(sample_deis),
    "res_multistep": SamplerSpec(sample_res_multistep),
    "res_multistep_cfg_pp": SamplerSpec(sample_res_multistep_cfg_pp),
    "res_multistep_ancestral": SamplerSpec(sample_res_multistep_ancestral, "ancestral"),
    "res_multistep_ancestral_cfg_pp": SamplerSpec(sample_res_multistep_ancestral_cfg_pp, "ancestral"),
    "gradient_estimation": SamplerSpec(sample_gradient_estimation),
    "gradient_estimation_cfg_pp": SamplerSpec(sample_gradient_estimation_cfg_pp),
    "er_sde": SamplerSpec(sample_er_sde, "ancestral"),
    "seeds_2": SamplerSpec(sample_seeds_2, "ancestral", evaluations=2),
    "seeds_3": SamplerSpec(sample_seeds_3, "ancestral", evaluations=3),
    "sa_solver": SamplerSpec(sample_sa_solver, "ancestral"),
    "sa_solver_pece": SamplerSpec(sample_sa_solver_pece, "ancestral", evaluations=2),
    "ddim": SamplerSpec(sample_ddim),
    "uni_pc": SamplerSpec(sample_uni_pc),
    "uni_pc_bh2": SamplerSpec(sample_uni_pc_bh2),
}

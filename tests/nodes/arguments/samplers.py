"""Arguments to try the nodes with that make samplers, schedules and noise."""

from __future__ import annotations

import torch

from tests.nodes.arguments import Arguments

SIGMAS = torch.tensor([14.6146, 4.0, 1.5, 0.5, 0.0])

ARGUMENTS: Arguments = {
    "AlignYourStepsScheduler": lambda tiny: {"model_type": "SDXL", "steps": 7, "denoise": 0.8},
    "BasicScheduler": lambda tiny: {"model": tiny.checkpoint.MODEL, "scheduler": "beta", "steps": 6, "denoise": 0.5},
    "BetaSamplingScheduler": lambda tiny: {"model": tiny.checkpoint.MODEL, "steps": 6, "alpha": 0.5, "beta": 0.7},
    "DisableNoise": lambda tiny: {},
    "ExponentialScheduler": lambda tiny: {"steps": 6},
    "ExtendIntermediateSigmas": lambda tiny: {"sigmas": SIGMAS.clone(), "end_at_sigma": 1.0, "spacing": "cosine"},
    "FlipSigmas": lambda tiny: {"sigmas": SIGMAS.clone()},
    "KSamplerSelect": lambda tiny: {"sampler_name": "seeds_3"},
    "KarrasScheduler": lambda tiny: {"steps": 6},
    "LaplaceScheduler": lambda tiny: {"steps": 6, "mu": 0.2},
    "PolyexponentialScheduler": lambda tiny: {"steps": 6, "rho": 1.4},
    "RandomNoise": lambda tiny: {"noise_seed": 2**64 - 1},
    "SDTurboScheduler": lambda tiny: {"model": tiny.checkpoint.MODEL, "steps": 2, "denoise": 0.7},
    "SamplerDPMAdaptative": lambda tiny: {"order": 2, "eta": 0.5},
    "SamplerDPMPP_2M_SDE": lambda tiny: {"solver_type": "heun", "noise_device": "cpu"},
    "SamplerDPMPP_2S_Ancestral": lambda tiny: {"eta": 0.5},
    "SamplerDPMPP_3M_SDE": lambda tiny: {"s_noise": 0.9},
    "SamplerDPMPP_SDE": lambda tiny: {"r": 0.4},
    "SamplerER_SDE": lambda tiny: {"solver_type": "Reverse-time SDE", "max_stage": 2},
    "SamplerEulerAncestral": lambda tiny: {"eta": 0.3},
    "SamplerEulerAncestralCFGPP": lambda tiny: {"eta": 0.3},
    "SamplerLMS": lambda tiny: {"order": 3},
    "SamplerSASolver": lambda tiny: {"model": tiny.checkpoint.MODEL, "use_pece": True, "simple_order_2": False},
    "SamplingPercentToSigma": lambda tiny: {"model": tiny.checkpoint.MODEL, "sampling_percent": 0.3},
    "SetFirstSigma": lambda tiny: {"sigmas": SIGMAS.clone(), "sigma": 20.0},
    "SplitSigmas": lambda tiny: {"sigmas": SIGMAS.clone(), "step": 2},
    "SplitSigmasDenoise": lambda tiny: {"sigmas": SIGMAS.clone(), "denoise": 0.5},
    "VPScheduler": lambda tiny: {"steps": 6},
}

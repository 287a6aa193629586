"""What a model handle says about noise: the levels it was trained on, and what its network predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from nodegraph.sockets import Model

if TYPE_CHECKING:
    from nodes.diffusion.denoiser import Prediction
    from nodes.diffusion.sigmas import ModelSigmas


def sigmas_of(model: Model) -> ModelSigmas:
    """The noise levels a model was trained on, or those that a ModelSampling node gave it."""
    import torch

    from nodes.diffusion import sigmas

    clock = model.option("clock", "steps")
    if clock in ("edm", "v"):
        ends = float(model.option("sigma_min", 0.002)), float(model.option("sigma_max", 120.0))
        table = sigmas.log_table(*ends) if clock == "edm" else sigmas.angle_table(*ends)
        return sigmas.ModelSigmas.from_table(table, cast(sigmas.Clock, clock))
    steps = int(model.option("steps", 1000))
    start, end = float(model.option("beta_start", 0.00085)), float(model.option("beta_end", 0.012))
    if model.option("beta_schedule", "scaled_linear") == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
    else:
        betas = sigmas.scaled_linear_betas(steps, start, end)
    alphas_cumprod = torch.cumprod(1 - betas, dim=0)
    if model.option("zsnr", False):
        alphas_cumprod = sigmas.without_signal(alphas_cumprod)
    levels = sigmas.ModelSigmas.from_table(sigmas.sigma_table(alphas_cumprod=alphas_cumprod))
    return levels.distilled() if model.option("prediction", "") == "lcm" else levels


def prediction_of(model: Model) -> Prediction:
    """What the model's network predicts."""
    from nodes.diffusion.denoiser import PREDICTIONS

    named = str(model.option("prediction", "epsilon"))
    return cast("Prediction", named if named in PREDICTIONS else "epsilon")

"""What a model was trained to do with noise, for models that say nothing of it or were trained otherwise."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Model

Level = Annotated[float, Range(0, 1000, step=0.001)]
#: What the names of ModelSamplingDiscrete mean to the denoiser.
PREDICTIONS = {"eps": "epsilon", "x0": "sample"}


@node(category="advanced/model", light=True, numeric=False)
def ModelSamplingDiscrete(
    model: Model,
    sampling: Annotated[
        Literal["eps", "v_prediction", "lcm", "x0", "img_to_img"], Help("what the model was trained to predict")
    ] = "eps",
    zsnr: Annotated[bool, Help("for models that were trained from pure noise (zero terminal SNR)")] = False,
) -> Model:
    """Say what a model predicts: the noise, v, the noise of a latent consistency model, or the picture."""
    prediction = PREDICTIONS.get(sampling, sampling)
    return model.with_options(prediction=prediction, zsnr=zsnr, clock="steps", sigma_data=1.0)


@node(category="advanced/model", light=True, numeric=False)
def ModelSamplingContinuousEDM(
    model: Model,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps"] = "v_prediction",
    sigma_max: Level = 120.0,
    sigma_min: Level = 0.002,
) -> Model:
    """Say that a model was trained at every noise level between two, and is told a quarter of its logarithm."""
    _check_levels(sigma_min, sigma_max)
    deviation = 0.5 if sampling == "edm_playground_v2.5" else 1.0
    prediction = "edm" if sampling.startswith("edm") else PREDICTIONS.get(sampling, sampling)
    return model.with_options(
        prediction=prediction, clock="edm", sigma_min=sigma_min, sigma_max=sigma_max, sigma_data=deviation, zsnr=False
    )


@node(category="advanced/model", light=True, numeric=False)
def ModelSamplingContinuousV(
    model: Model,
    sampling: Literal["v_prediction"] = "v_prediction",
    sigma_max: Level = 500.0,
    sigma_min: Level = 0.03,
) -> Model:
    """Say that a model predicts v and was trained at every noise level between two, told as an angle."""
    _check_levels(sigma_min, sigma_max)
    return model.with_options(
        prediction=sampling, clock="v", sigma_min=sigma_min, sigma_max=sigma_max, sigma_data=1.0, zsnr=False
    )


@node(category="advanced/debug/model", light=True, numeric=False)
def ModelComputeDtype(model: Model, dtype: Literal["default", "fp32", "fp16", "bf16"] = "default") -> Model:
    """Run a model in a number format of its own; `default` is the one that is chosen for all."""
    return model.with_options(compute_dtype=dtype)


def _check_levels(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=f"noise levels from {sigma_min} to {sigma_max} are no range",
                input="sigma_min",
                got=str(sigma_min),
                expected="above 0 and below sigma_max",
            )
        )

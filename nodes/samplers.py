"""Samplers as values: a name, and settings that go with it."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Model, Sampler
from nodes.models import sigmas_of
from nodes.sampler_names import SamplerName

CATEGORY = "sampling/custom_sampling/samplers"
NoiseDevice = Annotated[
    Literal["gpu", "cpu"], Help("where noise is drawn: cpu draws the same picture on every device, gpu is faster")
]
Eta = Annotated[float, Range(0, 100, step=0.01), Help("share of fresh noise in each step; 0 adds none")]
NoiseScale = Annotated[float, Range(0, 100, step=0.01), Help("amplitude of the fresh noise; 1 is what fits")]
Coefficient = Annotated[float, Range(0, 100, step=0.01)]


@node(category=CATEGORY, light=True, numeric=False)
def KSamplerSelect(sampler_name: SamplerName = "euler") -> Sampler:
    """A sampler by its name, with its usual settings."""
    return Sampler(sampler_name)


@node(category=CATEGORY, light=True, numeric=False)
def SamplerEulerAncestral(eta: Eta = 1.0, s_noise: NoiseScale = 1.0) -> Sampler:
    """Euler steps with fresh noise after each."""
    return Sampler("euler_ancestral", (("eta", eta), ("s_noise", s_noise)))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerEulerAncestralCFGPP(
    eta: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
    s_noise: Annotated[float, Range(0, 10, step=0.01)] = 1.0,
) -> Sampler:
    """Euler steps with CFG++ guidance and fresh noise after each; wants a cfg of about 1 to 2."""
    return Sampler("euler_ancestral_cfg_pp", (("eta", eta), ("s_noise", s_noise)))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerLMS(
    order: Annotated[int, Range(1, 100), Help("steps that are looked back upon; more than 5 are unstable")] = 4,
) -> Sampler:
    """A linear multistep method: the slope is extrapolated through the last steps."""
    return Sampler("lms", (("order", order),))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerDPMPP_3M_SDE(eta: Eta = 1.0, s_noise: NoiseScale = 1.0, noise_device: NoiseDevice = "gpu") -> Sampler:
    """DPM-Solver++ that looks back three steps, with fresh noise."""
    return Sampler(_on("dpmpp_3m_sde", noise_device), (("eta", eta), ("s_noise", s_noise)))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerDPMPP_2M_SDE(
    solver_type: Annotated[Literal["midpoint", "heun"], Help("how the slope between two steps enters")] = "midpoint",
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    noise_device: NoiseDevice = "gpu",
) -> Sampler:
    """DPM-Solver++ that looks back two steps, with fresh noise."""
    options = (("solver_type", solver_type), ("eta", eta), ("s_noise", s_noise))
    return Sampler(_on("dpmpp_2m_sde", noise_device), options)


@node(category=CATEGORY, light=True, numeric=False)
def SamplerDPMPP_SDE(
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    r: Annotated[float, Range(0, 100, step=0.01), Help("where the second evaluation lies; above 0, at most 1")] = 0.5,
    noise_device: NoiseDevice = "gpu",
) -> Sampler:
    """DPM-Solver++ with two evaluations a step, and fresh noise."""
    if not 0 < r <= 1:
        raise _refused("r", r, "above 0, at most 1", "0.5 evaluates the model half way")
    return Sampler(_on("dpmpp_sde", noise_device), (("eta", eta), ("s_noise", s_noise), ("r", r)))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerDPMPP_2S_Ancestral(eta: Eta = 1.0, s_noise: NoiseScale = 1.0) -> Sampler:
    """DPM-Solver++ with two evaluations a step, and fresh noise after each."""
    return Sampler("dpmpp_2s_ancestral", (("eta", eta), ("s_noise", s_noise)))


@node(category=CATEGORY, light=True, numeric=False)
def SamplerDPMAdaptative(
    order: Annotated[int, Range(2, 3)] = 3,
    rtol: Annotated[float, Range(0, 100, step=0.01), Help("error that a step may make, relative to the latent")] = 0.05,
    atol: Annotated[float, Range(0, 100, step=0.01), Help("error that a step may make in any case")] = 0.0078,
    h_init: Annotated[float, Range(0, 100, step=0.01), Help("length of the first step in log sigma")] = 0.05,
    pcoeff: Coefficient = 0.0,
    icoeff: Coefficient = 1.0,
    dcoeff: Coefficient = 0.0,
    accept_safety: Coefficient = 0.81,
    eta: Eta = 0.0,
    s_noise: NoiseScale = 1.0,
) -> Sampler:
    """DPM-Solver with steps as long as its own error allows; of a schedule only the first and last level count."""
    if rtol == 0 and atol == 0:
        raise _refused("atol", atol, "above 0 where rtol is 0", "steps without any error do not end")
    if h_init == 0:
        raise _refused("h_init", h_init, "above 0", "0.05 is the usual first step")
    options = (
        ("order", order), ("rtol", rtol), ("atol", atol), ("h_init", h_init), ("pcoeff", pcoeff), ("icoeff", icoeff),
        ("dcoeff", dcoeff), ("accept_safety", accept_safety), ("eta", eta), ("s_noise", s_noise),
    )  # fmt: skip
    return Sampler("dpm_adaptive", options)


@node(category=CATEGORY, light=True, numeric=False)
def SamplerER_SDE(
    solver_type: Literal["ER-SDE", "Reverse-time SDE", "ODE"] = "ER-SDE",
    max_stage: Annotated[int, Range(1, 3)] = 3,
    eta: Annotated[
        float, Range(0, 100, step=0.01), Help("strength of the reverse-time SDE; the other types have none")
    ] = 1.0,
    s_noise: NoiseScale = 1.0,
) -> Sampler:
    """Extended reverse-time SDE solver of up to three stages."""
    options = (("solver_type", solver_type), ("max_stage", max_stage), ("eta", eta), ("s_noise", s_noise))
    return Sampler("er_sde", options)


@node(category=CATEGORY)
def SamplerSASolver(
    model: Model,
    eta: Annotated[float, Range(0, 10, step=0.01), Help("strength of the fresh noise")] = 1.0,
    sde_start_percent: Annotated[
        float, Range(0, 1, step=0.001), Help("fresh noise is added from here; 0 is pure noise")
    ] = 0.2,
    sde_end_percent: Annotated[float, Range(0, 1, step=0.001), Help("… to here; 1 is the finished picture")] = 0.8,
    s_noise: NoiseScale = 1.0,
    predictor_order: Annotated[int, Range(1, 6)] = 3,
    corrector_order: Annotated[int, Range(0, 6), Help("0 leaves the corrector out")] = 4,
    use_pece: Annotated[bool, Help("evaluate the model again after correcting, at twice the cost")] = False,
    simple_order_2: Annotated[bool, Help("simpler weights where the order is 2, for few steps")] = False,
) -> Sampler:
    """Stochastic Adams solver: predicts and corrects by the last steps, with fresh noise in a part of the way."""
    sigmas = sigmas_of(model)
    options = (
        ("eta", eta),
        ("sde_start_sigma", sigmas.percent_to_sigma(sde_start_percent)),
        ("sde_end_sigma", sigmas.percent_to_sigma(sde_end_percent)),
        ("s_noise", s_noise),
        ("predictor_order", predictor_order),
        ("corrector_order", corrector_order),
        ("simple_order_2", simple_order_2),
    )
    return Sampler("sa_solver_pece" if use_pece else "sa_solver", options)


def _on(name: str, noise_device: str) -> str:
    return f"{name}_gpu" if noise_device == "gpu" else name


def _refused(name: str, got: float, expected: str, hint: str) -> ProblemError:
    message = f"{name} is {got}, which no sampler can work with"
    return ProblemError(
        Problem(code="bad_value", message=message, input=name, got=str(got), expected=expected, hint=hint)
    )

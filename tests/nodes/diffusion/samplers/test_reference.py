"""The same numbers as other programs: ComfyUI's recorded steps, diffusers' schedulers side by side."""

import math
from itertools import pairwise

import pytest
import torch

from nodes.diffusion.noise import ancestral_noise, brownian_noise, generator, initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers.uni_pc import LAST_SIGMA
from nodes.diffusion.schedules import karras, schedule
from tests.nodes.diffusion.gaussian_mixture import denoise

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(("sampler", "scheduler"), [("euler", "normal"), ("dpmpp_2m", "karras")])
def test_recorded_steps_are_replayed(sampler, scheduler, reference, sd_sigmas):
    """Given the recorded denoised pictures, the sampler visits the recorded latents, the last included."""
    recorded = {key: reference[f"steps/{sampler}_{scheduler}/{key}"] for key in ("x", "denoised", "final")}
    sigmas = schedule(scheduler, sd_sigmas, 4)
    visited = []

    def model(x, sigma):
        visited.append(x)
        return recorded["denoised"][len(visited) - 1]

    noise = initial_noise(42, (1, 4, 16, 16))[..., :4, :4]
    x = noise * math.sqrt(1 + float(sigmas[0]) ** 2)
    found = SAMPLERS[sampler].function(model, x, sigmas)
    torch.testing.assert_close(torch.stack(visited), recorded["x"], rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(found / 0.18215, recorded["final"], rtol=1e-6, atol=1e-5)


def start(sigmas):
    return torch.randn(64, 4, generator=generator(1)) * float(sigmas[0])


def run_diffusers(scheduler, sigmas, noises=None):
    """Drive a scheduler of diffusers (of latents scaled by 1 / sqrt(1 + sigma^2)) through our sigmas."""
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1)
    scale = (1 + sigmas.double() ** 2).sqrt().tolist()
    x = start(sigmas) / scale[0]
    for i, t in enumerate(scheduler.timesteps):
        denoised = denoise(x * scale[i], sigmas[i].expand(len(x)))
        more = {} if noises is None else {"variance_noise": noises[i]}
        x = scheduler.step(denoised, t, x, return_dict=False, **more)[0]
    return x * scale[-1]


# diffusers' own: it hands torch tensors to numpy in a way that numpy 2 warns about.
ignore_numpy_warning = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@ignore_numpy_warning
@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 12])
def test_uni_pc_agrees_with_diffusers(variant, steps, sd_sigmas):
    from diffusers import UniPCMultistepScheduler

    sigmas = karras(sd_sigmas, steps)
    theirs = sigmas.clone()
    theirs[-1] = LAST_SIGMA
    order = max(1, min(3, steps - 1))
    scheduler = UniPCMultistepScheduler(
        **BETAS, solver_order=order, solver_type=variant, prediction_type="sample", predict_x0=True
    )
    found = SAMPLERS["uni_pc" if variant == "bh1" else "uni_pc_bh2"].function(denoise, start(sigmas), sigmas)
    torch.testing.assert_close(found, run_diffusers(scheduler, theirs), rtol=1e-4, atol=1e-4)


@ignore_numpy_warning
@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_multistep_dpmpp_agrees_with_diffusers(name, sd_sigmas):
    from diffusers import DPMSolverMultistepScheduler

    sigmas = karras(sd_sigmas, 12)
    levels = sigmas.tolist()
    stochastic = name == "dpmpp_2m_sde"
    noise = brownian_noise(start(sigmas), levels[-2], levels[0], seed=3)
    noises = [noise(a, b) for a, b in pairwise(levels[:-1])] + [torch.zeros(())] if stochastic else None
    scheduler = DPMSolverMultistepScheduler(
        **BETAS,
        solver_order=2,
        algorithm_type="sde-dpmsolver++" if stochastic else "dpmsolver++",
        prediction_type="sample",
        final_sigmas_type="zero",
    )
    found = SAMPLERS[name].function(denoise, start(sigmas), sigmas, noise=noise)
    torch.testing.assert_close(found, run_diffusers(scheduler, sigmas, noises), rtol=1e-4, atol=1e-4)


def test_ddim_gives_eulers_latents(sd_sigmas):
    sigmas = schedule("normal", sd_sigmas, 10)
    one, two = (SAMPLERS[name].function(denoise, start(sigmas), sigmas) for name in ("ddim", "euler"))
    assert torch.equal(one, two)


def test_ddpm_is_the_ancestral_sampler_written_in_other_coordinates(sd_sigmas):
    """Ho et al.'s posterior and Song et al.'s eta = 1 are one: with the same draws, the same picture."""
    sigmas = schedule("normal", sd_sigmas, 10)
    x = start(sigmas)
    one, two = (
        SAMPLERS[name].function(denoise, x, sigmas, noise=ancestral_noise(4, x)) for name in ("ddpm", "euler_ancestral")
    )
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@ignore_numpy_warning
@pytest.mark.parametrize(("predictor", "corrector"), [(1, 1), (2, 2), (2, 3), (3, 4)])
@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_sa_solver_agrees_with_diffusers(predictor, corrector, tau, sd_sigmas):
    """diffusers always uses the simpler weights of order 2; its last step ends above 0, as this schedule does."""
    from diffusers import SASolverScheduler

    sigmas = karras(sd_sigmas, 9)[:-1].double()
    x = torch.randn(16, 4, generator=generator(1), dtype=torch.float64) * float(sigmas[0])
    scheduler = SASolverScheduler(
        **BETAS,
        predictor_order=predictor,
        corrector_order=corrector,
        prediction_type="sample",
        tau_func=lambda t: tau,
        algorithm_type="data_prediction",
        lower_order_final=False,
    )
    scheduler.set_timesteps(len(sigmas) - 1)
    scheduler.sigmas = sigmas
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1)
    noises = ancestral_noise(7, x)
    rng = generator(7)
    scale = (1 + sigmas**2).sqrt().tolist()
    theirs = x / scale[0]
    for i, t in enumerate(scheduler.timesteps):
        denoised = denoise(theirs * scale[i], sigmas[i].expand(len(x)))
        theirs = scheduler.step(denoised, int(t), theirs, generator=rng, return_dict=False)[0]
    found = SAMPLERS["sa_solver"].function(
        denoise, x, sigmas, noise=noises if tau else None, eta=tau, sde_start_sigma=math.inf, sde_end_sigma=0.0,
        predictor_order=predictor, corrector_order=corrector, simple_order_2=True,
    )  # fmt: skip
    torch.testing.assert_close(found, theirs * scale[-1], rtol=1e-6, atol=1e-6)


def test_ipndm_agrees_with_diffusers(sd_sigmas):
    """diffusers asks for v = (eps - sigma D) / sqrt(1 + sigma^2), and has no step into 0."""
    from diffusers import IPNDMScheduler

    sigmas = karras(sd_sigmas, 9)[:-1].double()
    x = torch.randn(16, 4, generator=generator(1), dtype=torch.float64) * float(sigmas[0])
    scheduler = IPNDMScheduler()
    scheduler.set_timesteps(len(sigmas) - 1)
    scale = (1 + sigmas**2).sqrt()
    scheduler.alphas, scheduler.betas = 1 / scale, sigmas / scale
    scheduler.timesteps = torch.arange(len(sigmas) - 1, 0, -1)
    theirs = x / scale[0]
    for i, t in enumerate(scheduler.timesteps):
        denoised = denoise(theirs * scale[i], sigmas[i].expand(len(x)))
        eps = (theirs * scale[i] - denoised) / sigmas[i]
        theirs = scheduler.step((eps - sigmas[i] * denoised) / scale[i], t, theirs, return_dict=False)[0]
    found = SAMPLERS["ipndm"].function(denoise, x, sigmas)
    torch.testing.assert_close(found, theirs * scale[-1], rtol=1e-6, atol=1e-6)

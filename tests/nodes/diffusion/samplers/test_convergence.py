"""The deterministic samplers, and the stochastic ones without noise, solve the ODE at their order."""

import math

import pytest
import torch

from nodes.diffusion.noise import generator
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers.lms import adams_bashforth
from nodes.diffusion.schedules import karras
from nodes.diffusion.sigmas import ModelSigmas
from tests.nodes.diffusion.gaussian_mixture import denoise

# What is measured between 32 and 128 steps, less a margin of about 0.1.
ORDERS = {
    "euler": 0.9,
    "euler_cfg_pp": 0.9,
    "euler_ancestral": 0.9,
    "euler_ancestral_cfg_pp": 0.9,
    "heun": 1.9,
    "heunpp2": 0.9,
    "dpm_2": 1.9,
    "dpm_2_ancestral": 1.9,
    "lms": 3.2,
    "dpm_fast": 2.9,
    "dpmpp_2s_ancestral": 1.85,
    "dpmpp_2s_ancestral_cfg_pp": 1.85,
    "dpmpp_sde": 1.85,
    "dpmpp_sde_gpu": 1.85,
    "dpmpp_2m": 1.9,
    "dpmpp_2m_cfg_pp": 1.9,
    "dpmpp_2m_sde": 1.9,
    "dpmpp_2m_sde_gpu": 1.9,
    "dpmpp_2m_sde_heun": 1.9,
    "dpmpp_2m_sde_heun_gpu": 1.9,
    "dpmpp_3m_sde": 1.85,
    "dpmpp_3m_sde_gpu": 1.85,
    "ipndm": 1.85,
    "ipndm_v": 3.2,
    "deis": 2.6,
    "res_multistep": 1.9,
    "res_multistep_cfg_pp": 1.9,
    "res_multistep_ancestral": 1.9,
    "res_multistep_ancestral_cfg_pp": 1.9,
    "gradient_estimation": 0.75,
    "gradient_estimation_cfg_pp": 0.75,
    "er_sde": 1.9,
    "seeds_2": 1.85,
    "seeds_3": 2.75,
    "sa_solver": 3.2,
    "sa_solver_pece": 3.2,
    "ddim": 0.9,
    "uni_pc": 2.2,
    "uni_pc_bh2": 2.3,
}
NO_ODE = {"ddpm", "lcm"}
SD = ModelSigmas.stable_diffusion()


def solve(name, steps, **options):
    """64 end points of the sampler at sigma_min, in float64, no noise added on the way."""
    x = torch.randn(64, 4, generator=generator(1), dtype=torch.float64) * SD.sigma_max
    sigmas = karras(SD, steps + 1)[:-1].double()
    if name == "er_sde":
        options = {"solver_type": "ODE"} | options
    elif SAMPLERS[name].noise_kind != "none":
        options = {"eta": 0.0} | options
    return SAMPLERS[name].function(denoise, x, sigmas, noise=None, **options)


@pytest.fixture(scope="module")
def exact():
    """Heun's end points, with the error of order 2 taken away."""
    return (4 * solve("heun", 2000) - solve("heun", 1000)) / 3


def error(found, exact):
    """The median, since the few paths that pass close to a watershed between modes converge late."""
    return float((found - exact).norm(dim=1).median())


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name, exact):
    order = math.log2(error(solve(name, 32), exact) / error(solve(name, 128), exact)) / 2
    assert order >= ORDERS[name]


def test_every_sampler_with_an_ode_behind_it_is_tested():
    assert set(SAMPLERS) - set(ORDERS) == NO_ODE | {"dpm_adaptive"}


@pytest.mark.parametrize("order", [2, 3])
def test_adaptive_steps_err_as_little_as_is_allowed(order, exact):
    errors = [error(solve("dpm_adaptive", 1, order=order, rtol=t, atol=t), exact) for t in (1e-2, 1e-3, 1e-4)]
    assert errors[0] < 0.02
    assert all(later < earlier / 2 for earlier, later in zip(errors, errors[1:], strict=False))


@pytest.mark.parametrize(("name", "options", "least"), [
    ("er_sde", {"max_stage": 1}, 0.9),
    ("sa_solver", {"predictor_order": 1, "corrector_order": 0}, 0.9),
    ("sa_solver", {"predictor_order": 2, "corrector_order": 0}, 1.8),
    ("sa_solver", {"predictor_order": 2, "corrector_order": 2, "simple_order_2": True}, 1.8),
    ("sa_solver", {"predictor_order": 3, "corrector_order": 0}, 2.6),
    ("dpmpp_sde", {"r": 0.3}, 1.85),
    ("seeds_2", {"r": 1.0}, 1.85),
    ("deis", {"order": 2}, 1.85),
    ("ipndm_v", {"order": 1}, 0.9),
    ("lms", {"order": 5}, 3.2),
])  # fmt: skip
def test_orders_of_other_settings(name, options, least, exact):
    assert math.log2(error(solve(name, 32, **options), exact) / error(solve(name, 128, **options), exact)) / 2 >= least


def test_higher_order_pays_at_equal_cost(exact):
    """At 32 evaluations each, every second order method beats Euler by far, and UniPC beats them."""
    euler, multistep, uni_pc = (error(solve(name, 32), exact) for name in ("euler", "dpmpp_2m", "uni_pc"))
    heun = error(solve("heun", 16), exact)
    assert heun < euler / 2
    assert multistep < heun
    assert uni_pc < multistep / 5


@pytest.mark.parametrize("points", [1, 2, 3, 4, 6])
def test_adams_bashforth_integrates_polynomials_exactly(points):
    nodes = [3.0, 3.4, 4.1, 5.0, 5.3, 7.0][:points]
    weights = adams_bashforth(nodes, 3.0, 2.2)
    for degree in range(points):
        exact = (2.2 ** (degree + 1) - 3.0 ** (degree + 1)) / (degree + 1)
        assert sum(w * t**degree for w, t in zip(weights, nodes, strict=True)) == pytest.approx(exact)

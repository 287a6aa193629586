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
    "ddim": 0.9,
    "heun": 1.9,
    "dpm_2": 1.9,
    "dpmpp_2m": 1.9,
    "lms": 3.2,
    "uni_pc": 2.2,
    "uni_pc_bh2": 2.3,
    "euler_ancestral": 0.9,
    "dpm_2_ancestral": 1.9,
    "dpmpp_2s_ancestral": 1.85,
    "dpmpp_sde": 1.85,
    "dpmpp_2m_sde": 1.9,
    "dpmpp_3m_sde": 1.85,
}
SD = ModelSigmas.stable_diffusion()


def solve(name, steps):
    """64 end points of the sampler at sigma_min, in float64, no noise added on the way."""
    x = torch.randn(64, 4, generator=generator(1), dtype=torch.float64) * SD.sigma_max
    sigmas = karras(SD, steps + 1)[:-1].double()
    options = {} if SAMPLERS[name].noise_kind == "none" else {"eta": 0.0}
    return SAMPLERS[name].function(denoise, x, sigmas, noise=None, **options)


@pytest.fixture(scope="module")
def exact():
    return solve("heun", 2000)


def error(found, exact):
    """The median, since the few paths that pass close to a watershed between modes converge late."""
    return float((found - exact).norm(dim=1).median())


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name, exact):
    order = math.log2(error(solve(name, 32), exact) / error(solve(name, 128), exact)) / 2
    assert order >= ORDERS[name]


def test_every_sampler_with_an_ode_behind_it_is_tested():
    assert set(SAMPLERS) - set(ORDERS) == {"ddpm", "lcm"}  # these always draw noise


def test_higher_order_pays_at_equal_cost(exact):
    """At 32 evaluations each, every second order method beats Euler by far, and UniPC beats them."""
    euler, multistep, uni_pc = (error(solve(name, 32), exact) for name in ("euler", "dpmpp_2m", "uni_pc"))
    heun = error(solve("heun", 16), exact)
    assert heun < euler / 2
    assert multistep < heun
    assert uni_pc < multistep / 5


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_adams_bashforth_integrates_polynomials_exactly(points):
    nodes = [3.0, 3.4, 4.1, 5.0][:points]
    weights = adams_bashforth(nodes, 3.0, 2.2)
    for degree in range(points):
        exact = (2.2 ** (degree + 1) - 3.0 ** (degree + 1)) / (degree + 1)
        assert sum(w * t**degree for w, t in zip(weights, nodes, strict=True)) == pytest.approx(exact)

"""Samplers that must agree with one another, and weights that are known in closed form."""

import math

import pytest
import torch

from nodes.diffusion.noise import ancestral_noise, generator
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers.er_sde import _phi, step_weights
from nodes.diffusion.samplers.multistep import BETA_D, BETA_MIN, _sigma_slope, _time_of, tab_weights
from nodes.diffusion.samplers.sa_solver import SDE_END_SIGMA, SDE_START_SIGMA, adams_weights
from nodes.diffusion.schedules import karras
from tests.nodes.diffusion.gaussian_mixture import denoise


def run(name, sigmas, seed=4, **options):
    x = torch.randn(64, 4, generator=generator(1), dtype=torch.float64) * float(sigmas[0])
    noise = ancestral_noise(seed, x)
    return SAMPLERS[name].function(denoise, x, sigmas, noise=noise, **options)


@pytest.mark.parametrize(
    ("name", "options", "other", "other_options"),
    [
        ("ipndm_v", {}, "lms", {}),
        ("ipndm", {"order": 1}, "euler", {}),
        ("deis", {"order": 1}, "euler", {}),
        ("gradient_estimation", {"gamma": 1.0}, "euler", {}),
        ("seeds_2", {"eta": 0.0}, "dpmpp_2s_ancestral", {"eta": 0.0}),
        ("seeds_2", {"eta": 0.0, "r": 0.3}, "dpmpp_sde", {"eta": 0.0, "r": 0.3}),
        ("er_sde", {"max_stage": 1, "solver_type": "ODE"}, "euler", {}),
        ("er_sde", {"max_stage": 1, "solver_type": "Reverse-time SDE", "eta": 0.0}, "euler", {}),
        ("er_sde", {"max_stage": 1, "solver_type": "Reverse-time SDE"}, "ddpm", {}),
        ("sa_solver", {"eta": 0.0, "predictor_order": 1, "corrector_order": 0}, "euler", {}),
        ("sa_solver", {"predictor_order": 1, "corrector_order": 0, "sde_start_sigma": math.inf, "sde_end_sigma": 0.0},
         "ddpm", {}),
        ("sa_solver_pece", {"corrector_order": 0}, "sa_solver", {"corrector_order": 0}),
        ("res_multistep_ancestral", {"eta": 0.0}, "res_multistep", {}),
        ("res_multistep", {}, "dpmpp_2m_sde_heun", {"eta": 0.0}),
        ("dpmpp_2m_sde_heun", {}, "dpmpp_2m_sde", {"solver_type": "heun"}),
        ("dpmpp_2m_sde_gpu", {}, "dpmpp_2m_sde", {}),
        ("dpmpp_3m_sde_gpu", {}, "dpmpp_3m_sde", {}),
        ("dpmpp_sde", {"r": 0.4999999999}, "dpmpp_sde", {}),
    ],
)  # fmt: skip
def test_samplers_that_are_one(name, options, other, other_options, sd_sigmas):
    sigmas = karras(sd_sigmas, 10).double()
    one, two = run(name, sigmas, **options), run(other, sigmas, **other_options)
    torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


def test_heunpp2_weighs_slopes_ahead_by_the_noise_that_is_left():
    sigmas, x = torch.tensor([8.0, 4.0, 2.0]), torch.randn(3, 4, generator=generator(2)) * 8
    # Of slopes that follow from a denoised picture which stays at 0, each is x / sigma, and all of them are equal.
    still = SAMPLERS["heunpp2"].function(lambda x, sigma: torch.zeros_like(x), x, sigmas)
    torch.testing.assert_close(still, x / 4)

    # Of one that is 0 at first and x at lower levels, the slopes ahead are 0.
    def model(x, sigma):
        return torch.zeros_like(x) if sigma[0] == 8 else x

    found = SAMPLERS["heunpp2"].function(model, x, sigmas[:2])
    torch.testing.assert_close(found, x + (1 - 4 / 16) * x / 8 * (4 - 8))
    seen = []
    SAMPLERS["heunpp2"].function(model, x, sigmas, callback=seen.append)
    torch.testing.assert_close(seen[1].x, x + (1 - 4 / 24 - 2 / 24) * x / 8 * (4 - 8))


def test_er_sde_weights_in_closed_form():
    """phi = sigma (the ODE) and phi = sigma^2 (the reverse-time SDE) have integrals that can be written down."""
    high, low = 3.0, 0.7
    ode = step_weights(_phi("ODE", 1.0), high, low)
    assert ode.ratio == pytest.approx(low / high)
    assert ode.first == pytest.approx(low - high + low * math.log(high / low))
    assert ode.second == pytest.approx((low - high) ** 2 / 2 + low * (high - low - high * math.log(high / low)))
    assert ode.noise == pytest.approx(0, abs=1e-7)
    sde = step_weights(_phi("Reverse-time SDE", 1.0), high, low)
    assert sde.ratio == pytest.approx((low / high) ** 2)
    assert sde.first == pytest.approx(low - high + low**2 * (1 / low - 1 / high))
    assert sde.second == pytest.approx(
        (low - high) ** 2 / 2 + low**2 * (math.log(high / low) - high * (1 / low - 1 / high))
    )
    assert sde.noise == pytest.approx(math.sqrt(low**2 - low**4 / high**2))


@pytest.mark.parametrize("rate", [1.0, 2.0, 101.0])
@pytest.mark.parametrize("length", [0.01, 0.5, 6.0])
def test_adams_weights_integrate_polynomials_under_a_decay(rate, length):
    nodes = [0.0, -0.3, -1.0, length]
    weights = adams_weights(nodes, 0.0, length, rate)
    grown = rate * length
    assert sum(weights) == pytest.approx(-math.expm1(-grown), rel=1e-9)
    linear = sum(w * t for w, t in zip(weights, nodes, strict=True))
    assert linear == pytest.approx((grown + math.expm1(-grown)) / rate, rel=1e-7, abs=1e-12)


def test_deis_weights_are_those_of_the_papers_integral():
    """By brute force: eps is linear in the time of the SDE, and summed over sigma."""
    nodes, end = [2.0, 3.0], 0.8
    t = torch.linspace(_time_of(2.0), _time_of(end), 200_001, dtype=torch.float64)
    sigma = (BETA_D * t**2 / 2 + BETA_MIN * t).expm1().sqrt()
    share = (t - _time_of(3.0)) / (_time_of(2.0) - _time_of(3.0))
    expected = [float(torch.trapezoid(share, sigma)), float(torch.trapezoid(1 - share, sigma))]
    assert tab_weights(nodes, end) == pytest.approx(expected, rel=1e-6)
    assert sum(tab_weights([2.0, 3.0, 5.0], end)) == pytest.approx(end - 2.0)


@pytest.mark.parametrize("sigma", [0.002, 0.03, 1.0, 14.6, 80.0])
def test_the_time_of_a_noise_level(sigma):
    t = _time_of(sigma)
    assert math.sqrt(math.expm1(BETA_D * t**2 / 2 + BETA_MIN * t)) == pytest.approx(sigma)
    step = 1e-6
    slope = (math.sqrt(math.expm1(BETA_D * (t + step) ** 2 / 2 + BETA_MIN * (t + step))) - sigma) / step
    assert _sigma_slope(t) == pytest.approx(slope, rel=2e-2)
    assert {0.002: 1e-3, 80.0: 1.0}.get(sigma, t) == pytest.approx(t)


def test_sa_solver_is_stochastic_from_20_to_80_percent_of_the_way(sd_sigmas):
    assert sd_sigmas.percent_to_sigma(0.2) == pytest.approx(SDE_START_SIGMA)
    assert sd_sigmas.percent_to_sigma(0.8) == pytest.approx(SDE_END_SIGMA)
    drawn = []

    def noise(sigma, sigma_next):
        drawn.append(sigma_next)
        return torch.zeros(1, 1)

    sigmas = karras(sd_sigmas, 20)
    x = torch.randn(4, 4, generator=generator(1)) * 14.6
    SAMPLERS["sa_solver"].function(denoise, x, sigmas, noise=noise)
    assert drawn == [level for level in sigmas[1:].tolist() if SDE_END_SIGMA <= level <= SDE_START_SIGMA]

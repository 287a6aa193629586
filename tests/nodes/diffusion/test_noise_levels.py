"""Sigma tables and predictions of models that were trained otherwise than Stable Diffusion 1."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.denoiser import unet_denoiser
from nodes.diffusion.noise import generator
from nodes.diffusion.schedules import SCHEDULES, schedule
from nodes.diffusion.sigmas import (
    ModelSigmas,
    angle_table,
    log_table,
    scaled_linear_betas,
    sigma_table,
    without_signal,
)

SD = ModelSigmas.stable_diffusion()
SIGNAL = torch.cumprod(1 - scaled_linear_betas(), dim=0)
ZERO = ModelSigmas.from_table(sigma_table(alphas_cumprod=without_signal(SIGNAL)))
EDM = ModelSigmas.from_table(log_table(0.002, 120.0), "edm")
ANGLE = ModelSigmas.from_table(angle_table(0.03, 500.0), "v")
LCM = SD.distilled()


def test_stretched_to_no_signal_the_first_level_stays_and_the_last_is_almost_only_noise():
    from diffusers import EulerDiscreteScheduler

    assert ZERO.sigma_min == pytest.approx(SD.sigma_min, rel=1e-5)
    assert ZERO.sigma_max == pytest.approx(4096, rel=1e-4)
    assert math.isfinite(ZERO.sigma_max)
    theirs = EulerDiscreteScheduler(
        1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    ).alphas_cumprod.double()
    table = ((1 - theirs) / theirs).sqrt().float()
    torch.testing.assert_close(ZERO.table, table, rtol=5e-3, atol=0)
    assert (ZERO.table[1:] > ZERO.table[:-1]).all()


def test_a_distilled_model_knows_each_twentieth_level_and_is_told_its_step():
    assert len(LCM.table) == 50
    assert torch.equal(LCM.table, SD.table[19::20])
    assert LCM.timestep(LCM.table).tolist() == list(range(19, 1000, 20))
    assert LCM.percent_to_sigma(0.5) == pytest.approx(SD.percent_to_sigma(0.5), rel=0.02)
    assert float(schedule("sgm_uniform", LCM, 4)[0]) == pytest.approx(SD.sigma_max)


def test_continuous_models_are_told_the_logarithm_or_an_angle():
    sigma = torch.tensor([0.05, 1.0, 80.0])
    torch.testing.assert_close(EDM.timestep(sigma), sigma.log() / 4)
    torch.testing.assert_close(ANGLE.timestep(sigma), sigma.atan() / (math.pi / 2))
    assert (EDM.sigma_min, EDM.sigma_max) == pytest.approx((0.002, 120.0))
    assert (ANGLE.sigma_min, ANGLE.sigma_max) == pytest.approx((0.03, 500.0))
    assert EDM.to("cpu").clock == "edm"


@pytest.mark.parametrize("levels", [ZERO, EDM, ANGLE, LCM], ids=["zero", "edm", "angle", "lcm"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_down_through_the_levels_that_a_model_knows(levels, name):
    sigmas = schedule(name, levels, 10)
    assert torch.isfinite(sigmas).all()
    assert (sigmas[1:] < sigmas[:-1]).all()
    assert sigmas[-1] == 0
    assert sigmas[0] <= levels.sigma_max * 1.0001


@given(st.floats(0.001, 0.999))
def test_percents_run_down_the_levels(percent):
    for levels in (ZERO, EDM, ANGLE, LCM):
        sigma = levels.percent_to_sigma(percent)
        assert levels.sigma_min <= sigma * 1.0001
        assert sigma <= levels.sigma_max * 1.0001
        assert levels.percent_to_sigma(min(1, percent + 0.05)) <= sigma


class Oracle(torch.nn.Module):
    """Gives what it is told to, and remembers what it was shown."""

    def __init__(self, truth):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.truth, self.shown = truth, []

    def forward(self, sample, timestep, encoder_hidden_states, return_dict):
        self.shown.append((sample, timestep))
        return (self.truth,)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


PICTURE, NOISE = randn(3, 4, 8, 8, seed=1), randn(3, 4, 8, 8, seed=2)
SIGMA = torch.tensor([0.05, 1.0, 14.0])
S = SIGMA.view(-1, 1, 1, 1)
TRUTHS = {
    "sample": (SD, 1.0, PICTURE),
    "img_to_img": (SD, 1.0, PICTURE),
    "edm": (EDM, 0.5, (PICTURE - 0.25 / (S**2 + 0.25) * (PICTURE + NOISE * S)) / (S * 0.5 / (S**2 + 0.25).sqrt())),
    "v_prediction": (ANGLE, 1.0, (NOISE - PICTURE * S) / (1 + S**2).sqrt()),
    "lcm": (LCM, 1.0, NOISE),
}


@pytest.mark.parametrize("prediction", TRUTHS)
def test_a_network_that_is_right_gives_the_picture_back(prediction):
    levels, deviation, truth = TRUTHS[prediction]
    oracle, x = Oracle(truth), PICTURE + NOISE * S
    denoised = unet_denoiser(oracle, levels, prediction, deviation)(x, SIGMA, randn(3, 7, 16))
    torch.testing.assert_close(denoised, PICTURE, rtol=1e-3, atol=1e-3)
    shown = x if prediction == "img_to_img" else x / (S**2 + deviation**2).sqrt()
    torch.testing.assert_close(oracle.shown[0][0], shown)
    assert torch.equal(oracle.shown[0][1], levels.timestep(SIGMA))

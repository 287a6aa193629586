import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.sigmas import ModelSigmas, scaled_linear_betas, sigma_table

SD = ModelSigmas.stable_diffusion()


def test_table_equals_the_reference(reference):
    torch.testing.assert_close(sigma_table(), reference["sigmas/model_sigmas"], rtol=1e-6, atol=0)


def test_table_can_be_made_of_betas_or_of_their_product():
    betas = scaled_linear_betas(100, 0.001, 0.02)
    by_product = sigma_table(alphas_cumprod=torch.cumprod(1 - betas, 0))
    torch.testing.assert_close(sigma_table(betas=betas), by_product, rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="not both"):
        sigma_table(betas=betas, alphas_cumprod=betas)


def test_table_agrees_with_diffusers():
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    sigmas = ((1 - theirs.alphas_cumprod) / theirs.alphas_cumprod).sqrt()
    torch.testing.assert_close(sigma_table(), sigmas, rtol=1e-4, atol=0)


@pytest.mark.parametrize("betas", [torch.zeros(10), torch.tensor([0.1]), torch.tensor([0.1, -0.1])])
def test_a_table_that_does_not_ascend_is_refused(betas):
    with pytest.raises(ValueError, match="ascending"):
        sigma_table(betas=betas)


def test_every_entry_is_its_own_timestep_and_back(sd_sigmas):
    steps = torch.arange(1000)
    assert torch.equal(sd_sigmas.timestep(sd_sigmas.table), steps)
    torch.testing.assert_close(sd_sigmas.sigma(steps), sd_sigmas.table, rtol=1e-6, atol=0)


@given(st.floats(0.03, 14.6))
def test_timestep_is_the_nearest_entry_in_log_space(sigma):
    chosen = int(SD.timestep(torch.tensor([sigma]))[0])
    distances = [abs(math.log(sigma) - math.log(entry)) for entry in SD.table.tolist()]
    assert distances[chosen] <= min(distances) + 1e-5


@given(st.floats(0, 999))
def test_between_entries_sigma_is_linear_in_its_logarithm(t):
    low = min(int(t), 998)
    a, b = (math.log(s) for s in SD.table[low : low + 2].tolist())
    assert math.log(float(SD.sigma(t))) == pytest.approx(a + (b - a) * (t - low), abs=1e-5)


def test_sigmas_beyond_the_table_take_its_ends(sd_sigmas):
    assert sd_sigmas.timestep(torch.tensor([1e-6, 1e6])).tolist() == [0, 999]
    assert float(sd_sigmas.sigma(-5)) == pytest.approx(sd_sigmas.sigma_min)
    assert float(sd_sigmas.sigma(5000)) == pytest.approx(sd_sigmas.sigma_max)


def test_percent_runs_from_noise_to_picture(sd_sigmas):
    assert sd_sigmas.percent_to_sigma(0) == math.inf
    assert sd_sigmas.percent_to_sigma(1) == 0
    assert sd_sigmas.percent_to_sigma(0.5) == pytest.approx(float(sd_sigmas.sigma(499.5)))
    sigmas = [sd_sigmas.percent_to_sigma(i / 50) for i in range(51)]
    assert sigmas == sorted(sigmas, reverse=True)

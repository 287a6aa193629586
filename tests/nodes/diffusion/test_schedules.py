import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.diffusion.schedules import DROP_PENULTIMATE, SCHEDULES, schedule
from nodes.diffusion.sigmas import ModelSigmas

FOUR_STEPS = {
    "normal": [14.6146, 2.9183, 0.9324, 0.0292, 0],
    "karras": [14.6146, 3.1686, 0.4469, 0.0292, 0],
    "exponential": [14.6146, 1.84, 0.2317, 0.0292, 0],
    "sgm_uniform": [14.6146, 4.0861, 1.6156, 0.6951, 0],
    "simple": [14.6146, 4.0817, 1.6129, 0.6932, 0],
    "ddim_uniform": [4.1167, 1.6237, 0.6984, 0.0413, 0],
    "beta": [14.6146, 5.6866, 1.6183, 0.5154, 0],
    "linear_quadratic": [14.6146, 14.432, 14.2493, 10.5956, 0],
    "kl_optimal": [14.6146, 1.5971, 0.5729, 0.0292, 0],
}
SD = ModelSigmas.stable_diffusion()
names = st.sampled_from(sorted(SCHEDULES))


@pytest.mark.parametrize("name", SCHEDULES)
def test_twenty_steps_equal_the_reference(name, reference, sd_sigmas):
    expected = reference[f"sigmas/{name}_20"]
    torch.testing.assert_close(schedule(name, sd_sigmas, 20), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_four_steps(name, sd_sigmas):
    assert schedule(name, sd_sigmas, 4).tolist() == pytest.approx(FOUR_STEPS[name], abs=6e-5)


def test_partial_denoise_equals_the_reference(reference, sd_sigmas):
    sigmas = schedule("normal", sd_sigmas, 20, denoise=0.5)
    expected = reference["sigmas/KSampler_euler_normal_20_denoise0.5"]
    torch.testing.assert_close(sigmas, expected, rtol=1e-6, atol=0)


@settings(max_examples=200)
@given(names, st.integers(1, 300))
def test_every_schedule_descends_in_float32_from_the_models_range_to_zero(name, steps):
    sigmas = schedule(name, SD, steps)
    assert sigmas.dtype == torch.float32
    assert sigmas[-1] == 0
    assert (sigmas[1:] < sigmas[:-1]).all()
    assert sigmas[0] <= SD.sigma_max * 1.000001
    assert sigmas[-2] >= SD.sigma_min * 0.999999


@settings(max_examples=100)
@given(names.filter(lambda name: name not in ("beta", "ddim_uniform")), st.integers(1, 300))
def test_a_schedule_has_one_sigma_more_than_steps(name, steps):
    assert len(schedule(name, SD, steps)) == steps + 1


def test_ddim_uniform_takes_as_many_entries_as_its_stride_fits(sd_sigmas):
    assert len(schedule("ddim_uniform", sd_sigmas, 30)) == 32  # stride 33 fits 31 times
    assert len(schedule("ddim_uniform", sd_sigmas, 25)) == 26


@given(st.sampled_from(sorted(DROP_PENULTIMATE)), st.integers(2, 60))
def test_some_samplers_leave_out_the_penultimate_sigma(sampler, steps):
    full = schedule("karras", SD, steps + 1)
    sigmas = schedule("karras", SD, steps, sampler_name=sampler)
    assert sigmas.tolist() == [*full[:-2].tolist(), 0]


@given(names, st.integers(1, 40), st.floats(0.05, 0.99), st.sampled_from(["euler", "dpm_2"]))
def test_a_partial_denoise_is_the_tail_of_a_longer_schedule(name, steps, denoise, sampler):
    longer = schedule(name, SD, int(steps / denoise), sampler_name=sampler)
    partial = schedule(name, SD, steps, denoise, sampler)
    if int(steps / denoise) == steps:
        assert torch.equal(partial, longer)
    else:
        assert partial.tolist() == longer[-(steps + 1) :].tolist()


def test_no_denoise_has_no_sigmas(sd_sigmas):
    assert len(schedule("karras", sd_sigmas, 20, denoise=0)) == 0


@pytest.mark.parametrize(
    ("steps", "denoise"), [(0, 1), (-3, 1), (20, -0.1), (20, 1.1), (20, float("nan")), (20, 1e-12)]
)
def test_impossible_numbers_are_refused(steps, denoise, sd_sigmas):
    with pytest.raises(ValueError, match=r"step|denoise"):
        schedule("normal", sd_sigmas, steps, denoise)


def test_an_unknown_schedule_is_a_key_error(sd_sigmas):
    with pytest.raises(KeyError):
        schedule("nope", sd_sigmas, 4)

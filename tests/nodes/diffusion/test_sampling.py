import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.noise import initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.sampling import (
    SD15_LATENT_SCALE,
    NonFiniteLatent,
    UnusableSigmas,
    add_noise,
    latent_mask,
    sample,
    sample_latent,
    slice_steps,
)
from nodes.diffusion.schedules import SCHEDULES, schedule
from nodes.diffusion.sigmas import ModelSigmas

SD = ModelSigmas.stable_diffusion()
SHAPE = (2, 4, 8, 8)
EMPTY = torch.zeros(SHAPE)
PICTURE = initial_noise(100, SHAPE) * 3


def shrink(x, sigma):
    """The exact denoiser of data that are standard normal."""
    return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)


def run(latent=EMPTY, model=shrink, **options):
    return sample(model, latent, model_sigmas=SD, **{"steps": 8, "seed": 3, **options})


def watch(into, model=shrink):
    def watching(x, sigma):
        into.append((x, float(sigma[0])))
        return model(x, sigma)

    return watching


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("scheduler", SCHEDULES)
def test_every_sampler_goes_with_every_schedule(sampler, scheduler):
    found = run(sampler=sampler, scheduler=scheduler, steps=40)
    assert found.shape == SHAPE
    assert found.dtype == torch.float32
    # linear_quadratic spends its steps on the composition and takes the rest in strides: too little spread.
    low = 0.1 if scheduler == "linear_quadratic" else 0.6
    # The third order overshoots where a long step follows a short one, as at the end of "normal".
    high = 2.0 if sampler.startswith("dpmpp_3m_sde") else 1.3
    assert low < float(found.std()) * SD15_LATENT_SCALE < high


def test_a_full_denoise_starts_from_the_seeds_noise_at_the_models_highest_level():
    seen = []
    run(model=watch(seen))
    x, sigma = seen[0]
    assert sigma == pytest.approx(SD.sigma_max, rel=1e-6)
    torch.testing.assert_close(x, initial_noise(3, SHAPE) * math.sqrt(1 + sigma**2))


def test_a_schedule_that_starts_lower_scales_the_noise_by_its_sigma():
    seen = []
    run(model=watch(seen), scheduler="ddim_uniform")
    x, sigma = seen[0]
    assert sigma < SD.sigma_max * 0.95
    torch.testing.assert_close(x, initial_noise(3, SHAPE) * sigma)


def test_image_to_image_starts_from_the_noised_picture():
    seen = []
    run(PICTURE, model=watch(seen), denoise=0.5)
    x, sigma = seen[0]
    assert len(seen) == 8
    assert sigma == float(schedule("normal", SD, 16)[8])
    torch.testing.assert_close(x, PICTURE * 0.18215 + initial_noise(3, SHAPE) * sigma)


def test_the_less_denoise_the_closer_to_the_picture():
    def distance(denoise):
        return float((run(PICTURE, denoise=denoise) - PICTURE).norm())

    assert distance(0) == 0
    assert distance(0.2) < distance(0.5) < distance(0.9)


def test_the_latent_scale_is_taken_in_and_out():
    assert torch.allclose(run(latent_scale=0.5) * 0.5, run() * SD15_LATENT_SCALE, atol=1e-5)


def test_seeds_and_batch_indices_choose_the_noise():
    assert torch.equal(run(), run())
    assert not torch.equal(run(), run(seed=4))
    second = run(torch.zeros(1, *SHAPE[1:]), batch_index=[1])
    torch.testing.assert_close(second, run(batch_index=[0, 1])[1:])
    twins = run(batch_index=[5, 5])
    assert torch.equal(twins[0], twins[1])


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m"])
def test_two_stages_that_hand_over_the_noise(sampler):
    """KSamplerAdvanced in two halves: the first leaves noise, the second adds none."""
    common = {"sampler": sampler, "scheduler": "karras"}
    half = run(end_step=3, **common)
    both = run(half, start_step=3, add_initial_noise=False, **common)
    if sampler != "dpmpp_2m":  # a multistep method forgets its last step at the hand-over
        torch.testing.assert_close(both, run(**common), rtol=1e-4, atol=1e-4)
    assert float(half.std()) * SD15_LATENT_SCALE > 1.2
    assert 0.5 < float(both.std()) * SD15_LATENT_SCALE < 1.2


def test_a_forced_full_denoise_leaves_no_noise():
    assert float(run(end_step=2).std()) > 2 * float(run(end_step=2, force_full_denoise=True).std())
    seen = []
    found = run(model=watch(seen), end_step=3, force_full_denoise=True)
    assert len(seen) == 3
    torch.testing.assert_close(found * SD15_LATENT_SCALE, shrink(seen[-1][0], torch.full((2,), seen[-1][1])))


def test_starting_behind_the_end_changes_nothing():
    assert torch.equal(run(PICTURE, start_step=8), PICTURE)
    assert torch.equal(run(PICTURE, start_step=5, end_step=5), PICTURE)
    assert torch.equal(run(PICTURE, start_step=50), PICTURE)


@given(st.integers(1, 12), st.integers(0, 14), st.integers(0, 14), st.booleans())
def test_slices_hold_the_steps_asked_for(steps, start, end, force):
    sigmas = schedule("karras", SD, steps)
    part = slice_steps(sigmas, start, end, force)
    stop = min(end, steps)
    if start >= stop:
        assert len(part) == 0
    else:
        assert part[:-1].tolist() == sigmas[start:stop].tolist()
        assert part[-1] == (0 if force else sigmas[stop])
    assert sigmas.tolist() == schedule("karras", SD, steps).tolist()


def test_noise_at_the_top_has_the_spread_that_the_model_was_trained_on():
    ones = torch.ones(1)
    assert float(add_noise(ones, ones, SD.sigma_max, SD.sigma_max)) == pytest.approx(1 + 14.6488, rel=1e-4)
    assert float(add_noise(ones, ones, SD.sigma_max * 0.999, SD.sigma_max)) == pytest.approx(15.6, rel=1e-4)
    assert float(add_noise(ones, ones, 20, SD.sigma_max)) == pytest.approx(1 + math.sqrt(401))


def test_a_mask_keeps_what_it_covers():
    mask = torch.zeros(8, 8)
    mask[:, 4:] = 1
    found = run(PICTURE, noise_mask=mask)
    torch.testing.assert_close(found[..., :4], PICTURE[..., :4], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[..., 4:], PICTURE[..., 4:], atol=0.5)


def test_the_model_sees_the_kept_part_at_the_right_noise_level():
    seen = []
    mask = torch.zeros(1, 1, 64, 64)
    run(PICTURE, model=watch(seen), noise_mask=mask)
    for x, sigma in seen:
        torch.testing.assert_close(
            x, PICTURE * SD15_LATENT_SCALE + initial_noise(3, SHAPE) * sigma, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("shape", [(64, 64), (1, 64, 64), (2, 64, 64), (2, 1, 64, 64), (3, 8, 8)])
def test_masks_of_any_size_fit_the_latent(shape):
    fitted = latent_mask(torch.ones(shape), EMPTY)
    assert fitted.shape == (2, 1, 8, 8)
    assert (fitted == 1).all()


def test_numbers_that_are_none_are_reported_with_their_step():
    def breaks_down(x, sigma):
        return shrink(x, sigma) / (0 if sigma[0] < 1 else 1)

    with pytest.raises(NonFiniteLatent, match="after step 5 of 8") as caught:
        run(model=breaks_down, scheduler="karras")
    assert (caught.value.step, caught.value.steps) == (4, 8)


def test_the_callback_sees_every_step_and_can_end_the_run():
    class Cancelled(Exception):
        pass

    seen = []

    def callback(step):
        seen.append((step.i, step.n))
        if step.i == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(callback=callback)
    assert seen == [(0, 8), (1, 8), (2, 8), (3, 8)]


def test_more_steps_than_the_model_has_levels():
    found = run(torch.zeros(1, 4, 2, 2), steps=1500, scheduler="simple", sampler="dpmpp_2m")
    assert torch.isfinite(found).all()


def test_the_input_is_left_alone_and_no_gradients_are_kept():
    latent = PICTURE.clone()
    found = run(latent, denoise=0.6, noise_mask=torch.ones(8, 8))
    assert torch.equal(latent, PICTURE)
    weight = torch.ones(1, requires_grad=True)
    assert not found.requires_grad
    assert not run(model=lambda x, sigma: shrink(x, sigma) * weight).requires_grad


def test_independent_noise_draws_another_picture():
    assert not torch.equal(run(sampler="euler_ancestral"), run(sampler="euler_ancestral", independent_noise=True))
    assert torch.equal(run(sampler="euler"), run(sampler="euler", independent_noise=True))


@pytest.mark.parametrize("sigmas", [[1.0, 0.0, 0.5], [float("nan"), 0.0], [float("inf"), 1.0], [2.0, -1.0], [0.0, 1.0]])
def test_noise_levels_that_no_sampler_can_take_are_told(sigmas):
    with pytest.raises(UnusableSigmas, match="above 0"):
        sample_latent(shrink, EMPTY, torch.tensor(sigmas), noise=EMPTY, sampler="euler", sigma_max=SD.sigma_max)


@pytest.mark.parametrize("wrong", [{"sampler": "nope"}, {"scheduler": "nope"}])
def test_unknown_names_are_key_errors(wrong):
    with pytest.raises(KeyError):
        run(**wrong)

"""What every sampler promises its caller, whatever its method."""

import math

import pytest
import torch

from nodes.diffusion.noise import initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.sampling import step_noise
from nodes.diffusion.schedules import schedule
from tests.nodes.diffusion.gaussian_mixture import denoise

EVERY = pytest.mark.parametrize("name", SAMPLERS)
OWN_STEPS = ("dpm_fast", "dpm_adaptive")  # they have tests of their own in test_dpm_solver.py


def run(name, sigmas, model=denoise, seed=9, callback=None, count=8, **options):
    x = initial_noise(seed, (count, 4)) * 14.6
    noise = step_noise(SAMPLERS[name].noise_kind, x, sigmas, seed) if len(sigmas) > 1 else None
    return SAMPLERS[name].function(model, x, sigmas, noise=noise, callback=callback, **options)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - set(OWN_STEPS)))
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_one_callback_a_step_in_order(name, steps, sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, steps, sampler_name=name)
    seen = []
    run(name, sigmas, callback=seen.append)
    assert [(step.i, step.n, step.sigma) for step in seen] == [
        (i, steps, sigma) for i, sigma in enumerate(sigmas[:-1].tolist())
    ]
    assert torch.equal(seen[0].x, initial_noise(9, (8, 4)) * 14.6)
    assert torch.equal(seen[0].denoised, denoise(seen[0].x, sigmas[0].expand(8)))
    assert all(step.denoised.shape == step.x.shape for step in seen)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - set(OWN_STEPS)))
def test_evaluations_per_step(name, sd_sigmas):
    """As many as the registry says, but one only in the step into sigma 0; Heun++ looks but one ahead before that."""
    calls = []

    def counting(x, sigma):
        assert sigma.shape == (8,)
        assert sigma.dtype == x.dtype
        calls.append(float(sigma[0]))
        return denoise(x, sigma)

    run(name, schedule("karras", sd_sigmas, 6, sampler_name=name), counting)
    assert len(calls) == 5 * SAMPLERS[name].evaluations + 1 - (name == "heunpp2")


@pytest.mark.parametrize("name", ["dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "heun"])
def test_where_the_second_evaluation_of_a_step_is(name):
    """Half way in log sigma to where the step goes without its noise; Heun's at the step's end."""
    seen = []

    def model(x, sigma):
        seen.append(float(sigma[0]))
        return denoise(x, sigma)

    run(name, torch.tensor([8.0, 2.0]), model)
    sigma_down = {"dpm_2_ancestral": 0.5, "dpmpp_2s_ancestral": 0.5}.get(name, 2.0)  # 2 * 2 / 8
    assert seen[0] == 8
    assert seen[1:] == [2.0] if name == "heun" else seen[1:] == pytest.approx([math.sqrt(8 * sigma_down)])


@EVERY
def test_a_single_step_gives_the_denoised_picture(name, sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, 1)
    expected = denoise(initial_noise(9, (8, 4)) * 14.6, torch.full((8,), float(sigmas[0])))
    torch.testing.assert_close(run(name, sigmas), expected, rtol=0, atol=5e-3)


@EVERY
def test_the_step_into_sigma_0_takes_the_denoised_picture(name, sd_sigmas):
    seen = []
    # Where the schedule ends with a jump, all noise is taken away also by those that stop at a trace of it.
    scheduler = "simple" if name in OWN_STEPS else "karras"
    found = run(name, schedule(scheduler, sd_sigmas, 6, sampler_name=name), callback=seen.append)
    # UniPC stops at sigma 0.001 and leaves the last evaluation uncorrected.
    tolerance = 0.2 if name.startswith("uni_pc") else 1e-5
    torch.testing.assert_close(found, seen[-1].denoised, rtol=0, atol=tolerance)


@EVERY
@pytest.mark.parametrize("sigmas", [[], [14.6]])
def test_no_steps_leave_the_latent_alone(name, sigmas):
    assert torch.equal(run(name, torch.tensor(sigmas)), initial_noise(9, (8, 4)) * 14.6)


@EVERY
def test_a_seed_draws_the_same_picture_twice_and_another_seed_another(name, sd_sigmas):
    sigmas = schedule("normal", sd_sigmas, 6, sampler_name=name)
    first = run(name, sigmas)
    assert torch.equal(first, run(name, sigmas))
    assert not torch.allclose(first, run(name, sigmas, seed=10))


@EVERY
def test_the_input_is_not_written_to(name, sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, 4)
    x = initial_noise(9, (8, 4)) * 14.6
    before = x.clone()
    noise = step_noise(SAMPLERS[name].noise_kind, x, sigmas, 1)
    SAMPLERS[name].function(denoise, x, sigmas, noise=noise)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"dpm_adaptive"}))  # it takes steps that suit the whole batch
def test_items_of_a_batch_are_drawn_apart(name, sd_sigmas):
    """Fresh noise is drawn for a batch as a whole; with it fixed, a picture does not depend on the others."""

    def noise(sigma, sigma_next):
        return torch.ones(1, 1)

    sigmas = schedule("karras", sd_sigmas, 5)
    x = initial_noise(9, (8, 4)) * 14.6
    together = SAMPLERS[name].function(denoise, x, sigmas, noise=noise)
    alone = SAMPLERS[name].function(denoise, x[:1], sigmas, noise=noise)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-4)


@EVERY
def test_a_callback_that_raises_ends_the_sampling(name, sd_sigmas):
    class Cancelled(Exception):
        pass

    seen = []

    def cancel(step):
        seen.append(step.i)
        if step.i == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(name, schedule("karras", sd_sigmas, 9), callback=cancel)
    assert seen == [0, 1, 2]


@EVERY
def test_stopping_early_leaves_noise_of_the_last_sigma(name, sd_sigmas):
    """A schedule that ends above 0 ends there: what is left is the picture plus noise of about that level."""
    sigmas = schedule("karras", sd_sigmas, 12)[:7]
    found = run(name, sigmas, count=512)
    last = float(sigmas[-1])
    left = (found - denoise(found, torch.full((512,), last))).std()
    assert 0.5 * last < float(left) < 1.2 * last


def test_no_noise_makes_the_ancestral_samplers_deterministic(sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, 8)
    assert torch.allclose(run("euler_ancestral", sigmas, eta=0.0), run("euler", sigmas), atol=1e-5)
    assert torch.allclose(run("dpmpp_2m_sde", sigmas, eta=0.0), run("dpmpp_2m", sigmas), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lms", {"order": 101}),
        ("lms", {"order": 0}),
        ("ipndm", {"order": 5}),
        ("ipndm_v", {"order": 0}),
        ("deis", {"order": 5}),
        ("dpm_adaptive", {"order": 4}),
        ("dpm_adaptive", {"rtol": 0.0, "atol": 0.0}),
        ("dpm_adaptive", {"h_init": 0.0}),
        ("dpmpp_sde", {"r": 0.0}),
        ("dpmpp_sde", {"r": 1.1}),
        ("seeds_2", {"r": 0.0}),
        ("er_sde", {"solver_type": "SDE"}),
        ("er_sde", {"max_stage": 4}),
        ("uni_pc", {"variant": "bh3"}),
        ("dpmpp_2m_sde", {"solver_type": "x"}),
    ],
)
def test_impossible_options_are_refused(name, options, sd_sigmas):
    with pytest.raises(ValueError, match=next(iter(options))):
        run(name, schedule("karras", sd_sigmas, 4), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sa_solver", {"predictor_order": 0}),
        ("sa_solver", {"corrector_order": 7}),
        ("seeds_3", {"r_1": 0.7, "r_2": 0.3}),
        ("seeds_3", {"r_2": 1.2}),
    ],
)
def test_impossible_combinations_are_refused(name, options, sd_sigmas):
    with pytest.raises(ValueError, match=r"order|share"):
        run(name, schedule("karras", sd_sigmas, 4), **options)


@EVERY
def test_upwards_from_the_picture_to_noise(name, sd_sigmas):
    """A flipped schedule: nothing breaks, and the deterministic ones come to noise of about the highest level."""
    sigmas = schedule("karras", sd_sigmas, 12)[:-1].flip(0)
    spec = SAMPLERS[name]
    x = initial_noise(3, (64, 4))
    found = spec.function(denoise, x, sigmas, noise=step_noise(spec.noise_kind, x, sigmas, 9))
    assert torch.isfinite(found).all()
    if spec.noise_kind == "none" and name not in ("lms", "ipndm_v"):  # whose extrapolation grows with the steps
        assert 3 < float(found.std()) < 40


@pytest.mark.parametrize("name", [n for n in SAMPLERS if SAMPLERS[n].noise_kind != "none" and n not in ("ddpm", "lcm")])
def test_noise_without_amplitude_changes_nothing(name, sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, 6)
    x = initial_noise(9, (8, 4)) * 14.6
    one, two = (
        SAMPLERS[name].function(denoise, x, sigmas, noise=lambda a, b, v=value: torch.full((1, 1), v), s_noise=0.0)
        for value in (1.0, -3.0)
    )
    assert torch.equal(one, two)


def test_both_solver_types_of_the_sde_converge_to_one_picture(sd_sigmas):
    sigmas = schedule("karras", sd_sigmas, 60)
    one, two = (run("dpmpp_2m_sde", sigmas, solver_type=kind) for kind in ("midpoint", "heun"))
    assert not torch.equal(one, two)
    assert float((one - two).norm(dim=1).median()) < 0.1

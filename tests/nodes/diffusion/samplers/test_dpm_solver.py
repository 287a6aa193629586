"""The samplers that take from a schedule its ends only."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.noise import ancestral_noise, initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers.dpm_solver import StepSize, fast_orders
from nodes.diffusion.schedules import karras, schedule
from nodes.diffusion.sigmas import ModelSigmas
from tests.nodes.diffusion.gaussian_mixture import denoise

SD = ModelSigmas.stable_diffusion()


def run(name, sigmas, model=denoise, count=8, **options):
    x = initial_noise(9, (count, 4)) * float(sigmas[0])
    seen, calls = [], []

    def counting(x, sigma):
        calls.append(float(sigma[0]))
        return model(x, sigma)

    noise = ancestral_noise(4, x)
    found = SAMPLERS[name].function(counting, x, sigmas, noise=noise, callback=seen.append, **options)
    return found, seen, calls


@given(st.integers(0, 2000))
def test_fast_spends_the_evaluations_it_was_given(evaluations):
    orders = fast_orders(evaluations)
    assert sum(orders) == evaluations
    assert set(orders) <= {1, 2, 3}
    assert len(orders) <= evaluations // 3 + 1


@pytest.mark.parametrize(("evaluations", "orders"), [(3, [2, 1]), (4, [3, 1]), (5, [3, 2]), (6, [3, 2, 1])])
def test_fast_takes_the_orders_of_the_paper(evaluations, orders):
    assert fast_orders(evaluations) == orders


@pytest.mark.parametrize("scheduler", ["karras", "simple"])
@pytest.mark.parametrize("steps", [*range(1, 9), 20])
def test_fast_counts_its_own_steps_and_evaluates_as_often_as_the_schedule_has_steps(steps, scheduler):
    sigmas = schedule(scheduler, SD, steps)
    _, seen, calls = run("dpm_fast", sigmas)
    assert len(calls) == steps
    assert [(step.i, step.n) for step in seen] == [(i, len(seen)) for i in range(len(seen))]
    assert len(seen) <= steps
    levels = [step.sigma for step in seen]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == float(sigmas[0])


def test_steps_of_fast_are_even_in_log_sigma():
    _, seen, _ = run("dpm_fast", karras(SD, 12))
    gaps = [math.log(a.sigma / b.sigma) for a, b in zip(seen, seen[1:], strict=False)]
    assert gaps == pytest.approx([math.log(SD.sigma_max / SD.sigma_min) / len(seen)] * len(gaps), rel=1e-5)


@pytest.mark.parametrize("name", ["dpm_fast", "dpm_adaptive"])
def test_a_trace_of_noise_is_left_and_more_is_taken_away(name):
    """At Stable Diffusion's lowest level there is no evaluation more; from a higher one, there is."""
    found, seen, _ = run(name, karras(SD, 12))
    assert seen[-1].sigma > SD.sigma_min * 1.01
    assert float((found - denoise(found, torch.full((8,), SD.sigma_min))).std()) < 2 * SD.sigma_min
    found, seen, _ = run(name, torch.tensor([14.6, 5.0, 1.0, 0.0]))
    assert seen[-1].sigma == 1.0
    assert torch.equal(found, seen[-1].denoised)


@pytest.mark.parametrize("scheduler", ["karras", "normal"])
def test_adaptive_looks_at_the_ends_only(scheduler):
    few, many = (run("dpm_adaptive", schedule(scheduler, SD, steps))[0] for steps in (3, 50))
    torch.testing.assert_close(few, many, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_adaptive_takes_more_steps_where_less_error_is_allowed(order):
    counts = [len(run("dpm_adaptive", karras(SD, 4), order=order, rtol=t, atol=t)[1]) for t in (0.1, 0.01, 0.001)]
    assert counts[0] < counts[1] < counts[2] < 500


def test_adaptive_says_how_many_steps_there_will_be_as_far_as_it_can_know():
    _, seen, calls = run("dpm_adaptive", karras(SD, 4))
    assert [step.i for step in seen] == list(range(len(seen)))
    assert all(step.i < step.n for step in seen)
    assert seen[-1].n == len(seen)
    assert seen[0].n == math.ceil(math.log(SD.sigma_max / SD.sigma_min) / 0.05)  # h_init
    assert len(calls) >= 3 * len(seen)


@pytest.mark.parametrize(
    "options",
    [
        {"rtol": 0.0, "atol": 1e-12},
        {"accept_safety": 100.0, "rtol": 0.01},
        {"pcoeff": 100.0, "icoeff": 100.0, "dcoeff": 100.0},
        {"h_init": 100.0, "rtol": 1e-9},
        {"icoeff": 0.0, "h_init": 1.0},
    ],
    ids=str,
)
def test_adaptive_ends_whatever_its_settings(options):
    """A step is at least a ten-thousandth of the way; here that way is short, to keep it quick."""
    seen = []

    class Enough(Exception):
        pass

    def callback(step):
        seen.append(step)
        if step.i == 60:
            raise Enough

    sigmas = torch.tensor([2.0, 1.0])
    try:
        SAMPLERS["dpm_adaptive"].function(denoise, initial_noise(1, (2, 4)), sigmas, callback=callback, **options)
    except Enough:
        levels = [step.sigma for step in seen]
        gaps = [math.log(a / b) for a, b in zip(levels, levels[1:], strict=False)]
        assert min(gaps) > 0.99 * math.log(2) / 10_000


def test_adaptive_goes_on_past_numbers_that_are_none():
    """What is no number is seen in the next step, and told there by whoever watches the callback."""
    _, seen, _ = run(
        "dpm_adaptive", karras(SD, 4), lambda x, sigma: denoise(x, sigma) * (1 if sigma[0] > 3 else math.nan)
    )
    assert any(torch.isnan(step.denoised).any() for step in seen)


def test_adaptive_with_fresh_noise_draws_the_distribution():
    found, _, _ = run("dpm_adaptive", karras(SD, 4), lambda x, s: x * (0.25 / (0.25 + s[:, None] ** 2)), 4000, eta=1.0)
    assert float(found.std()) == pytest.approx(0.5, rel=0.06)
    same, _, _ = run("dpm_adaptive", karras(SD, 4), count=64)
    other, _, _ = run("dpm_adaptive", karras(SD, 4), count=64, eta=1.0)
    assert not torch.allclose(same, other, atol=0.5)


def test_step_sizes_grow_with_small_errors_and_shrink_with_large_ones():
    control = StepSize(order=3)
    assert control.factor(1.0, (1.0, 1.0)) == pytest.approx(1)
    assert control.factor(0.1, (1.0, 1.0)) > 1 > control.factor(10.0, (1.0, 1.0)) > 0
    assert control.factor(8.0, (1.0, 1.0)) == pytest.approx(1 + math.atan(8 ** (-1 / 3) - 1))
    assert 0 < control.factor(math.inf, (1.0, 1.0)) < control.accept_safety

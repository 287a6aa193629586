import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.diffusion.noise import (
    MAX_SEED,
    ancestral_noise,
    brownian_noise,
    independent_seed,
    initial_noise,
    noise_for_batch,
)
from nodes.diffusion.schedules import schedule

seeds = st.integers(0, MAX_SEED)


def test_initial_noise_equals_the_reference(reference):
    shape = (1, 4, 16, 16)
    assert torch.equal(initial_noise(42, shape), reference["noise/seed42_1x4x16x16"])
    assert torch.equal(initial_noise(42, (2, *shape[1:])), reference["noise/seed42_2x4x16x16_batch2"])
    assert torch.equal(initial_noise(MAX_SEED, shape), reference[f"noise/seed{MAX_SEED}_1x4x16x16"])


def test_brownian_noise_equals_the_reference(reference, sd_sigmas):
    sigmas = schedule("normal", sd_sigmas, 4).tolist()
    noise = brownian_noise(torch.zeros(1, 4, 16, 16), sigmas[-2], sigmas[0], seed=42)
    drawn = noise(sigmas[0], sigmas[1])
    torch.testing.assert_close(drawn, reference["noise/brownian_seed42_normal4_step0"], rtol=1e-6, atol=1e-7)


@given(seeds)
def test_initial_noise_is_what_torchs_global_generator_would_give(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = torch.randn(2, 4, 3, 5)
    assert torch.equal(initial_noise(seed, (2, 4, 3, 5)), expected)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        initial_noise(seed, (1,))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_batch_indices_pick_single_draws_of_the_seed(indices):
    batch = noise_for_batch(7, (len(indices), 4, 8, 8), indices)
    whole = noise_for_batch(7, (13, 4, 8, 8), range(13))
    assert torch.equal(batch, whole[indices])


def test_the_first_batch_index_is_the_noise_of_a_single_picture():
    assert torch.equal(noise_for_batch(7, (1, 4, 8, 8), [0]), initial_noise(7, (1, 4, 8, 8)))


@pytest.mark.parametrize("indices", [[], [0], [0, 1, 2], [0, -1]])
def test_batch_indices_that_do_not_fit_are_refused(indices):
    with pytest.raises(ValueError, match="batch indices"):
        noise_for_batch(7, (2, 4, 8, 8), indices)


def test_ancestral_noise_starts_like_the_initial_noise_unless_independent():
    x = torch.zeros(1, 4, 16, 16)
    noise = ancestral_noise(42, x)
    assert torch.equal(noise(2.0, 1.0), initial_noise(42, x.shape))
    apart = ancestral_noise(42, x, independent=True)(2.0, 1.0)
    correlation = torch.corrcoef(torch.stack([apart.flatten(), initial_noise(42, x.shape).flatten()]))[0, 1]
    assert abs(correlation) < 0.15


def test_ancestral_noise_is_fresh_at_each_call_and_the_same_for_one_seed():
    x = torch.zeros(1, 4, 8, 8)
    one, two = ancestral_noise(5, x), ancestral_noise(5, x)
    first, second = one(3.0, 2.0), one(2.0, 1.0)
    assert not torch.equal(first, second)
    assert torch.equal(two(3.0, 2.0), first)
    assert torch.equal(two(2.0, 1.0), second)


@given(seeds)
def test_independent_seeds_are_seeds_of_their_own(seed):
    other = independent_seed(seed, "ancestral")
    assert 0 <= other <= MAX_SEED
    assert other != seed
    assert other == independent_seed(seed, "ancestral")
    assert other != independent_seed(seed, "something else")


def test_a_brownian_path_does_not_depend_on_the_steps_taken():
    x = torch.zeros(1, 4, 8, 8)
    coarse, fine = (brownian_noise(x, 0.03, 14.6, 3) for _ in range(2))
    whole = coarse(9.0, 1.0) * math.sqrt(8)
    parts = fine(9.0, 4.0) * math.sqrt(5) + fine(4.0, 1.0) * math.sqrt(3)
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.1, 7), st.floats(7.1, 14.6))
def test_brownian_noise_is_standard_normal(seed, low, high):
    noise = brownian_noise(torch.zeros(1, 4, 32, 32), 0.03, 14.6, seed)(high, low)
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(noise.std()) - 1) < 0.1


@settings(max_examples=40, deadline=None)
@given(seeds, st.data())
def test_a_brownian_path_is_the_same_to_the_bit_whatever_was_drawn_before(seed, data):
    """What a resumed sampling relies on: its own queries are all that it makes."""
    # In steps of 1/30000: torchsde tells levels apart down to 1e-6, and schedules of 10,000 steps down to 2e-5.
    levels = st.integers(900, 438_000).map(lambda number: number / 30_000)
    sigmas = data.draw(st.lists(levels, min_size=2, max_size=12, unique=True).map(sorted))
    ends = list(zip(sigmas, sigmas[1:], strict=False)) + list(zip(sigmas, sigmas[2:], strict=False))
    asked = data.draw(st.permutations([(high, low) for low, high in ends]))
    x = torch.zeros(1, 4, 4, 4)
    noise = brownian_noise(x, 0.03, 14.6, seed)
    for high, low in asked:
        assert torch.equal(noise(high, low), brownian_noise(x, 0.03, 14.6, seed)(high, low))


def test_noise_goes_on_from_its_state():
    x = torch.zeros(1, 4, 8, 8)
    one, two = ancestral_noise(5, x), ancestral_noise(5, x)
    one(3.0, 2.0)
    two.restore(one.state())
    assert torch.equal(one(2.0, 1.0), two(2.0, 1.0))
    path = brownian_noise(x, 0.03, 14.6, 0)
    path.restore(path.state())


@pytest.mark.parametrize("state", [None, torch.zeros(3), torch.zeros(7, dtype=torch.uint8)])
def test_a_state_of_other_noise_is_refused_and_changes_nothing(state):
    x = torch.zeros(1, 4, 8, 8)
    noise = ancestral_noise(5, x)
    with pytest.raises(ValueError, match="generator"):
        noise.restore(state)
    assert torch.equal(noise(3.0, 2.0), ancestral_noise(5, x)(3.0, 2.0))
    with pytest.raises(ValueError, match="path"):
        brownian_noise(x, 0.03, 14.6, 0).restore(torch.zeros(3))


def test_brownian_noise_over_no_time_is_nothing():
    noise = brownian_noise(torch.zeros(1, 4, 8, 8), 0.03, 14.6, 0)
    assert not noise(2.0, 2.0).any()

import copy
import math

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.conditions import conditions
from nodes.diffusion.denoiser import unet_denoiser
from nodes.diffusion.guidance import guided_denoiser, join_contexts
from nodes.diffusion.noise import generator
from nodes.diffusion.sigmas import ModelSigmas

SD = ModelSigmas.stable_diffusion()


@pytest.fixture(scope="module")
def unet():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        )
    return model.eval().requires_grad_(False)


@pytest.fixture
def calls(unet):
    """What the UNet was called with: (sample, timestep, context) of each call."""
    seen = []

    def record(module, args, kwargs):
        seen.append((args[0], args[1], kwargs["encoder_hidden_states"]))

    handle = unet.register_forward_pre_hook(record, with_kwargs=True)
    yield seen
    handle.remove()


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def entry(seed, length=77, batch=1, **options):
    return [randn(batch, length, 16, seed=seed), options]


def guided(unet, positive, negative, cfg):
    return guided_denoiser(unet_denoiser(unet, SD), conditions(positive, SD), conditions(negative, SD), cfg)


def at(sigma, x):
    return x, torch.full((len(x),), float(sigma))


def test_the_network_sees_a_scaled_latent_and_an_integer_timestep(unet, calls):
    x = randn(2, 4, 8, 8) * 5
    sigma = torch.tensor([float(SD.table[300]) * 1.0001, 5.0])
    context = randn(2, 77, 16)
    denoised = unet_denoiser(unet, SD)(x, sigma, context)
    ((sample, timestep, _),) = calls
    assert timestep.dtype == torch.int64
    assert timestep[0] == 300
    scaled = x / (1 + sigma.view(-1, 1, 1, 1) ** 2).sqrt()
    torch.testing.assert_close(sample, scaled)
    eps = unet(scaled, timestep, encoder_hidden_states=context).sample
    torch.testing.assert_close(denoised, x - sigma.view(-1, 1, 1, 1) * eps)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_network_that_is_right_gives_the_picture_back(prediction):
    """With the true epsilon or v of a noised picture as the output, the denoised latent is the picture."""
    picture, noise = randn(3, 4, 8, 8, seed=1), randn(3, 4, 8, 8, seed=2)
    sigma = torch.tensor([0.05, 1.0, 14.0])
    s = sigma.view(-1, 1, 1, 1)
    root = (1 + s**2).sqrt()
    truth = noise if prediction == "epsilon" else noise / root - picture * s / root

    class Oracle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, sample, timestep, encoder_hidden_states, return_dict):
            return (truth,)

    denoised = unet_denoiser(Oracle(), SD, prediction)(picture + noise * s, sigma, randn(3, 77, 16))
    torch.testing.assert_close(denoised, picture, rtol=1e-4, atol=1e-4)


def test_a_half_precision_network_gets_half_precision_and_the_latent_stays_in_single(unet):
    half = copy.deepcopy(unet).to(torch.bfloat16)
    x, sigma = at(3, randn(1, 4, 8, 8))
    positive = conditions([entry(1)], SD, dtype=torch.bfloat16)
    denoised = guided_denoiser(unet_denoiser(half, SD), positive, (), 1)(x, sigma)
    assert denoised.dtype == torch.float32
    exact = guided(unet, [entry(1)], [], 1)(x, sigma)
    assert float((denoised - exact).norm() / exact.norm()) < 0.05


def test_guidance_runs_both_prompts_in_one_batch(unet, calls):
    x, sigma = at(3, randn(2, 4, 8, 8))
    guided(unet, [entry(1)], [entry(2)], 7)(x, sigma)
    ((sample, timestep, context),) = calls
    assert len(sample) == len(timestep) == len(context) == 4


def test_guidance_extrapolates_from_the_negative_to_the_positive(unet):
    x, sigma = at(3, randn(2, 4, 8, 8))
    denoise = unet_denoiser(unet, SD)
    positive, negative = (denoise(x, sigma, entry(seed)[0].expand(2, -1, -1)) for seed in (1, 2))
    found = guided(unet, [entry(1)], [entry(2)], 7.5)(x, sigma)
    torch.testing.assert_close(found, negative + 7.5 * (positive - negative), rtol=1e-4, atol=1e-4)


def test_cfg_1_skips_the_negative_prompt(unet, calls):
    x, sigma = at(3, randn(2, 4, 8, 8))
    found = guided(unet, [entry(1)], [entry(2)], 1)(x, sigma)
    assert [len(sample) for sample, *_ in calls] == [2]
    torch.testing.assert_close(found, unet_denoiser(unet, SD)(x, sigma, entry(1)[0].expand(2, -1, -1)))


def test_prompts_of_different_length_share_a_batch(unet):
    """A longer prompt beside a short one changes nothing: attention over a repeated context is the same."""
    x, sigma = at(3, randn(1, 4, 8, 8))
    denoise = unet_denoiser(unet, SD)
    long, short = entry(1, length=154), entry(2, length=231)
    expected = denoise(x, sigma, short[0]) + 4 * (denoise(x, sigma, long[0]) - denoise(x, sigma, short[0]))
    torch.testing.assert_close(guided(unet, [long], [short], 4)(x, sigma), expected, rtol=1e-4, atol=1e-4)


def test_entries_are_averaged_by_strength(unet):
    x, sigma = at(3, randn(2, 4, 8, 8))
    denoise = unet_denoiser(unet, SD)
    one, two = (denoise(x, sigma, entry(seed)[0].expand(2, -1, -1)) for seed in (1, 2))
    found = guided(unet, [entry(1, strength=0.5), entry(2, strength=4.5)], [], 1)(x, sigma)
    torch.testing.assert_close(found, 0.1 * one + 0.9 * two, rtol=1e-4, atol=1e-4)


def test_entries_count_in_their_range_only(unet, calls):
    early, late = entry(1, end_percent=0.5), entry(2, start_percent=0.5)
    model = guided(unet, [early, late], [entry(3)], 5)
    middle = SD.percent_to_sigma(0.5)
    x = randn(1, 4, 8, 8)
    for sigma, context in (
        (middle * 1.1, early[0]),
        (14.6, early[0]),
        (middle * 0.9, late[0]),
        (0.03, late[0]),
    ):
        calls.clear()
        model(*at(sigma, x))
        ((_, _, seen),) = calls
        assert torch.equal(seen[:1], context)
        assert torch.equal(seen[1:], entry(3)[0])
    calls.clear()
    model(*at(middle, x))
    assert len(calls[0][0]) == 3  # on the border both count


def test_entries_that_all_pause_show_an_empty_picture(unet, calls):
    late = entry(1, start_percent=0.5)
    assert not guided(unet, [late], [late], 5)(*at(14, randn(1, 4, 8, 8))).any()
    assert not calls


def test_a_batch_of_contexts_goes_with_the_batch_of_latents(unet):
    x, sigma = at(3, randn(2, 4, 8, 8))
    both = guided(unet, [entry(1, batch=2)], [], 1)(x, sigma)
    second = guided(unet, [[entry(1, batch=2)[0][1:], {}]], [], 1)(x[1:], sigma[1:])
    torch.testing.assert_close(both[1:], second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("positive", "negative", "cfg"), [([], [entry(1)], 7), ([entry(1)], [], 7), ([], [], 1)])
def test_nothing_to_be_guided_by_is_refused(unet, positive, negative, cfg):
    with pytest.raises(ValueError, match="at least one entry"):
        guided(unet, positive, negative, cfg)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), min_size=1, max_size=4), st.integers(1, 5))
def test_joined_contexts_repeat_each_to_the_batch_and_the_common_length(shapes, batch):
    contexts = [torch.arange(b * t, dtype=torch.float32).reshape(b, t, 1) + 100 * i for i, (b, t) in enumerate(shapes)]
    joined = join_contexts(contexts, batch)
    length = math.lcm(*(t for _, t in shapes))
    assert joined.shape == (len(shapes) * batch, length, 1)
    for i, context in enumerate(contexts):
        for item in range(batch):
            row = joined[i * batch + item, :, 0]
            source = context[item % len(context), :, 0]
            assert row.tolist() == source.tolist() * (length // len(source))

"""CFG++: the guided picture, and the noise that the unconditional prediction sees."""

from typing import Any

import pytest
import torch

from nodes.diffusion.noise import ancestral_noise, initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers.common import both_of, denoise_both, knowing
from nodes.diffusion.sampling import masked_model, sample
from nodes.diffusion.schedules import karras
from nodes.diffusion.sigmas import ModelSigmas
from tests.nodes.diffusion.gaussian_mixture import denoise
from tests.nodes.diffusion.test_resume import Memory, Stopped

CFG_PP = sorted(name for name in SAMPLERS if "cfg_pp" in name)
EVERY = pytest.mark.parametrize("name", CFG_PP)
SD = ModelSigmas.stable_diffusion()
SHAPE = (2, 4, 8, 8)


class Guided:
    """A model whose guidance pulls towards a point, by its strength; counts how it is asked."""

    def __init__(self, strength=0.5, model=denoise):
        self.strength, self.model, self.asked = strength, model, []

    def __call__(self, x, sigma):
        self.asked.append("one")
        return self.both(x, sigma)[0]

    def both(self, x, sigma):
        self.asked.append("both")
        unconditional = self.model(x, sigma)
        return unconditional + self.strength * (1 - unconditional), unconditional


def flat(x, sigma):
    return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)


def start(sigmas, count=8):
    return initial_noise(3, (count, 4)) * float(sigmas[0])


def run(name, model, sigmas):
    x = start(sigmas)
    return SAMPLERS[name].function(model, x, sigmas, noise=ancestral_noise(5, x))


def test_there_are_seven():
    assert len(CFG_PP) == 7


@EVERY
def test_without_guidance_it_is_the_sampler_without_cfg_pp(name, sd_sigmas):
    sigmas = karras(sd_sigmas, 8)
    plain = name.replace("_cfg_pp", "")
    for model in (denoise, Guided(0.0)):
        torch.testing.assert_close(run(name, model, sigmas), run(plain, denoise, sigmas), rtol=1e-4, atol=1e-4)


@EVERY
def test_guidance_counts_and_both_predictions_are_asked_for_each_time(name, sd_sigmas):
    sigmas, model = karras(sd_sigmas, 8), Guided()
    found = run(name, model, sigmas)
    assert set(model.asked) == {"both"}
    assert not torch.allclose(found, run(name, Guided(0.0), sigmas), atol=0.1)
    assert not torch.allclose(found, run(name.replace("_cfg_pp", ""), Guided(), sigmas), atol=0.01)


def test_one_step_keeps_the_noise_that_the_unconditional_prediction_sees():
    sigmas, x = torch.tensor([4.0, 1.0]), initial_noise(1, (3, 4))
    denoised, unconditional = Guided().both(x, torch.full((3,), 4.0))
    for name in ("euler_cfg_pp", "dpmpp_2m_cfg_pp", "res_multistep_cfg_pp", "gradient_estimation_cfg_pp"):
        found = SAMPLERS[name].function(Guided(), x, sigmas)
        torch.testing.assert_close(found, denoised + 1.0 * (x - unconditional) / 4.0)


def test_the_callback_is_shown_both(sd_sigmas):
    seen = []
    sigmas = karras(sd_sigmas, 4)
    SAMPLERS["euler_cfg_pp"].function(Guided(), start(sigmas), sigmas, callback=seen.append)
    for step in seen:
        denoised, unconditional = Guided().both(step.x, torch.full((8,), step.sigma))
        assert torch.equal(step.denoised, denoised)
        assert torch.equal(step.unconditional, unconditional)


def test_a_model_that_knows_no_guidance_gives_its_picture_for_both():
    x = initial_noise(1, (3, 4))
    one, two = denoise_both(denoise, x, 2.0)
    assert torch.equal(one, denoise(x, torch.full((3,), 2.0)))
    assert torch.equal(one, two)


def test_what_is_known_is_given_once_to_whoever_asks_first():
    x, sigma = initial_noise(1, (3, 4)), torch.full((3,), 2.0)
    for ask in (lambda model: model(x, sigma), lambda model: model.both(x, sigma)[0]):
        model = knowing(Guided(), torch.zeros(3, 4), torch.ones(3, 4))
        assert not ask(model).any()
        assert torch.equal(ask(model), Guided()(x, sigma))
    assert torch.equal(knowing(denoise, x).both(x, sigma)[1], x)
    assert torch.equal(knowing(Guided(), x, x + 1).both(x, sigma)[1], x + 1)


def test_a_mask_keeps_what_it_covers_in_both_predictions():
    x, picture, noise = (initial_noise(seed, SHAPE) for seed in (1, 2, 3))
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., 4:] = 1
    sigma = torch.full((2,), 2.0)
    model = masked_model(Guided(model=flat), mask, picture, noise)
    denoised, unconditional = both_of(model, x, sigma)
    assert torch.equal(denoised, model(x, sigma))
    for given in (denoised, unconditional):
        torch.testing.assert_close(given[..., :4], picture[..., :4])
    expected = Guided(model=flat).both(x, sigma)
    torch.testing.assert_close(denoised[..., 4:], expected[0][..., 4:])
    torch.testing.assert_close(unconditional[..., 4:], expected[1][..., 4:])


@EVERY
@pytest.mark.parametrize("masked", [False, True])
def test_stopped_and_gone_on_it_ends_in_the_same_latent(name, masked):
    options: dict[str, Any] = {"model_sigmas": SD, "steps": 6, "seed": 3, "sampler": name, "scheduler": "karras"}
    if masked:
        options["noise_mask"] = torch.linspace(0, 1, 64).reshape(8, 8)

    def draw(keeper=None, stop_at=None):
        model = Guided(model=flat)

        def callback(step):
            if step.i == stop_at:
                raise Stopped

        found = sample(model, initial_noise(7, SHAPE), keeper=keeper, callback=callback, **options)
        return found, len(model.asked)

    whole, evaluations = draw()
    for i in range(6):
        keeper = Memory()
        with pytest.raises(Stopped):
            draw(keeper, i)
        found, rest = draw(keeper)
        assert torch.equal(found, whole)
        assert rest < evaluations


@pytest.mark.parametrize("unconditional", [None, torch.zeros(1)])
def test_a_state_without_a_fitting_unconditional_prediction_is_not_wrong(unconditional):
    """Of another shape it is no state; without one, the picture stands for both."""
    options: dict[str, Any] = {"model_sigmas": SD, "steps": 6, "seed": 3, "sampler": "euler_cfg_pp"}
    keeper, steps = Memory(), []

    def callback(step):
        if step.i == 2:
            raise Stopped

    with pytest.raises(Stopped):
        sample(flat, initial_noise(7, SHAPE), keeper=keeper, callback=callback, **options)
    state = keeper.load()
    keeper.save(
        {
            **state,
            "unconditional": unconditional if unconditional is None else {"tensor": unconditional, "strides": [1]},
        }
    )
    found = sample(flat, initial_noise(7, SHAPE), keeper=keeper, callback=steps.append, **options)
    assert steps[0].i == (2 if unconditional is None else 0)
    assert torch.equal(found, sample(flat, initial_noise(7, SHAPE), **options))

"""A sampling that was stopped ends in the very same latent as one that was not."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.sockets.packing import from_bytes, pack, to_bytes
from nodes.diffusion.noise import initial_noise
from nodes.diffusion.samplers import SAMPLERS, Start
from nodes.diffusion.samplers.common import knowing
from nodes.diffusion.sampling import NonFiniteLatent, sample, step_noise
from nodes.diffusion.schedules import schedule
from nodes.diffusion.sigmas import ModelSigmas

SD = ModelSigmas.stable_diffusion()
SHAPE = (2, 4, 8, 8)
STEPS = 7
PICTURE = initial_noise(100, SHAPE) * 3
MASK = torch.linspace(0, 1, 64).reshape(8, 8)
EVERY = pytest.mark.parametrize("sampler", SAMPLERS)


class Stopped(BaseException):
    """What ends a sampling here, as a cancellation does."""


class Memory:
    """Keeps what it is given as bytes, as a file would."""

    def __init__(self, always=True):
        self.always, self.data, self.saves = always, None, 0

    def load(self) -> Any:
        return None if self.data is None else from_bytes(self.data)

    def due(self):
        return self.always

    def save(self, state):
        self.data = to_bytes(*pack(state))
        self.saves += 1


class Watched:
    """A nonlinear model that counts its evaluations."""

    def __init__(self):
        self.evaluations = 0

    def __call__(self, x, sigma):
        self.evaluations += 1
        level = sigma.view(-1, 1, 1, 1) ** 2
        return x / (1 + level) + torch.tanh(x.roll(1, -1)) / (2 + level)


def run(keeper=None, stop_at=None, model=None, seen=None, latent=PICTURE, **options: Any):
    def callback(step):
        if seen is not None:
            seen.append(step)
        if step.i == stop_at:
            raise Stopped

    settings = {"steps": STEPS, "seed": 3, "scheduler": "karras", "callback": callback, "keeper": keeper}
    return sample(model or Watched(), latent, model_sigmas=SD, **(settings | options))


def stop(keeper, at, **options):
    with pytest.raises(Stopped):
        run(keeper, stop_at=at, **options)


def count(**options: Any):
    """How many steps there are: a sampler may choose its own."""
    seen = []
    run(seen=seen, **options)
    return len(seen)


CASES = {
    "whole": {},
    "image to image": {"denoise": 0.6},
    "masked": {"noise_mask": MASK, "denoise": 0.8},
    "a part of the schedule": {"start_step": 2, "steps": 9, "end_step": 8},
    "a later stage": {"start_step": 2, "steps": 9, "add_initial_noise": False},
    "items of a batch": {"batch_index": [4, 1], "force_full_denoise": True},
    "independent noise": {"independent_noise": True},
}


@EVERY
@pytest.mark.parametrize("case", CASES)
def test_stopped_after_each_step_it_ends_as_if_it_was_not(sampler, case):
    options = CASES[case] | {"sampler": sampler}
    steps = []
    whole = run(seen=steps, **options)
    for i in range(len(steps)):
        keeper = Memory()
        stop(keeper, i, **options)
        again = []
        assert torch.equal(run(keeper, seen=again, **options), whole)
        assert [step.i for step in again] == list(range(i, len(steps)))


@EVERY
def test_no_evaluation_that_was_kept_is_repeated(sampler):
    whole = Watched()
    run(model=whole, sampler=sampler)
    one, two, keeper = Watched(), Watched(), Memory(always=False)
    stop(keeper, min(4, count(sampler=sampler) - 2), model=one, sampler=sampler)
    run(keeper, model=two, sampler=sampler)
    assert one.evaluations + two.evaluations == whole.evaluations
    assert 0 < two.evaluations < whole.evaluations


@EVERY
def test_stopped_at_every_single_step_it_still_ends_there(sampler):
    keeper = Memory()
    for i in range(count(sampler=sampler)):
        stop(keeper, i, sampler=sampler)
    assert torch.equal(run(keeper, sampler=sampler), run(sampler=sampler))


@settings(max_examples=60)
@given(st.data())
def test_whatever_the_schedule_and_wherever_it_stops(data):
    options = {
        "sampler": data.draw(st.sampled_from(sorted(SAMPLERS))),
        "scheduler": data.draw(st.sampled_from(["normal", "karras", "simple", "linear_quadratic"])),
        "steps": data.draw(st.integers(1, 12)),
        "seed": data.draw(st.integers(0, 2**64 - 1)),
        "force_full_denoise": True,
    }
    options["end_step"] = data.draw(st.integers(1, options["steps"]))
    keeper = Memory(always=data.draw(st.booleans()))
    for i in sorted(data.draw(st.lists(st.integers(0, count(**options) - 1), max_size=3))):
        stop(keeper, i, **options)
    assert torch.equal(run(keeper, **options), run(**options))


@EVERY
def test_a_killed_run_goes_on_from_what_was_kept_last(sampler):
    """A kill asks nobody: what counts is what an earlier step left behind."""
    kept = Memory()
    stop(kept, min(3, count(sampler=sampler) - 1), sampler=sampler)
    killed = Memory(always=False)
    killed.data = kept.data
    assert torch.equal(run(killed, sampler=sampler), run(sampler=sampler))


@EVERY
def test_samplers_go_on_from_a_step_by_themselves(sampler):
    """Without files: what a callback is given is all that there is to a sampler's state."""
    sigmas = schedule("normal", SD, 6, sampler_name=sampler)
    x = initial_noise(1, SHAPE) * 14.6
    spec, steps, states = SAMPLERS[sampler], [], []
    noise = step_noise(spec.noise_kind, x, sigmas, 5)

    def callback(step):
        steps.append(step)
        states.append(noise.state() if noise else None)

    whole = spec.function(Watched(), x, sigmas, noise=noise, callback=callback)
    for step, state in zip(steps, states, strict=True):
        noise = step_noise(spec.noise_kind, x, sigmas, 5)
        if noise is not None:
            noise.restore(state)
        start = Start(step.i, step.memory)
        found = spec.function(
            knowing(Watched(), step.denoised, step.unconditional), step.x, sigmas, noise=noise, start=start
        )
        assert torch.equal(found, whole)


@pytest.mark.parametrize("sampler", ["dpmpp_2m_sde", "dpmpp_3m_sde", "euler_ancestral", "lms"])
def test_a_samplers_own_options_count(sampler):
    options = {"sampler": sampler, **({"order": 2} if sampler == "lms" else {"eta": 0.5, "s_noise": 1.1})}
    keeper = Memory()
    stop(keeper, 4, **options)
    again = []
    assert torch.equal(run(keeper, seen=again, **options), run(**options))
    assert again[0].i == 4


@pytest.mark.parametrize(
    "other",
    [
        {"sampler": "dpmpp_sde"},
        {"scheduler": "normal"},
        {"steps": STEPS + 1},
        {"seed": 4},
        {"latent": PICTURE * 1.001},
        {"latent": PICTURE[:1]},
        {"denoise": 0.5},
        {"latent_scale": 0.13},
        {"eta": 0.5},
    ],
    ids=str,
)
def test_another_samplings_state_is_not_taken(other):
    keeper, options = Memory(), dict[str, Any](sampler="euler_ancestral")
    stop(keeper, 4, **options)
    seen = []
    found = run(keeper, seen=seen, **(options | other))
    assert seen[0].i == 0
    assert torch.equal(found, run(**(options | other)))


def damaged(state, **changes):
    return {**state, **changes}


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: None,
        lambda state: [1, 2],
        lambda state: {},
        lambda state: {"mark": state["mark"]},
        lambda state: damaged(state, mark="other"),
        lambda state: damaged(state, i=STEPS),
        lambda state: damaged(state, i=-1),
        lambda state: damaged(state, i=2.0),
        lambda state: damaged(state, memory=None),
        lambda state: damaged(state, noise=None),
        lambda state: damaged(state, noise=torch.zeros(3)),
        lambda state: damaged(state, x={"tensor": torch.zeros(1), "strides": [1]}),
        lambda state: damaged(state, denoised={"tensor": state["x"]["tensor"].double(), "strides": [1]}),
        lambda state: damaged(state, x=3.0),
    ],
)
def test_a_state_that_cannot_be_is_no_state(damage):
    keeper, options = Memory(), dict[str, Any](sampler="euler_ancestral")
    stop(keeper, 4, **options)
    keeper.data = to_bytes(*pack(damage(keeper.load())))
    seen = []
    assert torch.equal(run(keeper, seen=seen, **options), run(**options))
    assert seen[0].i == 0


@pytest.mark.parametrize("sampler", ["lms", "uni_pc", "dpmpp_3m_sde", "heun"])
def test_tensors_come_back_in_the_order_in_memory_that_they_had(sampler):
    """Kernels round otherwise for channels last."""

    def model(x, sigma):
        return Watched()(x, sigma).contiguous(memory_format=torch.channels_last)

    def strides(step):
        found, rest = [], [step.x, step.denoised, *step.memory]
        while rest:
            part = rest.pop()
            if isinstance(part, tuple):
                rest += part
            elif isinstance(part, torch.Tensor):
                found.append(part.stride())
        return found

    keeper, whole, again = Memory(), [], []
    run(model=model, sampler=sampler, seen=whole)
    stop(keeper, 4, model=model, sampler=sampler)
    run(keeper, model=model, sampler=sampler, seen=again)
    assert [strides(step) for step in again] == [strides(step) for step in whole[4:]]
    assert (256, 1, 32, 4) in strides(again[0])


def test_nothing_is_kept_before_it_is_due():
    keeper = Memory(always=False)
    run(keeper)
    assert keeper.saves == 0
    keeper = Memory()
    run(keeper)
    assert keeper.saves == STEPS


def test_a_latent_that_is_no_number_is_not_kept():
    keeper = Memory()
    with pytest.raises(NonFiniteLatent):
        run(keeper, model=lambda x, sigma: x * (float("nan") if sigma[0] < 1 else 0.5))
    assert torch.isfinite(keeper.load()["denoised"]["tensor"]).all()

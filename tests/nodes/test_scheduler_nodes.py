"""Nodes that make and change schedules, against formulas and recorded numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import Session, loads
from nodegraph.sockets import Noise, Sigmas
from nodes import schedulers
from nodes.diffusion.schedules import SCHEDULES, schedule
from nodes.diffusion.sigmas import ModelSigmas
from nodes.sampler_names import SchedulerName
from tests.helpers import problem
from tests.nodes.conftest import Tiny

SD = ModelSigmas.stable_diffusion()
HIGH, LOW = 14.614642, 0.0291675
RANGED = ["KarrasScheduler", "ExponentialScheduler", "PolyexponentialScheduler", "LaplaceScheduler"]

falling = st.lists(st.floats(0.0625, 128, width=32), min_size=0, max_size=12, unique=True).map(
    lambda levels: Sigmas(torch.tensor([*sorted(levels, reverse=True), 0.0]))
)


@pytest.fixture(scope="module")
def recorded() -> Mapping[str, torch.Tensor]:
    with np.load(Path(__file__).parent / "diffusion" / "data" / "reference.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files if key.startswith("sigmas/")}


def same(found: torch.Tensor, expected: list[float], rel: float = 1e-5) -> None:
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize("name", get_args(SchedulerName))
def test_a_schedule_by_its_name_is_the_recorded_one(
    tiny: Tiny, name: Any, recorded: Mapping[str, torch.Tensor]
) -> None:
    found = schedulers.BasicScheduler(tiny.checkpoint.MODEL, name, 20)
    torch.testing.assert_close(found, recorded[f"sigmas/{name}_20"], rtol=1e-5, atol=0)
    assert name in SCHEDULES


def test_a_part_of_a_schedule_is_the_recorded_one(tiny: Tiny, recorded: Mapping[str, torch.Tensor]) -> None:
    found = schedulers.BasicScheduler(tiny.checkpoint.MODEL, "normal", 20, 0.5)
    expected = recorded["sigmas/KSampler_euler_normal_20_denoise0.5"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert len(schedulers.BasicScheduler(tiny.checkpoint.MODEL, "normal", 20, 0.0)) == 0


@pytest.mark.parametrize(("node", "name"), [("KarrasScheduler", "karras"), ("ExponentialScheduler", "exponential")])
def test_the_usual_ranges_are_stable_diffusions(node: str, name: str, recorded: Mapping[str, torch.Tensor]) -> None:
    found = getattr(schedulers, node)(20)
    torch.testing.assert_close(found, recorded[f"sigmas/{name}_20"], rtol=2e-5, atol=0)


def test_formulas_of_five_steps() -> None:
    way = [i / 4 for i in range(5)]
    root = (HIGH ** (1 / 3), LOW ** (1 / 3))
    same(schedulers.KarrasScheduler(5, rho=3.0), [*((root[0] + w * (root[1] - root[0])) ** 3 for w in way), 0])
    ratio = LOW / HIGH
    same(schedulers.ExponentialScheduler(5), [*(HIGH * ratio**w for w in way), 0])
    same(schedulers.PolyexponentialScheduler(5), [*(HIGH * ratio**w for w in way), 0])
    same(schedulers.PolyexponentialScheduler(5, rho=2.0), [*(LOW * ratio ** -((1 - w) ** 2) for w in way), 0])
    times = [1 - w * (1 - 1e-3) for w in way]
    same(schedulers.VPScheduler(5), [*(math.sqrt(math.expm1(19.9 * t * t / 2 + 0.1 * t)) for t in times), 0])
    quarter = 0.5 * math.log(0.5 + 1e-5)
    middle = [0.3 - quarter, 0.3, 0.3 + quarter]
    same(schedulers.LaplaceScheduler(5, mu=0.3), [HIGH, *(math.exp(level) for level in middle), LOW, 0])


@pytest.mark.parametrize("node", RANGED)
@given(steps=st.integers(1, 100), high=st.floats(1, 5000), low=st.floats(0.001, 0.9))
def test_schedules_fall_from_their_highest_level_to_their_lowest_and_to_zero(
    node: str, steps: int, high: float, low: float
) -> None:
    found = getattr(schedulers, node)(steps, high, low)
    assert found.shape == (steps + 1,)
    assert found.dtype == torch.float32
    assert found[-1] == 0
    assert (found[1:] <= found[:-1]).all()
    assert found[:-1].max() <= high * 1.00001
    assert found[:-1].min() >= low * 0.99999


def test_the_beta_schedule_is_the_one_of_that_name(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    assert torch.equal(schedulers.BetaSamplingScheduler(model, 9), schedule("beta", SD, 9))
    late = schedulers.BetaSamplingScheduler(model, 9, alpha=0.3, beta=2.0)
    assert late[4] < schedulers.BetaSamplingScheduler(model, 9)[4]


@pytest.mark.parametrize(
    ("steps", "denoise", "timesteps"),
    [
        (1, 1.0, [999]),
        (4, 1.0, [999, 899, 799, 699]),
        (10, 1.0, [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]),
        (2, 0.5, [499, 399]),
        (8, 0.2, [199, 99]),
        (3, 0.0, []),
    ],
)
def test_turbo_models_take_the_first_of_ten_steps(tiny: Tiny, steps: int, denoise: float, timesteps: list[int]) -> None:
    found = schedulers.SDTurboScheduler(tiny.checkpoint.MODEL, steps, denoise)
    same(found, [*SD.table[timesteps].tolist(), 0.0])


def test_align_your_steps_are_the_published_ones() -> None:
    published = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152]
    same(schedulers.AlignYourStepsScheduler(), [*published, 0])
    same(schedulers.AlignYourStepsScheduler("SVD", 5), [700.0, 15.886, 4.248, 0.981, 0.173, 0])
    twice = schedulers.AlignYourStepsScheduler("SD1", 20)
    same(twice[::2], [*published, 0])
    same(twice[1:4:2], [math.sqrt(14.615 * 6.475), math.sqrt(6.475 * 3.861)])
    same(schedulers.AlignYourStepsScheduler("SD1", 10, 0.3), [0.652, 0.399, 0.152, 0])
    assert len(schedulers.AlignYourStepsScheduler("SDXL", 10, 0.01)) == 0


@given(falling, st.integers(0, 20))
def test_the_parts_of_a_split_join_to_the_whole(sigmas: Sigmas, step: int) -> None:
    high, low = schedulers.SplitSigmas(sigmas, step)
    assert (len(low) > 0) == (step < len(sigmas))
    if len(low):
        assert high[-1] == low[0]
        assert torch.equal(torch.cat([high[:-1], low]), sigmas)
        assert len(high) == step + 1
    else:
        assert torch.equal(high, sigmas)


@given(falling, st.floats(0, 1))
def test_a_split_by_denoise_gives_the_second_part_that_share(sigmas: Sigmas, denoise: float) -> None:
    steps = len(sigmas) - 1
    high, low = schedulers.SplitSigmasDenoise(sigmas, denoise)
    assert len(low) - 1 == round(steps * denoise)
    assert torch.equal(torch.cat([high[:-1], low]), sigmas)


@given(falling)
def test_flipping_twice_gives_the_schedule_back_but_for_its_zero(sigmas: Sigmas) -> None:
    once = schedulers.FlipSigmas(sigmas)
    assert once[0] == pytest.approx(0.0001)
    assert once[1:].tolist() == sigmas[:-1].flip(0).tolist()
    twice = schedulers.FlipSigmas(once)
    assert torch.equal(twice[:-1], sigmas[:-1])
    assert torch.equal(schedulers.FlipSigmas(schedulers.FlipSigmas(once)), once)


@given(falling, st.floats(0, 20_000, width=32))
def test_only_the_first_level_is_changed(sigmas: Sigmas, sigma: float) -> None:
    found = schedulers.SetFirstSigma(sigmas, sigma)
    assert found[0] == sigma
    assert torch.equal(found[1:], sigmas[1:])


@given(falling, st.integers(1, 9), st.sampled_from(["linear", "cosine", "sine"]), st.floats(0, 50), st.floats(-1, 90))
def test_steps_of_a_range_become_several(sigmas: Sigmas, steps: int, spacing: Any, end: float, start: float) -> None:
    found = schedulers.ExtendIntermediateSigmas(sigmas, steps, start, end, spacing)
    limit = math.inf if start < 0 else start
    extended = sum(end <= level <= limit for level in sigmas[:-1].tolist())
    assert len(found) == len(sigmas) + extended * (steps - 1)
    assert (found[1:] <= found[:-1]).all()
    assert set(sigmas.tolist()) <= set(found.tolist())


def test_spacings_of_levels_between() -> None:
    sigmas = Sigmas(torch.tensor([10.0, 6.0, 1.0, 0.0]))
    same(schedulers.ExtendIntermediateSigmas(sigmas, 4, -1.0, 8.0), [10, 9, 8, 7, 6, 1, 0])
    cosine = [10 - 4 * math.sin(math.pi / 2 * w) for w in (1 / 3, 2 / 3)]
    same(schedulers.ExtendIntermediateSigmas(sigmas, 3, -1.0, 8.0, "cosine"), [10, *cosine, 6, 1, 0])
    sine = [10 - 4 * (1 - math.cos(math.pi / 2 * w)) for w in (1 / 3, 2 / 3)]
    same(schedulers.ExtendIntermediateSigmas(sigmas, 3, -1.0, 8.0, "sine"), [10, *sine, 6, 1, 0])
    same(schedulers.ExtendIntermediateSigmas(sigmas, 2, 7.0, 1.0), [10, 6, 3.5, 1, 0.5, 0])


@pytest.mark.parametrize(
    "change",
    [
        lambda sigmas: [schedulers.FlipSigmas(sigmas), schedulers.SetFirstSigma(sigmas)],
        lambda sigmas: [schedulers.ExtendIntermediateSigmas(sigmas)],
        lambda sigmas: [*schedulers.SplitSigmas(sigmas), *schedulers.SplitSigmasDenoise(sigmas)],
    ],
)
def test_no_steps_stay_no_steps(change: Any) -> None:
    assert all(len(found) == 0 for found in change(Sigmas(torch.empty(0))))


def test_the_noise_level_at_a_part_of_the_way(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    assert schedulers.SamplingPercentToSigma(model, 0.25).sigma_value == pytest.approx(SD.percent_to_sigma(0.25))
    assert schedulers.SamplingPercentToSigma(model, 0.0).sigma_value == 999999999.9
    assert schedulers.SamplingPercentToSigma(model, 1.0).sigma_value == 0
    ends = [schedulers.SamplingPercentToSigma(model, end, True).sigma_value for end in (0.0, 1.0)]
    assert ends == pytest.approx([SD.sigma_max, SD.sigma_min])


def test_noise_is_that_of_a_seed_or_none() -> None:
    assert schedulers.RandomNoise(2**64 - 1) == Noise(2**64 - 1)
    assert schedulers.DisableNoise() == Noise(None)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda model: schedulers.KarrasScheduler(rho=0.0), "rho"),
        (lambda model: schedulers.KarrasScheduler(sigma_max=5000.0, rho=0.01), "rho"),
        (lambda model: schedulers.ExponentialScheduler(sigma_min=0.0), "sigma_min"),
        (lambda model: schedulers.ExponentialScheduler(sigma_max=0.0), "sigma_min"),
        (lambda model: schedulers.PolyexponentialScheduler(sigma_min=0.0), "sigma_min"),
        (lambda model: schedulers.VPScheduler(beta_d=5000.0), "beta_d"),
        (lambda model: schedulers.BetaSamplingScheduler(model, alpha=0.0), "alpha"),
        (lambda model: schedulers.BetaSamplingScheduler(model, beta=0.0), "alpha"),
        (lambda model: schedulers.BasicScheduler(model, denoise=1e-9), "denoise"),
    ],
)
def test_settings_that_make_no_schedule_are_told(tiny: Tiny, make: Any, name: str) -> None:
    told = problem(lambda: make(tiny.checkpoint.MODEL))
    assert (told.code, told.input) == ("bad_value", name)
    assert told.hint


@pytest.mark.parametrize("node", RANGED)
def test_odd_ranges_still_give_a_schedule(node: str) -> None:
    """The highest level below the lowest one is what somebody asked for; there is no reason to stop."""
    assert torch.isfinite(getattr(schedulers, node)(4, 1.0, 2.0)).all()


WORKFLOW = """
nodegraph: 1
params: {step: 2}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  sigmas: {uses: BasicScheduler, with: {model: $model.model, scheduler: karras, steps: 6}}
  parts: {uses: SplitSigmas, with: {sigmas: $sigmas, step: $step}}
  back: {uses: FlipSigmas, with: {sigmas: $parts.low_sigmas}}
  level: {uses: SamplingPercentToSigma, with: {model: $model.model, sampling_percent: 0.5}}
  first: {uses: SetFirstSigma, with: {sigmas: $back, sigma: $level}}
  sampler: {uses: SamplerSASolver, with: {model: $model.model, use_pece: true}}
  noise: {uses: RandomNoise, with: {noise_seed: 5}}
outputs: {first: $first, sampler: $sampler, noise: $noise}
"""


def test_a_workflow_passes_schedules_on_and_computes_only_what_changed() -> None:
    workflow = loads(WORKFLOW)
    with Session() as session:
        result = session.run(workflow)
        outputs: dict[str, Any] = dict(result.outputs)
        expected = [SD.percent_to_sigma(0.5), *schedule("karras", SD, 6)[2:-1].flip(0).tolist()]
        assert outputs["first"].tolist() == pytest.approx(expected, rel=1e-5)
        assert outputs["sampler"].name == "sa_solver_pece"
        assert outputs["noise"] == Noise(5)
        assert session.run(workflow).executed == ()
        assert set(session.run(workflow, {"step": 3}).executed) == {"parts", "back", "first"}

"""Nodes that make samplers: what they make samples, and wrong settings are told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from nodegraph.sockets import Sampler
from nodes import samplers
from nodes.diffusion.noise import initial_noise
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.sampling import sample_latent
from nodes.diffusion.schedules import SCHEDULES, karras
from nodes.diffusion.sigmas import ModelSigmas
from nodes.sampler_names import SamplerName, SchedulerName
from nodes.sampling import KSampler
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny

SD = ModelSigmas.stable_diffusion()
SHAPE = (1, 4, 8, 8)

PLAIN: dict[str, Any] = {
    "SamplerEulerAncestral": "euler_ancestral",
    "SamplerEulerAncestralCFGPP": "euler_ancestral_cfg_pp",
    "SamplerLMS": "lms",
    "SamplerDPMPP_3M_SDE": "dpmpp_3m_sde_gpu",
    "SamplerDPMPP_2M_SDE": "dpmpp_2m_sde_gpu",
    "SamplerDPMPP_SDE": "dpmpp_sde_gpu",
    "SamplerDPMPP_2S_Ancestral": "dpmpp_2s_ancestral",
    "SamplerDPMAdaptative": "dpm_adaptive",
    "SamplerER_SDE": "er_sde",
}


def draw(sampler: Sampler) -> torch.Tensor:
    """What a sampler makes of a seed's noise, with a model that is quick to ask."""

    def model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        level = sigma.view(-1, 1, 1, 1) ** 2
        return x / (1 + level) + torch.tanh(x.roll(1, -1)) / (2 + level)

    options: dict[str, Any] = dict(sampler.options)
    return sample_latent(
        model, torch.zeros(SHAPE), karras(SD, 7), noise=initial_noise(3, SHAPE), sampler=sampler.name,
        sigma_max=SD.sigma_max, seed=3, **options,
    )  # fmt: skip


def test_the_names_on_offer_are_those_there_are_in_the_known_order() -> None:
    assert get_args(SamplerName) == tuple(SAMPLERS)
    assert len(SAMPLERS) == 42
    assert set(get_args(SchedulerName)) == set(SCHEDULES)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_chosen_by_its_name(name: Any) -> None:
    chosen = samplers.KSamplerSelect(name)
    assert (chosen.name, chosen.options) == (name, ())
    assert torch.isfinite(draw(chosen)).all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_shipped_model_draws_with_it_and_tells_of_each_step(tiny: Tiny, name: Any) -> None:
    reports: list[tuple[float, float]] = []
    context = replace(tiny.context, on_progress=lambda value, total: reports.append((value, total)))
    found = KSampler(
        tiny.checkpoint.MODEL, 1, 6, 1.5, name, "karras", positive=tiny.positive, negative=tiny.negative,
        latent_image=tiny.canvas(), context=context,
    )  # fmt: skip
    assert torch.isfinite(found["samples"]).all()
    assert 0.3 < float(found["samples"].std()) < 30
    assert [value for value, _ in reports] == list(range(1, len(reports) + 1))
    assert reports[-1][1] == len(reports)
    assert len(reports) == 6 or name in ("dpm_fast", "dpm_adaptive")


@pytest.mark.parametrize("node", PLAIN)
def test_with_its_usual_settings_a_node_makes_the_sampler_of_that_name(node: str) -> None:
    made = getattr(samplers, node)()
    assert made.name == PLAIN[node]
    assert torch.equal(draw(made), draw(Sampler(PLAIN[node])))


def test_the_usual_sa_solver_is_the_one_of_that_name(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    torch.testing.assert_close(draw(samplers.SamplerSASolver(model)), draw(Sampler("sa_solver")), rtol=1e-4, atol=1e-4)
    again = samplers.SamplerSASolver(model, use_pece=True)
    assert again.name == "sa_solver_pece"
    torch.testing.assert_close(draw(again), draw(Sampler("sa_solver_pece")), rtol=1e-4, atol=1e-4)


def test_percents_of_sa_solver_become_the_models_noise_levels(tiny: Tiny) -> None:
    made = samplers.SamplerSASolver(tiny.checkpoint.MODEL, sde_start_percent=0.0, sde_end_percent=1.0)
    options = dict(made.options)
    assert (options["sde_start_sigma"], options["sde_end_sigma"]) == (math.inf, 0.0)
    assert torch.isfinite(draw(made)).all()


@pytest.mark.parametrize(
    ("node", "changes"),
    [
        ("SamplerEulerAncestral", {"eta": 0.5}),
        ("SamplerEulerAncestral", {"s_noise": 0.5}),
        ("SamplerEulerAncestralCFGPP", {"eta": 0.5}),
        ("SamplerLMS", {"order": 2}),
        ("SamplerDPMPP_3M_SDE", {"eta": 0.5}),
        ("SamplerDPMPP_2M_SDE", {"solver_type": "heun"}),
        ("SamplerDPMPP_2M_SDE", {"s_noise": 1.2}),
        ("SamplerDPMPP_SDE", {"r": 0.7}),
        ("SamplerDPMPP_2S_Ancestral", {"eta": 0.0}),
        ("SamplerDPMAdaptative", {"rtol": 0.005}),
        ("SamplerDPMAdaptative", {"order": 2}),
        ("SamplerDPMAdaptative", {"eta": 1.0}),
        ("SamplerDPMAdaptative", {"h_init": 1.0}),
        ("SamplerDPMAdaptative", {"pcoeff": 0.5}),
        ("SamplerDPMAdaptative", {"dcoeff": 0.5}),
        ("SamplerER_SDE", {"solver_type": "ODE"}),
        ("SamplerER_SDE", {"solver_type": "Reverse-time SDE"}),
        ("SamplerER_SDE", {"max_stage": 1}),
        ("SamplerSASolver", {"eta": 0.0}),
        ("SamplerSASolver", {"sde_end_percent": 0.4}),
        ("SamplerSASolver", {"predictor_order": 1}),
        ("SamplerSASolver", {"corrector_order": 0}),
        ("SamplerSASolver", {"predictor_order": 2, "simple_order_2": True}),
    ],
    ids=str,
)
def test_every_setting_counts(tiny: Tiny, node: str, changes: dict[str, Any]) -> None:
    model = {"model": tiny.checkpoint.MODEL} if node == "SamplerSASolver" else {}
    make = getattr(samplers, node)
    usual, other = make(**model), make(**model, **changes)
    assert digest_of(usual) != digest_of(other)
    found = draw(other)
    assert torch.isfinite(found).all()
    assert not torch.equal(found, draw(usual))


@pytest.mark.parametrize("node", ["SamplerDPMPP_3M_SDE", "SamplerDPMPP_2M_SDE", "SamplerDPMPP_SDE"])
def test_where_noise_is_drawn_makes_no_difference_on_a_cpu(node: str) -> None:
    gpu, cpu = (getattr(samplers, node)(noise_device=device) for device in ("gpu", "cpu"))
    assert gpu.name == f"{cpu.name}_gpu"
    assert torch.equal(draw(gpu), draw(cpu))


@pytest.mark.parametrize(
    ("node", "changes"),
    [
        ("SamplerEulerAncestral", {"eta": 100.0, "s_noise": 0.01}),
        ("SamplerDPMPP_3M_SDE", {"eta": 100.0, "s_noise": 0.01}),
        ("SamplerDPMPP_2M_SDE", {"eta": 100.0, "solver_type": "heun"}),
        ("SamplerDPMPP_SDE", {"eta": 100.0, "r": 1.0}),
        ("SamplerDPMPP_SDE", {"r": 0.01}),
        ("SamplerER_SDE", {"solver_type": "Reverse-time SDE", "eta": 100.0}),
        ("SamplerSASolver", {"eta": 10.0, "predictor_order": 6, "corrector_order": 6}),
        ("SamplerDPMAdaptative", {"eta": 100.0}),
        ("SamplerDPMAdaptative", {"accept_safety": 0.0, "rtol": 100.0}),
        ("SamplerLMS", {"order": 100}),
    ],
    ids=str,
)
def test_settings_at_the_ends_of_their_ranges_give_numbers(tiny: Tiny, node: str, changes: dict[str, Any]) -> None:
    model = {"model": tiny.checkpoint.MODEL} if node == "SamplerSASolver" else {}
    assert torch.isfinite(draw(getattr(samplers, node)(**model, **changes))).all()


@pytest.mark.parametrize(
    ("node", "changes", "name"),
    [
        ("SamplerDPMPP_SDE", {"r": 0.0}, "r"),
        ("SamplerDPMPP_SDE", {"r": 2.0}, "r"),
        ("SamplerDPMAdaptative", {"rtol": 0.0, "atol": 0.0}, "atol"),
        ("SamplerDPMAdaptative", {"h_init": 0.0}, "h_init"),
    ],
)
def test_settings_that_no_sampler_can_work_with_are_told(node: str, changes: dict[str, Any], name: str) -> None:
    told = problem(lambda: getattr(samplers, node)(**changes))
    assert (told.code, told.input) == ("bad_value", name)
    assert told.hint and told.expected

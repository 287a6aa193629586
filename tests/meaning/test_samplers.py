"""Every family of samplers and every schedule draws what is asked; those without chance come to one picture."""

from __future__ import annotations

from typing import get_args

import pytest

from nodes.diffusion.samplers import SAMPLERS
from nodes.sampler_names import SchedulerName
from tests.meaning.conftest import Figure
from tests.meaning.drawing import Easel, Picture, apart
from training.captions import describe
from training.judge import judge
from training.scenes import Scene

SCENE = Scene("star", "red", "night", "large")

#: One sampler of each family and steps enough for it; those after CFG++ take a small cfg.
FAMILIES: dict[str, int] = {
    "euler": 8, "euler_ancestral": 12, "heun": 8, "dpm_2": 10, "dpm_2_ancestral": 10, "lms": 10, "dpm_fast": 18,
    "dpm_adaptive": 8, "dpmpp_2s_ancestral": 10, "dpmpp_sde": 8, "dpmpp_2m": 8, "dpmpp_2m_sde": 12, "dpmpp_3m_sde": 18,
    "ddpm": 20, "lcm": 8, "ipndm": 14, "deis": 10, "res_multistep": 8, "gradient_estimation": 10, "er_sde": 12,
    "seeds_2": 8, "sa_solver": 12, "ddim": 8, "uni_pc": 8, "euler_cfg_pp": 10, "dpmpp_2m_cfg_pp": 10,
}  # fmt: skip

#: Those that step over the last, small noise levels of the usual schedule too boldly when there are few steps.
KARRAS = {"dpmpp_3m_sde", "ipndm", "deis"}

#: Schedules that want more than 10 steps: the first was made for models of another kind.
MORE_STEPS = {"linear_quadratic": 32, "kl_optimal": 16}

#: Solvers of the same equation, with steps enough for it: their pictures meet.
DETERMINISTIC: dict[str, int] = {
    "euler": 40, "heun": 16, "dpm_2": 20, "lms": 24, "dpmpp_2m": 24, "ipndm": 24, "deis": 24, "res_multistep": 24,
    "ddim": 40, "uni_pc": 24,
}  # fmt: skip


def test_every_name_here_is_a_sampler() -> None:
    assert FAMILIES.keys() <= SAMPLERS.keys()
    assert all(SAMPLERS[name].noise_kind == "none" for name in DETERMINISTIC)


@pytest.mark.parametrize("sampler", FAMILIES)
def test_it_draws_what_is_asked(sampler: str, easel: Easel, figure: Figure) -> None:
    cfg, scheduler = 1.0 if sampler.endswith("cfg_pp") else 3.0, "karras" if sampler in KARRAS else "normal"
    pictures = easel.batch(
        prompt=describe(SCENE), sampler=sampler, scheduler=scheduler, steps=FAMILIES[sampler], cfg=cfg, seed=1, batch=2
    )
    seen = [judge(picture, SCENE) for picture in pictures]
    assert sum(verdict.background and verdict.colour for verdict in seen) >= len(seen) - 1  # all
    assert figure("shape", sum(verdict.shape for verdict in seen) / len(seen)) >= 0.5  # 0.75 to 1


@pytest.mark.parametrize("scheduler", get_args(SchedulerName))
def test_with_each_schedule_too(scheduler: str, easel: Easel, figure: Figure) -> None:
    steps = MORE_STEPS.get(scheduler, 10)
    asked = {"prompt": describe(SCENE), "sampler": "euler", "scheduler": scheduler, "steps": steps, "cfg": 3.0}
    pictures = easel.batch(**asked, seed=1, batch=2)
    seen = [judge(picture, SCENE) for picture in pictures]
    assert sum(verdict.background and verdict.colour for verdict in seen) >= len(seen) - 1  # all
    assert figure("shape", sum(verdict.shape for verdict in seen) / len(seen)) >= 0.5  # 1


def test_samplers_without_chance_meet_in_one_picture(easel: Easel, figure: Figure) -> None:
    def drawn(sampler: str, steps: int) -> list[Picture]:
        return easel.batch(prompt=describe(SCENE), sampler=sampler, steps=steps, cfg=1.0, batch=2)

    exact = drawn("heun", 30)
    spread = figure("other noise", apart(exact, exact[::-1]))
    rough = figure("euler, 5 steps", apart(exact, drawn("euler", 5)))
    for sampler, steps in DETERMINISTIC.items():
        distance = figure(sampler, apart(exact, drawn(sampler, steps)))
        assert distance < min(0.75 * rough, spread / 4), sampler  # 0.5 to 1.5, 2.8, 10.6


def test_samplers_with_chance_draw_another_picture_of_the_same(easel: Easel, figure: Figure) -> None:
    prompt, steps = describe(SCENE), 12
    exact = easel.draw(prompt=prompt, steps=steps, batch=2)
    by_chance = easel.draw(prompt=prompt, steps=steps, sampler="euler_ancestral", batch=2)
    assert figure("apart", apart(exact, by_chance)) > 1.5  # 3.1 to 3.2

"""Guiders and samplers put together from parts draw what the KSampler draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.context import Cancelled, CancelToken
from nodegraph.sockets import Conditioning, Guider, Latent, Noise, Sampler, Sigmas
from nodes.custom_sampling import (
    AddNoise,
    BasicGuider,
    CFGGuider,
    CustomSampled,
    DualCFGGuider,
    SamplerCustom,
    SamplerCustomAdvanced,
)
from nodes.diffusion.schedules import schedule
from nodes.guidance_nodes import PerpNeg, PerpNegGuider
from nodes.noise_levels import sigmas_of
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler, KSamplerAdvanced
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny

STEPS = 4


def levels(tiny: Tiny, sampler: str = "euler", scheduler: str = "normal") -> Sigmas:
    return Sigmas(schedule(scheduler, sigmas_of(tiny.checkpoint.MODEL), STEPS, 1.0, sampler))


def plain(tiny: Tiny, sampler: str = "euler", cfg: float = 4.0, **changes: Any) -> Latent:
    settings: dict[str, Any] = {
        "positive": tiny.positive,
        "negative": tiny.negative,
        "latent_image": tiny.canvas(),
        "sampler_name": sampler,
        "context": tiny.context,
    }
    return KSampler(tiny.checkpoint.MODEL, 3, STEPS, cfg, **(settings | changes))


def guided(
    tiny: Tiny, guider: Guider, sampler: str = "euler", parts: Sampler | None = None, **changes: Any
) -> CustomSampled:
    settings: dict[str, Any] = {
        "noise": Noise(3),
        "sampler": parts or Sampler(sampler),
        "sigmas": levels(tiny, sampler),
        "latent_image": tiny.canvas(),
        "context": tiny.context,
    }
    return SamplerCustomAdvanced(guider=guider, **(settings | changes))


def by_cfg(tiny: Tiny, cfg: float = 4.0) -> Guider:
    return CFGGuider(tiny.checkpoint.MODEL, tiny.positive, tiny.negative, cfg)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "dpmpp_sde", "uni_pc", "lms"])
def test_the_parts_of_a_ksampler_draw_what_it_draws(tiny: Tiny, sampler: str) -> None:
    wanted = digest_of(plain(tiny, sampler))
    assert digest_of(guided(tiny, by_cfg(tiny), sampler).output) == wanted
    one = SamplerCustom(
        tiny.checkpoint.MODEL, True, 3, 4.0,
        positive=tiny.positive, negative=tiny.negative, sampler=Sampler(sampler), sigmas=levels(tiny, sampler),
        latent_image=tiny.canvas(), context=tiny.context,
    )  # fmt: skip
    assert digest_of(one.output) == wanted


def test_a_basic_guider_is_one_without_a_negative_prompt(tiny: Tiny) -> None:
    basic = BasicGuider(tiny.checkpoint.MODEL, tiny.positive)
    assert digest_of(guided(tiny, basic).output) == digest_of(plain(tiny, cfg=1.0))


def test_the_last_picture_that_the_model_saw_comes_along(tiny: Tiny) -> None:
    whole = guided(tiny, by_cfg(tiny))
    torch.testing.assert_close(whole.denoised_output["samples"], whole.output["samples"], rtol=1e-4, atol=1e-3)
    # What the model saw behind the second step is where an Euler step from there to the end leads.
    first, second, third = levels(tiny)[:3].tolist()
    part = guided(tiny, by_cfg(tiny), sigmas=Sigmas(torch.tensor([first, second, third])))
    ended = guided(tiny, by_cfg(tiny), sigmas=Sigmas(torch.tensor([first, second, 0.0])))
    torch.testing.assert_close(part.denoised_output["samples"], ended.output["samples"], rtol=1e-4, atol=1e-3)
    assert not torch.allclose(part.output["samples"], ended.output["samples"], atol=0.1)


def test_no_steps_give_the_latent_back(tiny: Tiny) -> None:
    latent: Latent = {"samples": torch.ones(1, 4, 8, 8), "batch_index": [2]}
    for sigmas in (torch.empty(0), torch.tensor([3.0])):
        found = guided(tiny, by_cfg(tiny), latent_image=latent, sigmas=Sigmas(sigmas))
        assert digest_of(found.output) == digest_of(found.denoised_output) == digest_of(latent)


def test_stages_hand_over_the_noise(tiny: Tiny) -> None:
    """The first half by one sampler and the second by another is what one sampler draws."""
    sigmas = levels(tiny)
    half = guided(tiny, by_cfg(tiny), sigmas=Sigmas(sigmas[:3])).output
    rest = guided(tiny, by_cfg(tiny), noise=Noise(None), sigmas=Sigmas(sigmas[2:]), latent_image=half).output
    torch.testing.assert_close(rest["samples"], plain(tiny)["samples"], rtol=1e-4, atol=1e-4)
    advanced = KSamplerAdvanced(
        tiny.checkpoint.MODEL, noise_seed=3, steps=STEPS, cfg=4.0, positive=tiny.positive, negative=tiny.negative,
        latent_image=tiny.canvas(), end_at_step=2, return_with_leftover_noise="enable", context=tiny.context,
    )  # fmt: skip
    assert digest_of(half) == digest_of(advanced)


def test_added_noise_is_what_a_sampler_would_add(tiny: Tiny) -> None:
    latent, sigmas = plain(tiny), Sigmas(torch.tensor([2.0, 0.5, 0.0]))
    noised = AddNoise(tiny.checkpoint.MODEL, Noise(5), sigmas, latent)
    by_hand = guided(tiny, by_cfg(tiny), noise=Noise(None), sigmas=sigmas, latent_image=noised).output
    torch.testing.assert_close(
        by_hand["samples"],
        guided(tiny, by_cfg(tiny), noise=Noise(5), sigmas=sigmas, latent_image=latent).output["samples"],
        rtol=1e-4,
        atol=1e-4,
    )
    assert AddNoise(tiny.checkpoint.MODEL, Noise(None), sigmas, latent) is latent


def test_options_of_a_sampler_reach_it(tiny: Tiny) -> None:
    sampler = Sampler("euler_ancestral", (("eta", 0.0),))
    found = guided(tiny, by_cfg(tiny), parts=sampler).output
    torch.testing.assert_close(found["samples"], plain(tiny)["samples"], rtol=1e-4, atol=1e-4)


def test_two_prompts_with_a_scale_each(tiny: Tiny) -> None:
    model, other = tiny.checkpoint.MODEL, CLIPTextEncode("a blue circle", tiny.checkpoint.CLIP, tiny.context)

    def drawn(*arguments: Any) -> torch.Tensor:
        return guided(tiny, DualCFGGuider(model, *arguments)).output["samples"]

    # With one prompt twice the scale between them plays no part; nested, both scales multiply.
    same = drawn(tiny.positive, tiny.positive, tiny.negative, 7.0, 4.0)
    torch.testing.assert_close(same, plain(tiny)["samples"], rtol=1e-3, atol=1e-3)
    nested = drawn(tiny.positive, tiny.negative, tiny.negative, 2.0, 2.0, "nested")
    torch.testing.assert_close(nested, plain(tiny)["samples"], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(drawn(tiny.positive, other, tiny.negative, 2.0, 4.0), same, atol=1e-2)


def test_perpendicular_guidance_is_the_same_by_guider_and_by_model(tiny: Tiny) -> None:
    other = CLIPTextEncode("a blue star at night", tiny.checkpoint.CLIP, tiny.context)
    guider = PerpNegGuider(tiny.checkpoint.MODEL, tiny.positive, other, tiny.negative, 4.0, 1.5)
    found = guided(tiny, guider).output
    patched = PerpNeg(tiny.checkpoint.MODEL, tiny.negative, 1.5)
    by_model = guided(tiny, CFGGuider(patched, tiny.positive, other, 4.0)).output
    assert digest_of(found) == digest_of(by_model)
    assert digest_of(found) != digest_of(plain(tiny, negative=other))
    # Against the empty prompt itself there is nothing to avoid.
    empty = PerpNegGuider(tiny.checkpoint.MODEL, tiny.positive, tiny.negative, tiny.negative, 4.0, 1.5)
    torch.testing.assert_close(guided(tiny, empty).output["samples"], plain(tiny)["samples"], rtol=1e-3, atol=1e-3)


def test_guiders_that_differ_have_other_digests(tiny: Tiny) -> None:
    model, one, two = tiny.checkpoint.MODEL, tiny.positive, tiny.negative
    guiders = [
        CFGGuider(model, one, two, 4.0),
        CFGGuider(model, one, two, 5.0),
        CFGGuider(model, two, one, 4.0),
        BasicGuider(model, one),
        DualCFGGuider(model, one, one, two),
        DualCFGGuider(model, one, one, two, style="nested"),
        PerpNegGuider(model, one, two, two),
    ]
    assert len({digest_of(guider) for guider in guiders}) == len(guiders)
    assert digest_of(CFGGuider(model, one, two, 4.0)) == digest_of(guiders[0])


def test_masks_previews_and_progress_work_there_too(tiny: Tiny) -> None:
    reports: list[float] = []
    seen: list[Any] = []
    context = replace(tiny.context, on_progress=lambda value, total: reports.append(value), on_preview=seen.append)
    start = plain(tiny)
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    found = guided(tiny, by_cfg(tiny), latent_image={**start, "noise_mask": mask}, context=context)
    assert reports == [1, 2, 3, 4]
    assert len(seen) == 4
    for latent in found:
        torch.testing.assert_close(latent["samples"][..., :4], start["samples"][..., :4], atol=1e-4, rtol=1e-4)


def test_a_cancelled_run_goes_on_where_it_stopped(tiny: Tiny, tmp_path: Path) -> None:
    token, steps = CancelToken(), list[float]()

    def progress(value: float, total: float) -> None:
        steps.append(value)
        if value == 2 and not token.cancelled:
            token.cancel()

    checkpoint = Checkpoints(tmp_path, 0.0).of(b"k" * 32)
    context = replace(tiny.context, token=token, on_progress=progress, checkpoint=checkpoint)
    with pytest.raises(Cancelled):
        guided(tiny, by_cfg(tiny), "dpmpp_2m", context=context)
    steps.clear()
    found = guided(tiny, by_cfg(tiny), "dpmpp_2m", context=replace(context, token=None))
    assert steps == [3, 4]
    whole = guided(tiny, by_cfg(tiny), "dpmpp_2m")
    assert [digest_of(latent) for latent in found] == [digest_of(latent) for latent in whole]


@pytest.mark.parametrize(
    "sigmas", [torch.tensor([3.0, float("nan"), 0.0]), torch.tensor([3.0, 0.0, 1.0]), torch.tensor([[3.0, 0.0]])]
)
def test_noise_levels_that_are_none_are_told(tiny: Tiny, sigmas: torch.Tensor) -> None:
    found = problem(lambda: guided(tiny, by_cfg(tiny), sigmas=Sigmas(sigmas)))
    assert (found.code, found.input) == ("bad_value", "sigmas")


def test_mistakes_are_told(tiny: Tiny) -> None:
    told = problem(lambda: guided(tiny, by_cfg(tiny), parts=Sampler("eulr")))
    assert (told.code, told.input, told.hint) == ("bad_value", "sampler", "did you mean 'euler'?")
    told = problem(lambda: guided(tiny, by_cfg(tiny), latent_image={"samples": torch.zeros(1, 16, 8, 8)}))
    assert (told.code, told.input) == ("bad_value", "latent_image")
    other = CFGGuider(tiny.checkpoint.MODEL, Conditioning([(torch.zeros(1, 77, 768), {})]), tiny.negative)
    told = problem(lambda: guided(tiny, other))
    assert (told.code, told.input) == ("bad_value", "guider")
    told = problem(lambda: guided(tiny, by_cfg(tiny), latent_image={**tiny.canvas(), "batch_index": [1, 2]}))
    assert (told.code, told.input) == ("bad_value", "latent_image")
    nan: Latent = {"samples": torch.full((1, 4, 8, 8), float("nan"))}
    told = problem(lambda: guided(tiny, by_cfg(tiny), latent_image=nan))
    assert told.code == "not_finite"
    assert "step 1 of 4" in told.message

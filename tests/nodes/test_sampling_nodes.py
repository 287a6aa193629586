"""KSampler and KSamplerAdvanced on the embedded model: the seed decides, progress is told, mistakes are told."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.sockets import Conditioning, Latent
from nodes.sampling import KSampler, KSamplerAdvanced
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny


def draw(tiny: Tiny, seed: int = 1, steps: int = 2, cfg: float = 4.0, **changes: Any) -> Latent:
    settings: dict[str, Any] = {
        "positive": tiny.positive,
        "negative": tiny.negative,
        "latent_image": tiny.canvas(),
        "context": tiny.context,
    }
    return KSampler(tiny.checkpoint.MODEL, seed, steps, cfg, **(settings | changes))


def part(tiny: Tiny, **changes: Any) -> Latent:
    settings: dict[str, Any] = {
        "noise_seed": 3,
        "steps": 4,
        "cfg": 3.0,
        "positive": tiny.positive,
        "negative": tiny.negative,
        "latent_image": tiny.canvas(),
        "context": tiny.context,
    }
    return KSamplerAdvanced(tiny.checkpoint.MODEL, **(settings | changes))


def picture_latent(tiny: Tiny) -> Latent:
    return draw(tiny, seed=9)


def test_the_same_seed_draws_the_same_and_another_one_does_not(tiny: Tiny) -> None:
    first = draw(tiny)
    assert first["samples"].shape == (1, 4, 8, 8)
    assert first["samples"].dtype == torch.float32
    assert digest_of(first) == digest_of(draw(tiny))
    assert digest_of(first) != digest_of(draw(tiny, seed=2))


def test_another_process_draws_the_same(tiny: Tiny) -> None:
    script = (
        "import sys, tempfile, pathlib, torch\n"
        "from tests.helpers import context_in, digest_of\n"
        "from nodes.checkpoints import CheckpointLoaderSimple\n"
        "from nodes.prompt import CLIPTextEncode\n"
        "from nodes.sampling import KSampler\n"
        "torch.set_num_threads(int(sys.argv[1])); torch.randn(7)\n"
        "context = context_in(pathlib.Path(tempfile.gettempdir()) / 'nowhere')\n"
        "model, clip, _ = CheckpointLoaderSimple('tiny', context)\n"
        "prompts = [CLIPTextEncode(text, clip, context) for text in ('a red star at night', '')]\n"
        "blank = {'samples': torch.zeros(1, 4, 8, 8)}\n"
        "drawn = KSampler(model, 1, 2, 4.0, positive=prompts[0], negative=prompts[1], latent_image=blank,\n"
        "                 context=context)\n"
        "print(digest_of(drawn))\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    arguments = [sys.executable, "-c", script, str(torch.get_num_threads())]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(arguments, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == digest_of(draw(tiny)), done.stderr


def test_the_global_random_generator_plays_no_part(tiny: Tiny) -> None:
    before = torch.random.get_rng_state()
    first = draw(tiny, sampler_name="euler_ancestral")
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert digest_of(draw(tiny, sampler_name="euler_ancestral")) == digest_of(first)


@pytest.mark.parametrize("seed", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_every_seed_works(tiny: Tiny, seed: int) -> None:
    assert torch.isfinite(draw(tiny, seed, steps=1)["samples"]).all()


def test_at_cfg_1_the_negative_prompt_plays_no_part(tiny: Tiny) -> None:
    drawn = [draw(tiny, cfg=1.0, negative=negative) for negative in (tiny.negative, tiny.positive)]
    assert digest_of(drawn[0]) == digest_of(drawn[1])
    guided = [draw(tiny, cfg=2.0, negative=negative) for negative in (tiny.negative, tiny.positive)]
    assert digest_of(guided[0]) != digest_of(guided[1])


def test_denoise_0_gives_the_latent_back_and_more_of_it_changes_more(tiny: Tiny) -> None:
    start = picture_latent(tiny)
    changes = [
        float((draw(tiny, latent_image=start, denoise=denoise)["samples"] - start["samples"]).std())
        for denoise in (0.0, 0.3, 1.0)
    ]
    assert changes[0] == 0
    assert 0 < changes[1] < changes[2]


def test_the_first_of_a_batch_is_what_the_seed_draws_alone(tiny: Tiny) -> None:
    alone, batch = draw(tiny)["samples"], draw(tiny, latent_image=tiny.canvas(batch=2))["samples"]
    torch.testing.assert_close(batch[:1], alone, atol=1e-3, rtol=1e-3)
    assert (batch[1] - batch[0]).std() > 0.1


def test_an_item_of_a_batch_can_be_drawn_again_alone(tiny: Tiny) -> None:
    batch = draw(tiny, latent_image=tiny.canvas(batch=3))["samples"]
    again = draw(tiny, latent_image={**tiny.canvas(), "batch_index": [2]})
    torch.testing.assert_close(again["samples"], batch[2:], atol=1e-3, rtol=1e-3)
    assert again.get("batch_index") == [2]


def test_odd_sizes_are_drawn(tiny: Tiny) -> None:
    assert draw(tiny, steps=1, latent_image={"samples": torch.zeros(1, 4, 9, 13)})["samples"].shape == (1, 4, 9, 13)


def test_what_is_masked_stays_as_it_was(tiny: Tiny) -> None:
    start = picture_latent(tiny)
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    drawn = draw(tiny, latent_image={**start, "noise_mask": mask})
    torch.testing.assert_close(drawn["samples"][..., :4], start["samples"][..., :4], atol=1e-4, rtol=1e-4)
    assert (drawn["samples"][..., 4:] - start["samples"][..., 4:]).std() > 0.1
    assert drawn.get("noise_mask") is mask


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "dpmpp_2m_sde"])
def test_inputs_are_only_read_and_a_second_run_gives_the_same(tiny: Tiny, sampler: str) -> None:
    start = {**picture_latent(tiny), "noise_mask": torch.full((1, 64, 64), 0.5)}
    inputs = (start, tiny.positive, tiny.negative)
    before = [digest_of(value) for value in inputs]
    first, second = (draw(tiny, latent_image=start, sampler_name=sampler, denoise=0.7) for _ in range(2))
    assert [digest_of(value) for value in inputs] == before
    assert digest_of(first) == digest_of(second)


def test_two_halves_of_a_schedule_are_the_whole(tiny: Tiny) -> None:
    whole = part(tiny)
    half = part(tiny, end_at_step=2, return_with_leftover_noise="enable")
    rest = part(tiny, latent_image=half, add_noise="disable", start_at_step=2)
    torch.testing.assert_close(rest["samples"], whole["samples"], atol=1e-4, rtol=1e-4)
    cleaned = part(tiny, end_at_step=2)
    assert (cleaned["samples"] - half["samples"]).std() > 0.1


def test_the_advanced_sampler_from_start_to_end_is_the_plain_one(tiny: Tiny) -> None:
    assert digest_of(part(tiny, steps=2)) == digest_of(draw(tiny, seed=3, cfg=3.0))


@pytest.mark.parametrize(("start", "end"), [(4, 4), (3, 1), (10_000, 10_000), (0, 0), (4, 10_000)])
def test_a_part_without_steps_gives_the_latent_back(tiny: Tiny, start: int, end: int) -> None:
    latent = picture_latent(tiny)
    same = part(tiny, latent_image=latent, start_at_step=start, end_at_step=end, return_with_leftover_noise="enable")
    torch.testing.assert_close(same["samples"], latent["samples"])


@pytest.mark.parametrize(("sampler", "steps"), [("euler", 3), ("heun", 2), ("dpmpp_2m", 3), ("dpm_2", 2)])
def test_each_step_is_reported_once(tiny: Tiny, sampler: str, steps: int) -> None:
    reports: list[tuple[float, float]] = []
    context = replace(tiny.context, on_progress=lambda value, total: reports.append((value, total)))
    draw(tiny, steps=steps, sampler_name=sampler, context=context)
    assert reports == [(i + 1, steps) for i in range(steps)]


def test_previews_are_small_pictures_and_are_made_only_when_somebody_looks(tiny: Tiny) -> None:
    seen: list[PIL.Image.Image] = []
    watched = replace(tiny.context, on_preview=seen.append)
    first = draw(tiny, context=watched)
    assert [picture.size for picture in seen] == [(64, 64)] * 2
    assert all(picture.mode == "RGB" for picture in seen)
    assert digest_of(first) == digest_of(draw(tiny, context=replace(watched, previews=False)))
    assert len(seen) == 2


def test_a_cancelled_run_stops_at_the_next_step(tiny: Tiny) -> None:
    token = CancelToken()
    reports: list[float] = []

    def progress(value: float, total: float) -> None:
        reports.append(value)
        token.cancel()

    with pytest.raises(Cancelled):
        draw(tiny, steps=1000, context=replace(tiny.context, token=token, on_progress=progress))
    assert reports == [1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_told_with_the_step(tiny: Tiny, value: float) -> None:
    latent: Latent = {"samples": torch.full((1, 4, 8, 8), value)}
    found = problem(lambda: draw(tiny, latent_image=latent, denoise=0.9))
    assert found.code == "not_finite"
    assert "after step 1 of 2" in found.message
    assert found.hint


@pytest.mark.parametrize("node", [draw, part])
def test_a_latent_or_a_prompt_of_another_kind_of_model_is_told(tiny: Tiny, node: Any) -> None:
    found = problem(lambda: node(tiny, latent_image={"samples": torch.zeros(1, 16, 8, 8)}))
    assert (found.code, found.input) == ("bad_value", "latent_image")
    assert "4 channels, and this one has 16" in found.message
    other = Conditioning([(torch.zeros(1, 77, 768), {})])
    for name in ("positive", "negative"):
        found = problem(lambda name=name: node(tiny, **{name: other}))
        assert (found.code, found.input) == ("bad_value", name)
        assert "width 128, and this one has 768" in found.message


def test_weights_that_vanished_since_they_were_found_are_told(tiny: Tiny, context: Context) -> None:
    gone = replace(tiny.checkpoint.MODEL, path=str(context.roots.output), content="other")
    found = problem(
        lambda: KSampler(
            gone, positive=tiny.positive, negative=tiny.negative, latent_image=tiny.canvas(), context=context
        )
    )
    assert found.code == "model_unreadable"


def test_a_denoise_of_almost_nothing_is_told(tiny: Tiny) -> None:
    told = problem(lambda: draw(tiny, denoise=1e-9))
    assert (told.code, told.input) == ("bad_value", "denoise")

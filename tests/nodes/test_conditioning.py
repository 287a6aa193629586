"""Conditioning nodes: prompts joined, mixed, and told where and when they count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nodegraph.sockets import Conditioning, Latent, Mask
from nodes.conditioning import (
    ConditioningAverage,
    ConditioningCombine,
    ConditioningConcat,
    ConditioningSetArea,
    ConditioningSetAreaPercentage,
    ConditioningSetAreaStrength,
    ConditioningSetMask,
    ConditioningSetTimestepRange,
    ConditioningZeroOut,
)
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny


def prompt(length: int, value: float, width: int = 8, **options: Any) -> Conditioning:
    return Conditioning([(torch.full((1, length, width), value), options)])


def draw(tiny: Tiny, positive: Conditioning, size: int = 128, **changes: Any) -> Latent:
    settings: dict[str, Any] = {
        "seed": 3,
        "steps": 4,
        "cfg": 4.0,
        "negative": tiny.negative,
        "latent_image": tiny.canvas(size),
        "context": tiny.context,
    }
    return KSampler(tiny.checkpoint.MODEL, positive=positive, **(settings | changes))


def test_options_are_set_beside_those_that_are_there() -> None:
    given = prompt(3, 1.0, pooled_output=torch.ones(1, 4))
    options = ConditioningSetTimestepRange(
        ConditioningSetMask(ConditioningSetArea(given, 512, 256, 64, 8, 0.5), Mask(torch.ones(8, 8)), 2.0), 0.25, 0.75
    )[0][1]
    assert options["area"] == (32, 64, 1, 8)
    assert (options["strength"], options["mask_strength"], options["set_area_to_bounds"]) == (0.5, 2.0, False)
    assert options["mask"].shape == (1, 8, 8)
    assert (options["start_percent"], options["end_percent"]) == (0.25, 0.75)
    assert "pooled_output" in options
    assert given[0][1].keys() == {"pooled_output"}
    assert ConditioningSetAreaPercentage(given, 0.5, 0.25, 0.1, 0.2)[0][1]["area"] == (
        "percentage",
        0.25,
        0.5,
        0.2,
        0.1,
    )
    assert ConditioningSetAreaStrength(given, 3.0)[0][1]["strength"] == 3.0
    bounded = ConditioningSetMask(given, Mask(torch.ones(1, 8, 8)), set_cond_area="mask bounds")[0][1]
    assert bounded["set_area_to_bounds"] is True


def test_combining_keeps_both() -> None:
    one, two = prompt(3, 1.0), prompt(4, 2.0)
    assert [context.shape[1] for context, _ in ConditioningCombine(one, two)] == [3, 4]


def test_one_prompt_is_put_behind_the_other() -> None:
    joined = ConditioningConcat(prompt(3, 1.0, kept=1), prompt(2, 2.0))
    assert joined[0][0][0, :, 0].tolist() == [1, 1, 1, 2, 2]
    assert joined[0][1] == {"kept": 1}
    several = Conditioning([(torch.zeros(2, 3, 8), {})])
    assert ConditioningConcat(several, prompt(2, 2.0))[0][0].shape == (2, 5, 8)


@pytest.mark.parametrize("length", [2, 3, 5])
def test_prompts_are_mixed_word_by_word(length: int) -> None:
    mixed = ConditioningAverage(prompt(3, 1.0), prompt(length, 2.0), 0.25)[0][0][0, :, 0]
    wanted = [0.25 + 0.75 * (2.0 if i < length else 0.0) for i in range(3)]
    torch.testing.assert_close(mixed, torch.tensor(wanted))


def test_pooled_prompts_are_mixed_too() -> None:
    one, two = (prompt(3, 1.0, pooled_output=torch.full((1, 4), value)) for value in (1.0, 3.0))
    assert ConditioningAverage(one, two, 0.5)[0][1]["pooled_output"].tolist() == [[2.0] * 4]
    assert ConditioningAverage(prompt(3, 1.0), two, 0.5)[0][1]["pooled_output"].tolist() == [[3.0] * 4]
    assert ConditioningAverage(one, prompt(3, 1.0), 0.5)[0][1]["pooled_output"].tolist() == [[1.0] * 4]


def test_at_full_strength_the_first_prompt_is_left() -> None:
    assert torch.equal(ConditioningAverage(prompt(3, 1.0), prompt(4, 2.0))[0][0], prompt(3, 1.0)[0][0])


def test_zeroed_prompts_are_zero() -> None:
    (context, options), *_ = ConditioningZeroOut(prompt(3, 1.0, pooled_output=torch.ones(1, 4), kept=1))
    assert not context.any()
    assert not options["pooled_output"].any()
    assert options["kept"] == 1


@pytest.mark.parametrize("node", [ConditioningConcat, ConditioningAverage])
def test_prompts_that_do_not_go_together_are_told(node: Any) -> None:
    found = problem(lambda: node(prompt(3, 1.0), prompt(3, 1.0, width=9)))
    assert (found.code, found.input) == ("bad_value", "conditioning_from")
    assert "width 8 and 9" in found.message
    assert problem(lambda: node(prompt(3, 1.0), Conditioning([]))).code == "bad_value"


# --- through the model


def test_an_area_of_everything_is_the_prompt_itself(tiny: Tiny) -> None:
    plain = draw(tiny, tiny.positive)
    assert digest_of(draw(tiny, ConditioningSetAreaPercentage(tiny.positive))) == digest_of(plain)
    assert digest_of(draw(tiny, ConditioningSetAreaStrength(tiny.positive, 3.0))) == digest_of(plain)
    masked = draw(tiny, ConditioningSetMask(tiny.positive, Mask(torch.ones(1, 16, 16))))
    torch.testing.assert_close(masked["samples"], plain["samples"], rtol=1e-3, atol=1e-3)


def test_a_prompt_beside_itself_is_the_prompt(tiny: Tiny) -> None:
    twice = draw(tiny, ConditioningCombine(tiny.positive, tiny.positive))
    torch.testing.assert_close(twice["samples"], draw(tiny, tiny.positive)["samples"], rtol=1e-3, atol=1e-3)


def test_two_prompts_draw_two_halves(tiny: Tiny) -> None:
    """Each half follows its own prompt: a change of one of them changes the other half little."""

    def drawn(right: str) -> torch.Tensor:
        other = CLIPTextEncode(right, tiny.checkpoint.CLIP, tiny.context)
        left = ConditioningSetArea(tiny.positive, 64, 128)
        return draw(tiny, ConditioningCombine(left, ConditioningSetArea(other, 64, 128, 64)))["samples"]

    change = (drawn("a blue circle") - drawn("a green square")).abs().mean(dim=(0, 1, 2))
    assert change[8:].mean() > 4 * change[:8].mean()  # 6.5 times, with earlier weights more than 10


def test_ranges_share_the_steps_between_prompts(tiny: Tiny) -> None:
    blue = CLIPTextEncode("a blue circle", tiny.checkpoint.CLIP, tiny.context)
    early = ConditioningSetTimestepRange(tiny.positive, 0.0, 0.0)
    assert digest_of(draw(tiny, ConditioningCombine(early, blue))) != digest_of(draw(tiny, tiny.positive))
    split = ConditioningCombine(
        ConditioningSetTimestepRange(tiny.positive, 0.0, 0.5), ConditioningSetTimestepRange(blue, 0.5, 1.0)
    )
    digests = {digest_of(draw(tiny, given)) for given in (split, tiny.positive, blue)}
    assert len(digests) == 3


def test_an_empty_conditioning_is_told(tiny: Tiny) -> None:
    found = problem(lambda: draw(tiny, Conditioning([])))
    assert (found.code, found.input) == ("bad_value", "positive")
    assert "empty" in found.message

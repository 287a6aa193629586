"""Changes inside a UNet, made on clones: what they compute, and that the module itself stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nodes.diffusion.behaviours.attention import self_attentions
from nodes.diffusion.behaviours.attention_guidance import (
    attended,
    blurred,
    perturb,
    perturbed_attention,
    self_attention_guidance,
    watchable,
    watching,
)
from nodes.diffusion.behaviours.freeu import free_u, structure
from nodes.diffusion.behaviours.tiles import hyper_tile, tile_sides
from nodes.diffusion.behaviours.token_merging import match, merge_tokens, targets
from nodes.diffusion.clones import structural_clone as clone_of
from nodes.diffusion.conditions import conditions
from nodes.diffusion.denoiser import unet_denoiser
from nodes.diffusion.guidance import GuidedModel, Predictor, by_scale
from nodes.diffusion.noise import generator
from nodes.diffusion.sigmas import ModelSigmas
from tests.nodes.diffusion.unets import WIDTH, make_unet

SD = ModelSigmas.stable_diffusion()
UNET = make_unet()


def structural_clone(unet: nn.Module) -> Any:
    return clone_of(unet)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


X, CONTEXT = randn(2, 4, 16, 24), randn(2, 7, WIDTH, seed=1)


def run(unet: nn.Module, x: Tensor = X, timestep: int = 500) -> Tensor:
    return unet(x, torch.full((len(x),), timestep), encoder_hidden_states=CONTEXT, return_dict=False)[0]


def changed(change: Callable[..., None], *settings: Any) -> Tensor:
    clone = structural_clone(UNET)
    change(clone, *settings)
    return run(clone)


CHANGES: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
    "freeu": (free_u, (1.5, 1.6, 0.9, 0.2)),
    "freeu by structure": (free_u, (1.5, 1.6, 0.9, 0.2, True)),
    "tiles": (hyper_tile, (64, 2, 0, False)),
    "tiles of all levels": (hyper_tile, (32, 3, 2, True)),
    "merged tokens": (merge_tokens, (0.5,)),
    "perturbed": (perturb, ()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_the_clone_and_not_the_module(name):
    change, settings = CHANGES[name]
    before = run(UNET)
    found = changed(change, *settings)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, before, atol=1e-4)
    assert torch.equal(run(UNET), before)
    assert torch.equal(changed(change, *settings), found)


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (free_u, (1.0, 1.0, 1.0, 1.0)),
        (free_u, (1.0, 1.0, 1.0, 1.0, True)),
        (hyper_tile, (4096, 1, 0, False)),
        (merge_tokens, (0.0,)),
        (watchable, ()),
    ],
)
def test_changes_by_nothing_change_nothing(change, settings):
    torch.testing.assert_close(changed(change, *settings), run(UNET), rtol=1e-5, atol=1e-5)


def test_changes_can_be_laid_over_each_other():
    clone = structural_clone(UNET)
    merge_tokens(clone, 0.5)
    hyper_tile(clone, 64, 2, 2, False)
    free_u(clone, 1.5, 1.6, 0.9, 0.2)
    assert torch.isfinite(run(clone)).all()
    assert not torch.allclose(run(clone), changed(merge_tokens, 0.5), atol=1e-4)


def test_odd_sizes_go_through_every_change():
    x = randn(1, 4, 9, 13)
    for change, settings in CHANGES.values():
        clone = structural_clone(UNET)
        change(clone, *settings)
        found = clone(x, torch.tensor([500]), encoder_hidden_states=CONTEXT[:1], return_dict=False)[0]
        assert found.shape == x.shape


# --- FreeU


def test_freeu_weighs_backbone_and_skips_where_the_paper_says():
    """With factors for the deeper level only, the inputs of blocks with less channels come through unchanged."""
    seen: dict[str, list[Tensor]] = {"plain": [], "weighed": []}
    for name, list_ in seen.items():
        clone = structural_clone(UNET)
        if name == "weighed":
            free_u(clone, 2.0, 1.0, 1.0, 1.0)
        block = clone.up_blocks[0].resnets[0]
        block.register_forward_pre_hook(lambda module, args, list_=list_: list_.append(args[0]))
        run(clone)
    plain, weighed = seen["plain"][0], seen["weighed"][0]
    torch.testing.assert_close(weighed[:, :16], plain[:, :16] * 2)  # half of the 32 channels of the backbone
    torch.testing.assert_close(weighed[:, 16:], plain[:, 16:], rtol=1e-4, atol=1e-4)


def test_freeu_dampens_the_low_frequencies_of_skips():
    seen: list[Tensor] = []
    for skip in (1.0, 0.0):
        clone = structural_clone(UNET)
        free_u(clone, 1.0, 1.0, skip, skip)
        clone.up_blocks[0].resnets[0].register_forward_pre_hook(lambda module, args: seen.append(args[0][:, 32:]))
        run(clone)
    assert seen[0].mean(dim=(2, 3)).abs().max() > 0.01
    assert seen[1].mean(dim=(2, 3)).abs().max() < 1e-5


def test_structure_runs_from_0_to_1_in_each_picture():
    found = structure(randn(3, 8, 4, 5))
    assert found.amin(dim=(1, 2, 3)).tolist() == [0, 0, 0]
    assert found.amax(dim=(1, 2, 3)).tolist() == [1, 1, 1]
    assert not structure(torch.ones(1, 8, 4, 5)).any()


# --- tiles


def test_tokens_of_one_tile_do_not_see_another_one():
    """Of the first level's attention alone: a change in one tile leaves the others as they were."""
    clone = structural_clone(UNET)
    hyper_tile(clone, 64, 1, 0, False)  # tiles of 8 x 8
    depth, layer = next(self_attentions(clone))
    assert depth == 0
    run(clone)  # tells the size
    tokens = randn(1, 16 * 24, 8)
    other = tokens.clone().reshape(1, 16, 24, 8)
    other[:, :8, :8] += 1
    change = (layer(other.reshape(1, -1, 8)) - layer(tokens)).reshape(16, 24, 8).abs().sum(dim=2)
    assert (change[:8, :8] > 0).all()
    assert not change[8:].any()
    assert not change[:, 8:].any()


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 8))
def test_tiles_divide_a_side_into_equal_ones(length, least, count):
    sides = tile_sides(length, least, count)
    assert 1 <= len(sides) <= count
    assert all(length % side == 0 and side >= min(least, length) for side in sides)
    assert sides == sorted(sides)


def test_tile_sizes_change_from_step_to_step_but_not_from_run_to_run():
    clone = structural_clone(UNET)
    hyper_tile(clone, 32, 4, 2, False)
    one = structural_clone(UNET)
    hyper_tile(one, 32, 1, 2, False)
    differences = [
        not torch.allclose(run(clone, timestep=t), run(one, timestep=t), atol=1e-5) for t in range(0, 90, 10)
    ]
    assert any(differences)
    assert torch.equal(run(clone), run(clone))


# --- merged tokens


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**32), st.floats(0, 1))
def test_merged_tokens_come_apart_in_their_places(height, width, seed, ratio):
    tokens = randn(2, height * width, 3, seed=seed % 1000)
    chosen = targets(height, width, seed)
    assert int(chosen.sum()) == (height // 2) * (width // 2)
    pairs = match(tokens, chosen, int(ratio * height * width))
    together = pairs.together(tokens)
    merged = pairs.merged.shape[1]
    assert merged == min(int(ratio * height * width), int((~chosen).sum()))
    assert together.shape == (2, height * width - merged, 3)
    apart = pairs.apart(together)
    assert apart.shape == tokens.shape
    for row in range(2):
        alone = pairs.sources[pairs.kept[row]]
        torch.testing.assert_close(apart[row, alone], tokens[row, alone])


def test_tokens_that_are_alike_are_merged_into_their_mean():
    tokens = torch.zeros(1, 16, 2)
    tokens[0, :, 0] = 1.0
    tokens[0, 5] = torch.tensor([0.0, 1.0])  # unlike all others
    chosen = torch.zeros(16, dtype=torch.bool)
    chosen[[0, 2, 8, 10]] = True
    tokens[0, 1] = torch.tensor([3.0, 0.0])  # of the same direction as the first target
    pairs = match(tokens, chosen, 11)
    assert pairs.kept.tolist() == [[int((pairs.sources == 5).nonzero())]]
    apart = pairs.apart(pairs.together(tokens))
    assert torch.equal(apart[0, 5], tokens[0, 5])
    assert float(apart[0, 0, 0]) == pytest.approx((1 * 11 + 3) / 12)  # the first target takes all that tie


# --- guidance by attention


def guided(unet: nn.Module, cfg: float, *amendments: Any, negative: bool = True, area: Any = None) -> GuidedModel:
    options = {} if area is None else {"area": area}
    entries = {"positive": conditions([(CONTEXT[:1], options)], SD)}
    if negative:
        entries["negative"] = conditions([(CONTEXT[1:], options)], SD, role="negative")
    return GuidedModel(Predictor(unet_denoiser(unet, SD), entries), by_scale(cfg), amendments)


SIGMA = torch.full((2,), 3.0)


def test_perturbed_attention_is_guided_away_from():
    worse = structural_clone(UNET)
    perturb(worse)
    amendment = perturbed_attention(unet_denoiser(worse, SD), 2.5)
    found = guided(UNET, 1, amendment)(X, SIGMA)
    good, bad = (guided(unet, 1)(X, SIGMA) for unet in (UNET, worse))
    torch.testing.assert_close(found, good + 2.5 * (good - bad), rtol=1e-4, atol=1e-4)
    both = guided(UNET, 4, amendment)(X, SIGMA)
    torch.testing.assert_close(both, guided(UNET, 4)(X, SIGMA) + 2.5 * (good - bad), rtol=1e-4, atol=1e-4)


def test_perturbed_tokens_attend_to_themselves_alone():
    clone = structural_clone(UNET)
    perturb(clone)
    layer = next(module for name, module in clone.mid_block.named_modules() if name.endswith("attn1"))
    tokens = randn(1, 6, 32)
    other = tokens.clone()
    other[:, 0] += 1
    change = (layer(other) - layer(tokens)).abs().sum(dim=2)
    assert change[0, 0] > 0
    assert not change[0, 1:].any()


def sag_by_hand(watched: nn.Module, cfg: float, scale: float, blur: float) -> Tensor:
    """Self-attention guidance in separate calls (Hong et al. 2023, algorithm 1)."""
    with watching() as maps:
        empty = guided(watched, 1)._predictor.predict(X, SIGMA, ("negative",))["negative"]
    mask = attended(maps[0], 16, 24)
    worse = blurred(empty, blur) * mask + empty * (1 - mask)
    again = guided(UNET, 1)._predictor.predict(worse + (X - empty), SIGMA, ("negative",))["negative"]
    return guided(UNET, cfg)(X, SIGMA) + scale * (worse - again)


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_what_the_model_attends_to_is_blurred_and_guided_away_from(cfg):
    watched = structural_clone(UNET)
    watchable(watched)
    found = guided(watched, cfg, self_attention_guidance(0.75, 2.0))(X, SIGMA)
    torch.testing.assert_close(found, sag_by_hand(watched, cfg, 0.75, 2.0), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, guided(UNET, cfg)(X, SIGMA), atol=1e-4)


def test_attention_received_is_an_even_share_on_average():
    watched = structural_clone(UNET)
    watchable(watched)
    with watching() as maps:
        run(watched)
    assert maps[0].shape == (2, 4 * 6)
    torch.testing.assert_close(maps[0].mean(dim=1), torch.ones(2))
    run(watched)  # nobody watches
    assert len(maps) == 1


def test_without_a_negative_prompt_or_a_view_of_the_whole_there_is_no_self_attention_guidance():
    watched = structural_clone(UNET)
    watchable(watched)
    amendment = self_attention_guidance(0.75, 2.0)
    cases: tuple[dict[str, Any], ...] = ({"negative": False}, {"area": (8, 8, 0, 0)})
    for settings in cases:
        found = guided(watched, 1, amendment, **settings)(X, SIGMA)
        assert torch.allclose(found, guided(UNET, 1, **settings)(X, SIGMA), atol=1e-4)


def test_blurring_keeps_what_is_even_and_smooths_what_is_not():
    even = torch.full((1, 4, 9, 11), 3.0)
    torch.testing.assert_close(blurred(even, 2.0), even)
    assert blurred(X, 2.0).std() < 0.5 * X.std()
    assert blurred(X, 0.0) is X
    point = torch.zeros(1, 1, 17, 17)
    point[..., 8, 8] = 1
    found = blurred(point, 1.5)
    assert float(found.sum()) == pytest.approx(1, rel=1e-5)
    assert float(found[0, 0, 8, 10] / found[0, 0, 8, 8]) == pytest.approx(math.exp(-0.5 * (2 / 1.5) ** 2), rel=1e-4)


def test_a_model_without_attention_in_its_middle_says_so():
    clone = structural_clone(UNET)
    clone.mid_block = None
    with pytest.raises(ValueError, match="no attention in its middle"):
        perturb(clone)

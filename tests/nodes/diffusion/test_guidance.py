"""How predictions by role become one picture, and the changes of that."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.diffusion.behaviours import guides
from nodes.diffusion.behaviours.differential import differential
from nodes.diffusion.conditions import conditions
from nodes.diffusion.guidance import (
    Amendment,
    GuidedModel,
    Predictor,
    by_perpendicular,
    by_scale,
    by_two_scales,
    guided_denoiser,
    plain_guide,
)
from nodes.diffusion.noise import generator
from nodes.diffusion.sampling import masked_model
from nodes.diffusion.sigmas import ModelSigmas

SD = ModelSigmas.stable_diffusion()


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


X, SIGMA = randn(2, 4, 6, 6) * 3, torch.full((2,), 3.0)
PICTURES = {role: randn(2, 4, 6, 6, seed=i + 1) for i, role in enumerate(("positive", "negative", "second", "empty"))}


class Network:
    """Sees the picture of the role that a prompt names by its number, and counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x, sigma, context, extra=None):
        self.rows.append(len(x))
        pictures = list(PICTURES.values())
        return torch.cat([pictures[int(part[0, 0, 0])] for part in context.split(2)])


def model(guidance, *amendments, roles=tuple(PICTURES), network=None):
    entries = {role: conditions([(torch.full((1, 2, 1), float(i)), {})], SD) for i, role in enumerate(PICTURES)}
    predictor = Predictor(network or Network(), {role: entries[role] for role in roles})
    return GuidedModel(predictor, guidance, amendments)


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_two_prompts_are_guided_to_by_a_scale_each():
    first, second, negative = (PICTURES[role] for role in ("positive", "second", "negative"))
    found = model(by_two_scales(3, 2))(X, SIGMA)
    close(found, negative + 2 * (second - negative) + 3 * (first - second))
    nested = model(by_two_scales(3, 2, nested=True))(X, SIGMA)
    close(nested, negative + 2 * (second + 3 * (first - second) - negative))


def test_what_the_negative_prompt_shares_with_the_positive_one_is_not_avoided():
    empty, wanted = PICTURES["empty"], PICTURES["positive"] - PICTURES["empty"]
    found = model(by_perpendicular(4, 1.5))(X, SIGMA)
    away = wanted - (found - empty) / 4  # the perpendicular part times 1.5
    for i in range(2):
        assert float((away[i] * wanted[i]).sum()) == pytest.approx(0, abs=1e-3)
        rest = PICTURES["negative"][i] - empty[i] - away[i] / 1.5  # what is left lies along the positive one
        assert float(torch.cosine_similarity(rest.flatten(), wanted[i].flatten(), 0).abs()) == pytest.approx(1)


def test_a_negative_prompt_like_the_positive_one_is_not_avoided_at_all():
    same = {role: conditions([(torch.zeros(1, 2, 1), {})], SD) for role in ("positive", "negative")}
    same["empty"] = conditions([(torch.full((1, 2, 1), 3.0), {})], SD)
    found = GuidedModel(Predictor(Network(), same), by_perpendicular(4, 1))(X, SIGMA)
    close(found, PICTURES["empty"] + 4 * (PICTURES["positive"] - PICTURES["empty"]))


def test_all_roles_run_in_one_batch():
    network = Network()
    model(by_two_scales(3, 2), network=network)(X, SIGMA)
    assert network.rows == [6]


@pytest.mark.parametrize("cfg", [1, 4])
def test_both_tells_what_is_seen_without_the_prompt(cfg):
    network = Network()
    guided = model(by_scale(cfg), network=network)
    denoised, unconditional = guided.both(X, SIGMA)
    assert torch.equal(unconditional, PICTURES["negative"])
    assert torch.equal(denoised, guided(X, SIGMA))
    assert network.rows == [4, 2 if cfg == 1 else 4]


def test_without_a_negative_prompt_both_are_the_same():
    denoised, unconditional = model(by_scale(1), roles=("positive",)).both(X, SIGMA)
    assert torch.equal(denoised, PICTURES["positive"])
    assert torch.equal(denoised, unconditional)


def test_a_mask_holds_for_both():
    mask, latent, noise = (randn(2, 1, 6, 6, seed=8) > 0).float(), randn(2, 4, 6, 6, seed=9), randn(2, 4, 6, 6, seed=10)
    masked = masked_model(model(by_scale(4)), mask, latent, noise)
    denoised, unconditional = masked.both(X, SIGMA)
    assert torch.equal(denoised, masked(X, SIGMA))
    close(unconditional, PICTURES["negative"] * mask + latent * (1 - mask))


def test_amendments_come_one_after_another_and_get_the_roles_they_need():
    network = Network()
    double = Amendment(lambda moment: moment.denoised * 2)
    plus = Amendment(lambda moment: moment.denoised + moment.seen["negative"], needs=("negative",))
    found = model(by_scale(1), double, plus, network=network)(X, SIGMA)
    close(found, PICTURES["positive"] * 2 + PICTURES["negative"])
    assert network.rows == [4]
    without = model(by_scale(1), plus, roles=("positive",))(X, SIGMA)
    assert torch.equal(without, PICTURES["positive"])


def test_prompts_of_very_different_length_run_apart():
    network = Network()
    entries = [(torch.zeros(1, 7, 1), {}), (torch.zeros(1, 11, 1), {}), (torch.zeros(1, 14, 1), {})]
    guided_denoiser(network, conditions(entries, SD), (), 1)(X, SIGMA)
    assert sorted(network.rows) == [2, 4]


# --- changes of how two predictions are combined


WANTED, UNWANTED = PICTURES["positive"], PICTURES["negative"]


def test_rescaling_gives_v_the_contrast_of_the_wanted_one():
    def v(picture: Tensor) -> Tensor:
        sigma = SIGMA.view(-1, 1, 1, 1)
        alpha = 1 / (1 + sigma**2).sqrt()
        return alpha * (X - picture) / sigma - sigma * alpha * picture

    found = guides.rescaled(plain_guide, 1.0)(X, SIGMA, WANTED, UNWANTED, 7.0)
    plain = plain_guide(X, SIGMA, WANTED, UNWANTED, 7.0)
    for i in range(2):
        assert float(v(found)[i].std()) == pytest.approx(float(v(WANTED)[i].std()), rel=1e-4)
        assert torch.cosine_similarity(v(found)[i].flatten(), v(plain)[i].flatten(), 0) == pytest.approx(1, abs=1e-5)
    half = guides.rescaled(plain_guide, 0.5)(X, SIGMA, WANTED, UNWANTED, 7.0)
    close(half, (found + plain) / 2)
    close(guides.rescaled(plain_guide, 0.7)(X, SIGMA, WANTED, None, 1.0), WANTED)


def test_zero_star_scales_the_unwanted_direction_to_fit_best():
    found = guides.zero_star(plain_guide)(X, SIGMA, WANTED, UNWANTED, 3.0)
    for i in range(2):
        wanted, unwanted = ((X[i] - picture[i]).flatten().double() for picture in (WANTED, UNWANTED))
        scale = wanted @ unwanted / (unwanted @ unwanted)
        velocity = (1 - 3.0) * scale * unwanted + 3.0 * wanted
        close((X[i] - found[i]).flatten(), velocity.float())
    assert guides.zero_star(plain_guide)(X, SIGMA, WANTED, None, 1.0) is WANTED


def test_no_place_gets_stronger_than_in_the_wanted_prediction():
    found = guides.normed(plain_guide, 1.0)(X, SIGMA, WANTED, UNWANTED, 5.0)
    plain = plain_guide(X, SIGMA, WANTED, UNWANTED, 5.0)
    lengths, limits = found.norm(dim=1), torch.minimum(WANTED.norm(dim=1), plain.norm(dim=1))
    close(lengths, limits)
    close(guides.normed(plain_guide, 2.0)(X, SIGMA, WANTED, UNWANTED, 5.0), found * 2)


def test_an_operation_changes_what_the_prompt_adds():
    found = guides.operated(plain_guide, lambda latent: latent * 0.5)(X, SIGMA, WANTED, UNWANTED, 4.0)
    close(found, UNWANTED + 2 * (WANTED - UNWANTED))
    close(guides.operated(plain_guide, lambda latent: latent * 0.5)(X, SIGMA, WANTED, None, 1.0), WANTED / 2)


def test_changes_are_composed_in_their_order():
    both = guides.normed(guides.rescaled(plain_guide, 0.7), 1.0)(X, SIGMA, WANTED, UNWANTED, 5.0)
    assert (both.norm(dim=1) <= WANTED.norm(dim=1) * 1.0001).all()
    inner = guides.rescaled(plain_guide, 0.7)(X, SIGMA, WANTED, UNWANTED, 5.0)
    assert not torch.equal(both, inner)


# --- masks that say how much


def test_the_more_a_mask_says_the_earlier_a_place_may_change():
    sigmas = SD.sigma(torch.linspace(999, 0, 11))
    mask = torch.tensor([0.0, 0.26, 0.51, 0.76, 1.0])
    course = differential(SD, torch.cat([sigmas, torch.zeros(1)]), 1.0)
    free = torch.stack([course(mask, float(sigma)) for sigma in sigmas])
    assert free.sum(dim=0).tolist() == [0, 3, 6, 8, 11]  # of 11 steps, the first all noise, the last none
    assert ((free[1:] - free[:-1]) >= 0).all()
    half = differential(SD, sigmas, 0.5)(mask, float(sigmas[5]))
    close(half, 0.5 * free[5] + 0.5 * mask)

"""Changes of a model, by their nodes, on the embedded model: neutral ones, lasting ones, and none that leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from nodegraph.cache.pool import LivePool
from nodegraph.sockets import Latent, Model, Patch
from nodes.behaviours import network_of
from nodes.guidance_nodes import CFGNorm, CFGZeroStar, DifferentialDiffusion, PerpNeg, RescaleCFG
from nodes.model_patches import (
    FreeU,
    FreeU_V2,
    HyperTile,
    PerturbedAttentionGuidance,
    SelfAttentionGuidance,
    TomePatchModel,
)
from nodes.model_sampling import (
    ModelComputeDtype,
    ModelSamplingContinuousEDM,
    ModelSamplingContinuousV,
    ModelSamplingDiscrete,
)
from nodes.models import module_of
from nodes.noise_levels import prediction_of, sigmas_of
from nodes.sampling import KSampler
from tests.helpers import digest_of, problem
from tests.nodes.conftest import Tiny


def draw(tiny: Tiny, model: Model, **changes: Any) -> Latent:
    settings: dict[str, Any] = {
        "seed": 3,
        "steps": 3,
        "cfg": 4.0,
        "positive": tiny.positive,
        "negative": tiny.negative,
        "latent_image": tiny.canvas(128),
        "context": tiny.context,
    }
    return KSampler(model, **(settings | changes))


CHANGES: dict[str, Callable[[Tiny, Model], Model]] = {
    "CFGNorm": lambda tiny, model: CFGNorm(model).patched_model,
    "CFGZeroStar": lambda tiny, model: CFGZeroStar(model).patched_model,
    "FreeU": lambda tiny, model: FreeU(model, 1.5, 1.5),
    "FreeU_V2": lambda tiny, model: FreeU_V2(model, 1.5, 1.5),
    "HyperTile": lambda tiny, model: HyperTile(model, 32, 2, 3),
    "PerpNeg": lambda tiny, model: PerpNeg(model, tiny.positive),
    "PerturbedAttentionGuidance": lambda tiny, model: PerturbedAttentionGuidance(model),
    "RescaleCFG": lambda tiny, model: RescaleCFG(model),
    "SelfAttentionGuidance": lambda tiny, model: SelfAttentionGuidance(model, 2.0),
    "TomePatchModel": lambda tiny, model: TomePatchModel(model, 0.5),
}
#: The embedded model has no self-attention on its first level, where tokens are merged.
NO_EFFECT = {"TomePatchModel"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_the_picture_and_not_the_model_itself(tiny: Tiny, name: str) -> None:
    kept = replace(tiny.context, pool=LivePool())
    model = tiny.checkpoint.MODEL
    before = digest_of(draw(tiny, model, context=kept))
    changed = CHANGES[name](tiny, model)
    first = digest_of(draw(tiny, changed, context=kept))
    assert (first == before) == (name in NO_EFFECT)
    assert digest_of(draw(tiny, changed, context=kept)) == first
    assert digest_of(draw(tiny, model, context=kept)) == before
    assert digest_of(draw(tiny, changed, context=replace(kept, pool=LivePool()))) == first
    assert changed.digest != model.digest
    assert changed.weights == model.weights


NEUTRAL: dict[str, Callable[[Model], Model]] = {
    "RescaleCFG": lambda model: RescaleCFG(model, 0.0),
    "PerturbedAttentionGuidance": lambda model: PerturbedAttentionGuidance(model, 0.0),
    "SelfAttentionGuidance": lambda model: SelfAttentionGuidance(model, 0.0),
    "FreeU": lambda model: FreeU(model, 1.0, 1.0, 1.0, 1.0),
    "FreeU_V2": lambda model: FreeU_V2(model, 1.0, 1.0, 1.0, 1.0),
    "TomePatchModel": lambda model: TomePatchModel(model, 0.0),
    "DifferentialDiffusion": lambda model: DifferentialDiffusion(model, 0.0),
    "HyperTile": lambda model: HyperTile(model, 2048, 1),
    "ModelSamplingDiscrete": ModelSamplingDiscrete,
    "ModelComputeDtype": ModelComputeDtype,
}


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_change_by_nothing_draws_the_same(tiny: Tiny, name: str) -> None:
    model = tiny.checkpoint.MODEL
    assert digest_of(draw(tiny, NEUTRAL[name](model))) == digest_of(draw(tiny, model))


def test_at_cfg_1_changes_of_guidance_do_nothing(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    plain = draw(tiny, model, cfg=1.0)["samples"]
    for name in ("CFGNorm", "CFGZeroStar", "RescaleCFG"):
        found = draw(tiny, CHANGES[name](tiny, model), cfg=1.0)["samples"]
        torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)


def test_all_changes_at_once(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    for change in CHANGES.values():
        model = change(tiny, model)
    first = draw(tiny, model)
    assert torch.isfinite(first["samples"]).all()
    assert digest_of(draw(tiny, model)) == digest_of(first)


def test_changed_networks_share_the_weights_of_the_models_own(tiny: Tiny) -> None:
    context = replace(tiny.context, pool=LivePool())
    base = module_of(tiny.checkpoint.MODEL, context)
    changed = network_of(FreeU(tiny.checkpoint.MODEL), context)
    assert changed is not base
    assert network_of(FreeU(tiny.checkpoint.MODEL), context) is changed
    assert network_of(FreeU(tiny.checkpoint.MODEL, 1.2), context) is not changed
    assert network_of(RescaleCFG(tiny.checkpoint.MODEL), context) is base
    pointers = [{tensor.data_ptr() for tensor in module.parameters()} for module in (base, changed)]
    assert pointers[0] == pointers[1]


def test_a_change_that_nobody_knows_is_told(tiny: Tiny) -> None:
    found = problem(lambda: draw(tiny, tiny.checkpoint.MODEL.behaving(Patch("dance"))))
    assert found.code == "bad_value"
    assert "'dance'" in found.message


def test_differential_diffusion_lets_a_mask_say_how_much(tiny: Tiny) -> None:
    start = draw(tiny, tiny.checkpoint.MODEL, seed=9)
    mask = torch.linspace(0, 1, 16).repeat(16, 1)[None]
    latent: Latent = {**start, "noise_mask": mask}
    found, plain = (
        draw(tiny, model, latent_image=latent, steps=10)
        for model in (DifferentialDiffusion(tiny.checkpoint.MODEL), tiny.checkpoint.MODEL)
    )
    assert digest_of(found) != digest_of(plain)
    change = (found["samples"] - start["samples"]).abs().mean(dim=(0, 1, 2))
    assert change[0] < 1e-3
    assert change[1] < change[-1] / 2


# --- noise


def test_model_sampling_nodes_set_what_the_sampler_sees(tiny: Tiny) -> None:
    model = tiny.checkpoint.MODEL
    assert prediction_of(model) == "epsilon"
    for sampling, prediction in (("eps", "epsilon"), ("v_prediction", "v_prediction"), ("x0", "sample")):
        assert prediction_of(ModelSamplingDiscrete(model, sampling)) == prediction  # type: ignore[arg-type]
    assert sigmas_of(ModelSamplingDiscrete(model, zsnr=True)).sigma_max == pytest.approx(4096, rel=1e-3)
    assert len(sigmas_of(ModelSamplingDiscrete(model, "lcm")).table) == 50
    edm, angle = sigmas_of(ModelSamplingContinuousEDM(model)), sigmas_of(ModelSamplingContinuousV(model))
    assert (edm.clock, edm.sigma_min, edm.sigma_max) == ("edm", pytest.approx(0.002), pytest.approx(120))
    assert (angle.clock, angle.sigma_min, angle.sigma_max) == ("v", pytest.approx(0.03), pytest.approx(500))
    back = ModelSamplingDiscrete(ModelSamplingContinuousV(model))
    assert torch.equal(sigmas_of(back).table, sigmas_of(model).table)
    assert digest_of(draw(tiny, back)) == digest_of(draw(tiny, model))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: ModelSamplingDiscrete(model, "v_prediction", True),
        lambda model: ModelSamplingDiscrete(model, "lcm"),
        lambda model: ModelSamplingDiscrete(model, "img_to_img"),
        ModelSamplingContinuousEDM,
        lambda model: ModelSamplingContinuousEDM(model, "edm_playground_v2.5", 80.0),
        ModelSamplingContinuousV,
    ],
)
def test_every_kind_of_noise_can_be_sampled(tiny: Tiny, change: Callable[[Model], Model]) -> None:
    model = change(tiny.checkpoint.MODEL)
    found = draw(tiny, model, latent_image=tiny.canvas())
    assert torch.isfinite(found["samples"]).all()
    assert digest_of(found) != digest_of(draw(tiny, tiny.checkpoint.MODEL, latent_image=tiny.canvas()))


@pytest.mark.parametrize(("low", "high"), [(0.0, 10.0), (5.0, 5.0), (6.0, 5.0)])
@pytest.mark.parametrize("node", [ModelSamplingContinuousEDM, ModelSamplingContinuousV])
def test_noise_levels_that_are_no_range_are_told(tiny: Tiny, node: Any, low: float, high: float) -> None:
    found = problem(lambda: node(tiny.checkpoint.MODEL, sigma_max=high, sigma_min=low))
    assert (found.code, found.input) == ("bad_value", "sigma_min")


def test_a_model_can_have_a_number_format_of_its_own(tiny: Tiny) -> None:
    half = ModelComputeDtype(tiny.checkpoint.MODEL, "bf16")
    assert next(network_of(half, tiny.context).parameters()).dtype == torch.bfloat16
    assert next(network_of(tiny.checkpoint.MODEL, tiny.context).parameters()).dtype == torch.float32
    rough, exact = (draw(tiny, model)["samples"] for model in (half, tiny.checkpoint.MODEL))
    assert not torch.equal(rough, exact)
    assert float((rough - exact).norm() / exact.norm()) < 0.5


def test_a_compiled_model_draws_the_same(tiny: Tiny) -> None:
    """By a backend that generates no code: what the others do is torch's to test."""
    compiled = FreeU(tiny.checkpoint.MODEL.behaving(Patch("compile", settings=(("backend", "eager"),))), 1.5, 1.5)
    found = draw(tiny, compiled, latent_image=tiny.canvas())
    wanted = draw(tiny, FreeU(tiny.checkpoint.MODEL, 1.5, 1.5), latent_image=tiny.canvas())
    torch.testing.assert_close(found["samples"], wanted["samples"], rtol=1e-3, atol=1e-3)


def test_a_model_that_cannot_be_compiled_here_is_told(tiny: Tiny) -> None:
    broken = tiny.checkpoint.MODEL.behaving(Patch("compile", settings=(("backend", "no such backend"),)))
    found = problem(lambda: draw(tiny, broken, latent_image=tiny.canvas()))
    assert found.code == "node_failed"
    assert "cannot be compiled" in found.message

"""Networks that steer, at work: what they add is what diffusers' own modules give."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.control import (
    ControlNetRunner,
    Hint,
    Span,
    T2IAdapterRunner,
    WrongModel,
    add_residuals,
    fit_hint,
    repeated,
)
from nodes.diffusion.control_residuals import Residuals
from tests.nodes.steering_models import CONTROLNETS, controlnet, pictures, randn, t2i_adapter, unet, union_controlnet

ALWAYS = Span(math.inf, 0.0)
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-5}


def step(structure: str = "sd1", batch: int = 2, height: int = 8, width: int = 8) -> dict[str, Any]:
    told = None
    if structure.startswith("xl"):
        told = {"text_embeds": randn(batch, 1280, seed=5), "time_ids": torch.full((batch, 6), 64.0)}
    return {
        "x_in": randn(batch, 4, height, width),
        "timestep": torch.tensor([10, 700, 3])[:batch],
        "context": randn(batch, 5, CONTROLNETS[structure]["cross_attention_dim"], seed=1),
        "added": told,
    }


def directly(net: Any, given: dict[str, Any], hint: Tensor, scale: float = 1.0) -> tuple[list[Tensor], Tensor]:
    with torch.no_grad():
        return net(
            given["x_in"], given["timestep"], given["context"], hint, scale,
            added_cond_kwargs=given["added"], return_dict=False,
        )  # fmt: skip


def flat(residuals: Residuals | None) -> list[Tensor]:
    assert residuals is not None
    return [*residuals.down, *([] if residuals.mid is None else [residuals.mid]), *residuals.intrablock]


@pytest.mark.parametrize("structure", ["sd1", "sd2", "xl", "xl small"])
def test_residuals_are_those_of_diffusers(structure: str) -> None:
    net, given, shown = controlnet(structure), step(structure), pictures(1)
    runner = ControlNetRunner(net, Hint(shown), ALWAYS, 0.7)
    down, mid = directly(net, given, shown.movedim(-1, 1).expand(2, -1, -1, -1), 0.7)
    for _ in range(2):  # the second time from what is kept of the hint
        residuals = runner.residuals(sigma=3.0, **given)
        assert residuals is not None
        torch.testing.assert_close(flat(residuals), [*down, mid], **CLOSE)
        assert residuals.intrablock == ()


def test_what_a_unet_is_given_steers_it() -> None:
    net, given = controlnet("sd1"), step("sd1")
    residuals = ControlNetRunner(net, Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **given)
    assert residuals is not None and residuals.mid is not None
    model = unet("sd1")
    with torch.no_grad():
        plain = model(given["x_in"], given["timestep"], given["context"]).sample
        steered = model(
            given["x_in"], given["timestep"], given["context"],
            down_block_additional_residuals=residuals.down, mid_block_additional_residual=residuals.mid,
        ).sample  # fmt: skip
    assert steered.shape == plain.shape and not torch.allclose(steered, plain)


def test_strength_is_linear() -> None:
    net, given = controlnet("sd1"), step("sd1")
    one, double = (
        flat(ControlNetRunner(net, Hint(pictures(1)), ALWAYS, strength).residuals(sigma=1.0, **given))
        for strength in (1.0, 2.0)
    )
    torch.testing.assert_close([2 * each for each in one], double, **CLOSE)


def test_two_networks_add() -> None:
    nets, given = [controlnet("sd1", 0), controlnet("sd1", 9)], step("sd1")
    hints, scales = [pictures(1, seed=3), pictures(1, seed=4)], [0.5, 1.5]
    added = add_residuals(
        ControlNetRunner(net, Hint(hint), ALWAYS, scale).residuals(sigma=1.0, **given)
        for net, hint, scale in zip(nets, hints, scales, strict=True)
    )
    both = MultiControlNetModel(nets)
    with torch.no_grad():
        down, mid = both(
            given["x_in"], given["timestep"], given["context"],
            [hint.movedim(-1, 1).expand(2, -1, -1, -1) for hint in hints], scales, return_dict=False,
        )  # fmt: skip
    torch.testing.assert_close(flat(added), [*down, mid], **CLOSE)


def test_a_controlnet_and_an_adapter_add_to_different_places() -> None:
    given = step("sd1")
    control = ControlNetRunner(controlnet("sd1"), Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **given)
    adapter = T2IAdapterRunner(t2i_adapter(), Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **given)
    both = add_residuals([None, control, None, adapter])
    assert both is not None and control is not None and adapter is not None
    assert [id(each) for each in flat(both)] == [id(each) for each in (*flat(control), *flat(adapter))]
    assert add_residuals([None]) is None
    with pytest.raises(WrongModel):
        add_residuals([control, Residuals(down=control.down[:3])])


@pytest.mark.parametrize(
    ("span", "sigma", "steers"),
    [
        (Span(5.0, 1.0), 5.0, True),
        (Span(5.0, 1.0), 1.0, True),
        (Span(5.0, 1.0), 5.01, False),
        (Span(5.0, 1.0), 0.99, False),
        (ALWAYS, 1e9, True),
        (ALWAYS, 0.0, True),
    ],
)
def test_outside_its_part_of_the_sampling_a_network_adds_nothing(span: Span, sigma: float, steers: bool) -> None:
    given, hint = step("sd1", 1), Hint(pictures(1))
    for runner in (ControlNetRunner(controlnet("sd1"), hint, span), T2IAdapterRunner(t2i_adapter(), hint, span)):
        assert (runner.residuals(sigma=sigma, **given) is not None) is steers


@pytest.mark.parametrize(("height", "width"), [(96, 64), (64, 100), (30, 17), (64, 64)])
def test_a_hint_is_cut_to_the_latents_proportions_and_resized(height: int, width: int) -> None:
    shown = pictures(2, height, width)
    hint = fit_hint(shown, 8, 12)
    assert hint.shape == (2, 3, 64, 96)
    cut = shown.movedim(-1, 1)
    if width / height > 96 / 64:
        edge = round((width - height * 1.5) / 2)
        cut = cut[..., edge : width - edge]
    else:
        edge = round((height - width / 1.5) / 2)
        cut = cut[:, :, edge : height - edge]
    assert torch.equal(hint, functional.interpolate(cut, size=(64, 96), mode="nearest-exact"))


def test_a_part_of_the_latent_is_shown_that_part_of_the_hint() -> None:
    net, whole = controlnet("sd1"), step("sd1", 1, 4, 8)
    shown = pictures(1, 128, 128)
    runner = ControlNetRunner(net, Hint(shown, (16, 16)), ALWAYS)
    part = runner.residuals(sigma=1.0, area=(4, 8, 2, 6), **whole)
    wanted = directly(net, whole, shown.movedim(-1, 1)[:, :, 16:48, 48:112])
    torch.testing.assert_close(flat(part), [*wanted[0], wanted[1]], **CLOSE)
    other = runner.residuals(sigma=1.0, area=(4, 8, 3, 6), **whole)
    assert not torch.equal(flat(other)[0], flat(part)[0])


def test_pictures_are_repeated_over_the_batch() -> None:
    net, given, shown = controlnet("sd1"), step("sd1", 3), pictures(2)
    residuals = ControlNetRunner(net, Hint(shown), ALWAYS).residuals(sigma=1.0, **given)
    down, mid = directly(net, given, shown[[0, 1, 0]].movedim(-1, 1))
    torch.testing.assert_close(flat(residuals), [*down, mid], **CLOSE)
    assert repeated(shown, 1).shape[0] == 1 and torch.equal(repeated(shown, 5)[4], shown[0])


def test_a_network_that_shuffles_has_its_residuals_averaged_over_the_picture() -> None:
    net, given, shown = controlnet("sd1"), step("sd1"), pictures(1)
    pooled = ControlNetRunner(net, Hint(shown), ALWAYS, pooled=True).residuals(sigma=1.0, **given)
    plain = ControlNetRunner(net, Hint(shown), ALWAYS).residuals(sigma=1.0, **given)
    for one, other in zip(flat(pooled), flat(plain), strict=True):
        assert one.shape[2:] == (1, 1)
        torch.testing.assert_close(one, other.mean((2, 3), keepdim=True))


def test_half_precision_networks_take_and_give_what_the_model_has() -> None:
    net: Any = controlnet("sd1")
    net.to(torch.bfloat16)
    residuals = ControlNetRunner(net, Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **step("sd1"))
    assert {each.dtype for each in flat(residuals)} == {torch.float32}


@pytest.mark.parametrize(
    ("made", "change", "reason"),
    [
        ("sd1", {"context": randn(2, 5, 1024)}, "prompts of width 768"),
        ("sd1", {"x_in": randn(2, 9, 8, 8)}, "latents of 4 channels"),
        ("xl", {"added": None}, "Stable Diffusion XL"),
        ("xl", {"added": {"text_embeds": randn(2, 7), "time_ids": torch.ones(2, 6)}}, "told other things"),
    ],
)
def test_models_of_another_family_are_refused(made: str, change: dict[str, Any], reason: str) -> None:
    runner = ControlNetRunner(controlnet(made), Hint(pictures(1)), ALWAYS)
    with pytest.raises(WrongModel, match=reason):
        runner.residuals(sigma=1.0, **(step(made) | change))


def test_nothing_is_written_to() -> None:
    net, given, shown = controlnet("sd1"), step("sd1"), pictures(1)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    kept = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    picture, layers = shown.clone(), net.controlnet_cond_embedding
    ControlNetRunner(net, Hint(shown), ALWAYS, 0.5).residuals(sigma=1.0, **given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(torch.equal(given[name], tensor) for name, tensor in kept.items()) and torch.equal(shown, picture)
    assert net.controlnet_cond_embedding is layers


# --- union ControlNets -----------------------------------------------------------------------------------------------


def union_residuals(kind: int, batch: int = 1) -> list[Tensor]:
    net = union_controlnet(6)
    net.task_embedding = torch.nn.Parameter(torch.cat([net.task_embedding.data, torch.zeros(1, 32)]))
    runner = ControlNetRunner(net, Hint(pictures(1)), ALWAYS, 0.8, union_kind=kind)
    return flat(runner.residuals(sigma=1.0, **step("xl", batch)))


def test_a_union_controlnet_is_told_the_kind_of_its_hint() -> None:
    net, given = union_controlnet(6), step("xl", 1)
    with torch.no_grad():
        down, mid = net(
            given["x_in"], given["timestep"], given["context"], [pictures(1).movedim(-1, 1)],
            torch.tensor([[0.0, 0, 0, 1, 0, 0]]), [3], 0.8, added_cond_kwargs=given["added"], return_dict=False,
        )  # fmt: skip
    torch.testing.assert_close(union_residuals(3), [*down, mid], **CLOSE)
    assert not torch.allclose(union_residuals(3)[-1], union_residuals(-1)[-1])


def test_what_a_union_controlnet_adds_to_a_picture_does_not_depend_on_its_batch() -> None:
    alone, together = union_residuals(2, 1), union_residuals(2, 2)
    torch.testing.assert_close(alone, [each[:1] for each in together], **CLOSE)


# --- T2I-Adapters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "grey", "light"])
def test_features_of_an_adapter_are_those_of_diffusers(kind: str) -> None:
    net, shown, given = t2i_adapter(kind), pictures(1), step("sd1")
    hint = shown.movedim(-1, 1)
    with torch.no_grad():
        wanted = net(hint.mean(1, keepdim=True) if kind == "grey" else hint)
    runner = T2IAdapterRunner(net, Hint(shown), ALWAYS, 0.4)
    for _ in range(2):
        features = flat(runner.residuals(sigma=1.0, **given))
        torch.testing.assert_close(features, [0.4 * each.expand(2, -1, -1, -1) for each in wanted], **CLOSE)


@pytest.mark.parametrize(("structure", "kind", "size"), [("sd1", "full", (8, 8)), ("xl", "xl", (7, 10))])
def test_a_unet_takes_an_adapters_features_at_any_size(structure: str, kind: str, size: tuple[int, int]) -> None:
    given, model = step(structure, 2, *size), unet(structure)
    residuals = T2IAdapterRunner(t2i_adapter(kind), Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **given)
    assert residuals is not None
    with torch.no_grad():
        call = (given["x_in"], given["timestep"], given["context"])
        plain = model(*call, added_cond_kwargs=given["added"]).sample
        steered = model(
            *call, added_cond_kwargs=given["added"], down_intrablock_additional_residuals=list(residuals.intrablock)
        ).sample
    assert not torch.allclose(plain, steered)
    again = T2IAdapterRunner(t2i_adapter(kind), Hint(pictures(1)), ALWAYS).residuals(sigma=1.0, **given)
    torch.testing.assert_close(flat(again), flat(residuals), atol=0, rtol=0)


@pytest.mark.parametrize(("structure", "kind"), [("sd1", "xl"), ("sd2", "xl"), ("xl", "full"), ("xl", "light")])
def test_adapters_for_models_of_another_family_are_refused(structure: str, kind: str) -> None:
    runner = T2IAdapterRunner(t2i_adapter(kind), Hint(pictures(1)), ALWAYS)
    with pytest.raises(WrongModel, match="Stable Diffusion"):
        runner.residuals(sigma=1.0, **step(structure))

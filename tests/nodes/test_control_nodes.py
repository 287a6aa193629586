"""The nodes of networks that steer: loaders, what a conditioning carries, and the runners that samplers call."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import nodegraph
from nodegraph import Session, Settings
from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodegraph.node import spec_of
from nodegraph.sockets import ClipVisionOutput, Conditioning, ControlNet, Image, Model
from nodegraph.sockets.steering import Control
from nodes.control import (
    ControlNetApply,
    ControlNetApplyAdvanced,
    ControlNetLoader,
    DiffControlNetLoader,
    SetUnionControlNetType,
    UnionType,
    control_module,
    control_runner,
    gligen_runner,
)
from nodes.diffusion.clones import structural_clone
from nodes.diffusion.control import UNION_KINDS
from nodes.diffusion.ip_adapter import apply_ip_adapter, load_ip_adapter
from nodes.diffusion.sigmas import ModelSigmas
from nodes.gligen import GLIGENLoader, GLIGENTextBoxApply
from nodes.ip_adapter import IPAdapterApply, IPAdapterModelLoader, install_ip_adapter
from nodes.models import module_of
from nodes.vision import CLIPVisionEncode, CLIPVisionLoader, StyleModelApply, StyleModelLoader, unCLIPConditioning
from tests.helpers import digest_of, problem, without_shipped
from tests.nodes.conftest import Tiny
from tests.nodes.steering_models import (
    controlnet,
    gligen_file,
    ip_adapter,
    original_adapter,
    original_controlnet,
    pictures,
    randn,
    save,
    style_adapter,
    t2i_adapter,
    unet,
    union_controlnet,
    vision_model,
)

SIGMAS = ModelSigmas.stable_diffusion()
PROMPT = Conditioning([(randn(1, 7, 768), {"pooled_output": randn(1, 768)}), (randn(1, 7, 768, seed=2), {})])


def models(context: Context) -> Path:
    return context.roots.models[0]


def a_net(context: Context, name: str = "net.safetensors", weights: Any = None) -> ControlNet:
    save(models(context) / "controlnet" / name, controlnet().state_dict() if weights is None else weights)
    return ControlNetLoader(name, context)


def seen(count: int = 1) -> ClipVisionOutput:
    return {
        "image_embeds": randn(count, 24),
        "last_hidden_state": randn(count, 5, 64, seed=1),
        "penultimate_hidden_states": randn(count, 5, 64, seed=2),
    }


# --- loaders ---------------------------------------------------------------------------------------------------------


def test_a_loader_gives_a_recipe_that_knows_its_kind_and_content(context: Context) -> None:
    net = a_net(context)
    assert (net.part, net.patches, net.options) == ("controlnet", (), ())
    other = a_net(context, "other.safetensors", controlnet(seed=4).state_dict())
    copied = models(context) / "controlnet" / "deep" / "copy.safetensors"
    copied.parent.mkdir()
    shutil.copy(net.path, copied)
    assert ControlNetLoader("deep/copy.safetensors", context).digest == net.digest != other.digest
    adapter = save(models(context) / "t2i_adapter" / "a.safetensors", original_adapter(t2i_adapter(), "full"))
    assert ControlNetLoader(adapter.name, context).part == "t2i_adapter"
    assert a_net(context, "u.safetensors", union_controlnet().state_dict()).part == "controlnet_union"


LOADERS: dict[str, tuple[Callable[[str, Context], object], str]] = {
    "ControlNetLoader": (ControlNetLoader, "controlnet"),
    "CLIPVisionLoader": (CLIPVisionLoader, "clip_vision"),
    "StyleModelLoader": (StyleModelLoader, "style_models"),
    "IPAdapterModelLoader": (IPAdapterModelLoader, "ipadapter"),
    "GLIGENLoader": (GLIGENLoader, "gligen"),
}


def _mislabelled(path: Path) -> None:
    save(path, {"some.weight": torch.zeros(2)})


def _pickle(path: Path) -> None:
    path.write_bytes(b"\x80\x02}q\x00.")


def _cut(path: Path) -> None:
    save(path, vision_model().state_dict())
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    "spoil", [_mislabelled, _pickle, _cut, Path.touch, lambda path: path.mkdir(), lambda path: None]
)
@pytest.mark.parametrize("name", LOADERS)
def test_files_that_cannot_be_used_are_one_problem(
    name: str, spoil: Callable[[Path], object], context: Context
) -> None:
    loader, folder = LOADERS[name]
    path = models(context) / folder / "bad.safetensors"
    path.parent.mkdir(parents=True)
    spoil(path)
    found = problem(lambda: loader("bad.safetensors", context))
    assert found.code == "model_unreadable"
    assert "bad.safetensors" in found.message


@pytest.mark.parametrize("name", ["../net.safetensors", "/etc/passwd", "net.pth", "", "a\0b.safetensors"])
def test_no_name_leads_out_of_the_folder(name: str, context: Context) -> None:
    a_net(context)
    shutil.copy(models(context) / "controlnet" / "net.safetensors", models(context) / "net.safetensors")
    assert problem(lambda: ControlNetLoader(name, context)).code == "model_unreadable"


def test_only_safetensors_files_are_listed(context: Context) -> None:
    a_net(context, "b.safetensors")
    a_net(context, "sub/a.safetensors")
    (models(context) / "controlnet" / "c.pth").touch()
    save(models(context) / "t2i_adapter" / "t.safetensors", t2i_adapter().state_dict())
    choices: Any = spec_of(ControlNetLoader).inputs_by_name["control_net_name"].choices
    assert without_shipped(choices.list(context.roots)) == ["b.safetensors", "sub/a.safetensors", "t.safetensors"]


def test_a_file_that_changes_while_in_use_is_told_of(context: Context) -> None:
    net = a_net(context)
    a_net(context, weights=controlnet(seed=5).state_dict())
    assert problem(lambda: control_module(net, context)).code == "model_changed"


def test_a_module_is_loaded_once_and_shared(context: Context) -> None:
    net = a_net(context)
    assert control_module(net, context) is control_module(net, context)
    assert control_module(net.with_options(pooled=True), context) is control_module(net, context)


def test_a_device_that_is_not_there_is_told_of(context: Context) -> None:
    assert problem(lambda: control_module(a_net(context), replace(context, device="warp"))).code == "bad_device"


def differences(model: Model, context: Context) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """A ControlNet for a model, whole, and as differences in the original layout."""
    own = module_of(model, context).state_dict()
    from diffusers.models.controlnets.controlnet import ControlNetModel

    net: Any = ControlNetModel.from_unet(module_of(model, context))  # pyright: ignore[reportArgumentType]
    whole = {name: randn(*tensor.shape, seed=i) * 0.1 for i, (name, tensor) in enumerate(net.state_dict().items())}
    parts = {name: tensor - own[name].float() if name in own else tensor for name, tensor in whole.items()}
    net.load_state_dict(parts)
    return whole, original_controlnet(net, layers=1)


def test_differences_need_the_model_that_they_are_to(tiny: Tiny, context: Context) -> None:
    context = replace(
        context, roots=replace(context.roots, models=(context.roots.models[0], *tiny.context.roots.models))
    )
    whole, parts = differences(tiny.checkpoint.MODEL, context)
    save(models(context) / "controlnet" / "diff.safetensors", {**parts, "difference": torch.zeros(1)})
    found = problem(lambda: ControlNetLoader("diff.safetensors", context))
    assert found.code == "model_unreadable" and "DiffControlNetLoader" in (found.hint or "")
    net = DiffControlNetLoader(tiny.checkpoint.MODEL, "diff.safetensors", context)
    loaded = control_module(net, context).state_dict()
    assert loaded.keys() == whole.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(loaded[name], tensor, atol=1e-6, rtol=0)
    plain = save(models(context) / "controlnet" / "plain.safetensors", controlnet().state_dict())
    direct = ControlNetLoader(plain.name, context)
    assert DiffControlNetLoader(tiny.checkpoint.MODEL, plain.name, context) == direct
    assert net.digest != replace(net, patches=()).digest


# --- conditioning ----------------------------------------------------------------------------------------------------


def test_controls_are_chained_and_nothing_is_written_to(context: Context) -> None:
    net, before = a_net(context), digest_of(PROMPT)
    first, second = Image(pictures(1)), Image(pictures(1, seed=8))
    positive, negative = ControlNetApplyAdvanced(PROMPT, PROMPT, net, first, 0.5, 0.1, 0.9)
    positive, negative = ControlNetApplyAdvanced(positive, negative, net, second)
    assert digest_of(PROMPT) == before
    assert [digest_of(entry) for entry in positive] == [digest_of(entry) for entry in negative]
    for (prompt, options), (given, known) in zip(positive, PROMPT, strict=True):
        controls = options["control"]
        assert prompt is given and known.items() <= options.items()
        assert [(c.net, c.strength, c.start_percent, c.end_percent) for c in controls] == [
            (net, 0.5, 0.1, 0.9), (net, 1.0, 0.0, 1.0),
        ]  # fmt: skip
        assert controls[0].hint is first and controls[1].hint is second
        assert options["control_apply_to_uncond"] is False


def test_no_strength_is_no_control(context: Context) -> None:
    net, image = a_net(context), Image(pictures(1))
    assert ControlNetApplyAdvanced(PROMPT, PROMPT, net, image, 0.0) == (PROMPT, PROMPT)
    assert ControlNetApply(PROMPT, net, image, 0.0) is PROMPT


def test_the_old_node_steers_the_other_prompt_too(context: Context) -> None:
    for _, options in ControlNetApply(PROMPT, a_net(context), Image(pictures(1)), 0.3):
        assert options["control"][0].strength == 0.3 and options["control_apply_to_uncond"] is True


# --- runners ---------------------------------------------------------------------------------------------------------


def step(batch: int = 2) -> dict[str, Any]:
    return {
        "x_in": randn(batch, 4, 8, 8),
        "timestep": torch.tensor([10, 700])[:batch],
        "context": randn(batch, 5, 768, seed=1),
        "added": None,
    }


def test_a_runner_gives_what_diffusers_gives_between_start_and_end(context: Context) -> None:
    hint, given = pictures(1, 48, 80), step()
    control = Control(a_net(context), hint, 0.6, 0.2, 0.7)
    runner = control_runner(control, context, sigmas=SIGMAS)
    first, last = SIGMAS.percent_to_sigma(0.2), SIGMAS.percent_to_sigma(0.7)
    assert runner.residuals(sigma=first * 1.01, **given) is None
    assert runner.residuals(sigma=last * 0.99, **given) is None
    inside, edge = runner.residuals(sigma=last, **given), runner.residuals(sigma=first, **given)
    assert inside is not None and inside.mid is not None and edge is not None
    cut = torch.nn.functional.interpolate(hint[:, :, 16:64].movedim(-1, 1), size=(64, 64), mode="nearest-exact")
    with torch.no_grad():
        down, mid = controlnet()(
            given["x_in"], given["timestep"], given["context"], cut.expand(2, -1, -1, -1), 0.6, return_dict=False
        )
    torch.testing.assert_close([*inside.down, inside.mid], [*down, mid], atol=1e-4, rtol=1e-4)


def test_grey_and_transparent_hints_are_taken_as_colours(context: Context) -> None:
    net, picture = a_net(context), pictures(1)
    grey = picture[..., :1]
    for hint, same in ((grey, grey.expand(-1, -1, -1, 3)), (torch.cat([picture, grey], dim=-1), picture)):
        one, other = (
            control_runner(Control(net, each), context, sigmas=SIGMAS).residuals(sigma=1.0, **step())
            for each in (hint, same)
        )
        assert one is not None and other is not None and one.mid is not None
        assert torch.equal(one.mid, other.mid if other.mid is not None else torch.zeros(0))


def test_networks_that_shuffle_are_told_by_their_name(context: Context) -> None:
    net = a_net(context, "control_v11e_sd15_shuffle.safetensors")
    residuals = control_runner(Control(net, pictures(1)), context, sigmas=SIGMAS).residuals(sigma=1.0, **step())
    assert residuals is not None and {each.shape[-1] for each in residuals.down} == {1}


def test_adapters_run_by_the_same_door(context: Context) -> None:
    net = a_net(context, "a.safetensors", t2i_adapter().state_dict())
    residuals = control_runner(Control(net, pictures(1)), context, sigmas=SIGMAS).residuals(sigma=1.0, **step())
    assert residuals is not None and residuals.mid is None and residuals.down == ()
    assert [each.shape[:3] for each in residuals.intrablock] == [(2, 32, 8), (2, 64, 4), (2, 64, 2), (2, 64, 1)]


def test_kinds_of_union_networks(context: Context) -> None:
    from typing import get_args

    assert get_args(UnionType) == ("auto", *UNION_KINDS)
    net = a_net(context, "u.safetensors", union_controlnet(6).state_dict())
    told = {"text_embeds": randn(1, 1280), "time_ids": torch.full((1, 6), 64.0)}
    given: dict[str, Any] = step(1) | {"context": randn(1, 5, 2048), "added": told}
    middles = list[torch.Tensor]()
    for kind in ("auto", "depth", "openpose"):
        runner = control_runner(Control(SetUnionControlNetType(net, kind), pictures(1)), context, sigmas=SIGMAS)
        residuals = runner.residuals(sigma=1.0, **given)
        assert residuals is not None and residuals.mid is not None
        middles.append(residuals.mid)
    assert not torch.allclose(middles[0], middles[1]) and not torch.allclose(middles[1], middles[2])
    found = problem(
        lambda: control_runner(Control(SetUnionControlNetType(net, "tile"), pictures(1)), context, sigmas=SIGMAS)
    )
    assert found.code == "bad_value" and "tile" in found.message


# --- vision, styles, IP-Adapters -------------------------------------------------------------------------------------


def test_pictures_are_encoded_each_by_itself(context: Context) -> None:
    save(models(context) / "clip_vision" / "v.safetensors", vision_model().state_dict())
    vision, shown = CLIPVisionLoader("v.safetensors", context), Image(pictures(3, 40, 30))
    given = CLIPVisionEncode(vision, shown, "center", context)
    alone = CLIPVisionEncode(vision, Image(shown[1:2]), "center", context)
    assert given["image_embeds"].shape == (3, 24)
    assert torch.equal(given["penultimate_hidden_states"][1:2], alone["penultimate_hidden_states"])
    assert digest_of(CLIPVisionEncode(vision, shown, "none", context)) != digest_of(given)


def test_unclip_pictures_are_collected() -> None:
    before = digest_of(PROMPT)
    once = unCLIPConditioning(PROMPT, seen(), 0.5, 0.1)
    twice = unCLIPConditioning(once, seen(2))
    assert [len(options["unclip_conditioning"]) for _, options in once] == [1, 1]
    for _, options in twice:
        first, second = options["unclip_conditioning"]
        assert (first["strength"], first["noise_augmentation"]) == (0.5, 0.1)
        assert second["clip_vision_output"]["image_embeds"].shape == (2, 24)
    assert digest_of(PROMPT) == before and unCLIPConditioning(PROMPT, seen(), 0.0) is PROMPT


def test_a_style_speaks_after_the_prompt(context: Context) -> None:
    save(models(context) / "style_models" / "s.safetensors", style_adapter(words=768))
    style = StyleModelLoader("s.safetensors", context)
    styled = StyleModelApply(PROMPT, style, seen(2), 1.0, "multiply", context)
    half = StyleModelApply(PROMPT, style, seen(2), 0.5, "multiply", context)
    for (prompt, options), (less, _), (given, known) in zip(styled, half, PROMPT, strict=True):
        assert prompt.shape == (1, 7 + 2 * 3, 768) and options == known
        assert torch.equal(prompt[:, :7], given)
        torch.testing.assert_close(less[:, 7:], prompt[:, 7:] / 2)
    found = problem(lambda: StyleModelApply(PROMPT, style, seen(), 1.0, "attn_bias", context))
    assert (found.code, found.input) == ("bad_value", "strength_type")
    other = Conditioning([(randn(1, 7, 64), {})])
    assert problem(lambda: StyleModelApply(other, style, seen(), context=context)).input == "conditioning"
    wide: Any = {**seen(), "last_hidden_state": randn(1, 5, 8)}
    assert problem(lambda: StyleModelApply(PROMPT, style, wide, context=context)).input == "clip_vision_output"


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_an_ip_adapter_is_a_behaviour_that_changes_a_clone(kind: str, context: Context, tiny: Tiny) -> None:
    base = unet()
    path = save(models(context) / "ipadapter" / "a.safetensors", ip_adapter(base, kind))
    adapter = IPAdapterModelLoader("a.safetensors", context)
    layer = "image_embeds" if kind == "plain" else "penultimate_hidden_states"
    model = IPAdapterApply(tiny.checkpoint.MODEL, adapter, seen(), 0.4, 0.1, 0.6)
    assert model.weights == tiny.checkpoint.MODEL.weights and model.digest != tiny.checkpoint.MODEL.digest
    (behaviour,) = model.behaviours
    assert behaviour.kind == "ip_adapter" and dict(behaviour.settings) == {
        "weight": 0.4, "start_percent": 0.1, "end_percent": 0.6,
    }  # fmt: skip
    ours, wanted = structural_clone(base), structural_clone(base)
    install_ip_adapter(ours, behaviour, context, sigmas=SIGMAS)
    apply_ip_adapter(wanted, load_ip_adapter(path), seen()[layer], 0.4)
    for timestep, counts in ((899, True), (400, True), (901, False), (398, False)):
        call = (randn(1, 4, 8, 8), torch.tensor([timestep]), randn(1, 5, 768))
        with torch.no_grad():
            assert torch.equal(ours(*call).sample, (wanted if counts else base)(*call).sample)
            assert not torch.equal(wanted(*call).sample, base(*call).sample)
    assert IPAdapterApply(tiny.checkpoint.MODEL, adapter, seen(), 0.0) is tiny.checkpoint.MODEL
    again = IPAdapterApply(tiny.checkpoint.MODEL, adapter, seen(2), 0.4, 0.1, 0.6)
    assert again.digest != model.digest
    other = structural_clone(unet("sd2"))
    assert problem(lambda: install_ip_adapter(other, behaviour, context, sigmas=SIGMAS)).code == "bad_value"


# --- GLIGEN ----------------------------------------------------------------------------------------------------------


def test_boxes_are_collected_in_units_of_the_latent(tiny: Tiny, context: Context) -> None:
    save(models(context) / "gligen" / "g.safetensors", gligen_file(unet("sd1", attention_type="gated")))
    gligen = GLIGENLoader("g.safetensors", context)
    clip, before = tiny.checkpoint.CLIP, digest_of(PROMPT)
    once = GLIGENTextBoxApply(PROMPT, clip, gligen, "a star", 64, 32, 16, 8, tiny.context)
    twice = GLIGENTextBoxApply(once, clip, gligen, "a moon", 8, 8, 0, 0, tiny.context)
    assert digest_of(PROMPT) == before
    for (_, first), (_, second) in zip(once, twice, strict=True):
        kind, handle, boxes = first["gligen"]
        assert (kind, handle) == ("position", gligen) and len(boxes) == 1 and len(second["gligen"][2]) == 2
        name, *place = boxes[0]
        assert place == [4, 8, 1, 2] and name.shape == (128,)
        assert not torch.equal(second["gligen"][2][1][0], name)
    told: Any = once[0][1]["gligen"]
    assert "names of width 768" in problem(lambda: gligen_runner(told, context)).message
    runner = gligen_runner(("position", gligen, [(randn(768), 4, 8, 1, 2)]), context)
    base = unet()
    clone = runner.attached(base)
    call = (randn(1, 4, 8, 8), torch.tensor([3]), randn(1, 5, 768))
    with torch.no_grad():
        boxed = clone(*call, cross_attention_kwargs=runner.arguments(1, 8, 8)).sample
        assert not torch.equal(boxed, base(*call).sample)


# --- a workflow ------------------------------------------------------------------------------------------------------

WORKFLOW = """
nodegraph: 1
params:
  file: small.safetensors
  strength: 1.0
nodes:
  model:
    uses: CheckpointLoaderSimple
    with: {ckpt_name: tiny}
  prompt:
    uses: CLIPTextEncode
    with: {clip: $model.clip, text: a star}
  hint:
    uses: LoadImage
    with: {image: hint.png}
  net:
    uses: ControlNetLoader
    with: {control_net_name: $file}
  steered:
    uses: ControlNetApplyAdvanced
    with:
      positive: $prompt
      negative: $prompt
      control_net: $net
      image: $hint.image
      strength: $strength
"""


def test_in_a_workflow_only_what_changes_is_computed_again(tmp_path: Path) -> None:
    from nodes.diffusion.pictures import to_image

    path = save(tmp_path / "models" / "controlnet" / "small.safetensors", controlnet("xl small").state_dict())
    (tmp_path / "input").mkdir()
    to_image(pictures(1)[0]).save(tmp_path / "input" / "hint.png")
    settings = Settings(
        output=tmp_path / "output", inputs=(tmp_path / "input",), models=(tmp_path / "models",), cache_dir=None
    )
    workflow = nodegraph.loads(WORKFLOW)
    with Session(settings) as session:
        first = session.run(workflow, only=["steered"])
        positive: Any = first.values["steered"][0]
        assert [control.strength for control in positive[0][1]["control"]] == [1.0]
        again = session.run(workflow, {"strength": 0.5}, only=["steered"])
        assert again.executed == ("steered",)
        save(path, controlnet("xl small", 9).state_dict())
        changed = session.run(workflow, {"strength": 0.5}, only=["steered"])
        assert set(changed.executed) == {"net", "steered"}
        missing = session.check(workflow, {"file": "none.safetensors"}).problems
        assert "not_a_choice" in [found.code for found in missing]


def test_a_pool_of_its_own_gives_the_same(context: Context) -> None:
    control = Control(a_net(context), pictures(1), 0.7)
    one, other = (
        control_runner(control, replace(context, pool=LivePool()), sigmas=SIGMAS).residuals(sigma=1.0, **step())
        for _ in range(2)
    )
    assert one is not None and other is not None
    assert digest_of([*one.down, one.mid]) == digest_of([*other.down, other.mid])

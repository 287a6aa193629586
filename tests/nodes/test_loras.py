"""LoRAs of the shipped model, through the nodes: pictures, recipes, the pool, and files that cannot be used."""

from __future__ import annotations

import pickle
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.sockets import Clip, Model, Patch
from nodegraph.workflow.read import load_text
from nodes.loras import LoraLoader, LoraLoaderModelOnly, list_loras
from nodes.models import module_of
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from tests.helpers import context_in, problem, without_shipped
from tests.nodes.conftest import Tiny
from tests.nodes.lora_files import layers_of, lora_folder, lora_tensors, tiny_lora
from tests.nodes.small_models import randn, unet


def sample(tiny: Tiny, model: Model, clip: Clip | None = None, context: Context | None = None) -> Tensor:
    context = context or tiny.context
    positive = tiny.positive if clip is None else CLIPTextEncode("a red star at night", clip, context)
    return KSampler(
        model, 3, 2, 4.0, positive=positive, negative=tiny.negative, latent_image=tiny.canvas(), context=context
    )["samples"]


def loaded(tiny: Tiny, model: float, clip: float, name: str | None = None, **changes: Any) -> tuple[Model, Clip]:
    context = replace(tiny.context, **changes)
    given = LoraLoader(
        tiny.checkpoint.MODEL, tiny.checkpoint.CLIP, tiny_lora(tiny) if name is None else name, model, clip, context
    )
    return given.MODEL, given.CLIP


def saved(tiny: Tiny, name: str, tensors: Mapping[str, Tensor]) -> str:
    save_file(dict(tensors), lora_folder(tiny.context) / name)
    return name


@pytest.fixture
def base(tiny: Tiny) -> Any:
    """The module without patches; nothing that a test does with LoRAs may change it."""
    module = module_of(tiny.checkpoint.MODEL, tiny.context)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    yield module
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_lora_changes_the_picture_by_its_strength(tiny: Tiny, base: Any):
    plain = sample(tiny, tiny.checkpoint.MODEL)
    changes = [(sample(tiny, loaded(tiny, s, 0)[0]) - plain).abs().mean() for s in (0.01, 0.1, 1.0)]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_a_lora_of_the_text_encoder_changes_how_prompts_are_understood(tiny: Tiny):
    model, clip = loaded(tiny, 0, 1)
    assert model == tiny.checkpoint.MODEL
    given = CLIPTextEncode("a red star at night", clip, tiny.context)
    assert not torch.allclose(given[0][0], tiny.positive[0][0], atol=1e-2)


def test_at_strength_0_everything_is_as_without(tiny: Tiny, base: Any):
    model, clip = loaded(tiny, 0, 0)
    assert (model.digest, clip.digest) == (tiny.checkpoint.MODEL.digest, tiny.checkpoint.CLIP.digest)
    by_hand = tiny.checkpoint.MODEL.patched(replace(loaded(tiny, 1, 0)[0].patches[0], settings=(("strength", 0.0),)))
    assert module_of(by_hand, tiny.context) is base
    assert torch.equal(sample(tiny, by_hand), sample(tiny, tiny.checkpoint.MODEL))


def test_a_strength_and_its_opposite_draw_the_same_picture(tiny: Tiny, base: Any):
    name = tiny_lora(tiny)
    model, _ = loaded(tiny, 0.7, 0)
    model = LoraLoaderModelOnly(model, name, -0.7, tiny.context)
    assert len(model.patches) == 2
    for key, parameter in module_of(model, tiny.context).named_parameters():
        torch.testing.assert_close(parameter, base.get_parameter(key), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(sample(tiny, model), sample(tiny, tiny.checkpoint.MODEL), atol=1e-3, rtol=1e-3)


def test_two_loras_add_up(tiny: Tiny, base: Any):
    names = [tiny_lora(tiny), tiny_lora(tiny, "other.safetensors", seed=5)]
    both = LoraLoaderModelOnly(
        LoraLoaderModelOnly(tiny.checkpoint.MODEL, names[0], 0.5, tiny.context), names[1], -1.5, tiny.context
    )
    module = module_of(both, tiny.context)
    tensors = [load_file(lora_folder(tiny.context) / name) for name in names]
    for layer, weight in layers_of(base).items():
        key = "lora_unet_" + layer.replace(".", "_")
        expected = weight.flatten(1)
        for each, strength in zip(tensors, (0.5, -1.5), strict=True):
            up, down = each[f"{key}.lora_up.weight"].flatten(1), each[f"{key}.lora_down.weight"].flatten(1)
            expected = expected + strength * (up @ down)
        torch.testing.assert_close(module.get_parameter(f"{layer}.weight"), expected.reshape(weight.shape))


def test_loading_reads_no_weights_and_makes_recipes(tiny: Tiny):
    class Untouched(LivePool):
        def get(self, *arguments: Any, **more: Any) -> Any:
            raise AssertionError("a loader asked for weights")

    model, clip = loaded(tiny, 0.5, 0.25, pool=Untouched())
    assert model.patches[0].kind == clip.patches[0].kind == "lora"
    assert model.patches[0].setting("strength", 0) == 0.5
    assert clip.patches[0].setting("strength", 0) == 0.25
    assert model.unpatched() == tiny.checkpoint.MODEL
    assert len({model.weights, loaded(tiny, 0.6, 0)[0].weights, tiny.checkpoint.MODEL.weights}) == 3


def test_the_recipe_knows_the_file_by_its_content(tiny: Tiny):
    name = tiny_lora(tiny)
    folder = lora_folder(tiny.context)
    shutil.copy(folder / name, folder / "copy.safetensors")
    assert loaded(tiny, 1, 1, "copy.safetensors")[0].digest == loaded(tiny, 1, 1)[0].digest


def test_both_encoders_of_a_pair_get_the_lora(tiny: Tiny):
    pair = replace(tiny.checkpoint.CLIP, second=tiny.checkpoint.CLIP.with_options(lora_keys="te2"))
    given = LoraLoader(tiny.checkpoint.MODEL, pair, tiny_lora(tiny), 1, 0.5, tiny.context).CLIP
    assert given.second is not None
    assert given.patches == given.second.patches
    # The file addresses the first encoder only.
    assert module_of(given.second, tiny.context) is module_of(tiny.checkpoint.CLIP, tiny.context)
    assert module_of(given, tiny.context) is not module_of(tiny.checkpoint.CLIP, tiny.context)


def test_a_strength_seen_before_is_still_there_and_shares_what_did_not_change(tiny: Tiny):
    pool = LivePool()
    context = replace(tiny.context, pool=pool)
    tensors = lora_tensors(layers_of(module_of(tiny.checkpoint.MODEL, context), "attn1"), "lora_unet_")
    name = saved(tiny, "attention.safetensors", tensors)
    one, other = (loaded(tiny, s, 0, name)[0] for s in (0.4, 0.8))
    first = module_of(one, context)
    held = pool.used
    module_of(other, context)
    changed = sum(p.numel() * 4 for key, p in first.named_parameters() if "attn1" in key and "bias" not in key)
    assert pool.used - held <= changed
    assert module_of(one, context) is first


def test_keys_that_match_nothing_are_told_of(tiny: Tiny):
    unet = module_of(tiny.checkpoint.MODEL, tiny.context)
    tensors = lora_tensors(layers_of(unet, "attn1"), "lora_unet_")
    strangers = {f"lora_unet_nowhere_{i}.lora_up.weight": randn(2, 2) for i in range(5)}
    name = saved(tiny, "strangers.safetensors", {**tensors, **strangers})
    heard: list[str] = []
    model, _ = loaded(tiny, 1, 0, name)
    module_of(model, replace(tiny.context, warn=heard.append, pool=LivePool()))
    assert len(heard) == 1
    assert "5 keys" in heard[0]
    assert all(f"lora_unet_nowhere_{i}" in heard[0] for i in range(3))
    assert "nowhere_3" not in heard[0]


def test_a_lora_of_another_model_is_one_clear_problem(tiny: Tiny, base: Any):
    name = saved(tiny, "another.safetensors", lora_tensors(layers_of(unet("tiny")), "lora_unet_"))
    model, _ = loaded(tiny, 1, 0, name)
    found = problem(lambda: sample(tiny, model))
    assert found.code == "model_unreadable"
    assert "another.safetensors" in found.message
    assert "lora_unet_" in found.message


# --- files that cannot be used ---------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def headless(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5])


def endless_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def no_json(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 8) + b"[[[[[[[[")


def outside(path: Path) -> None:
    text = b'{"lora_unet_x.alpha":{"dtype":"F32","shape":[1],"data_offsets":[0,4000000]}}'
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"lora_unet_x.alpha": 1}))


def zipped(path: Path) -> None:
    torch.save({"lora_unet_x.alpha": torch.ones(1)}, path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_lora(path: Path) -> None:
    save_file({"model.diffusion_model.out.2.weight": torch.zeros(1)}, path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    each.__name__: each
    for each in (cut_short, headless, endless_header, no_json, outside, pickled, zipped, empty, no_lora)
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_file_that_is_no_lora_is_refused_when_it_is_loaded(tiny: Tiny, damage: str):
    name = tiny_lora(tiny, f"damaged/{damage}.safetensors")
    path = lora_folder(tiny.context) / name
    before = path.read_bytes()
    DAMAGES[damage](path)
    found = problem(lambda: loaded(tiny, 1, 1, name))
    path.write_bytes(before)
    assert found.code == "model_unreadable"
    assert f"{damage}.safetensors" in found.message
    assert ("pickle" in found.message) == (damage in ("pickled", "zipped"))


def test_a_lora_that_is_not_there_and_one_elsewhere(tiny: Tiny):
    for name in ("nowhere.safetensors", "../loras/x.safetensors", "/etc/passwd", ""):
        assert problem(lambda name=name: loaded(tiny, 1, 1, name)).code == "model_unreadable"


def test_a_lora_that_changed_after_it_was_loaded_is_not_used(tiny: Tiny):
    name = tiny_lora(tiny, "changing.safetensors")
    path = lora_folder(tiny.context) / name
    model, _ = loaded(tiny, 1, 0, name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert problem(lambda: module_of(model, tiny.context)).code == "model_changed"
    path.unlink()
    assert problem(lambda: module_of(model, tiny.context)).code == "model_unreadable"


def test_a_patch_of_a_kind_that_nobody_knows_is_a_problem(tiny: Tiny):
    strange = tiny.checkpoint.MODEL.patched(Patch("no such kind"))
    assert problem(lambda: module_of(strange, tiny.context)).code == "model_unreadable"


def test_loras_are_listed_with_their_folders(tmp_path: Path):
    context = context_in(tmp_path)
    folder = lora_folder(context)
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("one.safetensors", "a/b/two.safetensors", "a/notes.txt", "three.txt"):
        (folder / name).write_bytes(b"")
    assert without_shipped(list_loras(context.roots)) == ["a/b/two.safetensors", "one.safetensors"]


def test_a_pickled_lora_works_if_it_is_allowed(tiny: Tiny, tmp_path: Path):
    context = context_in(tmp_path)
    folder = lora_folder(context)
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(lora_folder(tiny.context) / tiny_lora(tiny))
    torch.save(weights, folder / "old.pt")
    save_file(weights, folder / "new.safetensors")
    context = replace(context, roots=replace(context.roots, allow_pickle=True))
    old, new = (
        LoraLoaderModelOnly(tiny.checkpoint.MODEL, name, 1.0, context) for name in ("old.pt", "new.safetensors")
    )
    states = [module_of(each, context).state_dict() for each in (old, new)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


# --- whole workflows -------------------------------------------------------------------------------------------------

DOCUMENT = """
nodegraph: 1
params: {strength: 0.8}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  lora:
    uses: LoraLoader
    with:
      model: $model.model
      clip: $model.clip
      lora_name: styles/tiny.safetensors
      strength_model: $strength
      strength_clip: 0
  prompt: {uses: CLIPTextEncode, with: {clip: $lora.clip, text: a heart}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with:
      model: $lora.model
      positive: $prompt
      negative: $prompt
      latent_image: $canvas
      seed: 1
      steps: 2
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture}}
"""


def test_a_workflow_runs_again_only_what_another_strength_touches(tiny: Tiny, tmp_path: Path):
    tiny_lora(tiny)
    workflow = load_text(DOCUMENT, file="w.yaml").workflow
    assert workflow is not None
    settings = Settings(
        output=tmp_path / "output",
        models=(tiny.context.roots.models[0], tiny.context.roots.models[1]),
        cache_dir=tmp_path / "cache",
        device="cpu",
        free_space=0,
    )
    with Session(settings) as session:
        first = session.run(workflow)
        assert first.status == "done", first.problems
        assert session.run(workflow).executed == ()
        second = session.run(workflow, params={"strength": 0.2})
        assert second.status == "done"
        assert not {"prompt", "canvas", "model"} & set(second.executed)
        assert {"lora", "latent", "picture", "save"} <= set(second.executed)
        zero = session.run(workflow, params={"strength": 0.0})
        assert zero.status == "done"
    pictures = [Path(run.saved["save"].files[0].path).read_bytes() for run in (first, second, zero)]
    assert len(set(pictures)) == 3

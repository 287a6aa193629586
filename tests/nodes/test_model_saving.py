"""Saved models: files that hold the module's tensors under the names that other programs know."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from nodegraph.context import Context, Provenance
from nodegraph.sockets import Clip, Model, Saved
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.diffusion.ldm_keys import text_from_open_clip, unet_to_diffusers, vae_to_diffusers
from nodes.diffusion.single_file_saving import NoSuchName, text_prefixes, text_weights, unet_weights, vae_weights
from nodes.loras import LoraLoader
from nodes.merging import CLIPMergeSubtract, ModelMergeSubtract
from nodes.model_saving import CheckpointSave, CLIPSave, LoraSave, ModelSave, VAESave
from nodes.models import module_of
from nodes.prompt import CLIPTextEncode
from tests.helpers import context_in, problem
from tests.nodes.conftest import Tiny
from tests.nodes.lora_files import tiny_lora
from tests.nodes.small_models import projecting_text_encoder, text_encoder, unet, vae


@pytest.fixture
def patched(tiny: Tiny) -> tuple[Model, Clip]:
    given = LoraLoader(tiny.checkpoint.MODEL, tiny.checkpoint.CLIP, tiny_lora(tiny), 0.8, 0.5, tiny.context)
    return given.MODEL, given.CLIP


@pytest.fixture
def writing(tiny: Tiny, tmp_path: Path) -> Context:
    """The shipped model's context with an output folder of its own."""
    return replace(tiny.context, roots=replace(tiny.context.roots, output=tmp_path / "output"))


def the_file(saved: Saved) -> Path:
    (file,) = saved.files
    assert file.type == "output"
    assert Path(file.path).name == file.filename
    return Path(file.path)


def without(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def equal(tensors: dict[str, Tensor], names: dict[str, str], module: Any) -> None:
    own = module.state_dict()
    assert {names[name] for name in tensors} == own.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor.reshape(own[names[name]].shape), own[names[name]])


def test_a_checkpoint_holds_all_three_parts_as_they_are_used(tiny: Tiny, patched: tuple[Model, Clip], writing: Context):
    path = the_file(CheckpointSave(*patched, tiny.checkpoint.VAE, context=writing))
    assert path == writing.roots.output / "checkpoints" / "nodegraph_00001_.safetensors"
    tensors = load_file(path)
    unet = without("model.diffusion_model.", tensors)
    equal(unet, unet_to_diffusers(unet, 1, 3), module_of(patched[0], writing))
    vae = without("first_stage_model.", tensors)
    equal(vae, vae_to_diffusers(vae), module_of(tiny.checkpoint.VAE, writing))
    text = without("cond_stage_model.transformer.text_model.", tensors)
    equal(text, {name: name for name in text}, module_of(patched[1], writing))
    assert len(unet) + len(vae) + len(text) == len(tensors)


def test_parts_are_saved_by_themselves(tiny: Tiny, patched: tuple[Model, Clip], writing: Context):
    unet = without("model.diffusion_model.", load_file(the_file(ModelSave(patched[0], context=writing))))
    equal(unet, unet_to_diffusers(unet, 1, 3), module_of(patched[0], writing))
    text = without("text_model.", load_file(the_file(CLIPSave(patched[1], context=writing))))
    equal(text, {name: name for name in text}, module_of(patched[1], writing))
    vae = load_file(the_file(VAESave(tiny.checkpoint.VAE, context=writing)))
    equal(vae, vae_to_diffusers(vae), module_of(tiny.checkpoint.VAE, writing))
    names = sorted(file.relative_to(writing.roots.output).as_posix() for file in writing.roots.output.rglob("*.*"))
    assert names == [
        "clip/nodegraph_00001_.safetensors",
        "diffusion_models/nodegraph_00001_.safetensors",
        "vae/nodegraph_vae_00001_.safetensors",
    ]


def test_two_text_encoders_are_two_files(tiny: Tiny, writing: Context):
    pair = replace(tiny.checkpoint.CLIP, second=tiny.checkpoint.CLIP)
    names = [file.filename for file in CLIPSave(pair, "both", writing).files]
    assert names == ["both_clip_l_00001_.safetensors", "both_clip_g_00001_.safetensors"]


def test_files_count_up_and_replace_nothing(tiny: Tiny, writing: Context):
    first, second = (the_file(VAESave(tiny.checkpoint.VAE, "a/b", writing)) for _ in range(2))
    assert [first.name, second.name] == ["b_00001_.safetensors", "b_00002_.safetensors"]
    assert first.read_bytes() == second.read_bytes()
    assert not [file for file in first.parent.iterdir() if file.name.startswith(".")]


def test_the_workflow_and_the_kind_of_prediction_are_in_the_file(tiny: Tiny, writing: Context):
    told = replace(writing, provenance=Provenance("nodegraph: 1 # ☆", '{"1": {}}', {"seed": "7"}))
    model = tiny.checkpoint.MODEL.with_options(prediction="v_prediction")
    with safe_open(the_file(ModelSave(model, context=told)), framework="pt") as file:
        metadata = file.metadata()
        assert "v_pred" in file.keys()  # noqa: SIM118 (it is no mapping)
    assert metadata["nodegraph"] == "nodegraph: 1 # ☆"
    assert metadata["prompt"] == '{"1": {}}'
    assert json.loads(metadata["nodegraph.run"]) == {"seed": "7"}
    assert metadata["modelspec.prediction_type"] == "v"
    with safe_open(the_file(ModelSave(tiny.checkpoint.MODEL, context=told)), framework="pt") as file:
        assert file.metadata()["modelspec.prediction_type"] == "epsilon"
        assert "v_pred" not in file.keys()  # noqa: SIM118 (it is no mapping)


def test_tensors_lie_aligned(tiny: Tiny, writing: Context):
    data = the_file(VAESave(tiny.checkpoint.VAE, context=writing)).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert all(each["data_offsets"][0] % 4 == 0 for name, each in header.items() if name != "__metadata__")


@pytest.mark.parametrize("prefix", ["../x", "/x", "a//b", "x\n", "con", "a\\b"])
def test_a_prefix_that_leads_elsewhere_is_refused(tiny: Tiny, writing: Context, prefix: str):
    found = problem(lambda: VAESave(tiny.checkpoint.VAE, prefix, writing))
    assert (found.code, found.input) == ("bad_value", "filename_prefix")


def test_a_link_out_of_the_output_folder_is_not_followed(tiny: Tiny, writing: Context, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    writing.roots.output.mkdir()
    (writing.roots.output / "out").symlink_to(tmp_path / "elsewhere")
    assert problem(lambda: VAESave(tiny.checkpoint.VAE, "out/x", writing)).code == "bad_value"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_cannot_be_written_to_is_a_problem(tiny: Tiny, tmp_path: Path):
    (tmp_path / "output").write_text("a file, where the folder should be")
    context = replace(tiny.context, roots=replace(tiny.context.roots, output=tmp_path / "output"))
    assert problem(lambda: VAESave(tiny.checkpoint.VAE, context=context)).code == "cannot_write"


def test_a_run_that_is_cancelled_leaves_no_file(tiny: Tiny, writing: Context):
    def cancelled(value: float, total: float) -> None:
        if value > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        VAESave(tiny.checkpoint.VAE, context=replace(writing, on_progress=cancelled))
    assert not [path for path in writing.roots.output.rglob("*") if path.is_file()]


# --- names of other families -----------------------------------------------------------------------------------------


def test_an_xl_model_is_named_as_xl_checkpoints_are():
    encoders = [text_encoder(), projecting_text_encoder()]
    (first, plain), (second, open_clip) = text_prefixes([*encoders], unet("xl"))
    assert (plain, open_clip) == (False, True)
    tensors = text_weights(encoders[0], first, open_clip=plain)
    assert "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight" in tensors
    tensors = text_weights(encoders[1], second, open_clip=open_clip)
    assert "conditioner.embedders.1.model.text_projection" in tensors
    read = text_from_open_clip(without(second, tensors))
    own = {name.removeprefix("text_model."): tensor for name, tensor in encoders[1].state_dict().items()}
    assert read.keys() == own.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in own.items())


def test_one_open_clip_encoder_is_that_of_stable_diffusion_2_or_of_the_refiner():
    encoder = projecting_text_encoder()
    encoder.config.hidden_act = "gelu"
    assert text_prefixes([encoder], unet("sd2")) == [("cond_stage_model.model.", True)]
    assert text_prefixes([encoder], unet("refiner")) == [("conditioner.embedders.0.model.", True)]
    assert text_prefixes([text_encoder()], unet("sd1")) == [("cond_stage_model.transformer.text_model.", False)]


def test_attention_of_a_vae_is_kept_as_convolutions():
    tensors = vae_weights(vae())
    assert tensors["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (8, 8, 1, 1)
    assert tensors["first_stage_model.encoder.mid.attn_1.q.bias"].shape == (8,)


def test_a_network_with_layers_that_single_files_do_not_know_is_refused():
    odd = unet("tiny")
    odd.add_module("extra", torch.nn.Linear(1, 1))
    with pytest.raises(NoSuchName, match=r"extra\.weight"):
        unet_weights(odd)


# --- LoRAs of differences --------------------------------------------------------------------------------------------


def difference(tiny: Tiny, patched: tuple[Model, Clip]) -> dict[str, Any]:
    return {
        "model_diff": ModelMergeSubtract(patched[0], tiny.checkpoint.MODEL),
        "text_encoder_diff": CLIPMergeSubtract(patched[1], tiny.checkpoint.CLIP),
    }


@pytest.mark.parametrize("lora_type", ["standard", "full_diff"])
def test_a_lora_of_a_difference_gives_the_other_model(
    tiny: Tiny, patched: tuple[Model, Clip], writing: Context, lora_type: Any
):
    path = the_file(LoraSave(rank=8, lora_type=lora_type, **difference(tiny, patched), context=writing))
    assert path == writing.roots.output / "loras" / "nodegraph_extracted_lora_00001_.safetensors"
    home = writing.roots.output.parent
    (home / "models").mkdir()
    (writing.roots.output / "loras").rename(home / "models" / "loras")
    context = replace(context_in(home), pool=writing.pool)
    again = LoraLoader(tiny.checkpoint.MODEL, tiny.checkpoint.CLIP, path.name, context=context)
    for given, expected in zip(again, patched, strict=True):
        wanted = module_of(expected, tiny.context)
        for name, parameter in module_of(given, context).named_parameters():
            torch.testing.assert_close(parameter, wanted.get_parameter(name), atol=2e-4, rtol=1e-3)


def test_a_lower_rank_is_a_smaller_file(tiny: Tiny, patched: tuple[Model, Clip], writing: Context):
    sizes = [
        the_file(LoraSave(rank=rank, **difference(tiny, patched), context=writing)).stat().st_size for rank in (1, 4)
    ]
    assert sizes[0] < sizes[1] / 2


def test_no_difference_is_nothing_to_save(tiny: Tiny, writing: Context):
    same = ModelMergeSubtract(tiny.checkpoint.MODEL, tiny.checkpoint.MODEL)
    assert "no difference" in problem(lambda: LoraSave(model_diff=same, context=writing)).message
    assert problem(lambda: LoraSave(context=writing)).code == "bad_value"


# --- and back again --------------------------------------------------------------------------------------------------


def test_a_saved_checkpoint_is_loaded_as_the_model_it_was(tiny: Tiny, tmp_path: Path):
    """Also one whose shapes do not tell its configuration, and whose tokenizer has words of its own."""
    context = context_in(tmp_path)
    saving = replace(context, roots=replace(context.roots, output=context.roots.models[0]))
    model, clip, vae = CheckpointLoaderSimple("tiny", saving)
    saved = CheckpointSave(model, clip, vae, "checkpoints/again", saving)
    again = CheckpointLoaderSimple(saved.files[0].filename, context)
    for before, after in zip((model, clip, vae), again, strict=True):
        wanted = module_of(before, saving).state_dict()
        found = module_of(after, context).state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    words = "a (red:1.2) star at night"
    assert torch.equal(CLIPTextEncode(words, again[1], context)[0][0], CLIPTextEncode(words, clip, saving)[0][0])

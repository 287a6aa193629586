"""Single-file models: told by their headers, loaded as what they are, refused in words when they are something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodegraph.sockets import Handle
from nodes.checkpoints import CheckpointLoader, CheckpointLoaderSimple, list_checkpoints
from nodes.diffusion.families import recognise
from nodes.diffusion.headers import read_header
from nodes.models import module_of
from nodes.single_files import CLIPLoader, DualCLIPLoader, UNETLoader, VAELoader, list_vaes
from tests.helpers import context_in, problem
from tests.nodes.checkpoint_files import (
    FAMILIES,
    Made,
    make_checkpoint,
    make_text,
    make_unet,
    make_vae,
    save,
    text_weights,
    unet_weights,
    vae_weights,
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("families") / "models" / "checkpoints"
    return {family: make_checkpoint(folder / f"{family}.safetensors", family) for family in FAMILIES}


@pytest.fixture
def shared(checkpoints: dict[str, Made], tmp_path: Path) -> Context:
    """A context that sees the checkpoints of all families."""
    context = context_in(tmp_path)
    models = checkpoints["sd1"].path.parent.parent
    return replace(context, roots=replace(context.roots, models=(models, *context.roots.models)))


def same_weights(found: Any, made: Any, *, rounded: bool = False) -> bool:
    wanted = made.state_dict()
    return found.state_dict().keys() == wanted.keys() and all(
        torch.equal(tensor, wanted[name].half().float() if rounded else wanted[name])
        for name, tensor in found.state_dict().items()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_known_by_its_header(checkpoints: dict[str, Made], family: str):
    found = recognise(read_header(checkpoints[family].path))
    assert (found.kind, found.family) == ("checkpoint", family.split()[0])
    assert found.channels == FAMILIES[family].unet.get("in_channels", 4)
    assert found.width == FAMILIES[family].unet["cross_attention_dim"]


@pytest.mark.parametrize("family", FAMILIES)
def test_all_parts_of_a_checkpoint_have_the_weights_that_were_written(
    checkpoints: dict[str, Made], shared: Context, family: str
):
    made = checkpoints[family]
    model, clip, vae = CheckpointLoaderSimple(made.path.name, shared)
    assert same_weights(module_of(model, shared), made.unet)
    assert same_weights(module_of(vae, shared), made.vae)
    clips = [clip] if clip.second is None else [clip, clip.second]
    assert len(clips) == len(made.texts)
    for handle, text in zip(clips, made.texts, strict=True):
        assert same_weights(module_of(handle, shared), text, rounded=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_computes_what_the_one_that_was_written_does(
    checkpoints: dict[str, Made], shared: Context, family: str
):
    made = checkpoints[family]
    unet: Any = module_of(CheckpointLoaderSimple(made.path.name, shared).MODEL, shared)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, made.unet.config.in_channels, 8, 8, generator=generator)
    prompt = torch.randn(2, 7, made.unet.config.cross_attention_dim, generator=generator)
    added = {}
    if family.startswith("sdxl"):
        ids = 6 if family == "sdxl" else 5
        added = {"text_embeds": torch.randn(2, 1280, generator=generator), "time_ids": torch.ones(2, ids)}
    arguments = {"encoder_hidden_states": prompt, "added_cond_kwargs": added, "return_dict": False}
    with torch.no_grad():
        assert torch.equal(unet(x, 7, **arguments)[0], made.unet(x, 7, **arguments)[0])


def test_loading_a_recipe_reads_no_weights_and_makes_no_module(checkpoints: dict[str, Made], shared: Context):
    pool = LivePool()
    CheckpointLoaderSimple(checkpoints["sdxl"].path.name, replace(shared, pool=pool))
    assert pool.used == 0


def test_half_precision_is_computed_in_full_on_a_cpu(tmp_path: Path):
    made = make_checkpoint(tmp_path / "models/checkpoints/half.safetensors", "sd1", dtype=torch.float16)
    context = context_in(tmp_path)
    unet = module_of(CheckpointLoaderSimple("half.safetensors", context).MODEL, context)
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.float32}
    assert same_weights(unet, made.unet, rounded=True)


# --- what a model predicts


def predicted(folder: Path, family: str = "sd2", **arguments: Any) -> object:
    return CheckpointLoaderSimple("m.safetensors", context_in(folder), **arguments).MODEL.option("prediction", "?")


def test_noise_is_predicted_unless_something_says_otherwise(tmp_path: Path):
    make_checkpoint(tmp_path / "models/checkpoints/m.safetensors", "sd2")
    assert predicted(tmp_path) == "epsilon"
    assert predicted(tmp_path, prediction="v_prediction") == "v_prediction"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.yaml", "model:\n  params:\n    parameterization: v\n"),
        ("m.yml", "prediction_type: v_prediction"),
        ("m.json", '{"scheduler": {"prediction_type": "v_prediction"}}'),
    ],
)
def test_a_configuration_beside_the_file_says_what_is_predicted(tmp_path: Path, name: str, text: str):
    path = tmp_path / "models/checkpoints/m.safetensors"
    make_checkpoint(path, "sd2")
    path.with_name(name).write_text(text)
    assert predicted(tmp_path) == "v_prediction"
    assert predicted(tmp_path, prediction="epsilon") == "epsilon"


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path):
    path = tmp_path / "models/checkpoints/m.safetensors"
    make_checkpoint(path, "sd2")
    path.with_name("m.yaml").write_text("a: [1, 2")
    assert "m.yaml" in problem(lambda: predicted(tmp_path)).message


def test_a_checkpoint_with_a_configuration_of_its_own(tmp_path: Path):
    made = make_checkpoint(tmp_path / "models/checkpoints/m.safetensors", "sd2")
    (tmp_path / "models/configs").mkdir()
    (tmp_path / "models/configs/v2-v.yaml").write_text("model: {params: {parameterization: v}}")
    model = CheckpointLoader("v2-v.yaml", made.path.name, context_in(tmp_path)).MODEL
    assert model.option("prediction", "") == "v_prediction"


def test_metadata_says_what_is_predicted(tmp_path: Path):
    unet = {"model.diffusion_model." + n: t for n, t in unet_weights(make_unet("sd1")).items()}
    save(tmp_path / "models/unet/u.safetensors", unet, {"modelspec.prediction_type": "v"})
    assert UNETLoader("u.safetensors", context=context_in(tmp_path)).option("prediction", "") == "v_prediction"
    save(tmp_path / "models/unet/w.safetensors", unet | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)})
    found = UNETLoader("w.safetensors", context=context_in(tmp_path))
    assert (found.option("prediction", ""), found.option("zsnr", False)) == ("v_prediction", True)


# --- parts of their own


def test_unets_alone_in_both_layouts_with_and_without_a_prefix(tmp_path: Path):
    made = make_unet("sd1")
    ldm, context = unet_weights(made), context_in(tmp_path)
    folder = tmp_path / "models/diffusion_models"
    save(tmp_path / "models/unet/prefixed.safetensors", {"model.diffusion_model." + n: t for n, t in ldm.items()})
    save(folder / "bare.safetensors", ldm)
    save(folder / "sub/diffusers.safetensors", made.state_dict())
    for name in ("prefixed.safetensors", "bare.safetensors", "sub/diffusers.safetensors"):
        assert same_weights(module_of(UNETLoader(name, context=context), context), made)


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_a_diffusers_unet_of_every_family_needs_no_configuration(tmp_path: Path, family: str):
    made, context = make_unet(family), context_in(tmp_path)
    save(tmp_path / "models/unet/u.safetensors", made.state_dict())
    handle = UNETLoader("u.safetensors", context=context)
    assert handle.option("family", "") == family
    assert same_weights(module_of(handle, context), made)


def test_weights_may_be_rounded_to_eight_bits(tmp_path: Path):
    made, context = make_unet("sd1"), context_in(tmp_path)
    save(tmp_path / "models/unet/u.safetensors", made.state_dict())
    plain = UNETLoader("u.safetensors", context=context)
    rounded = UNETLoader("u.safetensors", "fp8_e4m3fn", context)
    assert rounded.digest != plain.digest
    first = next(iter(module_of(rounded, context).parameters()))
    wanted = next(iter(made.parameters())).to(torch.float8_e4m3fn).float()
    assert torch.equal(first, wanted)


def test_vaes_alone_in_both_layouts_and_in_a_checkpoint(tmp_path: Path):
    made, context = make_vae(), context_in(tmp_path)
    folder = tmp_path / "models/vae"
    save(folder / "ldm.safetensors", vae_weights(made))
    save(folder / "prefixed.safetensors", {"first_stage_model." + n: t for n, t in vae_weights(made).items()})
    save(folder / "diffusers.safetensors", made.state_dict())
    for name in ("ldm.safetensors", "prefixed.safetensors", "diffusers.safetensors"):
        assert same_weights(module_of(VAELoader(name, context), context), made)


def test_text_encoders_alone(tmp_path: Path):
    context, folder = context_in(tmp_path), tmp_path / "models/text_encoders"
    small, large = make_text(768), make_text(1280, 3)
    save(folder / "l.safetensors", {f"text_model.{n}": t for n, t in small.state_dict().items()})
    save(folder / "g.safetensors", text_weights(large, ""))
    alone = CLIPLoader("l.safetensors", context=context)
    assert same_weights(module_of(alone, context), small, rounded=True)
    for names in (("l.safetensors", "g.safetensors"), ("g.safetensors", "l.safetensors")):
        clip = DualCLIPLoader(*names, context=context)
        assert clip.second is not None
        assert same_weights(module_of(clip, context), small, rounded=True)
        assert same_weights(module_of(clip.second, context), large, rounded=True)
        assert (clip.option("layer", 0), clip.option("normed", True)) == (-2, False)
    assert "768 and 768" in problem(lambda: DualCLIPLoader("l.safetensors", "l.safetensors", context=context)).message
    assert problem(lambda: CLIPLoader("l.safetensors", "sd3", context=context)).input == "type"


# --- what is refused


def named(path: Path) -> tuple[Path, Callable[[], object]]:
    context = context_in(path.parents[2])
    return path, lambda: CheckpointLoaderSimple(path.name, context)


@pytest.mark.parametrize(
    ("weights", "words", "hint"),
    [
        ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": torch.zeros(4, 4)}, "a LoRA", "LoraLoader"),
        ({"control_model.input_hint_block.0.weight": torch.zeros(4, 4)}, "a ControlNet", "ControlNetLoader"),
        ({"emb_params": torch.zeros(2, 768)}, "a textual inversion", "choose another file"),
        ({"who.knows": torch.zeros(3)}, "no model of a kind that is known", "choose another file"),
        ({"model.diffusion_model.joint_blocks.0.x": torch.zeros(3)}, "Stable Diffusion 3", "choose another file"),
        ({}, "no model of a kind that is known", "choose another file"),
    ],
)
def test_other_files_are_refused_as_what_they_are(tmp_path: Path, weights: Any, words: str, hint: str):
    path, load = named(tmp_path / "models/checkpoints/x.safetensors")
    save(path, weights)
    found = problem(load)
    assert found.code == "model_unreadable"
    assert words in found.message and path.name in found.message
    assert hint in (found.hint or "")


def test_a_checkpoint_without_text_encoders_says_how_to_load_it(tmp_path: Path):
    path, load = named(tmp_path / "models/checkpoints/x.safetensors")
    make_checkpoint(path, "sdxl", texts=False)
    assert "DualCLIPLoader" in (problem(load).hint or "")
    make_checkpoint(path, "sd1", texts=False, vae=False)
    assert "UNETLoader" in (problem(load).hint or "")


def test_a_checkpoint_without_a_vae_loads_and_says_so_when_it_is_needed(tmp_path: Path):
    make_checkpoint(tmp_path / "models/checkpoints/x.safetensors", "sd1", vae=False)
    context = context_in(tmp_path)
    model, _, vae = CheckpointLoaderSimple("x.safetensors", context)
    assert module_of(model, context) is not None
    assert "has no VAE" in problem(lambda: module_of(vae, context)).message


def test_a_missing_or_misshapen_weight_is_never_made_up(tmp_path: Path):
    unet = unet_weights(make_unet("sd1"))
    context, folder = context_in(tmp_path), tmp_path / "models/unet"
    save(folder / "less.safetensors", {n: t for n, t in unet.items() if n != "out.2.bias"})
    save(folder / "other.safetensors", unet | {"out.2.bias": torch.zeros(7)})
    for name, words in (("less.safetensors", "missing: conv_out.bias"), ("other.safetensors", "shape")):
        handle = UNETLoader(name, context=context)
        assert words in problem(lambda handle=handle: module_of(handle, context)).message


# --- pickles


def allowing(folder: Path) -> Context:
    """A context in which pickles may be read."""
    context = context_in(folder)
    return replace(context, roots=replace(context.roots, allow_pickle=True))


def test_a_pickle_is_refused_unless_it_is_allowed_and_then_read_as_weights_only(tmp_path: Path):
    made = make_checkpoint(tmp_path / "models/checkpoints/m.safetensors", "sd1")
    from safetensors.torch import load_file

    path = made.path.with_suffix(".ckpt")
    torch.save({"state_dict": load_file(made.path)}, path)
    context = context_in(tmp_path)
    assert "pickle" in problem(lambda: CheckpointLoaderSimple("m.ckpt", context)).message
    allowed = allowing(tmp_path)
    assert same_weights(module_of(CheckpointLoaderSimple("m.ckpt", allowed).MODEL, allowed), made.unet)


class Evil:
    """Unpickling this writes a file: the proof that somebody did."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "pwned"))


def test_an_allowed_pickle_still_runs_no_code(tmp_path: Path):
    path = tmp_path / "models/checkpoints/evil.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "b": Evil(tmp_path / "proof")}, path)
    context = allowing(tmp_path)
    found = problem(lambda: CheckpointLoaderSimple("evil.ckpt", context))
    assert "more than weights" in found.message
    assert not (tmp_path / "proof").exists()


# --- folders


def test_checkpoints_are_listed_as_they_come_and_go(tmp_path: Path):
    context = context_in(tmp_path)
    assert list_checkpoints(context.roots) == ["tiny"]
    path = save(tmp_path / "models/checkpoints/style/x.safetensors", {"a": torch.zeros(1)})
    (path.parent / "notes.txt").write_text("no model")
    (path.parent / ".hidden.safetensors").write_text("no model")
    assert list_checkpoints(context.roots) == ["style/x.safetensors", "tiny"]
    path.unlink()
    assert list_checkpoints(context.roots) == ["tiny"]


def test_a_link_to_a_file_elsewhere_is_followed(tmp_path: Path, checkpoints: dict[str, Made]):
    folder = tmp_path / "models/checkpoints"
    folder.mkdir(parents=True)
    (folder / "linked.safetensors").symlink_to(checkpoints["sd1"].path)
    assert isinstance(CheckpointLoaderSimple("linked.safetensors", context_in(tmp_path)).MODEL, Handle)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/../../x", "~/x", "c:\\x", ""])
def test_names_never_lead_out_of_the_folders(tmp_path: Path, name: str):
    save(tmp_path / "models/x.safetensors", {"a": torch.zeros(1)})
    assert "there is no" in problem(lambda: CheckpointLoaderSimple(name, context_in(tmp_path))).message


def test_small_stand_ins_and_pixels_are_vaes_too(tmp_path: Path):
    from diffusers import AutoencoderTiny

    make: Any = AutoencoderTiny
    taesd, context = make().eval(), context_in(tmp_path)
    state = taesd.state_dict()
    folder = tmp_path / "models/vae_approx"
    encoder = {n.removeprefix("encoder.layers."): t for n, t in state.items() if n.startswith("encoder")}
    decoder = {n.removeprefix("decoder.layers."): t for n, t in state.items() if n.startswith("decoder")}
    save(folder / "taesd_encoder.safetensors", encoder)
    assert list_vaes(context.roots) == ["pixel_space"]
    moved = {f"{int(n.split('.')[0]) + 1}.{n.partition('.')[2]}": t for n, t in decoder.items()}
    save(folder / "taesd_decoder.safetensors", moved)
    assert list_vaes(context.roots) == ["taesd", "pixel_space"]
    assert same_weights(module_of(VAELoader("taesd", context), context), taesd)
    pixels: Any = module_of(VAELoader("pixel_space", context), context)
    assert torch.equal(pixels.decode(torch.ones(1, 3, 8, 8)).sample, torch.ones(1, 3, 8, 8))


def test_a_noted_configuration_counts_before_what_shapes_tell(tmp_path: Path):
    made, context = make_unet("sd1"), context_in(tmp_path)
    config = {**made.config, "attention_head_dim": 4}
    notes = {"nodegraph.unet_config": json.dumps(config, default=list)}
    save(tmp_path / "models/unet/u.safetensors", unet_weights(made), notes)
    unet: Any = module_of(UNETLoader("u.safetensors", context=context), context)
    assert unet.config.attention_head_dim == 4


def test_a_text_encoder_with_fewer_words_than_the_tokenizer_is_told(tmp_path: Path):
    from nodes.prompt import CLIPTextEncode

    make_checkpoint(tmp_path / "models/checkpoints/x.safetensors", "sd1")
    context = context_in(tmp_path)
    clip = CheckpointLoaderSimple("x.safetensors", context).CLIP
    found = problem(lambda: CLIPTextEncode("a star", clip, context))
    assert found.code == "model_unreadable" and "49,408 tokens" in found.message

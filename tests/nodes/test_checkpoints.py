"""Checkpoints: recipes without weights, found in the model folders, refused in words when they cannot be used."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nodegraph.context import Context
from nodegraph.sockets import Model, Vae
from nodes.checkpoints import CheckpointLoaderSimple, find_checkpoint, list_checkpoints
from nodes.models import module_of, tokenizer_of
from nodes.previews import preview_map
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from tests.helpers import context_in, copy_of_tiny, problem
from tests.nodes.conftest import Tiny

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture
def folder(context: Context) -> Path:
    """A model that tests may damage: `mine`, in checkpoints/ of a model folder."""
    return copy_of_tiny(context.roots.models[0] / "checkpoints" / "mine")


def edit(file: Path, **changes: object) -> None:
    data = json.loads(file.read_text())
    file.write_text(json.dumps(data | changes))


def edit_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


class CreatesAFile:
    """Unpickling this writes a file: the proof that somebody did."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "pwned"))


# --- what a loader gives


def test_the_embedded_model_is_three_recipes_and_no_weights(context: Context) -> None:
    model, clip, vae = CheckpointLoaderSimple("tiny", context)
    assert [handle.part for handle in (model, clip, vae)] == ["unet", "text_encoder", "vae"]
    for handle in (model, clip, vae):
        assert len(pickle.dumps(handle)) < 2000
        assert not any(isinstance(getattr(handle, slot), torch.Tensor) for slot in handle.__dataclass_fields__)
    assert len({model.digest, clip.digest, vae.digest}) == 3


def test_a_copy_elsewhere_is_the_same_model(context: Context, folder: Path) -> None:
    shipped, copied = CheckpointLoaderSimple("tiny", context), CheckpointLoaderSimple("mine", context)
    assert [handle.digest for handle in shipped] == [handle.digest for handle in copied]
    assert shipped.MODEL.path != copied.MODEL.path


def test_other_weights_are_another_model_and_leave_the_other_parts_as_they_were(folder: Path, tmp_path: Path) -> None:
    before = CheckpointLoaderSimple("mine", context_in(tmp_path))
    edit_weights(folder / UNET, lambda weights: weights["conv_in.bias"].add_(1))
    after = CheckpointLoaderSimple("mine", context_in(tmp_path))
    assert after.MODEL.digest != before.MODEL.digest
    assert (after.CLIP.digest, after.VAE.digest) == (before.CLIP.digest, before.VAE.digest)


def test_checkpoints_are_listed_and_found_by_their_folder(context: Context, folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "sd" / "other")
    assert list_checkpoints(context.roots) == ["mine", "sd/other", "tiny"]
    assert find_checkpoint("sd/other", context.roots) == folder.parent / "sd" / "other"
    for name in ("", ".", "..", "../checkpoints/mine", "sd", "/etc", str(folder), "~", "mine\0", "C:\\mine", "nobody"):
        assert find_checkpoint(name, context.roots) is None


def test_what_a_node_needs_is_loaded_once(context: Context) -> None:
    vae = CheckpointLoaderSimple("tiny", context).VAE
    assert module_of(vae, context) is module_of(vae, context)


def test_loading_leaves_the_global_random_generator_alone(context: Context) -> None:
    before = torch.random.get_rng_state()
    for handle in CheckpointLoaderSimple("tiny", context):
        module_of(handle, context)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_nothing_is_asked_of_the_network(context: Context, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    calls: list[object] = []

    def refuse(*args: object, **_: object) -> object:
        calls.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    model, clip, _ = CheckpointLoaderSimple("mine", context)
    CLIPTextEncode("a cat", clip, context)
    (folder / UNET).unlink()
    shutil.rmtree(folder / "tokenizer")
    assert problem(lambda: module_of(model, context)).code == "model_unreadable"
    assert problem(lambda: tokenizer_of(clip, context_in(context.roots.output))).code == "model_unreadable"
    assert problem(lambda: CheckpointLoaderSimple("mine", context)).code == "model_unreadable"
    assert calls == []


@pytest.mark.parametrize(("prediction", "same"), [("epsilon", True), ("v_prediction", False)])
def test_what_the_network_predicts_is_read_from_its_scheduler(
    tiny: Tiny, folder: Path, context: Context, prediction: str, same: bool
) -> None:
    edit(folder / "scheduler/scheduler_config.json", prediction_type=prediction)
    model = CheckpointLoaderSimple("mine", context).MODEL
    drawn = [
        KSampler(
            model,
            1,
            1,
            1.0,
            positive=tiny.positive,
            negative=tiny.negative,
            latent_image=tiny.canvas(),
            context=context,
        )["samples"]
        for model in (tiny.checkpoint.MODEL, model)
    ]
    assert torch.equal(drawn[0], drawn[1]) is same


def test_a_model_may_come_in_shards_or_in_half_precision_only(folder: Path, context: Context) -> None:
    unet = folder / UNET
    weights = load_file(unet)
    names = sorted(weights)
    shards = {"one.safetensors": names[: len(names) // 2], "two.safetensors": names[len(names) // 2 :]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, unet.parent / file, {"format": "pt"})
    unet.unlink()
    index = {"metadata": {}, "weight_map": {name: file for file, part in shards.items() for name in part}}
    Path(f"{unet}.index.json").write_text(json.dumps(index))
    (folder / TEXT).rename(folder / "text_encoder/model.fp16.safetensors")
    model, clip, _ = CheckpointLoaderSimple("mine", context)
    loaded = module_of(model, context).state_dict()
    assert all(torch.equal(loaded[name], weights[name].float()) for name in names)
    assert CLIPTextEncode("a cat", clip, context)[0][0].shape == (1, 77, 128)


def test_a_model_may_bring_its_own_preview_colours(folder: Path, context: Context) -> None:
    rows = [[0.1, 0.2, 0.3]] * 4
    (folder / "preview.json").write_text(json.dumps({"factors": rows, "bias": [0, 0.5, 1]}))
    assert torch.equal(preview_map(CheckpointLoaderSimple("mine", context).MODEL).bias, torch.tensor([0, 0.5, 1]))


# --- what a loader refuses


def damage(action: Callable[[Path], object], words: str) -> Any:
    return pytest.param(action, words, id=words)


BROKEN_AT_A_GLANCE = [
    damage(lambda f: (f / "model_index.json").write_text("{"), "not readable JSON"),
    damage(lambda f: (f / "model_index.json").write_text("[" * 100_000), "model_index.json"),
    damage(lambda f: (f / "unet/config.json").unlink(), "config.json is missing"),
    damage(lambda f: (f / "unet/config.json").write_text("[]"), "should hold a JSON object"),
    damage(lambda f: (f / "unet/config.json").write_bytes(b"\xff\xfe"), "not readable JSON"),
    damage(lambda f: edit(f / "unet/config.json", _class_name="FluxTransformer2DModel"), "FluxTransformer2DModel"),
    damage(lambda f: edit(f / "vae/config.json", _class_name=["x"]), "not a AutoencoderKL"),
    damage(lambda f: edit(f / "text_encoder/config.json", model_type="t5"), "is a t5"),
    damage(lambda f: edit(f / "unet/config.json", auto_map={"AutoModel": "evil.Model"}), "auto_map"),
    damage(lambda f: edit(f / "text_encoder/config.json", trust_remote_code=True), "trust_remote_code"),
    damage(lambda f: edit(f / "tokenizer/tokenizer_config.json", auto_map={"A": "evil.T"}), "asks for code of its own"),
    damage(lambda f: edit(f / "model_index.json", text_encoder_2=["transformers", "CLIP"]), "text_encoder_2"),
    damage(lambda f: edit(f / "unet/config.json", in_channels=7), "takes 7 channels"),
    damage(lambda f: edit(f / "unet/config.json", cross_attention_dim=768), "text of width 768"),
    damage(lambda f: (f / UNET).unlink(), "no diffusion_pytorch_model.safetensors"),
    damage(lambda f: (f / UNET).write_bytes((f / UNET).read_bytes()[:-1]), "cut short"),
    damage(lambda f: (f / UNET).write_bytes(b""), "damaged, cut short"),
    damage(lambda f: (f / UNET).write_bytes(struct.pack("<Q", 2**63) + b"{}"), "no safetensors file"),
    damage(lambda f: shutil.rmtree(f / "tokenizer"), "neither tokenizer.json nor vocab.json"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", beta_start="small"), "beta_start should be a number"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", beta_end=float("nan")), "beta_end should be a number"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", beta_end=2), "no noise schedule"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", num_train_timesteps=10**9), "num_train_timesteps"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", beta_schedule="mystery"), "'mystery' is not known"),
    damage(lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="sample"), "'sample' is not known"),
    damage(lambda f: edit(f / "vae/config.json", scaling_factor=None), "scaling_factor should be a number"),
    damage(lambda f: (f / "preview.json").write_text('{"factors": [[1, 2]], "bias": 0}'), "rows of 3 numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "words"), BROKEN_AT_A_GLANCE)
def test_a_damaged_model_is_refused_before_any_weight_is_read(
    folder: Path, context: Context, action: Callable[[Path], object], words: str
) -> None:
    action(folder)
    found = problem(lambda: CheckpointLoaderSimple("mine", context))
    assert found.code == "model_unreadable"
    assert words in found.message
    assert "\n" not in found.message and found.hint


def test_a_folder_without_an_index_is_no_checkpoint(folder: Path, context: Context) -> None:
    (folder / "model_index.json").unlink()
    found = problem(lambda: CheckpointLoaderSimple("mine", context))
    assert found.code == "model_unreadable"
    assert "no checkpoint 'mine'" in found.message


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickled_weights_are_refused_and_never_unpickled(
    folder: Path, context: Context, tmp_path: Path, name: str, protocol: int
) -> None:
    proof = tmp_path / "proof"
    (folder / UNET).unlink()
    (folder / "unet" / name).write_bytes(pickle.dumps(CreatesAFile(proof), protocol))
    found = problem(lambda: CheckpointLoaderSimple("mine", context))
    assert found.code == "model_unreadable"
    assert "may run code when read and is not used" in found.message
    model = Model("diffusers", str(folder), "0", "unet")  # a recipe from elsewhere, that no loader has looked at
    assert problem(lambda: module_of(model, context)).code == "model_unreadable"
    assert not proof.exists()
    pickle.loads((folder / "unet" / name).read_bytes())
    assert proof.read_text() == "pwned"  # so the pickle does what it is feared for


@pytest.mark.parametrize(
    "shard", ["weights.bin", "../../elsewhere.safetensors", "/etc/x.safetensors", "gone.safetensors"]
)
def test_an_index_of_shards_names_only_safetensors_beside_it(folder: Path, context: Context, shard: str) -> None:
    shutil.copy(folder / UNET, folder.parent / "elsewhere.safetensors")
    (folder / UNET).rename(folder / "unet/weights.bin")
    index = folder / "unet/diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": shard}}))
    found = problem(lambda: CheckpointLoaderSimple("mine", context))
    assert found.code == "model_unreadable"
    assert shard in found.message


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (UNET, lambda w: w.update({"conv_in.weight": torch.zeros(7, 7)}), "conv_in.weight"),
        (UNET, lambda w: w.pop("conv_in.weight"), "conv_in.weight"),
        (TEXT, lambda w: w.pop(next(name for name in w if "token_embedding" in name)), "token_embedding"),
        (TEXT, lambda w: w.update({name: torch.zeros(3) for name in w if "token_embedding" in name}), "text_encoder"),
        ("vae/diffusion_pytorch_model.safetensors", lambda w: w.pop("decoder.conv_in.bias"), "decoder.conv_in.bias"),
    ],
    ids=["unet shape", "unet missing", "text missing", "text shape", "vae missing"],
)
def test_weights_that_do_not_fill_the_model_are_refused_and_never_made_up(
    folder: Path, context: Context, file: str, change: Callable[[dict[str, torch.Tensor]], object], words: str
) -> None:
    edit_weights(folder / file, change)
    part = file.split("/")[0]
    handle = next(h for h in CheckpointLoaderSimple("mine", context) if h.part == part)
    found = problem(lambda: module_of(handle, context))
    assert found.code == "model_unreadable"
    assert words in found.message
    assert "\n" not in found.message


def test_a_tokenizer_with_more_words_than_the_text_encoder_is_refused(folder: Path, context: Context) -> None:
    edit(folder / "text_encoder/config.json", vocab_size=100)
    clip = CheckpointLoaderSimple("mine", context).CLIP
    found = problem(lambda: tokenizer_of(clip, context))
    assert found.code == "model_unreadable"
    assert "more tokens" in found.message


@pytest.mark.parametrize(
    ("device", "dtype"),
    [("warp9", "auto"), ("cuda:99", "auto"), ("", "auto"), ("meta", "auto"), ("cpu", "int4")],
)
def test_an_unknown_device_or_number_format_is_told(tiny: Tiny, tmp_path: Path, device: str, dtype: str) -> None:
    elsewhere = context_in(tmp_path, device=device, dtype=dtype)
    found = problem(lambda: module_of(tiny.checkpoint.MODEL, elsewhere))
    assert found.code == "bad_device"
    assert found.hint is not None and "auto" in found.hint


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_draws_nearly_the_same_picture(tiny: Tiny, tmp_path: Path, dtype: str) -> None:
    def drawn(context: Context) -> torch.Tensor:
        return KSampler(
            tiny.checkpoint.MODEL, 5, 2, 3.0, positive=tiny.positive, negative=tiny.negative,
            latent_image=tiny.canvas(), context=context,
        )["samples"]  # fmt: skip

    full, half = drawn(tiny.context), drawn(context_in(tmp_path, dtype=dtype))
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    assert (full - half).std() < 0.2 * full.std()
    vae = tiny.checkpoint.VAE
    assert isinstance(vae, Vae)
    assert next(module_of(vae, context_in(tmp_path, dtype=dtype)).parameters()).dtype == torch.float32

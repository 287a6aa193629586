"""Models whose files change or vanish while they are in use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.sockets import Handle
from nodegraph.workflow.read import load_text
from nodes.checkpoints import Checkpoint, CheckpointLoaderSimple
from nodes.diffusion.loading import assemble
from nodes.models import module_of, tokenizer_of
from tests.helpers import context_in, copy_of_tiny, problem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_of_tiny(tmp_path / "models" / "checkpoints" / "mine")


def loaded(folder: Path) -> tuple[Checkpoint, Context]:
    context = context_in(folder.parents[2])
    return CheckpointLoaderSimple("mine", context), context


def weights(folder: Path, part: str) -> Path:
    (path,) = (folder / part).glob("*.safetensors")
    return path


def changed(path: Path) -> None:
    """Other numbers, in a file of the same name and size."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").replace(path)


PARTS = {"unet": "MODEL", "vae": "VAE", "text_encoder": "CLIP"}


@pytest.mark.parametrize("part", PARTS)
def test_weights_that_changed_since_the_handle_was_made_are_not_loaded(folder: Path, part: str):
    checkpoint, context = loaded(folder)
    handle: Handle = getattr(checkpoint, PARTS[part])
    assert module_of(handle, replace(context, pool=LivePool())) is not None
    changed(weights(folder, part))
    found = problem(lambda: module_of(handle, context))
    assert found.code == "model_changed"
    assert str(folder) in found.message and "changed" in found.message
    again = CheckpointLoaderSimple("mine", context)
    assert module_of(getattr(again, PARTS[part]), context) is not None


@pytest.mark.parametrize("part", PARTS)
def test_weights_that_vanished_are_told(folder: Path, part: str):
    checkpoint, context = loaded(folder)
    shutil.rmtree(folder / part)
    found = problem(lambda: module_of(getattr(checkpoint, PARTS[part]), context))
    assert found.code == "model_unreadable"
    assert str(folder / part) in found.message
    assert found.hint


def test_one_part_does_not_mind_what_happens_to_another(folder: Path):
    checkpoint, context = loaded(folder)
    changed(weights(folder, "unet"))
    assert module_of(checkpoint.VAE, context) is not None
    assert tokenizer_of(checkpoint.CLIP, context) is not None


def test_a_tokenizer_that_changed_is_not_used(folder: Path):
    checkpoint, context = loaded(folder)
    file = folder / "tokenizer" / "tokenizer.json"
    if not file.is_file():
        file = folder / "tokenizer" / "vocab.json"
    file.write_text(file.read_text() + " ")
    assert problem(lambda: tokenizer_of(checkpoint.CLIP, context)).code == "model_changed"
    assert problem(lambda: module_of(checkpoint.CLIP, context)).code == "model_changed"


def test_a_model_in_memory_is_not_used_once_its_file_was_written_to(folder: Path):
    checkpoint, context = loaded(folder)
    assert module_of(checkpoint.MODEL, context) is module_of(checkpoint.MODEL, context)
    with weights(folder, "unet").open("r+b") as file:  # in place: the module in memory is mapped to it
        file.seek(-1, 2)
        file.write(b"\x3c")
    assert problem(lambda: module_of(checkpoint.MODEL, context)).code == "model_changed"


SHORT = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


@pytest.mark.parametrize("error", [MemoryError(), SHORT, torch.OutOfMemoryError("CUDA out of memory.")])
def test_a_want_of_memory_is_not_taken_for_a_damaged_file(error: Exception):
    def read() -> dict[str, torch.Tensor]:
        raise error

    with pytest.raises(type(error)) as caught:
        assemble("a model", lambda: torch.nn.Linear(1, 1), read, torch.device("cpu"), torch.float32)
    assert caught.value is error


DOCUMENT = """
nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: mine}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  picture: {uses: VAEDecode, with: {samples: $canvas, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture}}
"""


def run(folder: Path, on_event: Callable[[Any], None] | None = None) -> Any:
    workflow = load_text(DOCUMENT, file="w.yaml").workflow
    assert workflow is not None
    home = folder.parents[2]
    settings = Settings(
        output=home / "output", models=(home / "models",), cache_dir=home / "cache", device="cpu", free_space=0
    )
    with Session(settings) as session:
        return session.run(workflow, on_event=on_event)


def test_a_model_that_changes_during_a_run_fails_the_node_and_is_not_taken_for_the_old_one(folder: Path):
    vae = weights(folder, "vae")
    original = vae.read_bytes()

    def change(event: Any) -> None:
        if type(event).__name__ == "Started" and event.node == "picture":
            changed(vae)

    first = run(folder, change)
    assert first.status == "failed"
    assert [(each.code, each.node) for each in first.problems] == [("model_changed", "picture")]
    other = run(folder)
    assert other.status == "done"
    assert "picture" in other.executed
    vae.write_bytes(original)
    assert "picture" in run(folder).executed  # nothing was kept under the key of these files
    assert run(folder).executed == ()

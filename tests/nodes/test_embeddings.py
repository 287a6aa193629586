"""Textual inversions: called by name in a prompt, in every layout of file, and part of what a result depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.context import Context
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.workflow.read import load_text
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.diffusion.prompt import tokenize
from nodes.diffusion.prompt_text import mentions
from nodes.models import module_of, tokenizer_of
from nodes.prompt import CLIPTextEncode
from tests.helpers import context_in, digest_of, problem

WIDTH = 128  # of the shipped model's text encoder


def write(folder: Path, name: str, vectors: torch.Tensor, layout: str = "emb_params") -> Path:
    path = folder / "models" / "embeddings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if layout == "pickle":
        torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "x"}, path)
    else:
        save_file({layout: vectors}, path)
    return path


def encoded(text: str, context: Context) -> torch.Tensor:
    clip = CheckpointLoaderSimple("tiny", context).CLIP
    return CLIPTextEncode(text, clip, context)[0][0]


def word(text: str, context: Context) -> torch.Tensor:
    """The vector of a word of the shipped model: an inversion that says the same as the word."""
    clip = CheckpointLoaderSimple("tiny", context).CLIP
    module: Any = module_of(clip, context)
    (token,) = tokenizer_of(clip, context)(text, add_special_tokens=False)["input_ids"]
    return module.embeddings.token_embedding.weight[token][None].clone()


@pytest.mark.parametrize(
    ("file", "layout"),
    [("it.safetensors", "emb_params"), ("it.safetensors", "anything"), ("it.pt", "pickle"), ("it.bin", "pickle")],
)
@pytest.mark.parametrize("call", ["embedding:it", "embedding:it,"])
def test_an_inversion_that_says_red_is_the_word_red(tmp_path: Path, file: str, layout: str, call: str):
    context = context_in(tmp_path)
    write(tmp_path, file, word("red", context), layout)
    told = call.replace("embedding:it", "red")
    assert torch.equal(encoded(f"a {call} star", context), encoded(f"a {told} star", context))


def test_names_may_have_their_suffix_and_lie_in_subfolders(tmp_path: Path):
    context = context_in(tmp_path)
    write(tmp_path, "style/it.safetensors", word("red", context))
    assert torch.equal(encoded("a embedding:style/it.safetensors star", context), encoded("a red star", context))


def test_weights_count_for_every_vector(tmp_path: Path):
    context = context_in(tmp_path)
    write(tmp_path, "it.safetensors", torch.cat([word("red", context), word("star", context)]))
    assert torch.equal(encoded("a (embedding:it:1.4)", context), encoded("a (red star:1.4)", context))


def test_an_unknown_name_is_told_and_left_out(tmp_path: Path):
    told: list[str] = []
    context = replace(context_in(tmp_path), warn=told.append)
    assert torch.equal(encoded("a embedding:nothing star", context), encoded("a  star", context))
    assert len(told) == 1 and "'nothing'" in told[0] and str(tmp_path / "models" / "embeddings") in told[0]


def test_an_inversion_for_another_text_encoder_is_told_and_left_out(tmp_path: Path):
    told: list[str] = []
    context = replace(context_in(tmp_path), warn=told.append)
    write(tmp_path, "it.safetensors", torch.zeros(1, 768))
    assert torch.equal(encoded("a embedding:it star", context), encoded("a  star", context))
    assert "width 768, not 128" in told[0]


def test_each_of_two_encoders_takes_the_vectors_of_its_width(tmp_path: Path):
    from nodes.embeddings import vectors_for

    context = context_in(tmp_path)
    path = write(tmp_path, "xl.safetensors", torch.zeros(1))
    save_file({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(3, 1280)}, path)
    for width, count in ((768, 2), (1280, 3)):
        found = vectors_for(width, context)("xl")
        assert found is not None and found.shape == (count, width)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_bytes(b"garbage"),
        lambda p: save_file({"emb_params": torch.zeros(1, 2, 3, 4)}, p),
        lambda p: save_file({"emb_params": torch.zeros(5000, 4)}, p),
        lambda p: torch.save({"string_to_param": {"*": {"no": "tensor"}}}, p),
        lambda p: torch.save([1, 2, 3], p),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(tmp_path: Path, damage: Any):
    context = context_in(tmp_path)
    path = write(tmp_path, "it.safetensors", torch.zeros(1, WIDTH))
    damage(path)
    found = problem(lambda: encoded("a embedding:it star", context))
    assert found.code == "model_unreadable" and str(path) in found.message


def test_names_never_lead_out_of_the_folder(tmp_path: Path):
    told: list[str] = []
    context = replace(context_in(tmp_path), warn=told.append)
    write(tmp_path, "../secret.safetensors", torch.zeros(1, WIDTH))
    encoded("embedding:../secret", context)
    assert len(told) == 1


def test_what_a_prompt_calls():
    assert mentions("a embedding:x, (embedding:y:1.2) noembedding:z\nembedding:x") == ["x,", "y", "x"]
    assert mentions("embedding: nothing") == []


def test_a_long_inversion_goes_over_chunks(tmp_path: Path):
    context = context_in(tmp_path)
    tokenizer = tokenizer_of(CheckpointLoaderSimple("tiny", context).CLIP, context)
    chunks = tokenize("embedding:x", tokenizer, embeddings=lambda name: torch.zeros(100, WIDTH))
    assert [sum(isinstance(token, torch.Tensor) for token, _ in chunk) for chunk in chunks] == [75, 25]


WORKFLOW = """
nodegraph: 1
params: {prompt: a embedding:it star}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: $prompt}}
outputs: {prompt: $positive}
"""


def run(folder: Path, prompt: str | None = None, text: str = WORKFLOW) -> Any:
    workflow = load_text(text, file="w.yaml").workflow
    assert workflow is not None
    settings = Settings(
        output=folder / "output", models=(folder / "models",), cache_dir=folder / "cache", device="cpu", free_space=0
    )
    with Session(settings) as session:
        return session.run(workflow, {"prompt": prompt} if prompt else None)


def test_another_file_under_the_same_name_is_another_prompt(tmp_path: Path):
    path = write(tmp_path, "it.safetensors", torch.zeros(1, WIDTH))
    first = run(tmp_path)
    assert "positive" in first.executed
    assert run(tmp_path).executed == ()
    path.with_suffix(".new").write_bytes(path.read_bytes())
    save_file({"emb_params": torch.ones(1, WIDTH)}, path)
    again = run(tmp_path)
    assert "positive" in again.executed
    assert digest_of(again.outputs["prompt"]) != digest_of(first.outputs["prompt"])


def test_a_prompt_that_calls_none_does_not_mind_what_lies_there(tmp_path: Path):
    run(tmp_path, "a star")
    write(tmp_path, "it.safetensors", torch.zeros(1, WIDTH))
    assert run(tmp_path, "a star").executed == ()


def test_a_prompt_that_arrives_by_a_link_minds_every_file(tmp_path: Path):
    text = WORKFLOW.replace("text: $prompt", "text: $words").replace(
        "nodes:", "nodes:\n  words: {uses: PrimitiveString, with: {value: a embedding:it star}}"
    ).replace("params: {prompt: a embedding:it star}\n", "")  # fmt: skip
    path = write(tmp_path, "it.safetensors", torch.zeros(1, WIDTH))
    run(tmp_path, text=text)
    assert run(tmp_path, text=text).executed == ()
    save_file({"emb_params": torch.ones(1, WIDTH)}, path)
    assert "positive" in run(tmp_path, text=text).executed

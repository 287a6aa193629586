"""PreviewAny: any value as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nodegraph import Session, Settings
from nodegraph.sockets import Model
from nodegraph.workflow.read import load_text
from nodes.utilities import PreviewAny


def shown(value: object) -> str:
    saved = PreviewAny(value)
    assert saved.files == ()
    return str((saved.shown or {})["text"])


@pytest.mark.parametrize(
    ("value", "text"),
    [("as it is\n🐻", "as it is\n🐻"), (7, "7"), (0.1, "0.1"), (True, "true"), (None, "null"), ("", "")],
)
def test_plain_values_are_shown_as_they_are(value: object, text: str) -> None:
    assert shown(value) == text


def test_lists_and_mappings_are_shown_as_json() -> None:
    assert json.loads(shown([1, "zwei", {"drei": (4.5, None)}])) == [1, "zwei", {"drei": [4.5, None]}]


def test_tensors_are_told_of_and_not_written_out() -> None:
    assert shown(torch.tensor([[0.0, 1.0]])) == "tensor 1 × 2, float32, 0 … 1, mean 0.5"
    assert shown({"samples": torch.zeros(1, 4, 8, 8), "batch_index": [0]}).startswith('{\n  "samples": "tensor 1 × 4')
    assert shown(torch.zeros(0, 3)) == "tensor 0 × 3, float32"
    assert shown(torch.tensor([True])) == "tensor 1, bool, 1 … 1, mean 1"


def test_models_are_told_by_their_recipe() -> None:
    model = Model("diffusers", "/secret/place", "abc", "unet")
    assert shown(model) == f"Model {model.digest}"


def test_long_texts_and_deep_lists_are_cut() -> None:
    assert len(shown("x" * 1_000_000)) < 20_000
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert "…" in shown(deep)


def test_it_ends_a_workflow(tmp_path: Path) -> None:
    text = """
nodegraph: 1
nodes:
  picture:
    uses: EmptyImage
    with: {width: 20, height: 10}
  size:
    uses: GetImageSize
    with: {image: $picture}
  show:
    uses: PreviewAny
    with: {source: $size.width}
"""
    workflow = load_text(text).workflow
    assert workflow is not None
    with Session(Settings(output=tmp_path)) as session:
        results = [session.run(workflow) for _ in range(2)]
    assert [result.saved["show"].shown for result in results] == [{"text": "20"}] * 2
    assert "show" not in results[1].executed

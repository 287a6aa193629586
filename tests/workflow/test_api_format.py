"""ComfyUI's API format is read; its editor's format is recognised."""

from __future__ import annotations

import pytest

from nodegraph.workflow.document import Slot
from tests.workflow.support import codes, only, pointed_at, read, workflow_of

PROMPT = """{
  "3": {"class_type": "KSampler", "_meta": {"title": "Sample"}, "is_changed": [1],
        "inputs": {"seed": 42, "model": ["4", 0], "cfg": 7.5, "text": "costs $5 ${a} $b", "on": true,
                   "sizes": {"__value__": ["4", 0]}, "pair": [4, 0], "three": ["4", 0, 1], "nothing": null,
                   "deep": {"a": [["4", 0]]}}},
  "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny"}},
  "5:0.x y": {"class_type": "Z"}
}"""


@pytest.mark.parametrize("head", ["", "# read as YAML\n"])
def test_a_prompt(head: str) -> None:
    workflow = workflow_of(head + PROMPT)
    assert list(workflow.nodes) == ["3", "4", "5:0.x y"]
    sampler = workflow.nodes["3"]
    assert (sampler.uses, sampler.title) == ("KSampler", "Sample")
    assert sampler.inputs == {
        "seed": 42,
        "model": Slot("4", 0),
        "cfg": 7.5,
        "text": "costs $5 ${a} $b",
        "on": True,
        "sizes": ("4", 0),
        "pair": (4, 0),
        "three": ("4", 0, 1),
        "nothing": None,
        "deep": {"a": (("4", 0),)},
    }
    offset = head.count("\n")
    assert (sampler.places["model"].line, sampler.uses_place.line) == (3 + offset, 2 + offset)
    assert workflow.nodes["5:0.x y"].inputs == {}


@pytest.mark.parametrize("name", ["", "__proto__", "a\\u0000b", "a\\u202eb", "x" * 201])
def test_ids_that_cannot_be_used(name: str) -> None:
    problem = only(read(f'{{"1": {{"class_type": "X"}}, "{name}": {{"class_type": "Y"}}}}'))
    assert problem.code == "bad_name"
    assert pointed_at(problem).startswith(f'"{name}"')


def test_mistakes_in_a_prompt() -> None:
    text = """{
  "1": {"class_type": "X", "inputs": {"a": NaN, "b": 1}},
  "2": {"inputs": {}},
  "3": {"class_type": 5},
  "4": [1],
  "5": {"class_type": "X", "inputs": [1]}
}"""
    loaded = read(text)
    assert [(problem.code, problem.place.line) for problem in loaded.problems] == [
        ("bad_number", 2),
        ("missing_key", 3),
        ("wrong_kind", 4),
        ("wrong_kind", 5),
        ("wrong_kind", 6),
    ]
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["1"].inputs == {"b": 1}


def test_a_node_called_like_a_key_of_a_prompt_does_not_make_it_one() -> None:
    assert codes(read('{"nodegraph": 1, "nodes": {"a": {"uses": "X"}}, "x": {"class_type": "Y"}}')) == ["unknown_key"]

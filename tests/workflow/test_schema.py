"""The published schema: editors that know it accept good workflows and refuse typical mistakes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, NewType

import pytest
import yaml
from jsonschema import Draft202012Validator

from nodegraph.node import Choices, Help, Range, Seed, node, spec_of
from nodegraph.registry import Registry
from nodegraph.sockets.types import socket
from nodegraph.workflow.schema import json_schema
from tests.workflow.support import codes, read

Model = socket(NewType("Model", object), "TEST_MODEL")
Clip = socket(NewType("Clip", object), "TEST_CLIP")


class Loaded(NamedTuple):
    model: Model  # type: ignore[valid-type]
    clip: Clip  # type: ignore[valid-type]


@node(category="test")
def Load(name: Annotated[str, Choices(lambda roots: ["tiny"])]) -> Loaded:
    """Load a model.

    More words.
    """
    raise NotImplementedError


@node(category="test", name="Sample (a/b c)")
def Sample(
    model: Model,  # type: ignore[valid-type]
    seed: Seed = 0,
    steps: Annotated[int, Range(1, 150), Help("How many steps")] = 20,
    cfg: Annotated[float, Range(0, float("inf"))] = 7.0,
    sampler: Literal["euler", "heun"] = "euler",
    fast: bool = False,
    note: str = "",
    extra: Any = None,
    either: int | str = 1,
    mask: Clip | None = None,  # type: ignore[valid-type]
    limit: Annotated[int, Range(0, 9)] | None = None,
) -> Model:  # type: ignore[valid-type]
    """Sample."""
    raise NotImplementedError


@node(category="test")
def Nothing() -> None:
    """Take nothing."""


REGISTRY = Registry({spec.name: spec for spec in map(spec_of, (Load, Sample, Nothing))})
SCHEMA = json_schema(REGISTRY)
VALIDATOR = Draft202012Validator(SCHEMA)

GOOD = """\
nodegraph: 1
name: Hello
description: words
params:
  prompt: a star
  seed: 7
  cfg: {type: FLOAT, default: 7, min: 0, max: 10.5, description: How much}
  sampler: {default: euler, choices: [euler, heun]}
  empty:
nodes:
  model: {uses: Load, with: {name: tiny}}
  nothing: {uses: Nothing}
  part: {uses: ../parts/upscale.yaml, with: {anything: [1]}}
  nothing_too: {uses: Nothing, with: {}}
  plain: {uses: Sample (a/b c), with: {model: $model.model}}
  full:
    uses: Sample (a/b c)
    title: A title
    note: A note
    cache: "off"
    with: {model: $plain, seed: 18446744073709551615, steps: $steps, cfg: 4, sampler: heun, fast: true,
           note: "${prompt}!", extra: [1, {a: $b}], either: text, mask: null, limit: 3}
  linked:
    uses: Sample (a/b c)
    with: {model: $model.0, sampler: $sampler, fast: $a.b, cfg: 0.5, seed: $seed, limit: null}
  filled: {uses: Sample (a/b c), with: {model: $plain, sampler: "${a}er"}}
outputs: {image: $full.model}
groups:
  Loading: [0, 0, 400, 300]
  Sampling: {at: [0, 0], size: [400, 300], colour: "#aabbcc"}
notes:
  - {text: remember, at: [0, 0], size: [200, 100], colour: yellow}
layout:
  model: [0, 0.5]
  nothing: [0, 0.5, 200, 100]
  full: {at: [0, 9], size: [1, 2], collapsed: true, pinned: true, colour: red}
  linked.model: [[0, 1], [2, 3.5]]
"""


def errors(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(yaml.load(text, Loader=yaml.CSafeLoader))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_good_workflow() -> None:
    assert errors(GOOD) == []
    assert codes(read(GOOD)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nodegraph: 1", "nodegraph: 2"),
        ("nodegraph: 1", "name2: 1"),
        ("[0, 0.5, 200, 100]", "[0, 0.5, 200]"),
        ("{at: [0, 9]", "{att: [0, 9]"),
        ("colour: red", "colour: 'url(x)'"),
        ("[[0, 1], [2, 3.5]]", "[[0, 1], [2]]"),
        ("text: remember", "texts: remember"),
        ("size: [400, 300]", "size: [400]"),
        ("params:", "parms:"),
        ("uses: Nothing}", "uses: Nothin}"),
        ("../parts/upscale.yaml", "parts/upscale.yaml"),
        ("title:", "titel:"),
        ("  nothing:", "  bad.name:"),
        ("  nothing:", "  __proto__:"),
        ("  nothing: {uses: Nothing}", "  nothing: {with: {}}"),
        ("  nothing: {uses: Nothing}", "  nothing: Nothing"),
        ("with: {name: tiny}", "with: {nam: tiny}"),
        (", with: {name: tiny}", ""),
        ("with: {name: tiny}", "with: {}"),
        ("{model: $plain, seed", "{model: plain, seed"),
        ("{model: $plain, seed", "{model: 3, seed"),
        ("seed: 18446744073709551615", "seed: -1"),
        ("seed: 18446744073709551615", "seed: 18446744073709551616"),
        ("seed: 18446744073709551615", "seed: 1.5"),
        ("seed: 18446744073709551615", 'seed: "7"'),
        ("steps: $steps", "steps: 0"),
        ("steps: $steps", "steps: 151"),
        ("cfg: 4,", "cfg: -0.5,"),
        ("sampler: heun, fast", "sampler: hen, fast"),
        ("fast: true", "fast: 1"),
        ("note: \"${prompt}!\"", "note: 5"),
        ("either: text", "either: 1.5"),
        ("limit: 3", "limit: 10"),
        ("mask: null", "mask: text"),
        ('cache: "off"', "cache: never"),
        ("image: $full.model", "image: full"),
        ("[0, 0.5]", "[0]"),
        ("type: FLOAT", "type: FLAOT"),
        ("default: 7, min", "defualt: 7, min"),
        ("choices: [euler, heun]", "choices: []"),
        ("  prompt: a star", "  prompt: [a star]"),
    ],
)  # fmt: skip
def test_a_mistake_is_seen(old: str, new: str) -> None:
    assert GOOD.count(old) >= 1
    assert errors(GOOD.replace(old, new, 1)) != []


def test_a_seed_may_be_random() -> None:
    assert errors(GOOD.replace("seed: 18446744073709551615", "seed: random", 1)) == []


def test_what_editors_show() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["node"]["properties"]["uses"]["anyOf"][0]["enum"] == ["Load", "Nothing", "Sample (a/b c)"]
    inputs = definitions["inputs:Sample (a/b c)"]
    assert inputs["properties"]["steps"]["description"] == "How many steps (INT)"
    assert inputs["properties"]["steps"]["default"] == 20
    assert inputs["properties"]["sampler"]["anyOf"][0] == {"enum": ["euler", "heun"]}
    assert definitions["inputs:Load"]["description"].startswith("Load a model.")


def test_a_registry_without_nodes_has_a_schema_too() -> None:
    Draft202012Validator.check_schema(json_schema(Registry()))

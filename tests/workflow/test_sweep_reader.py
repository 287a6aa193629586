"""`foreach:` and `matrix:` as they are read: lists, spans, and what is wrong with others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nodegraph.errors import Problem
from nodegraph.registry import load_registry
from nodegraph.workflow.document import Ref, Span, Template, Workflow
from nodegraph.workflow.read import load_text
from nodegraph.workflow.schema import json_schema
from nodegraph.workflow.sweep_reader import parse_span
from nodegraph.workflow.sweeps import split_target, with_sweep
from nodegraph.workflow.write import dump_yaml
from tests.workflow.support import codes, only, pointed_at, read, workflow_of

HEAD = "nodegraph: 1\nnodes:\n  a:\n    uses: X\n"


def series(text: str) -> object:
    sweep = workflow_of(f"{HEAD}    matrix: {{x: {text}}}\n").nodes["a"].sweep
    assert sweep is not None
    return sweep.values["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[3, 5.5, text, true, null]", (3, 5.5, "text", True, None)),
        ('[$a, "${b}!", "$$5"]', (Ref("a"), Template((Ref("b"), "!")), "$5")),
        ("1..4", Span(1, 4)),
        ("'1 .. 10 : 3'", Span(1, 10, 3)),
        ("4..1", Span(4, 1, -1)),
        ("-2..2", Span(-2, 2)),
        ("{range: [1, 4]}", Span(1, 4)),
        ("{range: [9, 1, -4]}", Span(9, 1, -4)),
        ("[1..4]", ("1..4",)),
    ],
)
def test_a_series_of_values(text: str, expected: object):
    assert series(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("3", "wrong_kind", "not a whole number; write a list"),
        ("[]", "wrong_kind", "not an empty list"),
        ("{a: 1}", "wrong_kind", "not a mapping"),
        ("one..two", "wrong_kind", "'one..two'"),
        ("{range: [1]}", "wrong_kind", "two or three whole numbers"),
        ("{range: [1, 2.5]}", "wrong_kind", "two or three whole numbers"),
        ("1..4:0", "bad_number", "never lead from 1 to 4; use a step of 1"),
        ("1..4:-1", "bad_number", "use a step of 1"),
        ("1..99999999999999999999", "bad_number", "not between"),
        ('["${"]', "bad_reference", "not closed"),
    ],
)
def test_a_series_that_cannot_be_read(text: str, code: str, words: str):
    problem = only(read(f"{HEAD}    matrix: {{x: {text}}}\n"))
    assert problem.code == code
    assert words in problem.describe()
    assert problem.node == "a"


def test_numbers_of_absurd_length_are_refused():
    assert isinstance(parse_span("1.." + "9" * 5000), Problem)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("foreach: [1]", "wrong_kind"),
        ("matrix: {}", "wrong_kind"),
        ("matrix: 3", "wrong_kind"),
        ("foreach: {x: [1]}\n    matrix: {y: [1]}", "duplicate_key"),
        ("foreech: {x: [1]}", "unknown_key"),
    ],
)
def test_a_sweep_of_another_shape(keys: str, code: str):
    problem = only(read(f"{HEAD}    {keys}\n"))
    assert problem.code == code


def test_an_empty_key_is_no_sweep():
    assert workflow_of(f"{HEAD}    foreach:\n").nodes["a"].sweep is None


def test_places_are_those_of_names_and_values():
    loaded = read(f"{HEAD}    foreach: {{x: [10, 20], y: 1..2}}\n")
    assert loaded.workflow is not None
    sweep = loaded.workflow.nodes["a"].sweep
    assert sweep is not None and sweep.zipped
    at = [Problem("usage", "", place) for place in (*sweep.places["x"], *sweep.places["y"], sweep.key_places["y"])]
    assert [pointed_at(problem)[:2] for problem in at] == ["10", "20", "1.", "y:"]


@given(st.integers(-50, 50), st.integers(0, 30), st.integers(1, 9), st.booleans())
def test_spans_are_written_as_they_are_read(first: int, steps: int, step: int, down: bool):
    step = -step if down else step
    span = Span(first, first + steps * step, step)
    assert len(span.numbers) == steps + 1
    again = parse_span(str(span))
    assert isinstance(again, Span)
    assert again.numbers == span.numbers


SWEPT = """\
nodegraph: 1
params:
  cfg: 4
matrix:
  cfg: [3, 5.5]
  a.seed: "1..4"
nodes:
  a:
    uses: X
    with: {cfg: $cfg}
    foreach:
      text: [a, $cfg, "${cfg}!"]
      size: "10..30:10"
"""


def test_a_sweep_of_a_workflow_is_written_before_its_nodes():
    assert dump_yaml(workflow_of(SWEPT)) == SWEPT


def test_ids_that_change_in_writing_change_in_the_sweep():
    nodes = load_text('{"3": {"class_type": "X", "inputs": {"seed": 1}}}').workflow
    assert nodes is not None
    swept = with_sweep(nodes, {"3.seed": (1, 2)})
    assert isinstance(swept, Workflow)
    written = workflow_of(dump_yaml(swept))
    assert written.sweep is not None
    assert list(written.sweep.values) == ["n3.seed"]


class TestWithSweep:
    def test_it_comes_after_that_of_the_file_and_takes_the_place_of_equal_names(self):
        swept = with_sweep(workflow_of(SWEPT), {"a.text": ("x",), "cfg": (1,)})
        assert isinstance(swept, Workflow) and swept.sweep is not None
        assert dict(swept.sweep.values) == {"a.seed": Span(1, 4), "a.text": ("x",), "cfg": (1,)}
        own = swept.nodes["a"].sweep
        assert own is not None and list(own.values) == ["size"]
        assert swept.text is None

    def test_lists_that_belong_together_cannot_be_added_to_a_matrix(self):
        problem = with_sweep(workflow_of(SWEPT), {"cfg": (1,), "a.text": (2,)}, zipped=True)
        assert isinstance(problem, Problem) and problem.code == "usage"

    def test_names(self):
        workflow = workflow_of(SWEPT)
        assert split_target(workflow, "cfg") is None
        assert split_target(workflow, "a.x.y") == ("a", "x.y")
        assert split_target(workflow, "b.x") is None


GOOD = """\
nodegraph: 1
params: {cfg: 4}
matrix: {cfg: [1, 2], latent.seed: 1..4}
nodes:
  model: {uses: CheckpointLoaderSimple, matrix: {ckpt_name: [tiny]}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip}, foreach: {text: [a, b]}}
  size: {uses: EmptyLatentImage, foreach: {width: {range: [64, 128, 64]}, height: 1..2}}
  sheet: {uses: XYGrid, with: {images: $a, axes: null}}
"""


def test_the_schema_knows_sweeps():
    import yaml

    validator = Draft202012Validator(json_schema(load_registry()))

    def errors(text: str) -> list[str]:
        return [error.message for error in validator.iter_errors(yaml.safe_load(text))]

    assert codes(read(GOOD)) == []
    assert errors(GOOD) == []
    for old, new in (
        ("ckpt_name: [tiny]", "ckpt_nam: [tiny]"),
        ("[tiny]", "tiny"),
        ("1..4", "1.4"),
        ("cfg: [1, 2]", "cfg: []"),
        ("{range: [64, 128, 64]}", "{range: [64]}"),
        (", foreach: {text: [a, b]}", ""),
        ("matrix: {cfg", "matrices: {cfg"),
    ):
        assert errors(GOOD.replace(old, new, 1)) != [], new

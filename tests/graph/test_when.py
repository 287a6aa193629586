"""`when:` in files: what may stand there, what it does to the graph, how it goes with parts, parameters and sweeps."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from nodegraph.graph import Checked, check
from nodegraph.node import node, spec_of
from nodegraph.registry import Registry
from nodegraph.workflow.read import load_file, load_text
from nodegraph.workflow.write import dump_json, dump_yaml
from tests.toys import registry, run


@node(category="toys", light=True, numeric=False)
def Truth(value: bool = True) -> bool:
    """True or false."""
    return value


@node(category="toys", light=True, numeric=False)
def Either(a: int | None = None, b: int | None = None) -> int:
    """The number that is there."""
    return a if a is not None else b if b is not None else -1


TYPES: Registry = registry(Truth, Either)
assert spec_of(Either).inputs_by_name["a"].required is False

CHAIN = """
nodegraph: 1
params: {on: true, also: true}
nodes:
  a: {uses: Number, with: {value: 1}, when: WHEN}
  b: {uses: Add, with: {left: $a}}
  either: {uses: Either, with: {a: $b, b: 7}}
  show: {uses: Show, with: {value: $either}}
  flag: {uses: Truth, with: {value: $on}}
  other: {uses: Show, with: {value: $also}}
"""


def checked(when: str, params: dict[str, object] | None = None) -> Checked:
    loaded = load_text(CHAIN.replace("WHEN", when), file="w.yaml")
    assert loaded.workflow is not None, loaded.problems
    assert loaded.problems == ()
    return check(loaded.workflow, TYPES, overrides=params)


def shown(result: Checked) -> object:
    assert result.graph is not None, [problem.describe() for problem in result.problems]
    saved = run(result.graph).saved["show"].shown
    return saved and saved["value"]


@pytest.mark.parametrize(
    ("when", "params", "value"),
    [
        ("true", {}, 2),
        ("false", {}, 7),
        ("$on", {}, 2),
        ("$on", {"on": False}, 7),
        ("$flag", {}, 2),
        ("$flag", {"on": False}, 7),
        ("[$on, $flag]", {"on": True}, 2),
        ("[$also, $flag]", {"on": True, "also": False}, 7),
        ("[]", {}, 2),
    ],
)
def test_a_branch_is_there_or_not(when: str, params: dict[str, object], value: int):
    assert shown(checked(when, params)) == value


def test_a_branch_that_is_known_to_be_off_is_not_in_the_graph():
    graph = checked("$on", {"on": False}).graph
    assert graph is not None
    assert set(graph.index) == {"either", "show", "flag", "other"}


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("$nowhere", "unknown_reference"),
        ("$b.x", "unknown_output"),
        ("$either", "type_mismatch"),
        ("$a", "type_mismatch"),
    ],
)
def test_what_is_wrong_with_a_condition_is_told_at_its_place(when: str, code: str):
    (found, *_) = checked(when).errors
    assert (found.code, found.node) == (code, "a")
    assert (found.place.line, found.place.column) == (5, 45)


def test_a_condition_that_depends_on_its_own_node_is_a_circle():
    text = """
    nodegraph: 1
    nodes:
      a: {uses: Anything, with: {value: 1}, when: $b}
      b: {uses: Anything, with: {value: $a}}
      show: {uses: Show, with: {value: $b}}
    """
    workflow = load_text(dedent(text)).workflow
    assert workflow is not None
    assert [problem.code for problem in check(workflow, TYPES).errors] == ["cycle"]


@pytest.mark.parametrize("when", ["yes", "3", '"a ${on} b"', "{a: 1}", "[1]", "null"])
def test_a_condition_is_true_false_or_a_reference(when: str):
    loaded = load_text(CHAIN.replace("WHEN", when), file="w.yaml")
    assert [(p.code, p.node, p.place.line) for p in loaded.problems] == [("wrong_kind", "a", 5)]


@pytest.mark.parametrize("when", ["false", "$on", "[$on, $flag]", "$flag.boolean"])
def test_a_condition_is_written_as_it_was_read(when: str):
    workflow = load_text(CHAIN.replace("WHEN", when)).workflow
    assert workflow is not None
    for text in (dump_yaml(workflow), dump_json(workflow)):
        again = load_text(text).workflow
        assert again is not None
        assert again.nodes["a"].when == workflow.nodes["a"].when


PART = """
nodegraph: 1
params: {number: 1, on: true}
nodes:
  inner: {uses: Number, with: {value: $number}, when: $on}
  sum: {uses: Add, with: {left: $inner, right: 0}}
outputs: {sum: $sum}
"""
MAIN = """
nodegraph: 1
params: {on: true}
nodes:
  flag: {uses: Truth, with: {value: FLAG}}
  part: {uses: ./part.yaml, with: {number: 5, on: ON}, when: $flag}
  either: {uses: Either, with: {a: $part, b: 7}}
  show: {uses: Show, with: {value: $either}}
"""


@pytest.mark.parametrize(
    ("flag", "on", "value"), [("true", "true", 5), ("false", "true", 7), ("true", "false", 7), ("$on", "$flag", 5)]
)
def test_the_condition_of_a_part_holds_for_all_its_nodes(tmp_path: Path, flag: str, on: str, value: int):
    (tmp_path / "part.yaml").write_text(dedent(PART))
    (tmp_path / "main.yaml").write_text(MAIN.replace("FLAG", flag).replace("ON", on))
    loaded = load_file(tmp_path / "main.yaml")
    assert loaded.workflow is not None
    assert shown(check(loaded.workflow, TYPES)) == value


def test_a_swept_condition_leaves_out_some_cells():
    text = """
    nodegraph: 1
    params: {on: true}
    matrix: {on: [true, false], n.value: [1, 2]}
    nodes:
      n: {uses: Number}
      a: {uses: Add, with: {left: $n}, when: $on}
      show: {uses: Show, with: {value: $a}}
    """
    loaded = load_text(dedent(text))
    assert loaded.workflow is not None
    graph = check(loaded.workflow, TYPES).graph
    assert graph is not None
    assert sorted(run(graph).saved) == ["show[true,1]", "show[true,2]"]

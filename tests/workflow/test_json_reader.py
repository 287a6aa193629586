"""JSON: the same documents, with places, and what JSON must not hold."""

from __future__ import annotations

import json

import pytest

from tests.workflow.support import codes, only, pointed_at, read, workflow_of

DOCUMENT = """{
  "nodegraph": 1,
  "nodes": {
    "a": {"uses": "X", "with": {"n": 1, "f": 1.5, "e": 1e-4, "t": true, "z": null, "s": "$b.out",
                                "l": [1, "two"], "q": "\\u00e9\\n\\"\\/", "p": "\\ud83c\\udf1f"}}
  }
}"""


def test_a_document_reads_as_it_does_in_yaml() -> None:
    from_json = workflow_of(DOCUMENT)
    assert from_json.nodes["a"].inputs["q"] == 'é\n"/'
    assert from_json.nodes["a"].inputs["p"] == "🌟"
    assert from_json.nodes["a"].inputs["e"] == 1e-4
    from_yaml = workflow_of("# yaml\n" + json.dumps(json.loads(DOCUMENT), ensure_ascii=False))
    assert from_json.nodes["a"].inputs == from_yaml.nodes["a"].inputs


def test_places() -> None:
    node = workflow_of(DOCUMENT).nodes["a"]
    assert (node.place.line, node.place.column) == (4, 5)
    assert (node.uses_place.line, node.uses_place.column) == (4, 19)
    assert (node.places["l"].line, node.places["l"].column) == (5, 38)
    assert (node.key_places["l"].line, node.key_places["l"].column) == (5, 33)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", str(2**64), "1" * 100_000, "-" + "9" * 30]
)
def test_numbers_that_no_node_takes(number: str) -> None:
    loaded = read(f'{{"nodegraph": 1, "nodes": {{"a": {{"uses": "X", "with": {{"x": {number}, "y": 2}}}}}}}}')
    problem = only(loaded)
    assert problem.code == "bad_number"
    assert pointed_at(problem).startswith(number)
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].inputs == {"y": 2}


def test_duplicate_keys() -> None:
    loaded = read('{"nodegraph": 1,\n "nodes": {"a": {"uses": "X"},\n  "a": {"uses": "Y"}}}')
    problem = only(loaded)
    assert (problem.code, problem.place.line, problem.place.column) == ("duplicate_key", 3, 3)
    assert "line 2" in problem.message
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].uses == "X"


@pytest.mark.parametrize("escape", ["\\ud800", "a\\udfff", "\\udf1f\\ud83c"])
def test_half_a_surrogate_pair(escape: str) -> None:
    problem = only(read(f'{{"nodegraph": 1, "nodes": {{"a": {{"uses": "X", "with": {{"x": "{escape}"}}}}}}}}'))
    assert problem.code == "json_syntax"
    assert pointed_at(problem).startswith(f'"{escape}')


def test_half_a_surrogate_pair_as_a_key() -> None:
    assert codes(read('{"nodegraph": 1, "nodes": {"\\ud800": {"uses": "X"}}}')) == ["json_syntax"]


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ('{"a": 1,}', ",}", "comma"),
        ('{"a": [1, 2,]}', ",]}", "comma"),
        ('{"a": 1 "b": 2}', '"b": 2}', "','"),
        ('{"a" 1}', "1}", "':'"),
        ('{"a": }', "}", "value"),
        ('{"a": 1} x', "x", "end"),
        ('{"a": tru}', "tru}", "quotes"),
        ("{\"a\": 'b'}", "'b'}", "double quotes"),
        ('{"a": 1, b: 2}', "b: 2}", "double quotes"),
        ('{"a": 1, // remark\n"b": 2}', "// remark", "comments"),
        ('{"a": "b\nc"}', '"b', "closed"),
        ('{"a": "\\x41"}', '"\\x41"}', "escape"),
        ('{"a": "b', '"b', "closed"),
        ('{"a": 01}', "01}", None),
        ('{"a": +1}', "+1}", None),
        ('{"a": 1.}', "1.}", None),
        ('{"a": .5}', ".5}", None),
        ('{"a": 0x1F}', "0x1F}", None),
        ('{"a": 1', "", "ends"),
        ('{"a"', "", "ends"),
        ("[", "", "ends"),
        ('{"a": "\0"}', '"\0"}', "control"),
    ],
)
def test_what_cannot_be_parsed(text: str, at: str, words: str | None) -> None:
    loaded = read(text)
    problem = only(loaded)
    assert problem.code == "json_syntax"
    assert pointed_at(problem) == at
    assert loaded.workflow is None
    if words is not None:
        assert words in problem.describe()


@pytest.mark.parametrize("text", ["1", '"a"', "null", "[]", "true"])
def test_json_that_is_no_mapping(text: str) -> None:
    assert codes(read(text)) == ["not_a_workflow"]

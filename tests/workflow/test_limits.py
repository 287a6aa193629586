"""Hostile sizes: each costs one clear problem, at once, in either format."""

from __future__ import annotations

import pytest

from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits
from nodegraph.workflow.read import load_text
from tests.workflow.support import HEAD, codes, only, read


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 200_000, "- " * 200_000, "a: " + "[" * 10_000 + "]" * 10_000])
def test_deeply_nested_yaml(text: str) -> None:
    problem = only(load_text(text, format="yaml"))
    assert problem.code == "nested_too_deep"
    assert problem.place.line == 1


@pytest.mark.usefixtures("parser")
def test_deeply_nested_keys() -> None:
    assert codes(load_text("? " * 10_000, format="yaml")) == ["wrong_kind", "nested_too_deep"]


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 10_000 + "]" * 10_000, '[{"a":' * 5_000])
def test_deeply_nested_json(text: str) -> None:
    problem = only(load_text(text, format="json"))
    assert problem.code == "nested_too_deep"


def test_brackets_in_texts_do_not_nest() -> None:
    text = '{"nodegraph": 1, "nodes": {"a": {"uses": "X", "with": {"x": "' + "[" * 1000 + '"}}}}'
    assert codes(read(text)) == []


@pytest.mark.usefixtures("parser")
def test_billion_laughs() -> None:
    lines = ["a0: &a0 [lol, lol]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    assert only(read("\n".join(lines))).code == "too_many_aliases"


@pytest.mark.usefixtures("parser")
def test_many_aliases_of_little() -> None:
    text = f"{HEAD}    with: {{x: &x 1, y: [{', '.join(['*x'] * 1001)}]}}"
    assert only(read(text)).code == "too_many_aliases"


@pytest.mark.usefixtures("parser")
def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    chain = ["- &a0 " + "[" * 30 + "]" * 30] + [f"- &a{i} {'[' * 30}*a{i - 1}{']' * 30}" for i in range(1, 5)]
    assert only(read("\n".join(chain))).code == "nested_too_deep"


@pytest.mark.parametrize("data", [b"a" * 50_000_000, b"nodes: " + b"[" * 49_999_993])
def test_fifty_megabytes(data: bytes) -> None:
    assert only(read(data)).code == "file_too_large"


def test_a_line_of_a_megabyte_reads_or_is_one_problem() -> None:
    assert codes(read(f"{HEAD}    with: {{x: {'a' * 1_000_000}}}")) == []
    problem = only(read(f"{HEAD}    with: {{x: {'a' * 1_000_001}}}"))
    assert problem.code == "too_large"
    assert len(problem.render()) < 1000


def test_a_json_text_of_more_than_a_megabyte() -> None:
    assert only(read('{"nodes": "' + "a" * 1_000_001 + '"}')).code == "too_large"


def test_more_values_than_allowed() -> None:
    limits = Limits(values=100)
    assert only(load_text("[" + "1," * 101 + "1]", format="yaml", limits=limits)).code == "too_large"
    assert only(load_text("[" + "1," * 101 + "1]", format="json", limits=limits)).code == "too_large"


def test_more_nodes_than_allowed() -> None:
    nodes = "".join(f"  n{i}: {{uses: X}}\n" for i in range(11))
    loaded = load_text(f"nodegraph: 1\nnodes:\n{nodes}", limits=Limits(nodes=10))
    assert only(loaded).code == "too_large"
    api = "{" + ",".join(f'"{i}": {{"class_type": "X"}}' for i in range(11)) + "}"
    assert only(load_text(api, limits=Limits(nodes=10))).code == "too_large"


def test_a_long_key_is_refused_alone() -> None:
    loaded = read(f'{{"nodegraph": 1, "nodes": {{"{"k" * 1001}": 1}}}}')
    assert only(loaded).code == "too_large"
    assert only(read(f"nodegraph: 1\nnodes:\n  ? {'k' * 1001}\n  : 1\n")).code == "too_large"


def test_a_file_of_mistakes_lists_some_and_stops() -> None:
    text = "nodegraph: 1\nnodes: {}\n" + "".join(f"k{i}: 1\n" for i in range(5000))
    problems = read(text).problems
    assert len(problems) == DEFAULT_LIMITS.problems + 1
    assert [problem.code for problem in problems].count("too_large") == 1

"""Sub-workflows: what a node that uses a file becomes, and what is said of files that cannot be used."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from nodegraph.graph import check
from nodegraph.graph.model import Checked
from nodegraph.node import node, spec_of
from nodegraph.registry import Registry
from nodegraph.workflow.read import load_file


@node(category="test", light=True)
def Join(left: str, right: str = "", times: int = 1) -> str:
    """Texts, joined."""
    return (left + right) * times


@node(category="test", light=True, output_node=True)
def Show(text: str) -> None:
    """An end."""


REGISTRY = Registry().with_specs([spec_of(Join), spec_of(Show)])


@pytest.fixture
def write(tmp_path: Path):
    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
        return tmp_path / "main.yaml"

    return write


def checked(path: Path) -> Checked:
    workflow = load_file(path).workflow
    assert workflow is not None
    return check(workflow, REGISTRY)


PART = """
    nodegraph: 1
    params: {word: star, times: {type: INT, default: 2, min: 1}, tail: {type: ANY, default: "!"}}
    nodes:
      inner: {uses: Join, with: {left: "a ${word}", right: $tail, times: $times}}
    outputs: {text: $inner}
"""


def test_a_part_is_replaced_by_its_nodes(write):
    path = write(
        part=PART,
        main="""
            nodegraph: 1
            params: {colour: red}
            nodes:
              end: {uses: Join, with: {left: "?"}}
              phrase: {uses: ./part.yaml, with: {word: "${colour} heart", tail: $end}}
              plain: {uses: ./part.yaml}
              show: {uses: Show, with: {text: $phrase.text}}
              show-plain: {uses: Show, with: {text: $plain}}
        """,
    )
    graph = checked(path).graph
    assert graph is not None
    nodes = {node.id: node for node in graph.nodes}
    assert set(nodes) == {"end", "phrase/inner", "plain/inner", "show", "show-plain"}
    assert nodes["phrase/inner"].values["left"] == "a red heart"
    assert nodes["phrase/inner"].values["times"] == 2
    assert graph.nodes[nodes["phrase/inner"].links["right"].node].id == "end"
    assert nodes["plain/inner"].values == {"left": "a star", "right": "!", "times": 2}
    assert graph.nodes[nodes["show-plain"].links["text"].node].id == "plain/inner"


def test_parts_nest(write):
    path = write(
        part=PART,
        middle="""
            nodegraph: 1
            params: {thing: moon}
            nodes: {deep: {uses: ./part.yaml, with: {word: $thing}}}
            outputs: {out: $deep.text}
        """,
        main="""
            nodegraph: 1
            nodes:
              outer: {uses: ./middle.yaml, with: {thing: fish}}
              show: {uses: Show, with: {text: $outer.out}}
        """,
    )
    graph = checked(path).graph
    assert graph is not None
    assert {node.id: node.values.get("left") for node in graph.nodes} == {"outer/deep/inner": "a fish", "show": None}


def test_every_mistake_is_told_with_its_place(write):
    path = write(
        part=PART,
        main="""
            nodegraph: 1
            nodes:
              one: {uses: ./part.yaml, with: {wrd: x, times: 0}}
              two: {uses: ./missing.yaml}
              show: {uses: Show, with: {text: $one.txt}}
              show-two: {uses: Show, with: {text: $two}}
        """,
    )
    problems = checked(path).problems
    assert [(p.code, p.place.line) for p in problems] == [
        ("unknown_input", 4),
        ("out_of_range", 4),
        ("file_not_found", 5),
        ("unknown_output", 6),
    ]
    assert "did you mean 'word'?" in (problems[0].hint or "")
    assert "did you mean 'text'?" in (problems[3].hint or "")


@pytest.mark.parametrize(
    ("files", "chain"),
    [
        ({"main": "nodegraph: 1\nnodes: {me: {uses: ./main.yaml}}\n"}, "main.yaml -> main.yaml"),
        (
            {
                "main": "nodegraph: 1\nnodes: {a: {uses: ./b.yaml}}\n",
                "b": "nodegraph: 1\nnodes: {b: {uses: ./c.yaml}}\n",
                "c": "nodegraph: 1\nnodes: {c: {uses: ./b.yaml}}\n",
            },
            "b.yaml -> c.yaml -> b.yaml",
        ),
    ],
)
def test_a_file_that_uses_itself_is_refused_with_the_path(write, files: dict[str, str], chain: str):
    (problem,) = [p for p in checked(write(**files)).problems if p.severity == "error"]
    assert problem.code == "cycle"
    assert chain in problem.message


def test_a_cycle_through_a_part_names_the_inner_nodes(write):
    path = write(
        part=PART,
        main="""
            nodegraph: 1
            nodes:
              phrase: {uses: ./part.yaml, with: {tail: $back}}
              back: {uses: Join, with: {left: $phrase}}
              show: {uses: Show, with: {text: $back}}
        """,
    )
    (problem,) = [p for p in checked(path).problems if p.severity == "error"]
    assert problem.code == "cycle"
    assert set((problem.got or "").split(" -> ")) == {"phrase/inner", "back"}

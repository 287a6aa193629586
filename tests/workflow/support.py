"""What the tests of this room share: a document around a few lines, and where its problems point."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from nodegraph.errors import Problem
from nodegraph.workflow.document import Loaded, NodeEntry, Value, Workflow
from nodegraph.workflow.read import load_text

HEAD = "nodegraph: 1\nnodes:\n  a:\n    uses: X\n"


def read(text: str | bytes) -> Loaded:
    return load_text(text, file="w.yaml")


def codes(loaded: Loaded) -> list[str]:
    return [problem.code for problem in loaded.problems]


def only(loaded: Loaded) -> Problem:
    """The one problem of a file; its rendering must be possible and point into the line it shows."""
    assert len(loaded.problems) == 1, [problem.describe() for problem in loaded.problems]
    problem = loaded.problems[0]
    assert problem.describe()
    return problem


def pointed_at(problem: Problem) -> str:
    """The source from the place of a problem to the end of its line."""
    assert problem.place.text is not None
    assert problem.place.column is not None
    return problem.place.text[problem.place.column - 1 :]


def workflow_of(text: str | bytes) -> Workflow:
    """The workflow of a text without problems."""
    loaded = read(text)
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return loaded.workflow


def node_with(inputs: str) -> NodeEntry:
    """The node of a YAML document whose `with:` is `inputs`."""
    return workflow_of(f"{HEAD}    with: {inputs}\n").nodes["a"]


def value_of(scalar: str) -> Value:
    """What an input gets from a YAML scalar."""
    return node_with(f"\n      x: {scalar}").inputs["x"]


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that Python objects took while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

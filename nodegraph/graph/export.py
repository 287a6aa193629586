"""Workflows as drawings: Mermaid (https://mermaid.js.org/syntax/flowchart.html) and Graphviz's DOT
(https://graphviz.org/doc/info/lang.html).

They are made from the document, so a workflow whose nodes are unknown, or run in a circle, can be drawn too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from nodegraph.workflow.document import NodeEntry, Ref, Slot, Workflow

MERMAID_SPECIAL = re.compile(r"""["#<>&`\\|{}\[\]()]""")
BREAKS = re.compile(r"\s+")


class Edge(NamedTuple):
    """A link: from node to node, and the input that it feeds."""

    source: str
    target: str
    input: str


def edges(workflow: Workflow) -> Iterator[Edge]:
    """The links between nodes, in the order of the file; references to nothing are left out."""
    for name, entry in workflow.nodes.items():
        for input_name, value in entry.inputs.items():
            if isinstance(value, Ref | Slot) and value.name in workflow.nodes:
                yield Edge(value.name, name, input_name)


def shown(workflow: Workflow, hidden: Collection[tuple[str, str]]) -> Iterator[Edge]:
    """The links to draw."""
    return (edge for edge in edges(workflow) if (edge.source, edge.target) not in hidden)


def to_mermaid(workflow: Workflow, hidden: Collection[tuple[str, str]] = ()) -> str:
    """The workflow as a Mermaid flowchart, without a final line end. Nodes are numbered: names may be keywords.

    Links between the pairs of nodes in `hidden` are left out.
    """
    number = {name: f"n{i}" for i, name in enumerate(workflow.nodes)}
    lines = ["flowchart LR"]
    for name, entry in workflow.nodes.items():
        label = "<br/>".join(_mermaid_text(line) for line in _label(name, entry))
        lines.append(f'  {number[name]}["{label}"]')
    arrows = [
        f'  {number[e.source]} -->|"{_mermaid_text(e.input)}"| {number[e.target]}' for e in shown(workflow, hidden)
    ]
    return "\n".join([*lines, *arrows])


def to_dot(workflow: Workflow, hidden: Collection[tuple[str, str]] = ()) -> str:
    """The workflow as a DOT digraph, without a final line end, and without the links in `hidden`."""
    lines = [f"digraph {_dot_text(workflow.name or 'workflow')} {{", "  rankdir=LR;", "  node [shape=box];"]
    for name, entry in workflow.nodes.items():
        label = "\\n".join(_dot_text(line)[1:-1] for line in _label(name, entry))
        lines.append(f'  {_dot_text(name)} [label="{label}"];')
    arrows = [
        f"  {_dot_text(e.source)} -> {_dot_text(e.target)} [label={_dot_text(e.input)}];"
        for e in shown(workflow, hidden)
    ]
    return "\n".join([*lines, *arrows, "}"])


def _label(name: str, entry: NodeEntry) -> list[str]:
    """Title (or name) and type of a node, as lines."""
    return [line for line in (entry.title or name, entry.uses) if line]


def _mermaid_text(text: str) -> str:
    """A text inside quotes: what Mermaid or HTML would read as its own becomes a character code."""
    return MERMAID_SPECIAL.sub(lambda match: f"#{ord(match[0])};", BREAKS.sub(" ", text))


def _dot_text(text: str) -> str:
    """A quoted DOT string."""
    escaped = BREAKS.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

"""The checked graph: nodes in topological order, links by number. Everything about it is known to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from nodegraph.errors import Problem
from nodegraph.node import NodeSpec
from nodegraph.workflow.document import NodeEntry, Scalar, Workflow


class Link(NamedTuple):
    """Output number `output` of node number `node`."""

    node: int
    output: int


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node with every input settled: `values` (defaults filled in) and `links` by input name.

    `when`: outputs that all have to be true for it to run. absent: it is not to run, which was known beforehand.
    """

    id: str
    spec: NodeSpec
    values: Mapping[str, object]
    links: Mapping[str, Link]
    entry: NodeEntry
    when: tuple[Link, ...] = ()
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """A workflow that can run. `nodes` is topologically sorted: every link points to a lower number."""

    nodes: tuple[GraphNode, ...]
    index: Mapping[str, int]
    outputs: Mapping[str, Link] = field(default_factory=lambda: MappingProxyType({}))
    params: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))
    workflow: Workflow | None = None

    def output_nodes(self) -> list[int]:
        """The numbers of the nodes that something is wanted from: output nodes and named outputs."""
        named = {link.node for link in self.outputs.values()}
        return [i for i, node in enumerate(self.nodes) if node.spec.output_node or i in named]


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked workflow: the graph, unless there are errors, and all problems, errors and warnings."""

    graph: Graph | None
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

"""The plan: which nodes a run asks for, in order, and all that can be said of their keys beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.cache.keys import FileDigests, action_prefix, frame
from nodegraph.context import Roots
from nodegraph.errors import Problem, ProblemError, did_you_mean, listing
from nodegraph.graph.model import Graph, GraphNode
from nodegraph.node import Choices
from nodegraph.sockets.codecs import Undigestible


@dataclass(frozen=True, slots=True)
class Plan:
    """`order` holds node numbers, topologically sorted: the targets and all they need, nothing else.

    For each node number of the graph: `prefixes`, the key material known beforehand (None: never reused), and
    `sources`, its links as (framed input name, node, output) in the order in which they enter the key.
    """

    graph: Graph
    targets: tuple[int, ...]
    order: tuple[int, ...]
    prefixes: Sequence[bytes | None]
    sources: Sequence[tuple[tuple[bytes, int, int], ...]]


def plan(
    graph: Graph,
    *,
    only: Sequence[str] = (),
    environment: bytes = b"",
    roots: Roots | None = None,
    files: FileDigests | None = None,
    reuse: bool = True,
) -> Plan:
    """Find what a run needs.

    Targets are the output nodes and named outputs, or the nodes named in `only`. Raises ProblemError for a name in
    `only` that is not there, and when there is nothing to produce.
    """
    targets = _targets(graph, only)
    order = _needed(graph, targets)
    files = files or FileDigests()
    roots = roots or Roots()
    prefixes: list[bytes | None] = [None] * len(graph.nodes)
    sources: list[tuple[tuple[bytes, int, int], ...]] = [()] * len(graph.nodes)
    for i in order:
        node = graph.nodes[i]
        if node.links:
            sources[i] = tuple(
                [(frame(name), link.node, link.output) for name, link in sorted(node.links.items())]
            )
        if reuse and node.spec.deterministic and node.entry.cache != "off":
            prefixes[i] = _prefix(node, environment, roots, files)
    return Plan(graph, tuple(targets), tuple(order), prefixes, sources)


def _prefix(node: GraphNode, environment: bytes, roots: Roots, files: FileDigests) -> bytes | None:
    try:
        return action_prefix(node.spec, _with_contents(node, roots, files), environment)
    except (Undigestible, OSError):
        return None


def _with_contents(node: GraphNode, roots: Roots, files: FileDigests) -> Mapping[str, object]:
    """The node's literals, those that name files followed by the digest of what the file holds."""
    values = node.values
    for spec in node.spec.inputs:
        if isinstance(spec.choices, Choices) and spec.choices.path is not None:
            name = values.get(spec.name)
            path = spec.choices.path(name, roots) if isinstance(name, str) else None
            if isinstance(path, Path):
                values = {**values, spec.name: ("file", name, files.digest(path))}
    return values


def _targets(graph: Graph, only: Sequence[str]) -> list[int]:
    unknown = [name for name in only if name not in graph.index]
    if unknown:
        raise ProblemError(
            Problem(
                code="unknown_target",
                message=f"there is no node '{name}' to run",
                got=name,
                hint=did_you_mean(name, graph.index) or f"there are {listing(list(graph.index))}",
            )
            for name in unknown
        )
    targets = [graph.index[name] for name in only] if only else graph.output_nodes()
    if not targets:
        raise ProblemError(
            Problem(
                code="no_outputs",
                message="the workflow has nothing to produce: it has no output node",
                hint="add a SaveImage or PreviewImage node, or name a node with --only",
            )
        )
    return targets


def _needed(graph: Graph, targets: Sequence[int]) -> list[int]:
    """The targets and all their ancestors, as numbers in rising (so topological) order."""
    seen = bytearray(len(graph.nodes))
    stack = list(targets)
    for i in stack:
        seen[i] = 1
    while stack:
        for link in graph.nodes[stack.pop()].links.values():
            if not seen[link.node]:
                seen[link.node] = 1
                stack.append(link.node)
    return [i for i, needed in enumerate(seen) if needed]

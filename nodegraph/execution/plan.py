"""The plan: which nodes a run asks for, in order, and all that can be said of their keys beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nodegraph.cache.keys import action_head, frame, with_literals
from nodegraph.context import Roots
from nodegraph.errors import Problem, ProblemError, did_you_mean, listing, shorten
from nodegraph.files import FileDigests
from nodegraph.graph.model import Graph, GraphNode
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
    heads: dict[int, bytes] = {}  # by id of the spec: hashing a spec would cost more than the head
    frames: dict[str, bytes] = {}
    for i in order:
        node = graph.nodes[i]
        spec, links = node.spec, node.links
        if links:
            for name in links:
                if name not in frames:
                    frames[name] = frame(name)
            items = sorted(links.items()) if len(links) > 1 else links.items()
            sources[i] = tuple([(frames[name], link.node, link.output) for name, link in items])
        if not reuse or not spec.deterministic or node.entry.cache == "off":
            continue
        head = heads.get(id(spec))
        if head is None:
            head = heads[id(spec)] = action_head(spec, environment)
        try:
            values = _with_contents(node, roots, files) if spec.file_inputs else node.values
            if values is not None:
                prefixes[i] = with_literals(head, values, frames)
        except (Undigestible, OSError):
            continue
    return Plan(graph, tuple(targets), tuple(order), prefixes, sources)


def _with_contents(node: GraphNode, roots: Roots, files: FileDigests) -> Mapping[str, object] | None:
    """The node's literals, those that name files followed by the digest of what the file holds.

    None if a name comes by link: which file it names is known too late for the key, so that node is never reused.
    """
    values = dict(node.values)
    for name, find in node.spec.file_inputs.items():
        if name in node.links:
            return None
        given = values.get(name)
        path = find(given, roots) if isinstance(given, str) else None
        if path is not None:
            values[name] = ("file", given, files.digest(path))
    return values


def unknown_target(graph: Graph, name: str) -> Problem:
    """A node is asked for that the graph does not have."""
    return Problem(
        code="unknown_target",
        message=f"there is no node {shorten(name)} to run",
        got=name,
        hint=did_you_mean(name, graph.index) or f"there are {listing(list(graph.index))}",
    )


def _targets(graph: Graph, only: Sequence[str]) -> list[int]:
    unknown = [name for name in only if name not in graph.index]
    if unknown:
        raise ProblemError(unknown_target(graph, name) for name in unknown)
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

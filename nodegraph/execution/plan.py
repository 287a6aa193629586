"""The plan: which nodes a run asks for, in order, and all that can be said of their keys beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.context import Roots
from nodegraph.errors import Problem, ProblemError, did_you_mean, listing, shorten
from nodegraph.execution.keying import Keyer, Source, Unkeyed
from nodegraph.files import FileDigests
from nodegraph.graph.cells import numbers_of
from nodegraph.graph.model import Graph
from nodegraph.workflow.document import CachePolicy


@dataclass(frozen=True, slots=True)
class Plan:
    """`order` holds node numbers, topologically sorted: the targets and all they need, nothing else.

    For each node number of the graph: `prefixes`, the key material known beforehand (None: never reused), and
    `sources`, its links as (framed input name, node, output) in the order in which they enter the key. `staged` names
    nodes of which only the run shows whether they need all of their inputs (lazy inputs, `when:`), `fresh` those that
    run now although their result may be known, `in_memory` those whose results stay off the disk, `unkeyed` why nodes
    are never reused, and `read_files` which files nodes read, with the digests that entered their keys. `keyer` finds
    all this for further nodes.
    """

    graph: Graph
    targets: tuple[int, ...]
    order: tuple[int, ...]
    prefixes: Sequence[bytes | None]
    sources: Sequence[tuple[Source, ...]]
    keyer: Keyer
    staged: frozenset[int] = frozenset()
    fresh: frozenset[int] = frozenset()
    in_memory: frozenset[int] = frozenset()
    unkeyed: Mapping[int, Unkeyed] = field(default_factory=dict[int, Unkeyed])
    read_files: Mapping[int, Mapping[str, tuple[Path, str]]] = field(
        default_factory=dict[int, Mapping[str, tuple[Path, str]]]
    )

    @property
    def environment(self) -> bytes:
        """What results depend on beside code and inputs."""
        return self.keyer.environment


def plan(
    graph: Graph,
    *,
    only: Sequence[str] = (),
    environment: bytes = b"",
    roots: Roots | None = None,
    files: FileDigests | None = None,
    cache: CachePolicy = "auto",
) -> Plan:
    """Find what a run needs.

    Targets are the output nodes and named outputs, or the nodes named in `only`. Raises ProblemError for a name in
    `only` that is not there, and when there is nothing to produce. `cache` is the run's policy: it holds for nodes
    that say nothing else, and `off` for all.
    """
    targets = _targets(graph, only)
    order = _needed(graph, targets)
    keyer = Keyer(graph.nodes, environment, roots or Roots(), files or FileDigests(), cache)
    prefixes: list[bytes | None] = [None] * len(graph.nodes)
    sources: list[tuple[Source, ...]] = [()] * len(graph.nodes)
    fresh: list[int] = []
    in_memory: list[int] = []
    unkeyed: dict[int, Unkeyed] = {}
    read_files: dict[int, Mapping[str, tuple[Path, str]]] = {}
    staged: list[int] = []
    for i in order:
        node = graph.nodes[i]
        if node.links:
            sources[i] = keyer.sources(node)
        if node.when or (node.spec.lazy_inputs and not node.spec.lazy_inputs.isdisjoint(node.links)):
            staged.append(i)
        found = keyer.material(i)
        prefixes[i] = found.prefix
        if found.unkeyed is not None:
            unkeyed[i] = found.unkeyed
        if found.fresh:
            fresh.append(i)
        if found.in_memory:
            in_memory.append(i)
        if found.files is not None:
            read_files[i] = found.files
    return Plan(
        graph,
        tuple(targets),
        tuple(order),
        prefixes,
        sources,
        keyer,
        frozenset(staged),
        frozenset(fresh),
        frozenset(in_memory),
        unkeyed,
        read_files,
    )


def unknown_target(graph: Graph, name: str) -> Problem:
    """A node is asked for that the graph does not have."""
    return Problem(
        code="unknown_target",
        message=f"there is no node {shorten(name)} to run",
        got=name,
        hint=did_you_mean(name, graph.index) or f"there are {listing(list(graph.index))}",
    )


def _targets(graph: Graph, only: Sequence[str]) -> list[int]:
    unknown = [name for name in only if not numbers_of(graph, name)]
    if unknown:
        raise ProblemError(unknown_target(graph, name) for name in unknown)
    targets = [i for name in only for i in numbers_of(graph, name)] if only else graph.output_nodes()
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
        node = graph.nodes[stack.pop()]
        for link in (*node.links.values(), *node.when) if node.when else node.links.values():
            if not seen[link.node]:
                seen[link.node] = 1
                stack.append(link.node)
    return [i for i, needed in enumerate(seen) if needed]

"""The plan: which nodes a run asks for, in order, and all that can be said of their keys beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nodegraph.cache.keys import action_head, frame, with_literals
from nodegraph.context import Roots
from nodegraph.errors import Problem, ProblemError, did_you_mean, listing, shorten
from nodegraph.files import FileDigests
from nodegraph.graph.cells import numbers_of
from nodegraph.graph.model import Graph, GraphNode
from nodegraph.sockets.codecs import Undigestible
from nodegraph.workflow.document import CachePolicy

Unkeyed = Literal["cache_off", "not_deterministic", "file_by_link", "no_digest"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`order` holds node numbers, topologically sorted: the targets and all they need, nothing else.

    For each node number of the graph: `prefixes`, the key material known beforehand (None: never reused), and
    `sources`, its links as (framed input name, node, output) in the order in which they enter the key. `fresh` names
    nodes that run now although their result may be known, `in_memory` those whose results stay off the disk, `unkeyed`
    why nodes are never reused, and `read_files` which files nodes read, with the digests that entered their keys.
    """

    graph: Graph
    targets: tuple[int, ...]
    order: tuple[int, ...]
    prefixes: Sequence[bytes | None]
    sources: Sequence[tuple[tuple[bytes, int, int], ...]]
    environment: bytes = b""
    fresh: frozenset[int] = frozenset()
    in_memory: frozenset[int] = frozenset()
    unkeyed: Mapping[int, Unkeyed] = field(default_factory=dict[int, Unkeyed])
    read_files: Mapping[int, Mapping[str, tuple[Path, str]]] = field(
        default_factory=dict[int, Mapping[str, tuple[Path, str]]]
    )


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
    files = files or FileDigests()
    roots = roots or Roots()
    prefixes: list[bytes | None] = [None] * len(graph.nodes)
    sources: list[tuple[tuple[bytes, int, int], ...]] = [()] * len(graph.nodes)
    heads: dict[int, bytes] = {}  # by id of the spec: hashing a spec would cost more than the head
    frames: dict[str, bytes] = {}
    fresh: list[int] = []
    in_memory: list[int] = []
    unkeyed: dict[int, Unkeyed] = {}
    read_files: dict[int, Mapping[str, tuple[Path, str]]] = {}
    for i in order:
        node = graph.nodes[i]
        spec, links = node.spec, node.links
        if links:
            for name in links:
                if name not in frames:
                    frames[name] = frame(name)
            items = sorted(links.items()) if len(links) > 1 else links.items()
            sources[i] = tuple([(frames[name], link.node, link.output) for name, link in items])
        policy = node.entry.cache if node.entry.cache != "auto" and cache != "off" else cache
        if policy != "auto":
            if policy == "off":
                unkeyed[i] = "cache_off"
                continue
            (fresh if policy == "refresh" else in_memory).append(i)
        if not spec.deterministic:
            unkeyed[i] = "not_deterministic"
            continue
        head = heads.get(id(spec))
        if head is None:
            head = heads[id(spec)] = action_head(spec, environment)
        try:
            values = node.values
            if spec.file_inputs:
                if not spec.file_inputs.keys().isdisjoint(links):  # which file it will be, is known too late
                    unkeyed[i] = "file_by_link"
                    continue
                read_files[i] = found = _files_of(node, roots, files)
                values = dict(values) | {name: ("file", values[name], digest) for name, (_, digest) in found.items()}
            if spec.mentioning:
                called = _called_by(node, roots, files)
                if called:
                    values = dict(values) | {name: ("calls", values.get(name), *called[name]) for name in called}
            prefixes[i] = with_literals(head, values, frames)
        except (Undigestible, OSError):
            unkeyed[i] = "no_digest"
    return Plan(
        graph,
        tuple(targets),
        tuple(order),
        prefixes,
        sources,
        environment,
        frozenset(fresh),
        frozenset(in_memory),
        unkeyed,
        read_files,
    )


def _files_of(node: GraphNode, roots: Roots, files: FileDigests) -> dict[str, tuple[Path, str]]:
    """The files that a node's literals name, each with the digest of what it holds. Raises OSError."""
    found: dict[str, tuple[Path, str]] = {}
    for name, find in node.spec.file_inputs.items():
        given = node.values.get(name)
        path = find(given, roots) if isinstance(given, str) else None
        if path is not None:
            found[name] = (path, files.digest(path))
    return found


def _called_by(node: GraphNode, roots: Roots, files: FileDigests) -> dict[str, list[str]]:
    """The digests of the files that a node's texts call by name, by input; for a text that arrives by a link, those of
    all files that it could call. Raises OSError."""
    found: dict[str, list[str]] = {}
    for name, mentions in node.spec.mentioning.items():
        given = node.values.get(name)
        paths = mentions.find(given, roots) if isinstance(given, str) else mentions.all(roots)
        if paths:
            found[name] = [files.digest(path) for path in paths]
    return found


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
        for link in graph.nodes[stack.pop()].links.values():
            if not seen[link.node]:
                seen[link.node] = 1
                stack.append(link.node)
    return [i for i, needed in enumerate(seen) if needed]

"""What of a node's key is known before it runs, and which files that took."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from nodegraph.cache.keys import action_head, frame, with_literals
from nodegraph.context import Roots
from nodegraph.files import FileDigests
from nodegraph.graph.awaiting import settled
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.codecs import Undigestible, encode
from nodegraph.workflow.document import CachePolicy

Unkeyed = Literal["cache_off", "not_deterministic", "file_by_link", "no_digest", "always"]
#: A link as it enters a key: framed input name, node, output.
Source = tuple[bytes, int, int]


class Material(NamedTuple):
    """What is known of a node's key. prefix: its material without links, None (and `unkeyed` why) if its results are
    never reused. fresh: it runs now although its result may be known. in_memory: its result stays off the disk. files:
    the files it reads, with the digests that entered."""

    prefix: bytes | None = None
    unkeyed: Unkeyed | None = None
    fresh: bool = False
    in_memory: bool = False
    files: Mapping[str, tuple[Path, str]] | None = None


@dataclass(frozen=True, slots=True)
class Keyer:
    """Finds the key material of nodes. `nodes` is the graph that they are in, which may grow."""

    nodes: Sequence[GraphNode]
    environment: bytes = b""
    roots: Roots = field(default_factory=Roots)
    files: FileDigests = field(default_factory=FileDigests)
    cache: CachePolicy = "auto"
    _heads: dict[int, bytes] = field(default_factory=dict[int, bytes])  # by id of the spec, which is dear to hash
    _frames: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _shapes: dict[int, bytes | None] = field(default_factory=dict[int, bytes | None])

    def over(self, nodes: Sequence[GraphNode]) -> Keyer:
        """The same for another graph, which begins with the nodes of this one."""
        return Keyer(nodes, self.environment, self.roots, self.files, self.cache, self._heads, self._frames)

    def sources(self, node: GraphNode) -> tuple[Source, ...]:
        """A node's links in the order in which they enter its key."""
        frames = self._frames
        links = node.links
        for name in links:
            if name not in frames:
                frames[name] = frame(name)
        items = sorted(links.items()) if len(links) > 1 else links.items()
        return tuple([(frames[name], link.node, link.output) for name, link in items])

    def material(self, i: int) -> Material:
        """What is known of the key of node `i`."""
        return self.material_of(self.nodes[i])

    def material_of(self, node: GraphNode) -> Material:
        """What is known of the key of a node."""
        spec, cache = node.spec, self.cache
        policy = node.entry.cache if node.entry.cache != "auto" and cache != "off" else cache
        if policy == "off":
            return Material(unkeyed="cache_off")
        fresh, in_memory = policy == "refresh", policy == "memory"
        if not spec.deterministic:
            return Material(None, "not_deterministic", fresh, in_memory)
        head = self._heads.get(id(spec))
        if head is None:
            head = self._heads[id(spec)] = action_head(spec, self.environment)
        found: Mapping[str, tuple[Path, str]] | None = None
        try:
            values = node.values
            if spec.file_inputs:
                if not spec.file_inputs.keys().isdisjoint(node.links):  # which file it will be, is known too late
                    return Material(None, "file_by_link", fresh, in_memory)
                found = self._files_of(node)
                values = dict(values) | {name: ("file", values[name], digest) for name, (_, digest) in found.items()}
            if spec.mentioning:
                called = self._called_by(node)
                if called:
                    values = dict(values) | {name: ("calls", values.get(name), *called[name]) for name in called}
            if spec.fingerprint is not None or spec.keyed_by or spec.raw_inputs:
                more = self._more(node)
                if more is None:
                    return Material(None, "always", fresh, in_memory, found)
                head = head + more
            return Material(with_literals(head, values, self._frames), None, fresh, in_memory, found)
        except (Undigestible, OSError):
            return Material(None, "no_digest", fresh, in_memory, found)

    def _more(self, node: GraphNode) -> bytes | None:
        """What enters the key beside literals: the node's fingerprint, its id, the shape of what it is computed from.
        None if it is to run each time. Raises Undigestible."""
        spec, pieces = node.spec, list[bytes]()
        if spec.fingerprint is not None:
            print_ = _fingerprint(node)
            if isinstance(print_, float) and math.isnan(print_):
                return None
            pieces.append(b"f" + encode(print_))
        raw = [
            (name, self.nodes[link.node].id, link.output)
            for name, link in node.links.items()
            if name in spec.raw_inputs
        ]
        if raw:
            pieces.append(b"r" + repr(sorted(raw)).encode())
        if "id" in spec.keyed_by:
            pieces.append(b"i" + node.id.encode("utf-8", "surrogatepass"))
        if "shape" in spec.keyed_by:
            shapes = [(name, self.shape(link.node), link.output) for name, link in sorted(node.links.items())]
            if any(shape is None for _, shape, _ in shapes):
                return None
            pieces.append(b"s" + repr(shapes).encode())
        return b"".join([b"+%d:" % len(piece) + piece for piece in pieces])

    def shape(self, i: int) -> bytes | None:
        """A digest of a node and of all that it is computed from, as it is written; None if one of them has no key."""
        shapes, stack, open_ = self._shapes, [i], set[int]()
        while stack:
            n = stack[-1]
            node = self.nodes[n]
            missing = [link.node for link in node.links.values() if link.node not in shapes and link.node not in open_]
            if missing and n not in shapes:
                open_.add(n)
                stack += missing
                continue
            stack.pop()
            if n not in shapes:
                shapes[n] = self._shape(n)
        return shapes[i]

    def _shape(self, n: int) -> bytes | None:
        node = self.nodes[n]
        prefix = self.material(n).prefix
        if prefix is None:
            return None
        pieces = [prefix]
        for name, link in sorted(node.links.items()):
            below = self._shapes.get(link.node)
            if below is None:
                return None
            pieces.append(repr((name, below, link.output)).encode())
        return hashlib.sha256(b"|".join(pieces)).digest()

    def _files_of(self, node: GraphNode) -> dict[str, tuple[Path, str]]:
        """The files that a node's literals name, each with the digest of what it holds. Raises OSError."""
        found: dict[str, tuple[Path, str]] = {}
        for name, find in node.spec.file_inputs.items():
            given = node.values.get(name)
            path = find(given, self.roots) if isinstance(given, str) else None
            if path is not None:
                found[name] = (path, self.files.digest(path))
        return found

    def _called_by(self, node: GraphNode) -> dict[str, list[str]]:
        """The digests of the files that a node's texts call by name, by input; for a text that arrives by a link, those
        of all files that it could call. Raises OSError."""
        found: dict[str, list[str]] = {}
        for name, mentions in node.spec.mentioning.items():
            given = node.values.get(name)
            paths = mentions.find(given, self.roots) if isinstance(given, str) else mentions.all(self.roots)
            if paths:
                found[name] = [self.files.digest(path) for path in paths]
        return found


def _fingerprint(node: GraphNode) -> object:
    """What a node says of its inputs; one that cannot tell runs each time."""
    assert node.spec.fingerprint is not None
    values = {**node.values, **dict.fromkeys(node.links)}
    try:
        return settled(node.spec.fingerprint(values, node.id))
    except Exception:
        return math.nan

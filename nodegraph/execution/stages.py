"""Nodes that come to run in stages: first what decides whether they run (`when:`), then what they need in any case,
then the lazy inputs that they ask for.

What a node asked for, given all that it had, is kept like a result. So a later run knows without asking which inputs
count, and a node whose lazy inputs were not needed is known whatever they would have been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import cast

from nodegraph.cache.keys import action_key
from nodegraph.cache.records import Record, ResultStore
from nodegraph.execution.keying import Keyer, Source
from nodegraph.execution.states import OFF
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.codecs import digest

TRUE, FALSE = digest(True), digest(False)


def key_of(prefix: bytes, sources: Sequence[Source], records: Sequence[Record | None]) -> bytes | None:
    """The key of an action, or None as long as one of its sources has no record."""
    links: list[tuple[bytes, bytes]] = []
    for name, source, output in sources:
        known = records[source]
        if known is None:
            return None
        links.append((name, known.digests[output]))
    return action_key(prefix, links)


def gates_hold(node: GraphNode, state: Sequence[int], records: Sequence[Record | None]) -> bool | None:
    """Whether everything is true that a node's `when` names; None as long as that is open.

    Raises TypeError if something is neither true nor false.
    """
    unknown = False
    for link in node.when:
        if state[link.node] == OFF:
            return False
        record = records[link.node]
        if record is None:
            unknown = True
        elif record.digests[link.output] == FALSE:
            return False
        elif record.digests[link.output] != TRUE:
            raise TypeError("'when' wants true or false, and got something else")
    return None if unknown else True


def strict_sources(keyer: Keyer, node: GraphNode) -> tuple[Source, ...]:
    """A node's links that it needs in any case."""
    return with_sources(keyer, node, (), node.links.keys() - node.spec.lazy_inputs)


def with_sources(
    keyer: Keyer, node: GraphNode, sources: Sequence[Source], names: Collection[str]
) -> tuple[Source, ...]:
    """`sources` and the node's links at the inputs `names`, in the order in which they enter a key."""
    everything = keyer.sources(node)
    kept = {source[0] for source in sources}
    wanted = {name for name in names if name in node.links}
    inputs = sorted(node.links)
    return tuple([each for name, each in zip(inputs, everything, strict=True) if name in wanted or each[0] in kept])


def ask_key(key: bytes) -> bytes:
    """Where it is kept what a node asks for, given what it has."""
    return hashlib.sha256(b"ask" + key).digest()


def asked_for(store: ResultStore, key: bytes) -> tuple[str, ...] | None:
    """The lazy inputs that a node asked for, given what it has; None if that is not known."""
    found = ask_key(key)
    values = store.values(found) if store.record(found) is not None else None
    return tuple(cast("tuple[str, ...]", values[0])) if values else None


def keep_asked(store: ResultStore, key: bytes, names: Sequence[str], node_type: str) -> None:
    """Remember what a node asks for, given what it has."""
    store.put(ask_key(key), Record((digest(tuple(names)),)), (tuple(names),), node_type=node_type)

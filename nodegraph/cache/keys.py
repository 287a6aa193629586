"""Action keys: what a node's result depends on, as 32 bytes.

    key = sha256(recipe version, node type, node version, source digest, environment class,
                 each literal by name, each link by name with the digest of the output it carries)

Two actions with equal keys give equal outputs. Defaults are filled in before hashing, so an input left out and one
given its default are the same action. Seeds are plain inputs. Titles, notes, layout and node names are not in the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from nodegraph.cache.environment import environment_class
from nodegraph.node import NodeSpec
from nodegraph.sockets.codecs import encode

__all__ = ["action_head", "action_key", "action_prefix", "environment_class", "frame", "with_literals"]

RECIPE = b"nodegraph-action-1"


def action_prefix(spec: NodeSpec, values: Mapping[str, object], environment: bytes) -> bytes:
    """All of a node's key material that is known before it runs: the code, the environment and the literals.

    Raises Undigestible if a literal has no digest.
    """
    return with_literals(action_head(spec, environment), values, {})


def action_head(spec: NodeSpec, environment: bytes) -> bytes:
    """The part of the key material that all nodes of one type share."""
    pieces = [RECIPE, spec.name.encode(), b"%d" % spec.version, spec.source_digest.encode()]
    pieces.append(environment if spec.numeric else b"")
    return b"".join([b"%d:" % len(piece) + piece for piece in pieces])


def with_literals(head: bytes, values: Mapping[str, object], frames: dict[str, bytes]) -> bytes:
    """`head`, the number of literals, then each by name. `frames` remembers framed names between calls."""
    pieces = [head, b"%d;" % len(values)]
    for name in sorted(values):
        value = values[name]
        code = b"i%d" % value if type(value) is int else encode(value)
        framed = frames.get(name)
        if framed is None:
            framed = frames[name] = frame(name)
        pieces += (framed, b"%d:" % len(code), code)
    return b"".join(pieces)


def action_key(prefix: bytes, links: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key of a node: its prefix, then (framed name, digest of what arrives there) of every linked input."""
    return hashlib.sha256(prefix + b"".join([name + digest for name, digest in links])).digest()


def frame(name: str) -> bytes:
    """A name with its length before it, so that names cannot run into each other."""
    data = name.encode()
    return b"%d:" % len(data) + data

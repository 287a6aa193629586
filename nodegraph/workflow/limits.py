"""Limits that hold before anything recurses, so that a hostile file costs one error and little memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be. The defaults leave room for a workflow of 100,000 nodes."""

    #: Bytes of a file; no more than this is ever read.
    bytes: int = 10_000_000
    #: Lists and mappings inside each other, aliases unfolded.
    depth: int = 64
    #: YAML aliases (`*name`) in a file.
    aliases: int = 1_000
    #: Values that all aliases of a file unfold to.
    aliased_values: int = 100_000
    #: Scalars, lists and mappings of a file.
    values: int = 2_000_000
    #: Nodes of a workflow.
    nodes: int = 200_000
    #: Characters of one text.
    text: int = 1_000_000
    #: Characters of a mapping's key.
    key: int = 1_000
    #: Problems that are listed; reading stops there.
    problems: int = 1_000


DEFAULT_LIMITS = Limits()

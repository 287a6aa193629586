"""What the nodes of a workflow were like when it last ran, so that it can be said what changed since.

By scope (usually a workflow's file) and node: the action key, and the fields that made it, as JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nodegraph.cache.index import Index


class Seen(NamedTuple):
    """A node at its last run: its action key (None if it is never reused), and its fields."""

    key: bytes | None
    fields: str


class Journal:
    """Remembers nodes in the index of the store, or in this process when there is none."""

    def __init__(self, index: Callable[[], Index | None] = lambda: None) -> None:
        self._index = index
        self._known: dict[str, dict[str, Seen]] = {}

    def last(self, scope: str) -> Mapping[str, Seen]:
        """The nodes of a scope by id, as they were last."""
        known = self._known.get(scope)
        if known is None:
            known = self._known.setdefault(scope, self._read(scope))  # another thread may have been quicker
        return known

    def note(self, scope: str, nodes: Mapping[str, Seen]) -> None:
        """Remember nodes that ran, or whose results were reused."""
        self.last(scope)
        self._known[scope].update(nodes)
        index = self._index()
        if index is None or not nodes:
            return
        rows = [(scope, name, seen.key, seen.fields) for name, seen in nodes.items()]
        try:
            index.write_many("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error:  # then it is forgotten with the process
            return

    def _read(self, scope: str) -> dict[str, Seen]:
        index = self._index()
        if index is None:
            return {}
        try:
            rows = index.read("SELECT node, key, fields FROM seen WHERE scope = ?", (scope,))
        except sqlite3.Error:
            return {}
        return {name: Seen(key, fields) for name, key, fields in rows}

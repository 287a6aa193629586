"""The result store in memory: records by action key, values within a byte budget.

`ResultStore` is the seam where a persistent store joins: a record (the digests of a node's outputs) is small and is
kept; values are large and may be gone when asked for, in which case the node runs again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from nodegraph.sockets.codecs import size_of
from nodegraph.sockets.values import Saved

DEFAULT_BUDGET = 2 << 30


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished action: the digest of each output, what it cost, and the files it wrote."""

    digests: tuple[bytes, ...]
    seconds: float = 0.0
    saved: Saved | None = None


class ResultStore(Protocol):
    """Results by action key."""

    def record(self, key: bytes) -> Record | None:
        """The record of an action, or None if it never finished (or was forgotten)."""
        ...

    def values(self, key: bytes) -> tuple[object, ...] | None:
        """The outputs of an action, or None if they are not kept (any more)."""
        ...

    def put(self, key: bytes, record: Record, values: tuple[object, ...]) -> None:
        """Remember a finished action."""
        ...


class MemoryStore:
    """Results in this process, least recently used values dropped first when they exceed `budget` bytes.

    Safe to use from several threads.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self.used = 0
        self._lock = threading.Lock()
        self._records: dict[bytes, Record] = {}
        self._values: OrderedDict[bytes, tuple[tuple[object, ...], int]] = OrderedDict()

    def record(self, key: bytes) -> Record | None:
        return self._records.get(key)

    def values(self, key: bytes) -> tuple[object, ...] | None:
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                return None
            self._values.move_to_end(key)
            return entry[0]

    def put(self, key: bytes, record: Record, values: tuple[object, ...]) -> None:
        size = sum([size_of(value) for value in values])
        with self._lock:
            self._records[key] = record
            self._drop(key)
            if size > self.budget:
                return
            self._values[key] = (values, size)
            self.used += size
            while self.used > self.budget:
                self._drop(next(iter(self._values)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records.clear()
            self._values.clear()
            self.used = 0

    def _drop(self, key: bytes) -> None:
        entry = self._values.pop(key, None)
        if entry is not None:
            self.used -= entry[1]

"""The result store in memory: records by action key, values within a byte budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path

from nodegraph.cache.records import Alone, Record, Tally
from nodegraph.sockets.codecs import size_of
from nodegraph.sockets.values import SavedFile

DEFAULT_BUDGET = 2 << 30
MAX_RECORDS = 1_000_000  # about half a gigabyte


class MemoryStore(Alone):
    """Results in this process, least recently used values dropped first when they exceed `budget` bytes.

    Safe to use from several threads.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self.used = 0
        self._lock = threading.Lock()
        self._claims: set[bytes] = set()
        self._records: dict[bytes, Record] = {}
        self._values: OrderedDict[bytes, tuple[tuple[object, ...], int]] = OrderedDict()

    def record(self, key: bytes) -> Record | None:
        return self._records.get(key)

    def absent(self, key: bytes, *, memory_counts: bool = True) -> str | None:
        if memory_counts and key in self._values:
            return None
        return "evicted" if key in self._records else "unknown"

    def values(self, key: bytes) -> tuple[object, ...] | None:
        with self._lock:
            entry = self._values.get(key)
            if entry is None:
                return None
            self._values.move_to_end(key)
            return entry[0]

    def put(
        self,
        key: bytes,
        record: Record,
        values: tuple[object, ...],
        *,
        node_type: str = "",
        to_disk: bool = True,
        at_once: bool = False,
        rebuild: float | None = None,
    ) -> None:
        size = sum([size_of(value) for value in values])
        with self._lock:
            self._remember(key, record)
            self._drop(key)
            if size > self.budget:
                return
            self._values[key] = (values, size)
            self.used += size
            while self.used > self.budget:
                self._drop(next(iter(self._values)))

    def note(self, key: bytes, record: Record) -> None:
        """Remember a record without values."""
        with self._lock:
            self._remember(key, record)

    def forget(self, key: bytes) -> None:
        """Drop all that is known of an action."""
        with self._lock:
            self._records.pop(key, None)
            self._drop(key)

    def has_file(self, file: SavedFile) -> bool:
        return False

    def restore(self, file: SavedFile, target: Path) -> bool:
        return False

    def claim(self, key: bytes) -> bool:
        with self._lock:
            if key in self._claims:
                return False
            self._claims.add(key)
        return True

    def release(self, key: bytes) -> None:
        with self._lock:
            self._claims.discard(key)

    def begin(self, keys: Collection[bytes] = ()) -> None:
        pass

    def end(self, tallies: Mapping[str, Tally]) -> None:
        pass

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records.clear()
            self._values.clear()
            self.used = 0

    def _remember(self, key: bytes, record: Record) -> None:
        if len(self._records) >= MAX_RECORDS:  # the oldest tenth makes room
            for old in list(islice(self._records, MAX_RECORDS // 10)):
                del self._records[old]
        self._records[key] = record

    def _drop(self, key: bytes) -> None:
        entry = self._values.pop(key, None)
        if entry is not None:
            self.used -= entry[1]

"""Room on the disk: a budget of bytes, a floor of free space, and what goes when either is reached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

from nodegraph.cache.access import Access
from nodegraph.cache.eviction import Candidate, victims
from nodegraph.cache.index import Index
from nodegraph.cache.owners import is_alive, now

KEPT_SECONDS = 1.0  # what a saved file's copy counts for when something is to be evicted
SPARE_PARTS = 10  # so much of the budget is freed at once, so that not each result evicts something
LOOK_PARTS = 50  # other processes write too: the sum is looked up when so much of the budget was written
INDEX_PARTS = 8  # the index may take so much of the budget
LEAST_INDEX, MOST_INDEX = 4 << 20, 1 << 30
CLOCK_SECONDS = 60.0  # clocks are set right by less than that without notice


class Evicted(NamedTuple):
    """What had to go."""

    keys: tuple[bytes, ...] = ()
    bytes: int = 0


class Room:
    """Keeps the files of a store within `budget` bytes, and `free` bytes of its disk free.

    evicted: told the keys whose values had to go.
    """

    def __init__(self, access: Access, budget: int, free: int, evicted: Callable[[tuple[bytes, ...]], None]) -> None:
        self.budget, self.free = budget, free
        self._access, self._evicted = access, evicted
        self._lock = threading.Lock()
        self._used: int | None = None  # as far as known: at the last look, and what was written since
        self._written = 0
        self._pending = 0  # has its room, but is not yet in the index

    @contextmanager
    def writing(self) -> Generator[Callable[[int], bool]]:
        """While something is written: a function that makes room for so many more bytes, and says whether there is.

        It may raise OSError. At the end, what was written is to be in the index.
        """
        reserved = 0

        def make(size: int) -> bool:
            nonlocal reserved
            made = self._make(size)
            reserved += size if made else 0
            return made

        try:
            yield make
        finally:
            with self._lock:
                self._pending -= reserved

    def _make(self, size: int) -> bool:
        blobs = self._access.blobs
        if blobs is None or size > self.budget:
            return False
        with self._lock:
            lacking = max(0, self.free + size - blobs.free())
            share = self.budget // LOOK_PARTS
            if self._used is None or self._written + size > share or self._used + size > self.budget or lacking:
                self._used, self._written = self.used() + self._pending, 0
                excess = self._used + size - self.budget
                if excess > 0 or lacking:
                    spare = self.budget // SPARE_PARTS if excess > 0 else 0
                    freed = self.evict(max(excess + spare, lacking))
                    self._used -= freed
                    if freed < max(excess, lacking):
                        self._complain(nearly_full=lacking > freed)
                        return False
            self._used += size
            self._written += size
            self._pending += size
        return True

    def used(self) -> int:
        """Bytes of all blobs and copies."""
        sql = "SELECT (SELECT TOTAL(bytes) FROM action WHERE bytes > 0) + (SELECT TOTAL(bytes) FROM file)"
        return int(self._access.ask(lambda index: index.read(sql)[0][0], 0))

    def evict(self, excess: int) -> int:
        """Free `excess` bytes, as far as no running workflow needs them; returns the bytes freed."""
        gone = self._access.ask(lambda index: self._evict(index, excess), Evicted())
        self._evicted(gone.keys)
        return gone.bytes

    def trim_index(self) -> None:
        """Drop the oldest quarter of the rows without a blob, if the index has become too large."""
        limit = min(max(self.budget // INDEX_PARTS, LEAST_INDEX), MOST_INDEX)
        self._access.ask(lambda index: index.trim(limit, oldest_run(index, now())), None)

    def _evict(self, index: Index, excess: int) -> Evicted:
        blobs, time = self._access.blobs, now()
        if blobs is None:
            return Evicted()
        # What was used in the future, before the clock was set back, is nobody's now.
        unpinned, limits = "(used < ? OR used > ?)", (oldest_run(index, time), time + CLOCK_SECONDS)
        rows = index.read(f"SELECT key, bytes, seconds, used FROM action WHERE bytes > 0 AND {unpinned}", limits)
        files = index.read(f"SELECT digest, bytes, used FROM file WHERE {unpinned}", limits)
        candidates = [Candidate(*row) for row in rows]
        candidates += [Candidate(name, size, KEPT_SECONDS, used) for name, size, used in files]
        chosen = victims(candidates, excess, time)
        keys = tuple([each.key for each in chosen if isinstance(each.key, bytes)])
        names = [each.key for each in chosen if isinstance(each.key, str)]
        index.drop_values(keys, "evicted")  # the row first: a blob without a row is harmless
        index.write_many("DELETE FROM file WHERE digest = ?", [(name,) for name in names])
        for path in [*map(blobs.path, keys), *map(blobs.copy_path, names)]:
            blobs.remove(path)
        return Evicted(keys, sum([each.bytes for each in chosen]))

    def _complain(self, *, nearly_full: bool) -> None:
        reason = "its disk is nearly full" if nearly_full else "it is full of what running workflows need"
        self._access.tell("room", f"the cache in {self._access.folder} keeps no more for now: {reason}")


def oldest_run(index: Index, time: float) -> float:
    """When the oldest run began that still goes on; the rows of dead ones are deleted."""
    oldest = float("inf")
    for owner, since, beat in index.read("SELECT owner, since, beat FROM run"):
        if is_alive(owner, beat, time):
            oldest = min(oldest, since)
        else:
            for table in ("run", "claim"):
                index.write(f"DELETE FROM {table} WHERE owner = ?", (owner,))
    return oldest

"""The live pool: loaded models by key, within a budget of bytes, least recently used ones dropped first.

An entry is made of pieces (storages), and pieces that several entries share count once. What a lease was given stays
until the lease is closed. Loading happens outside the pool's lock, so that different models load side by side.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar, cast

from nodegraph.context import Estimate, Size

T = TypeVar("T")
DEFAULT_BUDGET = 8 << 30


@dataclass(eq=False, slots=True)
class Entry:
    """One object of a pool: loading (`pieces` is None), there, or failed.

    `pins` counts the leases and calls that hold it now; there is one for its loader from the beginning.
    """

    key: str
    loader: int
    pins: int = 1
    failed: bool = False
    value: object = None
    pieces: Mapping[Hashable, int] | None = None


class _Ledger:
    """Bytes of pieces, each counted once however many entries hold it."""

    def __init__(self) -> None:
        self.total = 0
        self._pieces: dict[Hashable, tuple[int, int]] = {}  # bytes, holders

    def hold(self, pieces: Mapping[Hashable, int]) -> None:
        for piece, size in pieces.items():
            known, holders = self._pieces.get(piece, (size, 0))
            self._pieces[piece] = (known, holders + 1)
            self.total += 0 if holders else known

    def release(self, pieces: Iterable[Hashable]) -> None:
        for piece in pieces:
            size, holders = self._pieces.pop(piece)
            if holders > 1:
                self._pieces[piece] = (size, holders - 1)
            else:
                self.total -= size


class LivePool:
    """Objects that are costly to load and large to keep. Safe to use from several threads.

    The budget is exceeded only by what is in use: what is pinned, and the newest object, which is kept even if it is
    larger than the whole budget, because a model must fit somewhere to be used.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # the least recently used first
        self._ledger = _Ledger()
        self._promised = 0  # estimates of what is loading

    @property
    def used(self) -> int:
        """Bytes of everything that is loaded, shared pieces counted once."""
        return self._ledger.total

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate = 0) -> T:
        """The object under `key`, loaded by `load` if it is not there.

        size: bytes of the loaded object, or of its pieces. estimate: room made before loading, so that what goes and
        what comes are not in memory together. Threads that ask for one key wait for one load; when it fails, its
        thread gets the error, and the next one tries. `load` may get other objects, but not, by whatever way, its own.
        """
        entry = self.pin(key, load, size, estimate)
        try:
            return cast(T, entry.value)
        finally:
            self.unpin([entry])

    def lease(self) -> Lease:
        """A view of the pool that keeps what is got through it until it is closed."""
        return Lease(self)

    def drop_idle(self) -> int:
        """Drop everything that is neither pinned nor loading; returns the bytes that this frees."""
        with self._lock:
            before = self._ledger.total
            dropped = [entry for entry in self._entries.values() if not entry.pins]
            for entry in dropped:
                del self._entries[entry.key]
                self._ledger.release(entry.pieces or ())
            freed = before - self._ledger.total
        dropped.clear()  # outside the lock, for freeing gigabytes takes time
        return freed

    def clear(self) -> None:
        """Forget everything, and drop it: what is pinned or loading now as soon as it no longer is."""
        with self._lock:
            dropped = list(self._entries.values())
            self._entries.clear()
            for entry in dropped:
                if not entry.pins:
                    self._ledger.release(entry.pieces or ())

    def pin(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate) -> Entry:
        """The entry under `key`, loaded as by `get`; it stays until it was unpinned as often as pinned."""
        me = threading.get_ident()
        with self._changed:
            while (found := self._entries.get(key)) is not None:
                if found.pieces is None and found.loader == me:
                    raise RuntimeError(f"loading {key} asks for {key} itself")
                found.pins += 1
                try:
                    self._changed.wait_for(lambda found=found: found.failed or found.pieces is not None)
                except BaseException:  # Ctrl-C
                    found.pins -= 1
                    raise
                if not found.failed:
                    if self._entries.get(key) is found:
                        self._entries.move_to_end(key)
                    return found
            entry = self._entries[key] = Entry(key, me)
        self._load(entry, load, size, estimate)
        return entry

    def _load(self, entry: Entry, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate) -> None:
        """Fill a new entry; a failure leaves nothing behind and is raised."""
        promised = 0
        try:
            expected = estimate() if callable(estimate) else estimate
            with self._lock:
                promised = expected
                self._promised += promised
                dropped = self._shrink(keep_newest=False)
            dropped.clear()  # outside the lock, for freeing gigabytes takes time, and before they are needed
            value = load()
            measured = size(value)
            pieces: dict[Hashable, int] = {object(): measured} if isinstance(measured, int) else dict(measured)
        except BaseException:
            with self._changed:
                self._promised -= promised
                entry.failed = True
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                self._changed.notify_all()
            raise
        with self._changed:
            self._promised -= promised
            entry.value = value
            entry.pieces = pieces
            self._ledger.hold(pieces)
            if self._entries.get(entry.key) is entry:
                self._entries.move_to_end(entry.key)
            dropped = self._shrink()
            self._changed.notify_all()
        dropped.clear()

    def unpin(self, entries: Iterable[Entry]) -> None:
        """Take one pin off each entry, and drop what the budget has no room for any more."""
        with self._lock:
            dropped: list[Entry] = []
            for entry in entries:
                entry.pins -= 1
                if not entry.pins and self._entries.get(entry.key) is not entry:  # forgotten while it was in use
                    self._ledger.release(entry.pieces or ())
                    dropped.append(entry)
            dropped += self._shrink()
        dropped.clear()

    def _shrink(self, *, keep_newest: bool = True) -> list[Entry]:
        """Take entries out, the least recently used first, until the budget holds; they go when the list goes.

        An entry whose pieces all stay, because others that stay share them, is left alone: it frees nothing.
        """
        dropped: list[Entry] = []
        if self._excess() <= 0:
            return dropped
        newest = next(reversed(self._entries.values()), None) if keep_newest else None
        idle = [entry for entry in self._entries.values() if not entry.pins and entry is not newest]
        staying = {
            piece
            for entry in self._entries.values()
            if entry.pins or entry is newest
            for piece in entry.pieces or ()
        }  # fmt: skip
        for entry in idle:
            if self._excess() <= 0:
                break
            pieces = entry.pieces or {}
            if not staying.issuperset(pieces):
                del self._entries[entry.key]
                self._ledger.release(pieces)
                dropped.append(entry)
        return dropped

    def _excess(self) -> int:
        return self._ledger.total + self._promised - self.budget


class Lease:
    """A view of a pool that keeps what was got through it until it is closed; a context manager.

    Once closed it is a view of the pool that keeps nothing.
    """

    def __init__(self, pool: LivePool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._held: set[Entry] = set()
        self._closed = False

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate = 0) -> T:
        """The object under `key`, as `LivePool.get` gives it."""
        entry = self._pool.pin(key, load, size, estimate)
        with self._lock:
            keep = not self._closed and entry not in self._held
            if keep:
                self._held.add(entry)
        value = cast(T, entry.value)
        if not keep:
            self._pool.unpin([entry])
        return value

    def lease(self) -> Lease:
        """Another lease of the same pool."""
        return Lease(self._pool)

    @property
    def used(self) -> int:
        """Bytes of everything that is loaded in the pool."""
        return self._pool.used

    def drop_idle(self) -> int:
        """Drop what neither this lease nor anybody else holds, as `LivePool.drop_idle` does."""
        return self._pool.drop_idle()

    def close(self) -> None:
        """Let go of everything. Doing it twice is harmless."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, set()
        self._pool.unpin(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

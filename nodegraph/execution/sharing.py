"""Work that is done once: in this run, when several nodes are the same action, and among processes, by claims."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from nodegraph.cache.records import ResultStore

POLL_SECONDS = 0.1  # between two looks at what another process works on


class Sharing:
    """Who works on which action."""

    def __init__(self, store: ResultStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store, self._loop = store, loop
        self._in_flight: dict[bytes, list[int]] = {}  # action key → nodes waiting for that very result
        self._elsewhere: dict[int, asyncio.TimerHandle] = {}  # nodes whose action others know or work on
        self._claimed: set[bytes] = set()

    @property
    def waits(self) -> bool:
        """Whether a node waits for another process, or a store elsewhere."""
        return bool(self._elsewhere)

    def join(self, i: int, key: bytes | None) -> bool:
        """Whether the same action is running already; then node `i` waits for its result."""
        if key is None or key not in self._in_flight:
            return False
        self._in_flight[key].append(i)
        return True

    def begin(self, key: bytes) -> None:
        """An action begins; nodes of the same key may join."""
        self._in_flight[key] = []

    def end(self, key: bytes | None) -> Sequence[int]:
        """An action has ended; returns the nodes that waited for its result."""
        if key is None:
            return ()
        self.unclaim(key)
        return self._in_flight.pop(key, ()) if self._in_flight else ()

    def claim(self, key: bytes) -> bool:
        """Whether this process is to work on an action."""
        if not self._store.claim(key):
            return False
        self._claimed.add(key)
        return True

    def unclaim(self, key: bytes) -> None:
        """This process works on an action no longer."""
        if key in self._claimed:
            self._claimed.discard(key)
            self._store.release(key)

    def wait(self, i: int, look: Callable[[int], object]) -> None:
        """Another process works on the action of node `i`: have `look` called soon."""

        def again() -> None:
            if self._elsewhere.pop(i, None) is not None:
                look(i)

        self._elsewhere[i] = self._loop.call_later(POLL_SECONDS, again)

    def seek(self, i: int, key: bytes, look: Callable[[int], object]) -> bool:
        """Whether a store elsewhere may know the action of node `i`, and is asked; then have `look` called when it has
        answered, or took too long."""

        def again() -> None:
            timer = self._elsewhere.pop(i, None)
            if timer is not None:
                timer.cancel()
                look(i)

        def answered() -> None:
            with contextlib.suppress(RuntimeError):  # the run is over, and its loop closed
                self._loop.call_soon_threadsafe(again)

        seconds = self._store.seek(key, answered)
        if seconds is None:
            return False
        self._elsewhere[i] = self._loop.call_later(seconds, again)
        return True

    def stop(self) -> None:
        """Wait for other processes no longer."""
        for timer in self._elsewhere.values():
            timer.cancel()
        self._elsewhere.clear()

    def close(self) -> None:
        """Let go of all claims."""
        for key in tuple(self._claimed):
            self.unclaim(key)

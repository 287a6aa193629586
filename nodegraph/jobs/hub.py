"""Events on their way from workers to whoever listens, numbered, and written down for those who come later.

A reader that falls behind costs a bounded amount of memory: beyond its limit its waiting events are dropped, and it
reads them from the store when it comes to them.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from nodegraph.jobs.model import JobEvent, Kind, PreviewEvent
from nodegraph.jobs.store import JobStore

LOG: Final = logging.getLogger(__name__)
#: Kinds that are not written down: what they say is outdated at once.
FLEETING: Final = frozenset(("progress", "queue", "worker"))
#: Kinds whose last event says how things are, however long ago it was.
LATEST: Final = frozenset(("queue", "worker"))
FLUSH_SECONDS: Final = 0.05
FLUSH_AT: Final = 1_000  # events that wait to be written
PAGE: Final = 500  # events read from the store at a time

Key = tuple[str, str, str] | int


class Reader:
    """One reader's events: a `Subscription`."""

    def __init__(self, hub: Hub, after: int | None, job: str | None, previews: bool, limit: int) -> None:
        self.hub, self.job, self.previews, self.limit = hub, job, previews, max(1, limit)
        self.seen = hub.seq if after is None else after
        self.behind = after is not None and after < hub.seq
        self.page: deque[JobEvent] = deque()
        self.waiting: dict[Key, JobEvent | PreviewEvent] = {}
        self.closed = False
        self.wake = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[JobEvent | PreviewEvent]:
        return self

    async def __anext__(self) -> JobEvent | PreviewEvent:
        while True:
            if self.closed:
                raise StopAsyncIteration
            if (event := self.poll()) is not None:
                return event
            self.wake.clear()
            await self.wake.wait()

    def close(self) -> None:
        """End it; iterating ends too."""
        self.closed = True
        self.waiting.clear()
        self.page.clear()
        self.hub.leave(self)
        self.wake.set()

    def take(self, event: JobEvent | PreviewEvent) -> None:
        """Put an event where the reader will find it."""
        if self.job is not None and event.job != self.job:
            return
        if isinstance(event, PreviewEvent):
            if self.previews and not self.behind and len(self.waiting) < self.limit:
                self._replace(("preview", event.job, event.node), event)
        elif event.kind in FLEETING:
            self._replace((event.kind, event.job, str(event.data.get("node") or event.data.get("device"))), event)
        elif not self.behind:
            self.waiting[event.seq] = event
        if len(self.waiting) > self.limit:
            self._shed()
        self.wake.set()

    def _replace(self, key: Key, event: JobEvent | PreviewEvent) -> None:
        self.waiting.pop(key, None)
        self.waiting[key] = event

    def _shed(self) -> None:
        """Make room: previews go first, then progress; then all goes that can be read from the store."""
        for kind in ("preview", "progress"):
            for key in [key for key in self.waiting if isinstance(key, tuple) and key[0] == kind]:
                del self.waiting[key]
            if len(self.waiting) <= self.limit:
                return
        self.waiting = {key: event for key, event in self.waiting.items() if isinstance(key, tuple)}
        self.behind = True

    def _forget_before(self, seq: int) -> None:
        """Drop what an event of this number has overtaken: what is in the store, and progress from before it."""
        self.waiting = {
            key: event
            for key, event in self.waiting.items()
            if isinstance(event, JobEvent) and (event.seq > seq or event.kind in LATEST)
        }

    def poll(self) -> JobEvent | PreviewEvent | None:
        """The next event that is there already, None if there is none."""
        if not self.page and self.behind:
            self.hub.flush()
            self.page.extend(self.hub.store.events(self.seen, self.job, PAGE))
            self.behind = len(self.page) == PAGE
            if not self.behind:
                self._forget_before(self.page[-1].seq if self.page else self.seen)
        if self.page:
            event = self.page.popleft()
            self.seen = event.seq
            return event
        if not self.waiting:
            return None
        event = self.waiting.pop(next(iter(self.waiting)))
        if isinstance(event, JobEvent) and event.kind not in FLEETING:
            self.seen = event.seq
        return event


class Hub:
    """Numbers events, writes them down, and hands them to all readers. Used on one event loop."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.seq = store.meta("seq")
        self.readers: set[Reader] = set()
        self.unwritten: list[JobEvent] = []
        self.timer: asyncio.TimerHandle | None = None
        self.on_watched: Callable[[bool], None] = lambda watched: None

    @property
    def watched(self) -> bool:
        """Whether any reader wants previews."""
        return any(reader.previews for reader in self.readers)

    def publish(self, job: str, kind: Kind, data: Mapping[str, object], client: str = "") -> None:
        """Something happened."""
        self.seq += 1
        if self.seq > self.store.reserved:
            self._reserve()
        event = JobEvent(self.seq, job, kind, time.time(), data, client)
        if kind not in FLEETING:
            self.unwritten.append(event)
            if len(self.unwritten) >= FLUSH_AT:
                self.flush()
            elif self.timer is None:
                self.timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        for reader in self.readers:
            reader.take(event)

    def _reserve(self) -> None:
        """Set numbers aside before one of them is seen by anybody."""
        try:
            self.store.reserve(self.seq)
        except sqlite3.Error as error:
            LOG.error("numbers of events cannot be set aside: %s", error)

    def show(self, preview: PreviewEvent) -> None:
        """A node shows what it is making."""
        for reader in self.readers:
            reader.take(preview)

    def flush(self) -> None:
        """Write down what was not yet."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.unwritten:
            events, self.unwritten = self.unwritten, []
            try:
                self.store.keep_events(events)
            except sqlite3.Error as error:  # whoever listens has them; those who come later will not
                LOG.error("events cannot be written down: %s", error)

    def subscribe(self, *, after: int | None, job: str | None, previews: bool, limit: int) -> Reader:
        """A new reader."""
        reader = Reader(self, after, job, previews, limit)
        before = self.watched
        self.readers.add(reader)
        if previews and not before:
            self.on_watched(True)
        return reader

    def leave(self, reader: Reader) -> None:
        """A reader has ended."""
        self.readers.discard(reader)
        if reader.previews and not self.watched:
            self.on_watched(False)

    def close(self) -> None:
        """End all readers, and write down what was not yet."""
        self.flush()
        for reader in list(self.readers):
            reader.close()

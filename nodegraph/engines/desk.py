"""Where calls wait for workers: who is there, who is free, and whose turn it is. Not to be used by two threads at once.

Before any worker is there, calls are only noted. Runs take turns; what is sent again goes first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from nodegraph.engines.calls import Call, no_worker_left
from nodegraph.engines.contract import Hello, Lane
from nodegraph.engines.line import Line, Next
from nodegraph.engines.placement import Fleet, Unsatisfiable, Worker
from nodegraph.errors import ProblemError

Refused = list[tuple[Call, ProblemError]]


class Desk:
    """The calls that wait, and the workers. broken: why there are no workers, and will be none."""

    def __init__(self) -> None:
        self.broken: ProblemError | None = None
        self._fleet = Fleet()
        self._line: Line[Call] = Line(self._fleet)
        self._noted: list[Call] = []
        self._tickets: dict[int, Call] = {}
        self._begun: dict[str, tuple[Next[Call], float]] = {}  # by worker
        self._known: set[str] = set()
        self._away: set[str] = set()  # workers that are to come back
        self._gone: set[str] = set()

    # --- workers

    def clear(self) -> None:
        """Workers are going to be started, all of them anew."""
        for lane in self._known:
            self._fleet.remove(lane)
        for lanes in (self._known, self._away, self._gone):
            lanes.clear()

    def begin(self, lanes: Iterable[Lane]) -> Refused:
        """The workers are there; some may be gone again. Returns the calls that none of them could ever do."""
        for lane in lanes:
            if lane.name not in self._away | self._gone | self._known:
                self._come(lane.name, lane.hello)
        if not self._known and not self._away:
            self.broken = no_worker_left("all of them ended at once")
        noted, self._noted = self._noted, []
        return [(call, error) for call in noted if (error := self.wait(call)) is not None]

    def come(self, lane: str, hello: Hello) -> None:
        """A worker is there (again)."""
        self.broken = None
        self._away.discard(lane)
        self._gone.discard(lane)
        self._come(lane, hello)

    def _come(self, lane: str, hello: Hello) -> None:
        self._known.add(lane)
        self._fleet.add(Worker(lane, hello.device, hello.memory or None))

    def lose(self, lane: str, reason: str, *, returns: bool) -> Refused:
        """A worker is gone. Returns the calls that nobody can do any more."""
        (self._away if returns else self._gone).add(lane)
        if returns:
            if lane in self._known:
                self._fleet.lose(lane)
            return []
        self._away.discard(lane)
        self._known.discard(lane)
        self._fleet.remove(lane)
        if self._known or self._away or not self._gone:
            return [(call, error) for call in self.empty() if (error := self.wait(call)) is not None]
        self.broken = no_worker_left(reason)
        return [(call, self.broken) for call in self.empty()]

    def free(self, lane: str, *, done: bool = True) -> None:
        """A worker is free of its call. done: what it took says how long others of that kind take."""
        found, began = self._begun.pop(lane, (None, 0.0))
        if done and found is not None:
            self._line.took(found, time.monotonic() - began)
        if lane in self._known:
            self._fleet.release(lane)

    # --- calls

    @property
    def until(self) -> float:
        """When to ask for the next call again, if no worker becomes free before: calls wait for a busy worker that has
        their models, but not for ever."""
        return self._line.until

    def wait(self, call: Call) -> ProblemError | None:
        """Have a call wait; or why that would be in vain."""
        if self.broken is not None:
            return self.broken
        if not self._known:  # none has come yet
            self._noted.append(call)
            return None
        now = time.monotonic()
        try:
            ticket = self._line.add(call, call.needs, user=call.user, priority=int(bool(call.again)), now=now)
        except Unsatisfiable as error:
            return error
        self._tickets[ticket] = call
        call.ticket = ticket
        return None

    def next(self) -> tuple[Call, str] | None:
        """The next call, and the worker that is to do it now."""
        now = time.monotonic()
        found = self._line.next(now) if self._known else None
        if found is None:
            return None
        self._line.take(found, now)
        self._begun[found.go.worker] = (found, now)
        self._tickets.pop(found.item.ticket, None)
        return found.item, found.go.worker

    def empty(self) -> list[Call]:
        """Take all calls out that wait."""
        calls = [*self._noted, *self._tickets.values()]
        for ticket in self._tickets:
            self._line.remove(ticket)
        self._noted.clear()
        self._tickets.clear()
        return calls

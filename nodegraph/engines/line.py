"""Who waits for a worker, and who is next: turns among users, with a look ahead for what needs no loading. Pure.

The turn goes round among the users of the highest priority; one's own errands keep their order. A free worker takes the
errand whose turn it is, unless one of the next `look` finds its recipes loaded on a free worker: that one goes first,
but nobody is passed over more than `passes` times in a row. So a worker that has just drawn with a model goes on with
it while somebody soon wants that, and nobody waits long for it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from nodegraph.engines.placement import Fleet, Go, Needs

T = TypeVar("T")
LOOK = 32
PASSES = 32


class Next(NamedTuple, Generic[T]):
    """What goes where now, and since when it has waited."""

    item: T
    needs: Needs
    go: Go
    since: float


@dataclass(slots=True)
class _Entry(Generic[T]):
    """Somebody's errand. kind: what it needs, as a key; asked: when it was first found worth waiting for a worker."""

    ticket: int
    item: T
    needs: Needs
    kind: tuple[object, ...]
    user: str
    priority: int
    since: float
    asked: float | None = None


class _Mine(OrderedDict[int, _Entry[T]], Generic[T]):
    """One user's errands by ticket. passed: how often in a row others went first when it was this one's turn."""

    passed = 0


class Line(Generic[T]):
    """The errands that wait for the workers of a fleet. look: how many of the next are looked at for one that needs no
    loading; passes: how often in a row somebody may be passed over for that."""

    def __init__(self, fleet: Fleet, *, look: int = LOOK, passes: int = PASSES) -> None:
        self.fleet, self.look, self.passes = fleet, look, passes
        self.until = math.inf  # when to ask again, if no worker becomes free before
        self._users: dict[int, OrderedDict[str, _Mine[T]]] = {}  # by priority; the first one's turn is next
        self._entries: dict[int, _Entry[T]] = {}
        self._last: tuple[int, str] | None = None  # who had the last turn
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, item: T, needs: Needs, *, user: str = "", priority: int = 0, now: float = 0.0) -> int:
        """Queue an errand; returns its ticket. Raises Unsatisfiable if no worker could ever take it."""
        self.fleet.check(needs)
        self._tickets += 1
        kind = (needs.kind, needs.vram, *sorted(needs.recipes))
        entry = _Entry(self._tickets, item, needs, kind, user, priority, now)
        users = self._users.setdefault(priority, OrderedDict())
        if user not in users:
            users[user] = _Mine()
            if self._last is not None and self._last[0] == priority and self._last[1] in users:
                users.move_to_end(self._last[1])  # whoever comes anew is behind all but the one just served
        users[user][entry.ticket] = entry
        self._entries[entry.ticket] = entry
        return entry.ticket

    def remove(self, ticket: int) -> bool:
        """Take an errand out, such as a cancelled one; whether it still waited."""
        entry = self._entries.pop(ticket, None)
        if entry is None:
            return False
        users = self._users[entry.priority]
        del users[entry.user][ticket]
        if not users[entry.user]:
            del users[entry.user]
            if not users:
                del self._users[entry.priority]
        return True

    def next(self, now: float = 0.0) -> Next[T] | None:
        """The next errand that a worker takes now, which is then on its way: `fleet.take` is the caller's. None if
        nothing can be done before a worker becomes free, or before `until`."""
        self.until = math.inf
        if not self._entries or not self.fleet.idle:
            return None
        window = list(islice(self._window(), self.look))
        first = window[0]
        if self._users[first.priority][first.user].passed >= self.passes:
            go = self.fleet.choose(first.needs, now, -math.inf)
            if isinstance(go, Go):
                return self._leave(first, go)
        return self._warm(window, now) or self._cold(window, now)

    def _warm(self, window: list[_Entry[T]], now: float) -> Next[T] | None:
        """The first errand whose recipes lie ready on a free worker."""
        cold: set[tuple[object, ...]] = set()
        for entry in window:
            if entry.kind in cold:
                continue
            if self.fleet.is_ready(entry.needs):
                go = self.fleet.choose(entry.needs, now)
                if isinstance(go, Go):
                    return self._leave(entry, go)
            cold.add(entry.kind)
        return None

    def _cold(self, window: list[_Entry[T]], now: float) -> Next[T] | None:
        """The first errand that a free worker is to load something for. Of several that need the same, only the first
        may wait for a busy worker that has it: the others would wait for one another."""
        waits: set[tuple[object, ...]] = set()
        never: set[tuple[object, ...]] = set()
        for entry in window:
            if entry.kind in never:
                continue
            since = -math.inf if entry.kind in waits else now if entry.asked is None else entry.asked
            choice = self.fleet.choose(entry.needs, now, since)
            if isinstance(choice, Go):
                return self._leave(entry, choice)
            (never if entry.kind in waits else waits).add(entry.kind)
            if entry.asked is None:
                entry.asked = now
            self.until = min(self.until, choice.until)
        return None

    def _window(self) -> Iterator[_Entry[T]]:
        """The errands in the order of turns."""
        for priority in sorted(self._users, reverse=True):
            rows = [iter(mine.values()) for mine in islice(self._users[priority].values(), self.look)]
            while rows:
                left: list[Iterator[_Entry[T]]] = []
                for row in rows:
                    entry = next(row, None)
                    if entry is not None:
                        yield entry
                        left.append(row)
                rows = left

    def _leave(self, entry: _Entry[T], go: Go) -> Next[T]:
        """An errand goes: that was its user's turn, and whoever's turn it was has been passed over."""
        users = self._users[entry.priority]
        head = next(iter(users))
        if head != entry.user:
            users[head].passed += 1
        users[entry.user].passed = 0
        users.move_to_end(entry.user)
        self._last = (entry.priority, entry.user)
        self.remove(entry.ticket)
        return Next(entry.item, entry.needs, go, entry.since)

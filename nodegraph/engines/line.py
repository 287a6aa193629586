"""Who waits for a worker, and who is next: turns among users, with a look ahead for what needs no loading. Pure.

The turn goes round among the users of the highest priority; one's own errands keep their order among those that need
the same. A free worker takes the errand whose turn it is, unless one of the next `look` finds its recipes loaded on a
free worker: that one goes first, but whoever's turn it is, is passed over `passes` times at most, if there is a worker
for it. So a worker that has just drawn with a model goes on with it while somebody soon wants that, nobody waits long
for it, and what waits for a worker of its own kind holds up nothing else.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from nodegraph.engines.placement import Fleet, Go, Needs, Wait

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
    """Somebody's errand. kind: what it needs, as a key; asked: when it was first found worth waiting for a worker;
    passed: how often others went first when it was this one's turn."""

    ticket: int
    item: T
    needs: Needs
    kind: tuple[object, ...]
    user: str
    priority: int
    since: float
    asked: float | None = None
    passed: int = 0


#: One user's errands by ticket, by what they need.
_Mine = dict[tuple[object, ...], OrderedDict[int, _Entry[T]]]


_Chosen = tuple[_Entry[T], Go]


class Line(Generic[T]):
    """The errands that wait for the workers of a fleet. look: how many of the next are looked at for one that needs no
    loading; passes: how often in a row somebody may be passed over for that."""

    def __init__(self, fleet: Fleet, *, look: int = LOOK, passes: int = PASSES) -> None:
        self.fleet, self.look, self.passes = fleet, look, passes
        self.until = math.inf  # when to ask again, if no worker becomes free before
        self._users: dict[int, OrderedDict[str, _Mine[T]]] = {}  # by priority; the first one's turn is next
        self._entries: dict[int, _Entry[T]] = {}
        self._kinds: Counter[tuple[object, ...]] = Counter()
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
            users[user] = {}
            if self._last is not None and self._last[0] == priority and self._last[1] in users:
                users.move_to_end(self._last[1])  # whoever comes anew is behind all but the one just served
        users[user].setdefault(kind, OrderedDict())[entry.ticket] = entry
        self._entries[entry.ticket] = entry
        self._kinds[kind] += 1
        return entry.ticket

    def remove(self, ticket: int) -> bool:
        """Take an errand out, such as a cancelled one; whether it still waited."""
        entry = self._entries.pop(ticket, None)
        if entry is None:
            return False
        self._kinds[entry.kind] -= 1
        if not self._kinds[entry.kind]:
            del self._kinds[entry.kind]
        users = self._users[entry.priority]
        mine = users[entry.user]
        del mine[entry.kind][ticket]
        if not mine[entry.kind]:
            del mine[entry.kind]
            if not mine:
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
        first, found = self._due(window, now)
        found = found or self._warm(window, now) or self._cold(window, now)
        if found is None:
            return None
        entry, go = found
        if first is not None and first is not entry:
            first.passed += 1
        self._leave(entry)
        return Next(entry.item, entry.needs, go, entry.since)

    def _due(self, window: list[_Entry[T]], now: float) -> tuple[_Entry[T] | None, _Chosen[T] | None]:
        """Whose turn it is, but for those that no free worker can take; and its worker, if it has been passed over too
        often."""
        stuck: set[tuple[object, ...]] = set()
        for entry in window:
            if entry.kind in stuck:
                continue
            if entry.passed < self.passes:
                return entry, None
            go = self.fleet.choose(entry.needs, now, -math.inf)
            if isinstance(go, Go):
                return entry, (entry, go)
            stuck.add(entry.kind)
        return None, None

    def _warm(self, window: list[_Entry[T]], now: float) -> _Chosen[T] | None:
        """The first errand whose recipes lie ready on a free worker."""
        cold: set[tuple[object, ...]] = set()
        for entry in window:
            if entry.kind in cold:
                continue
            if self.fleet.is_ready(entry.needs):
                go = self.fleet.choose(entry.needs, now)
                if isinstance(go, Go):
                    return entry, go
            cold.add(entry.kind)
        return None

    def _cold(self, window: list[_Entry[T]], now: float) -> _Chosen[T] | None:
        """The first errand that a free worker is to load something for. Of several that need the same, one or all wait
        for the busy workers that have it."""
        waits: set[tuple[object, ...]] = set()
        never: set[tuple[object, ...]] = set()
        for entry in window:
            if entry.kind in never:
                continue
            since = -math.inf if entry.kind in waits else now if entry.asked is None else entry.asked
            choice = self.fleet.choose(entry.needs, now, since)
            if isinstance(choice, Go):
                return entry, choice
            if entry.kind in waits or self._all_wait(entry, choice, now):
                never.add(entry.kind)
            waits.add(entry.kind)
            if entry.asked is None:
                entry.asked = now
            self.until = min(self.until, choice.until)
        return None

    def _all_wait(self, entry: _Entry[T], choice: Wait, now: float) -> bool:
        """Whether all errands that need the same as this one, which waits, are served sooner by waiting than by another
        loaded worker: the last of `n` waits about `n` times as long as the first."""
        if choice.worker is None:
            return True  # no free worker could take it
        last = self._kinds[entry.kind] * (choice.until - now)
        return last * self.fleet.loading <= sum(entry.needs.recipes.values())

    def _window(self) -> Iterator[_Entry[T]]:
        """The errands in the order of turns, but of each user's that need the same only the first two."""
        for priority in sorted(self._users, reverse=True):
            rows = [iter(_firsts(mine)) for mine in islice(self._users[priority].values(), self.look)]
            while rows:
                left: list[Iterator[_Entry[T]]] = []
                for row in rows:
                    entry = next(row, None)
                    if entry is not None:
                        yield entry
                        left.append(row)
                rows = left

    def _leave(self, entry: _Entry[T]) -> None:
        """An errand goes: that was its user's turn."""
        self._users[entry.priority].move_to_end(entry.user)
        self._last = (entry.priority, entry.user)
        self.remove(entry.ticket)


def _firsts(mine: _Mine[T]) -> list[_Entry[T]]:
    """Of each kind of errands the first two, in their order. One may wait for a busy worker, and the next may not."""
    found = [entry for errands in mine.values() for entry in islice(errands.values(), 2)]
    return found if len(mine) == 1 else sorted(found, key=lambda entry: entry.ticket)

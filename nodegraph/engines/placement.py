"""Which worker takes what: a pure choice from what is known of the workers. Nothing here runs or looks at a clock.

A worker does one thing at a time and keeps recipes (models) in its memory. For an errand the choice is, in this order:

1. a free worker that holds all its recipes, the one used last, so that the others grow old and may be used for more;
2. a busy one that holds them, if waiting for it is cheaper than loading elsewhere, and no longer than `patience`;
3. a free one that holds the largest of the recipes, or the next largest, again the one used last;
4. a free one with room for it all, the least room first, so that large rooms stay for large models;
5. the free one that was used least recently: what it holds gives way.

No choice looks at all workers: free ones are found by recipe, by room and by age, busy ones by when they will be free.
So a choice takes microseconds with a thousand workers as with two.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from nodegraph.errors import Problem, ProblemError

ANY: Final = 1 << 62  # bytes: the room of a worker that has no bound
PATIENCE: Final = 60.0  # seconds that an errand waits for a worker that holds its recipes
LATE: Final = 0.1  # seconds that something is late at the least, once it is
LOADING: Final = float(1 << 30)  # bytes a second


class Unsatisfiable(ProblemError):
    """No worker could ever take the errand, busy or not."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it says hello. vram: bytes for recipes and work; None: no bound, as in a computer's main memory."""

    id: str
    device: str = "cpu"
    vram: int | None = None

    @property
    def kind(self) -> str:
        """The kind of its device: `cuda` of `cuda:1`."""
        return self.device.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Needs:
    """What an errand needs. recipes: name → bytes, of the models that it works with; vram: bytes beside those; kind: of
    the device, "" for any."""

    recipes: Mapping[str, int] = field(default_factory=dict[str, int])
    vram: int = 0
    kind: str = ""

    @property
    def total(self) -> int:
        """Bytes, recipes included."""
        return self.vram + sum(self.recipes.values())


@dataclass(frozen=True, slots=True)
class Go:
    """Give it to this worker now, which loads and lets go of these recipes for it."""

    worker: str
    loads: tuple[str, ...] = ()
    evicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done now: ask again as soon as a worker is free, and at `until` at the latest. worker: the one
    that is worth waiting for, if it is a particular one."""

    worker: str | None = None
    until: float = math.inf


class _Age(NamedTuple):
    """A free worker in the index of rooms."""

    room: int
    turn: int
    id: str


@dataclass(slots=True)
class _Lane:
    """What is known of a worker. held: recipe → bytes, the one used least recently first; turn: rises with each use, of
    all workers; until: when it is expected to be free."""

    worker: Worker
    total: int
    held: dict[str, int] = field(default_factory=dict[str, int])
    used: int = 0
    turn: int = 0
    free: bool = False
    away: bool = False
    until: float = math.inf

    @property
    def room(self) -> int:
        """Bytes that nothing is in."""
        return self.total - self.used

    def lacks(self, needs: Needs) -> int:
        """The bytes it would have to load."""
        return sum(size for name, size in needs.recipes.items() if name not in self.held)

    def could(self, needs: Needs, total: int) -> bool:
        """Whether it could take it, were it free and empty."""
        return total <= self.total and needs.kind in ("", self.worker.kind)


class Fleet:
    """The workers, what they hold and which are free.

    patience: seconds that an errand waits for a busy worker with its recipes. loading: bytes a second, from disk to
    device; what loading costs is weighed against waiting by it.
    """

    def __init__(self, workers: Sequence[Worker] = (), *, patience: float = PATIENCE, loading: float = LOADING) -> None:
        self.patience, self.loading = patience, loading
        self._lanes: dict[str, _Lane] = {}
        self._turn = 0
        self._totals: dict[str, Counter[int]] = {}  # kind → how many workers have so many bytes, free or not
        self._rooms: dict[str, list[_Age]] = {}  # kind → free workers, the least room first
        self._ages: dict[str, dict[int, dict[str, None]]] = {}  # kind → bytes → free workers, the oldest use first
        self._holders: dict[str, dict[str, None]] = {}  # recipe → free workers that hold it, the oldest use first
        # (kind, recipe) → busy holders, the one free next first: a heap, with entries that no longer hold
        self._due: dict[tuple[str, str], list[tuple[float, int, str]]] = {}
        for worker in workers:
            self.add(worker)

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def idle(self) -> int:
        """How many workers are free."""
        return sum(map(len, self._rooms.values()))

    # --- what becomes of workers

    def add(self, worker: Worker, held: Mapping[str, int] | None = None) -> None:
        """A worker has come; it is free. One of that name gives way to it."""
        self.remove(worker.id)
        lane = _Lane(worker, ANY if worker.vram is None else worker.vram)
        self._lanes[worker.id] = lane
        self._totals.setdefault(worker.kind, Counter())[lane.total] += 1
        self._hold(lane, held or {})
        self._file(lane)

    def remove(self, id_: str) -> None:
        """A worker has gone for good."""
        lane = self._lanes.pop(id_, None)
        if lane is None:
            return
        self._unfile(lane)
        counts = self._totals[lane.worker.kind]
        counts[lane.total] -= 1
        if not counts[lane.total]:
            del counts[lane.total]

    def lose(self, id_: str) -> None:
        """A worker has died and is to come back: it takes nothing until then, and will hold nothing."""
        lane = self._lanes[id_]
        self._unfile(lane)
        lane.away = True
        self._hold(lane, {})

    def take(self, go: Go, needs: Needs, until: float = math.inf) -> None:
        """A worker begins what it was chosen for. until: when it is expected to be done."""
        lane = self._lanes[go.worker]
        self._unfile(lane)
        held = {name: size for name, size in lane.held.items() if name not in go.evicts and name not in needs.recipes}
        self._hold(lane, held | {name: lane.held.get(name, size) for name, size in needs.recipes.items()})
        lane.until = until
        for name in lane.held:
            self._expect(name, lane)

    def release(self, id_: str, held: Mapping[str, int] | None = None) -> None:
        """A worker is free: it is done, or back. held: what it says that it holds, the oldest use first; None: what was
        thought of it."""
        lane = self._lanes[id_]
        self._unfile(lane)
        if held is not None:
            self._hold(lane, held)
        self._file(lane)

    def held(self, id_: str) -> Mapping[str, int]:
        """What a worker holds: recipe → bytes, the oldest use first."""
        return dict(self._lanes[id_].held)

    # --- the choice

    def choose(self, needs: Needs, now: float = 0.0, since: float | None = None) -> Go | Wait:
        """Who is to take an errand. since: when it was first asked for, if it has waited already.

        Raises Unsatisfiable.
        """
        self.check(needs)
        total = needs.total
        order = sorted(needs.recipes, key=lambda name: (-needs.recipes[name], name))
        lane = self._holding_all(needs, total, order)
        if lane is not None:
            return Go(lane.worker.id)
        lane = self._holding_some(needs, total, order) or self._with_room(needs, total) or self._oldest(needs, total)
        cost = math.inf if lane is None else lane.lacks(needs) / self.loading
        wait = self._worth_waiting(needs, total, order, cost, now)
        if lane is None:
            return wait or Wait()
        if wait is not None and wait.until <= (now if since is None else since) + self.patience:
            return wait
        return Go(lane.worker.id, tuple([name for name in order if name not in lane.held]), _evicted(lane, needs))

    def check(self, needs: Needs) -> None:
        """Raise Unsatisfiable if no worker could ever take it, busy or not."""
        total = needs.total
        if not any(max(self._totals[kind], default=-1) >= total for kind in self._kinds(needs)):
            raise Unsatisfiable(unsatisfiable(needs, total, [lane.worker for lane in self._lanes.values()]))

    def is_ready(self, needs: Needs) -> bool:
        """Whether a free worker holds all its recipes, or it needs none."""
        if not needs.recipes:
            return self.idle > 0
        return self._holding_all(needs, needs.total, tuple(needs.recipes)) is not None

    def _kinds(self, needs: Needs) -> Sequence[str]:
        if needs.kind:
            return (needs.kind,) if needs.kind in self._totals else ()
        return tuple(self._totals)

    def _holding(self, name: str) -> Iterator[_Lane]:
        """Free workers that hold a recipe, the last used first."""
        for id_ in reversed(self._holders.get(name, {})):
            yield self._lanes[id_]

    def _holding_all(self, needs: Needs, total: int, order: Sequence[str]) -> _Lane | None:
        if not order:
            return None
        rarest = min(order, key=lambda name: len(self._holders.get(name, ())))
        for lane in self._holding(rarest):
            if lane.could(needs, total) and all(name in lane.held for name in order):
                return lane
        return None

    def _holding_some(self, needs: Needs, total: int, order: Sequence[str]) -> _Lane | None:
        for name in order:
            for lane in self._holding(name):
                if lane.could(needs, total):
                    return lane
        return None

    def _with_room(self, needs: Needs, total: int) -> _Lane | None:
        found: list[_Age] = []
        for kind in self._kinds(needs):
            rooms = self._rooms.get(kind, ())
            at = bisect_left(rooms, (total,))
            if at < len(rooms):
                found.append(rooms[at])
        return self._lanes[min(found).id] if found else None

    def _oldest(self, needs: Needs, total: int) -> _Lane | None:
        oldest: _Lane | None = None
        for kind in self._kinds(needs):
            for size, ids in self._ages.get(kind, {}).items():
                lane = self._lanes[next(iter(ids))] if size >= total else None
                if lane is not None and (oldest is None or lane.turn < oldest.turn):
                    oldest = lane
        return oldest

    def _worth_waiting(self, needs: Needs, total: int, order: Sequence[str], cost: float, now: float) -> Wait | None:
        """The busy worker that will be ready earliest, if that is earlier than after `cost` seconds of loading."""
        best = (math.inf, math.inf, "")
        for kind in self._kinds(needs):
            for name in order:
                lane = self._next_due(kind, name)
                if lane is not None and lane.could(needs, total):
                    until = expected(lane.until, now)
                    best = min(best, (until - now + lane.lacks(needs) / self.loading, until, lane.worker.id))
        return Wait(best[2], best[1]) if best[0] < cost else None

    # --- the indices

    def _hold(self, lane: _Lane, held: Mapping[str, int]) -> None:
        lane.held = dict(held)
        lane.used = sum(lane.held.values())

    def _file(self, lane: _Lane) -> None:
        """A worker is free."""
        self._turn += 1
        lane.turn, lane.free, lane.away = self._turn, True, False
        kind, id_ = lane.worker.kind, lane.worker.id
        insort(self._rooms.setdefault(kind, []), _Age(lane.room, lane.turn, id_))
        self._ages.setdefault(kind, {}).setdefault(lane.total, {})[id_] = None
        for name in lane.held:
            self._holders.setdefault(name, {})[id_] = None

    def _unfile(self, lane: _Lane) -> None:
        """A worker is free no longer."""
        self._turn += 1
        turn, lane.turn = lane.turn, self._turn  # what `_due` says of it is old from now on
        if not lane.free:
            return
        lane.free = False
        kind, id_ = lane.worker.kind, lane.worker.id
        rooms = self._rooms[kind]
        del rooms[bisect_left(rooms, _Age(lane.room, turn, id_))]
        ages = self._ages[kind]
        del ages[lane.total][id_]
        if not ages[lane.total]:
            del ages[lane.total]
        for name in lane.held:
            holders = self._holders[name]
            del holders[id_]
            if not holders:
                del self._holders[name]

    def _expect(self, name: str, lane: _Lane) -> None:
        """A busy worker holds a recipe."""
        due = self._due.setdefault((lane.worker.kind, name), [])
        if len(due) > 2 * len(self._lanes) + 8:
            due[:] = [each for each in due if self._is_due(each, name)]
            heapq.heapify(due)
        heapq.heappush(due, (lane.until, lane.turn, lane.worker.id))

    def _is_due(self, entry: tuple[float, int, str], name: str) -> bool:
        lane = self._lanes.get(entry[2])
        return lane is not None and lane.turn == entry[1] and not lane.free and not lane.away and name in lane.held

    def _next_due(self, kind: str, name: str) -> _Lane | None:
        """The busy holder of a recipe that will be free first."""
        due = self._due.get((kind, name))
        while due and not self._is_due(due[0], name):
            heapq.heappop(due)
        if not due:
            self._due.pop((kind, name), None)
            return None
        return self._lanes[due[0][2]]


def expected(until: float, now: float) -> float:
    """When something is to be expected that was due at `until`: what is late by a while is late by as much again."""
    return until if until > now else now + max(now - until, LATE)


def _evicted(lane: _Lane, needs: Needs) -> tuple[str, ...]:
    """What gives way: the oldest uses first, until there is room."""
    short = lane.lacks(needs) + needs.vram - lane.room
    gone: list[str] = []
    for name, size in lane.held.items():
        if short <= 0:
            break
        if name not in needs.recipes:
            gone.append(name)
            short -= size
    return tuple(gone)


def unsatisfiable(needs: Needs, total: int, workers: Sequence[Worker]) -> Problem:
    """Why no worker could ever take an errand."""
    fitting = [each for each in workers if needs.kind in ("", each.kind)]
    if not fitting:
        there = ", ".join(sorted({each.kind for each in workers})) or "no worker at all"
        message = f"no worker has a device of the kind '{needs.kind}'" if needs.kind else "there is no worker"
        return Problem("no_worker", message, got=there, expected=needs.kind or None, hint="add such a worker")
    most = max(ANY if each.vram is None else each.vram for each in fitting)
    message = f"no worker has the {_gib(total)} of memory that this needs: the largest has {_gib(most)}"
    hint = "use a smaller model or picture, or add a worker with more memory"
    return Problem("no_worker", message, got=_gib(most), expected=_gib(total), hint=hint)


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"

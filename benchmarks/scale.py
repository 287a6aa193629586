"""A thousand workers and a hundred thousand jobs, in virtual time: the real planner, turns and placement decide.

Each job is a real workflow, planned as a run plans it, and goes through the line of waiting errands to a simulated
worker, which holds models in its memory, loads what it lacks and lets go of what it used least recently. Beside it, in
the same run and for the same jobs: first come, first served by whichever worker has been free longest; and the same
without any loading, which is the least that any way of sharing the workers in order of arrival could have them wait.
"""

from __future__ import annotations

import heapq
import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite

from benchmarks.scale_plans import GIB, Planner, Task, arrivals, percentile
from benchmarks.table import print_table
from nodegraph.engines.line import Line, Next
from nodegraph.engines.placement import Fleet, Worker

#: Workers, jobs, and the share of the workers' time that computing would take if it came evenly.
SIZES = ((10, 1_000, 0.8), (100, 10_000, 0.8), (100, 10_000, 1.6), (1_000, 100_000, 0.8))
LOADING = GIB  # bytes a second, from disk to device
LARGE_EVERY = 4  # every fourth worker has 80 GiB, the others 24


@dataclass(slots=True)
class Outcome:
    """How a simulation went. waits: seconds from asking until computing began, by kind of user; driver: seconds of
    processor time that the choices took."""

    computing: float = 0.0
    loading: float = 0.0
    loads: int = 0
    ended: float = 0.0
    driver: float = 0.0
    waits: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def note(self, task: Task, now: float, loading: float, loads: int) -> float:
        """A task begins; returns when it ends."""
        end = now + loading + task.seconds
        self.computing += task.seconds
        self.loading += loading
        self.loads += loads
        self.ended = max(self.ended, end)
        self.waits.setdefault(task.user.partition("-")[0], []).append(now + loading - task.at)
        return end

    def all_waits(self) -> list[float]:
        return [wait for waits in self.waits.values() for wait in waits]


def workers_of(count: int) -> list[Worker]:
    """Workers of two sizes."""
    return [Worker(f"w{i}", "cuda:0", (24 if i % LARGE_EVERY else 80) * GIB) for i in range(count)]


def by_placement(tasks: Sequence[Task], workers: Sequence[Worker]) -> Outcome:
    """What nodegraph does."""
    fleet = Fleet(workers, loading=LOADING)
    line: Line[Task] = Line(fleet)
    outcome, busy, coming, again = Outcome(), list[tuple[float, str]](), deque(tasks), inf

    def begin(now: float, found: Next[Task]) -> None:
        loading = sum(found.needs.recipes[name] for name in found.go.loads) / LOADING
        end = outcome.note(found.item, now, loading, len(found.go.loads))
        fleet.take(found.go, found.needs, end)
        heapq.heappush(busy, (end, found.go.worker))

    while coming or busy or len(line):
        now = min(coming[0].at if coming else inf, busy[0][0] if busy else inf, again)
        began = time.process_time()
        while coming and coming[0].at <= now:
            task = coming.popleft()
            line.add(task, task.needs, user=task.user, now=now)
        while busy and busy[0][0] <= now:
            fleet.release(heapq.heappop(busy)[1])
        while (found := line.next(now)) is not None:
            begin(now, found)
        again = max(line.until, now)
        outcome.driver += time.process_time() - began
    return outcome


def first_come(tasks: Sequence[Task], workers: Sequence[Worker], loading: float = LOADING) -> Outcome:
    """The oldest job that fits goes to the worker that has been free longest, which keeps what it has room for."""
    outcome, busy, coming = Outcome(), list[tuple[float, str]](), deque(tasks)
    size = {each.id: each.vram or 0 for each in workers}
    free = {vram: deque(each.id for each in workers if each.vram == vram) for vram in set(size.values())}
    since = dict.fromkeys(size, 0.0)
    held: dict[str, OrderedDict[str, int]] = {id_: OrderedDict() for id_ in size}
    waiting = {vram: deque[Task]() for vram in free}  # by the least memory of a worker that can take it

    def load(worker: str, task: Task) -> tuple[float, int]:
        mine, lacking = held[worker], [name for name in task.needs.recipes if name not in held[worker]]
        for name, bytes_ in task.needs.recipes.items():
            mine[name] = bytes_
            mine.move_to_end(name)
        while sum(mine.values()) + task.needs.vram > size[worker]:
            mine.popitem(last=False)
        return sum(task.needs.recipes[name] for name in lacking) / loading, len(lacking) if isfinite(loading) else 0

    def pick() -> tuple[str, Task] | None:
        queues = sorted((queue[0].at, least) for least, queue in waiting.items() if queue)
        for _, least in queues:
            fitting = [vram for vram in free if vram >= least and free[vram]]
            if fitting:
                vram = min(fitting, key=lambda vram: since[free[vram][0]])
                return free[vram].popleft(), waiting[least].popleft()
        return None

    while coming or busy:
        now = min(coming[0].at if coming else inf, busy[0][0] if busy else inf)
        while coming and coming[0].at <= now:
            task = coming.popleft()
            waiting[min(vram for vram in free if vram >= task.needs.total)].append(task)
        while busy and busy[0][0] <= now:
            end, worker = heapq.heappop(busy)
            since[worker] = end
            free[size[worker]].append(worker)
        while (picked := pick()) is not None:
            worker, task = picked
            heapq.heappush(busy, (outcome.note(task, now, *load(worker, task)), worker))
    return outcome


WAYS: dict[str, Callable[[Sequence[Task], Sequence[Worker]], Outcome]] = {
    "turns and placement": by_placement,
    "first come, first served": first_come,
    "the same without loading": lambda tasks, workers: first_come(tasks, workers, inf),
}


def simulate(workers: int, jobs: int, load: float) -> tuple[dict[str, Outcome], dict[str, float]]:
    """Plan the jobs, and have them done in each way; also what a job costs the driver, in seconds of processor time."""
    chance = random.Random(7)
    planner = Planner()
    asked = arrivals(planner, jobs, workers, load, chance)
    planner.nodes = 0
    began = time.process_time()
    tasks = [planner.plan(each) for each in asked]
    planning = time.process_time() - began
    fleet = workers_of(workers)
    outcomes = {name: way(tasks, fleet) for name, way in WAYS.items()}
    for name, outcome in outcomes.items():
        assert len(outcome.all_waits()) == jobs, name
        assert abs(outcome.computing - sum(task.seconds for task in tasks)) < 1e-3 * outcome.computing, name
    costs = {"planning": planning / jobs, "choosing": outcomes["turns and placement"].driver / jobs}
    return outcomes, costs | {"nodes": planner.nodes / jobs}


def row(name: str, outcome: Outcome, workers: int) -> list[object]:
    """A way's figures."""
    whole = workers * outcome.ended / 100
    waits, few = outcome.all_waits(), outcome.waits.get("few", [])
    figures: list[object] = [
        f"{outcome.computing / whole:.0f} %",
        f"{outcome.loading / whole:.0f} %",
        f"{outcome.loads:,}",
    ]
    figures += [f"{percentile(waits, 0.5):.1f} s", f"{percentile(waits, 0.99):.1f} s"]
    figures += [f"{percentile(few, 0.5):.1f} s", f"{percentile(few, 0.99):.1f} s", f"{outcome.ended:,.0f} s"]
    return [name, *figures]


def main(*, small: bool = False) -> None:
    """Print how the workers were used and how long jobs waited, and what a job costs the driver."""
    sizes = ((10, 300, 0.8),) if small else SIZES
    head = ["", "computing", "loading", "models loaded", "wait p50", "p99", "the many p50", "p99", "all done"]
    driver: list[list[object]] = []
    for workers, jobs, load in sizes:
        outcomes, costs = simulate(workers, jobs, load)
        rows = [row(name, outcome, workers) for name, outcome in outcomes.items()]
        print_table(f"{workers:,} workers, {jobs:,} jobs, work for {load:.0%} of the time", head, rows)
        total = costs["planning"] + costs["choosing"]
        each = [f"{costs[name] * 1e6:.0f} µs" for name in ("planning", "choosing")]
        driver.append([f"{workers:,} workers, {load:.0%}", f"{costs['nodes']:.1f}", *each, f"{1 / total:,.0f}"])
    note = "Processor time of one core. A wait ends when computing begins; 'the many' ask for one thing at a time."
    print_table("the driver, for each job", ["", "nodes", "planning", "choosing", "jobs a second"], driver, note)

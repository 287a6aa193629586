"""The executor: a plan in, events and results out.

Demand-driven: what the store knows is not run, and values are fetched only for nodes that do run. No step recurses, so
depth does not matter. Light nodes run on the event loop one after the other; heavy ones go to the engine; `async`
ones overlap. A node whose inputs turn out to be known after all (an upstream node ran to the same bytes) is not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.keys import action_key
from nodegraph.cache.records import Record, ResultStore, Tally
from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.engines.local import Engine
from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.events import Listener
from nodegraph.execution.forecast import DONE, FAILED, HIT, SKIPPED, TODO, Forecast, forecast, usable_files
from nodegraph.execution.keeping import Keeper
from nodegraph.execution.outcome import check_arrivals, problem_of, traceback_of
from nodegraph.execution.plan import Plan
from nodegraph.execution.result import RunResult, Trace
from nodegraph.execution.work import Worked, context_of, work, work_async
from nodegraph.files import FileDigests

YIELD_SECONDS = 0.005  # how long light nodes may hold the event loop
YIELD_EVERY = 64  # nodes between two looks at the clock
POLL_SECONDS = 0.1  # between two looks at what another process works on


async def execute(
    plan: Plan,
    *,
    store: ResultStore,
    engine: Engine,
    context: Context | None = None,
    on_event: Listener | None = None,
    token: CancelToken | None = None,
    want: Collection[int] = (),
    files: FileDigests | None = None,
    notices: deque[str] | None = None,
    checkpoints: Checkpoints | None = None,
) -> RunResult:
    """Run a plan. `want` names nodes whose values the result is to hold; `files` digests files, as for the plan;
    `notices` are passed on as warnings, also those that arrive while nodes run; `checkpoints` are where long nodes note
    how far they got.

    Never raises for a node's failure: the result says what failed, and everything that does not depend on it has run.
    """
    run = _Run(plan, store, engine, context or Context(), on_event, token or CancelToken(), frozenset(want))
    run.files, run.notices = files or FileDigests(), notices if notices is not None else deque()
    run.checkpoints = checkpoints
    return await run.go()


class _Run:
    """The state of one run, by node number."""

    def __init__(
        self,
        plan: Plan,
        store: ResultStore,
        engine: Engine,
        context: Context,
        on_event: Listener | None,
        token: CancelToken,
        want: frozenset[int],
    ) -> None:
        size = len(plan.graph.nodes)
        self.plan, self.store, self.engine, self.token, self.want = plan, store, engine, token, want
        self.context, self.on_event = context, on_event
        self.files, self.notices = FileDigests(), deque[str]()
        self.checkpoints: Checkpoints | None = None
        self.forecast = Forecast.empty(size)
        self.state, self.keys, self.records = self.forecast.state, self.forecast.keys, self.forecast.records
        self.keeper = Keeper(plan, store, self.files, self.keys, self.records)
        self.values: list[tuple[object, ...] | None] = [None] * size
        self.waiting = [0] * size
        self.uses = [0] * size
        self.dependants: dict[int, list[int]] = {}
        self.blame: dict[int, int] = {}
        self.ready: deque[int] = deque()
        self.finished: deque[tuple[int, asyncio.Task[Worked] | Future[Worked]]] = deque()
        self.running: dict[int, asyncio.Task[Worked] | Future[Worked]] = {}
        self.in_flight: dict[bytes, list[int]] = {}  # action key → nodes waiting for that very result
        self.elsewhere: dict[int, asyncio.TimerHandle] = {}  # nodes whose action another process works on
        self.claimed: set[bytes] = set()
        self.problems: list[Problem] = []
        self.counts: dict[int, list[str]] = {HIT: [], DONE: [], FAILED: [], SKIPPED: []}
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.wake = asyncio.Event()
        self.stopping = False

    # --- the run as a whole

    async def go(self) -> RunResult:
        began = time.perf_counter()
        unsubscribe = self.token.subscribe(lambda: self._call_soon(self.wake.set))
        try:
            self._look_ahead()
            self._restore_files()
            self._fetch_needed()
            self.foretold = bytes(self.state)
            self.store.begin([key for i in self.plan.order if self.state[i] == HIT and (key := self.keys[i])])
            self._announce()
            self._count_waiting()
            await self._drain()
        finally:
            unsubscribe()
            if self.running:  # this coroutine itself was cancelled, or a listener raised
                self.token.cancel()
                self._stop_running()
            for key in tuple(self.claimed):
                self._unclaim(key)
            self.store.end(self._tallies())
        return self._result(time.perf_counter() - began)

    def _result(self, seconds: float) -> RunResult:
        self._pass_on_notices()
        nodes, counts = self.plan.graph.nodes, self.counts
        cancelled = self.token.cancelled and (counts[SKIPPED] or not counts[DONE] + counts[HIT])
        status = "cancelled" if cancelled else "failed" if self.problems else "done"
        self._emit(
            events.RunFinished(
                status,
                seconds,
                len(counts[DONE]),
                len(counts[HIT]),
                len(counts[FAILED]),
                len(counts[SKIPPED]),
            )
        )
        values = {nodes[i].id: values for i in self.want if (values := self.values[i]) is not None}
        saved = {
            nodes[i].id: record.saved
            for i in self.plan.order
            if (record := self.records[i]) is not None and record.saved is not None
        }
        return RunResult(
            status,
            values,
            saved,
            tuple(self.problems),
            tuple(counts[DONE]),
            tuple(counts[HIT]),
            tuple(counts[SKIPPED]),
            seconds,
            {
                name: values[nodes[link.node].id][link.output]
                for name, link in self.plan.graph.outputs.items()
                if nodes[link.node].id in values
            },
            Trace(
                self.plan,
                self.foretold,
                bytes(self.state),
                self.keys,
                self.records,
                self.forecast.lost,
                frozenset(self.plan.graph.index[name] for name in counts[HIT]),
                self.keeper.sizes,
            ),
        )

    def _tallies(self) -> dict[str, Tally]:
        """What this run says of each node type."""
        counted: dict[str, list[float]] = {}
        nodes, hits, runs = self.plan.graph.nodes, set(self.counts[HIT]), set(self.counts[DONE])
        for i in self.plan.order:
            node, record = nodes[i], self.records[i]
            if record is not None and (node.id in hits or node.id in runs):
                tally = counted.setdefault(node.spec.name, [0, 0, 0.0])
                tally[node.id not in hits] += 1
                tally[2] += record.seconds if node.id in hits else 0.0
        return {name: Tally(int(hits), int(runs), saved) for name, (hits, runs, saved) in counted.items()}

    # --- before anything runs

    def _look_ahead(self) -> None:
        found = forecast(self.plan, self.store, roots=self.context.roots, files=self.files, want=self.want)
        self.forecast, self.state, self.keys, self.records = found, found.state, found.keys, found.records
        self.keeper = Keeper(self.plan, self.store, self.files, self.keys, self.records)

    def _restore_files(self) -> None:
        """Write files again that were saved once and are gone; a node whose files cannot be had so runs again."""
        for i in self.plan.order:
            record = self.records[i]
            if self.state[i] == HIT and record is not None and record.saved is not None and not self._restore(record):
                self.state[i] = TODO
                self.forecast.lost[i] = "output"

    def _restore(self, record: Record) -> bool:
        assert record.saved is not None
        for file in record.saved.files:
            path = Path(file.path)
            if not path.exists() and not self.store.restore(file, path) and not path.is_file():
                return False
        return True

    def _fetch_needed(self) -> None:
        """Fetch the known values that nodes to run will need; what proves to be gone is made again."""
        nodes, state, values = self.plan.graph.nodes, self.state, self.values
        stack = [i for i in self.plan.order if state[i] == TODO]
        stack += [i for i in self.want if state[i] == HIT and not self._fetch(i)]
        while stack:
            for link in nodes[stack.pop()].links.values():
                source = link.node
                if state[source] == HIT and values[source] is None and not self._fetch(source):
                    stack.append(source)

    def _fetch(self, i: int) -> bool:
        key = self.keys[i]
        values = self.store.values(key) if key is not None else None
        self.values[i] = values
        if values is None:
            self.state[i] = TODO
            self.forecast.lost.setdefault(i, "missing")
            return False
        return True

    def _announce(self) -> None:
        hits = [i for i in self.plan.order if self.state[i] == HIT]
        self._emit(events.Planned(len(self.plan.order), len(hits)))
        self._pass_on_notices()
        for i in hits:
            self._cached(i)

    def _cached(self, i: int) -> None:
        node, record = self.plan.graph.nodes[i], self.records[i]
        self.counts[HIT].append(node.id)
        if self.on_event is not None:
            self.on_event(events.Cached(node.id, node.spec.name, record.saved if record else None))

    def _count_waiting(self) -> None:
        for i in self.want:
            self.uses[i] += 1
        state, uses, sources, dependants = self.state, self.uses, self.plan.sources, self.dependants
        for i in self.plan.order:
            if state[i] != TODO:
                continue
            waiting = 0
            for _, source, _ in sources[i]:
                uses[source] += 1
                if state[source] == TODO:
                    waiting += 1
                    dependants.setdefault(source, []).append(i)
            self.waiting[i] = waiting
            if waiting == 0:
                self.ready.append(i)

    # --- while nodes run

    async def _drain(self) -> None:
        turns, until = 0, time.perf_counter() + YIELD_SECONDS
        while True:
            while self.ready and not self.token.cancelled:
                self._visit(self.ready.popleft())
                turns += 1
                if turns % YIELD_EVERY == 0 and time.perf_counter() > until:
                    await asyncio.sleep(0)
                    self._settle_finished()
                    until = time.perf_counter() + YIELD_SECONDS
            if self.token.cancelled:
                self._stop_running()
            if not self.running and not self.finished and not self.elsewhere:
                break
            await self.wake.wait()
            self.wake.clear()
            self._settle_finished()
            until = time.perf_counter() + YIELD_SECONDS
        for i in self.plan.order:
            if self.state[i] == TODO:
                self._skip(i, None)

    def _stop_running(self) -> None:
        """Cancel async nodes and work that has not begun; heavy nodes notice at their next step."""
        if not self.stopping:
            self.stopping = True
            for timer in self.elsewhere.values():
                timer.cancel()
            self.elsewhere.clear()
            for task in tuple(self.running.values()):
                task.cancel()

    def _settle_finished(self) -> None:
        self._pass_on_notices()
        while self.finished:
            i, done = self.finished.popleft()
            self.running.pop(i, None)
            self._settle(i, done)

    def _visit(self, i: int) -> None:
        """A node whose sources are settled: skip it, find it known after all, or run it."""
        node = self.plan.graph.nodes[i]
        bad = None
        if self.problems:
            state, links = self.state, node.links.values()
            bad = next((link.node for link in links if state[link.node] in (FAILED, SKIPPED)), None)
        if bad is not None:
            self._skip(i, self.blame.get(bad, bad))
        elif not self._joined(i) and not self._known_after_all(i) and self._claim(i):
            self._start(i)

    def _joined(self, i: int) -> bool:
        """Whether the same action is running already; then this node waits for its result."""
        key = self._key_of(i)
        if key is None or key not in self.in_flight:
            return False
        self.in_flight[key].append(i)
        return True

    def _claim(self, i: int) -> bool:
        """Whether this process is to do the work; if another one is at it, look again soon."""
        key = self.keys[i]
        shared = not (self.plan.graph.nodes[i].spec.light or i in self.plan.fresh or i in self.plan.in_memory)
        if key is None or not shared:
            return True
        if self.store.claim(key):
            self.claimed.add(key)
            if not self._known_after_all(i):
                return True
            self._unclaim(key)  # the other one has just finished
        else:
            self.elsewhere[i] = self.loop.call_later(POLL_SECONDS, self._look_again, i)
        return False

    def _look_again(self, i: int) -> None:
        if self.elsewhere.pop(i, None) is not None:
            self.ready.append(i)
            self.wake.set()

    def _unclaim(self, key: bytes) -> None:
        if key in self.claimed:
            self.claimed.discard(key)
            self.store.release(key)

    def _key_of(self, i: int) -> bytes | None:
        """The action key of a node whose sources have settled; None if its results are never reused."""
        key, prefix = self.keys[i], self.plan.prefixes[i]
        if key is None and prefix is not None:
            links: list[tuple[bytes, bytes]] = []
            for name, source, output in self.plan.sources[i]:
                known = self.records[source]
                assert known is not None
                links.append((name, known.digests[output]))
            self.keys[i] = key = action_key(prefix, links)
        return key

    def _known_after_all(self, i: int) -> bool:
        """Look a node up whose sources have settled; what was unknown before may be known by now."""
        key = self._key_of(i)
        if key is None:
            return False
        if i in self.plan.fresh or (record := self._reusable(key)) is None:
            return False
        values = self.store.values(key) if self.uses[i] else None
        if self.uses[i] and values is None:
            return False
        self._take(i, record, values)
        return True

    def _reusable(self, key: bytes) -> Record | None:
        """The record of an action whose saved files are there, or have just been written again."""
        record = self.store.record(key)
        if record is None or record.saved is None:
            return record
        saved = usable_files(record.saved, self.store, self.context.roots, self.files)
        record = replace(record, saved=saved)
        return record if saved is not None and self._restore(record) else None

    def _take(self, i: int, record: Record, values: tuple[object, ...] | None) -> None:
        """Let a node have a result that it need not make itself."""
        if self.uses[i]:
            self.values[i] = values
        self.records[i] = record
        self.state[i] = DONE
        self._cached(i)
        self._release(i)

    def _start(self, i: int) -> None:
        node = self.plan.graph.nodes[i]
        spec = node.spec
        arguments = dict(node.values)
        for name, link in node.links.items():
            values = self.values[link.node]
            assert values is not None
            arguments[name] = values[link.output]
        if self.on_event is not None:
            self.on_event(events.Started(node.id, spec.name))
        if node.links and (spec.bounded_inputs or spec.float_inputs):
            try:
                check_arrivals(node, arguments, self.context.roots)
            except Exception as error:
                self._fail(i, error)
                return
        if spec.context_name is not None:
            arguments[spec.context_name] = context_of(
                self.context, node.id, self.token, self._tell, self._checkpoints_for(i), self.keys[i]
            )
        key, keep = self.keys[i], partial(self.keeper.keep, i)
        if key is not None and not spec.light:
            self.in_flight[key] = []
        if spec.is_async:
            task = self.loop.create_task(work_async(node, arguments, key, keep, self.context.pool))
            self.running[i] = task
            task.add_done_callback(partial(self._on_done, i))
        elif spec.light:
            try:
                worked = work(node, arguments, key, keep, self.context.pool)
            except (Exception, Cancelled) as error:
                self._fail(i, error)
            else:
                self._finish(i, worked)
        else:
            self.running[i] = future = self.engine.submit(partial(work, node, arguments, key, keep, self.context.pool))
            future.add_done_callback(lambda done: self._call_soon(self._on_done, i, done))

    def _checkpoints_for(self, i: int) -> Checkpoints | None:
        """None for a node that is not to go on from an interrupted run: it is light, or told to run anew."""
        spec = self.plan.graph.nodes[i].spec
        anew = i in self.plan.fresh or i in self.plan.in_memory
        return None if spec.light or spec.context_name is None or anew else self.checkpoints

    def _on_done(self, i: int, done: asyncio.Task[Worked] | Future[Worked]) -> None:
        self.finished.append((i, done))
        self.wake.set()

    def _settle(self, i: int, done: asyncio.Task[Worked] | Future[Worked]) -> None:
        try:
            worked = done.result()
        except BaseException as error:  # of a worker thread's work: whatever it is, only the node failed
            self._fail(i, error)
        else:
            self._finish(i, worked)

    def _finish(self, i: int, worked: Worked) -> None:
        node, record = self.plan.graph.nodes[i], worked.record
        self.records[i] = record
        if self.uses[i]:
            self.values[i] = worked.values
        key = self.keys[i]
        if key is not None:
            self._unclaim(key)
            if (checkpoints := self._checkpoints_for(i)) is not None:
                checkpoints.of(key).discard()
        self.state[i] = DONE
        self.counts[DONE].append(node.id)
        if self.on_event is not None:
            self.on_event(events.Finished(node.id, node.spec.name, record.seconds, record.saved))
        for same in self.in_flight.pop(key, ()) if key is not None and self.in_flight else ():
            self._take(same, record, worked.values)
        self._release(i)

    def _fail(self, i: int, error: BaseException) -> None:
        """Note the failure of a node, and of those that waited for the very same action."""
        if isinstance(error, Cancelled | asyncio.CancelledError) or type(error).__name__ == "CancelledError":
            if self.token.cancelled:
                self._skip(i, None)
                return
            error = RuntimeError("the node says that it was cancelled, but nobody cancelled the run")
        key = self.keys[i]
        same = self.in_flight.pop(key, ()) if key is not None else ()
        if key is not None:
            self._unclaim(key)
        for failed in (i, *same):
            node = self.plan.graph.nodes[failed]
            problem = problem_of(node, error)
            self.problems.append(problem)
            self.state[failed] = FAILED
            self.counts[FAILED].append(node.id)
            self._emit(events.Failed(node.id, node.spec.name, problem, traceback_of(error)))
            self._release(failed)

    def _skip(self, i: int, because: int | None) -> None:
        nodes = self.plan.graph.nodes
        self.state[i] = SKIPPED
        if because is not None:
            self.blame[i] = because
        self.counts[SKIPPED].append(nodes[i].id)
        culprit = nodes[because].id if because is not None else None
        self._emit(events.Skipped(nodes[i].id, nodes[i].spec.name, culprit))
        self._release(i)

    def _release(self, i: int) -> None:
        """Let go of the inputs that nobody else needs, and wake the nodes that waited for this one."""
        uses, waiting = self.uses, self.waiting
        for _, source, _ in self.plan.sources[i]:
            uses[source] -= 1
            if uses[source] == 0:
                self.values[source] = None
        for dependant in self.dependants.pop(i, ()):
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                self.ready.append(dependant)

    def _tell(self, event: events.Event) -> None:
        """Pass on what a node says while it runs, from whatever thread that is."""
        if self.on_event is None:
            return
        if threading.get_ident() == self.thread:  # a light or async node: before it can finish
            self.on_event(event)
        else:
            self._call_soon(self.on_event, event)

    def _call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have something done on the loop, from any thread; nothing if the loop was closed meanwhile."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *arguments)

    def _pass_on_notices(self) -> None:
        while self.notices:
            self._emit(events.Warned("", self.notices.popleft()))

    def _emit(self, event: events.Event) -> None:
        if self.on_event is not None:
            self.on_event(event)

"""The executor: a plan in, events and results out.

Demand-driven: what the store knows is not run, and values are fetched only for nodes that do run. No step recurses, so
depth does not matter. Light nodes run on the event loop one after the other; heavy ones go to the engine; `async`
ones overlap. A node whose inputs turn out to be known after all (an upstream node ran to the same bytes) is not run.

A graph may be another one than it seemed: nodes ask for lazy inputs, add nodes (`growth`), give several items or none
(`mapping`), or do not run at all (`when:`, see `stages`). All of it happens on the board, between two visits of a node.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from functools import partial

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.records import Record, ResultStore
from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.engines.contract import Engine
from nodegraph.engines.outcome import problem_of, traceback_of
from nodegraph.engines.work import Worked, work, work_async
from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.board import Board
from nodegraph.execution.events import Listener
from nodegraph.execution.forecast import Forecast, forecast
from nodegraph.execution.growth import Growth, stuck_in_circles
from nodegraph.execution.keeping import Keeper
from nodegraph.execution.ledger import Ledger
from nodegraph.execution.plan import Plan
from nodegraph.execution.result import RunResult
from nodegraph.execution.reuse import Reuse
from nodegraph.execution.sharing import Sharing
from nodegraph.execution.stages import asked_for, keep_asked
from nodegraph.execution.starting import Starter
from nodegraph.execution.states import DONE, FAILED, HIT, SKIPPED, TODO
from nodegraph.execution.summary import result_of, tallies
from nodegraph.execution.turns import turn_of
from nodegraph.files import FileDigests
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Blocked

YIELD_SECONDS = 0.005  # how long light nodes may hold the event loop
YIELD_EVERY = 64  # nodes between two looks at the clock


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
    registry: Registry | None = None,
) -> RunResult:
    """Run a plan. `want` names nodes whose values the result is to hold; `files` digests files, as for the plan;
    `notices` are passed on as warnings, also those that arrive while nodes run; `checkpoints` are where long nodes note
    how far they got; `registry` has the types of nodes that nodes may add.

    Never raises for a node's failure: the result says what failed, and everything that does not depend on it has run.
    """
    board = Board(plan)
    ledger = Ledger(board, on_event, notices if notices is not None else deque())
    run = _Run(board, ledger, store, engine, context or Context(), token or CancelToken(), frozenset(want))
    run.files, run.starter.checkpoints = files or FileDigests(), checkpoints
    run.growth.registry = registry or Registry()
    return await run.go()


class _Run:
    """One run: what the board says is done, and what comes of it goes back to the board."""

    def __init__(
        self,
        board: Board,
        ledger: Ledger,
        store: ResultStore,
        engine: Engine,
        context: Context,
        token: CancelToken,
        want: frozenset[int],
    ) -> None:
        self.board, self.ledger, self.plan = board, ledger, board.plan
        self.store, self.engine, self.context, self.token, self.want = store, engine, context, token, want
        self.files = FileDigests()
        self.starter = Starter(board, context, token, ledger.tell)
        self.forecast = Forecast.empty(0)
        self.growth = Growth(board, Registry(), context.roots)
        self.keeper = Keeper(board, store, self.files)
        self.reuse = Reuse(board, store, context.roots, self.files)
        self.finished: deque[tuple[int, asyncio.Task[Worked] | Future[Worked]]] = deque()
        self.running: dict[int, asyncio.Task[Worked] | Future[Worked]] = {}
        self.loop = asyncio.get_running_loop()
        self.sharing = Sharing(store, self.loop)
        self.wake = asyncio.Event()
        self.stopping = False
        self.asking: set[int] = set()  # nodes that have been called, and asked for more of their inputs

    # --- the run as a whole

    async def go(self) -> RunResult:
        began = time.perf_counter()
        unsubscribe = self.token.subscribe(lambda: self.ledger.call_soon(self.wake.set))
        try:
            self._look_ahead()
            self.reuse.restore_files(self.forecast)
            self.reuse.fetch_needed(self.forecast, self.want)
            board = self.board
            self.foretold = bytes(board.state)
            hits = [i for i in self.plan.order if board.state[i] == HIT]
            self.store.begin([key for i in hits if (key := board.keys[i])])
            self.ledger.begin(hits, len(self.forecast.idle))
            for i in self.want:
                board.uses[i] += 1
            if any(board.nodes[i].spec.expands for i in self.plan.order):
                for i in self.plan.order:  # nodes to come may ask for any of them
                    board.uses[i] += 1
            for i in self.plan.order:
                if board.state[i] == TODO:
                    board.count(i)
            await self._drain()
        finally:
            unsubscribe()
            if self.running:  # this coroutine itself was cancelled, or a listener raised
                self.token.cancel()
                self._stop_running()
            self.sharing.close()
            self.engine.forget(self.starter.unasked())
            self.store.end(tallies(self.board, self.ledger))
        return self._result(time.perf_counter() - began)

    def _result(self, seconds: float) -> RunResult:
        status = self.ledger.end(seconds, cancelled=self.token.cancelled)
        return result_of(
            self.board, self.ledger, status, seconds, self.want, self.forecast, self.foretold, self.keeper.sizes
        )

    # --- before anything runs

    def _look_ahead(self) -> None:
        roots = self.context.roots
        self.forecast = forecast(self.plan, self.store, roots=roots, files=self.files, want=self.want)
        self.board.foresee(self.forecast)
        self.keeper = Keeper(self.board, self.store, self.files)
        self.reuse = Reuse(self.board, self.store, roots, self.files)

    # --- while nodes run

    async def _drain(self) -> None:
        turns, until, ready = 0, time.perf_counter() + YIELD_SECONDS, self.board.ready
        while True:
            while ready and not self.token.cancelled:
                self._visit(ready.popleft())
                turns += 1
                if turns % YIELD_EVERY == 0 and time.perf_counter() > until:
                    await asyncio.sleep(0)
                    self._settle_finished()
                    until = time.perf_counter() + YIELD_SECONDS
            if self.token.cancelled:
                self._stop_running()
            if not self.running and not self.finished and not self.sharing.waits:
                if self.token.cancelled or not self._break_circles():
                    break
                continue
            await self.wake.wait()
            self.wake.clear()
            self._settle_finished()
            until = time.perf_counter() + YIELD_SECONDS
        for i in self.board.order():
            if self.board.state[i] == TODO:
                self.ledger.skip(i, None, "cancelled")

    def _break_circles(self) -> bool:
        """Fail the nodes that made others wait for each other, when nothing else is left to do."""
        if not self.board.parents:
            return False
        pending = [i for i in self.board.order() if self.board.state[i] == TODO]
        stuck = stuck_in_circles(self.board, self.growth, pending) if pending else []
        for i, problem in stuck:
            if self.board.state[i] == TODO:
                self._fail_with(i, problem)
        return bool(stuck)

    def _stop_running(self) -> None:
        """Cancel async nodes and work that has not begun; heavy nodes notice at their next step."""
        if not self.stopping:
            self.stopping = True
            self.sharing.stop()
            for task in tuple(self.running.values()):
                task.cancel()

    def _settle_finished(self) -> None:
        self.ledger.pass_on_notices()
        while self.finished:
            i, done = self.finished.popleft()
            self.running.pop(i, None)
            self._settle(i, done)

    def _visit(self, i: int) -> None:
        """A node whose sources are settled: skip it, find it known after all, or run it."""
        if self.board.unusual and not self._is_next(i):
            return
        if self.ledger.problems or self.ledger.blocked:
            state = self.board.state
            bad = next((s for _, s, _ in self.board.sources[i] if state[s] in (FAILED, SKIPPED)), None)
            if bad is not None:
                self.ledger.skip_after(i, bad)
                return
        joined = self.sharing.join(i, self.board.key_of(i))
        if not joined and not self._known_after_all(i) and self._claim(i):
            self._start(i)

    def _is_next(self, i: int) -> bool:
        """Whether a node's turn has come: it does not wait for nodes that it added, nor for its `when`."""
        board = self.board
        if i in self.growth.growing:
            self._collect(i)
            return False
        if board.state[i] != TODO:
            return False
        turn = turn_of(board, i)
        if turn.bad is not None:
            self.ledger.skip_after(i, turn.bad)
        elif turn.problem is not None:
            self._fail_with(i, turn.problem)
        elif turn.off:
            self.ledger.off(i)
        elif not turn.run:
            self._demand(turn.needs)
            board.count(i)
        return turn.run

    def _demand(self, numbers: Sequence[int]) -> None:
        """Have nodes settle whose values are needed now."""
        for i in self.board.demand(numbers, self.reuse.fetch):
            self.ledger.cached(i)

    def _claim(self, i: int) -> bool:
        """Whether this process is to do the work; if another one is at it, look again soon."""
        board = self.board
        key = board.keys[i]
        shared = not (board.nodes[i].spec.light or i in board.fresh or i in board.in_memory)
        if key is None or not shared:
            return True
        if self.sharing.seek(i, key, self._look_again):
            return False
        if not self.sharing.claim(key):
            self.sharing.wait(i, self._look_again)
            return False
        if not self._known_after_all(i):
            return True
        self.sharing.unclaim(key)  # the other one has just finished
        return False

    def _look_again(self, i: int) -> None:
        self.board.ready.append(i)
        self.wake.set()

    def _known_after_all(self, i: int) -> bool:
        """Look a node up whose sources have settled; what was unknown before may be known by now."""
        board = self.board
        key = board.key_of(i)
        if key is None or i in board.fresh or i in board.again:
            return False
        record = self.reuse.record(key)
        if record is None:
            names = asked_for(self.store, key) if self.board.unusual and board.nodes[i].spec.lazy_inputs else None
            return names is not None and self._ask(i, names)
        values = self.store.values(key) if board.uses[i] else None
        if board.uses[i] and values is None:
            return False
        self._take(i, record, values)
        return True

    def _ask(self, i: int, names: Sequence[str]) -> bool:
        """A node needs more of its inputs; whether it has to wait for them (or may be known, now that it has them)."""
        board = self.board
        new = board.ask(i, names)
        if not new:
            return False
        self._demand(new)
        board.waiting[i] = board.wait_for(i, new)
        if board.waiting[i] == 0:
            board.ready.append(i)
        return True

    def _take(self, i: int, record: Record, values: tuple[object, ...] | None) -> None:
        """Let a node have a result that it need not make itself."""
        board = self.board
        self.engine.forget(self.starter.unasked(i))
        if board.uses[i] and values is not None:
            board.have(i, values)
        board.records[i] = record
        board.state[i] = DONE
        self.ledger.cached(i)
        self.board.settle(i)

    # --- one node at work

    def _start(self, i: int) -> None:
        board, starter = self.board, self.starter
        node = board.nodes[i]
        spec = node.spec
        arguments = starter.arguments(i)
        if isinstance(arguments, Blocked):
            if (claimed := board.keys[i]) is not None:
                self.sharing.unclaim(claimed)
            self.ledger.block(i, arguments)
            return
        if self.ledger.on_event is not None and i not in self.asking:
            self.ledger.on_event(events.Started(node.id, spec.name))
        try:
            job = starter.job(i, arguments)
        except Exception as error:
            self._fail(i, error)
            return
        key, keep = board.keys[i], partial(self.keeper.keep, i)
        if key is not None and not spec.light:
            self.sharing.begin(key)
        if spec.is_async:
            task = self.loop.create_task(work_async(job, key, keep, self.context.pool))
            self.running[i] = task
            task.add_done_callback(partial(self._on_done, i))
        elif spec.light:
            try:
                worked = work(job, key, keep, self.context.pool)
            except (Exception, Cancelled) as error:
                self._fail(i, error)
            else:
                self._finish(i, worked)
        else:
            errand = starter.errand(i, job, self.keeper, chains=self.engine.chains)
            self.running[i] = future = self.engine.submit(errand)
            future.add_done_callback(lambda done: self.ledger.call_soon(self._on_done, i, done))

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
        if worked.asks:
            self._wait_for_more(i, worked.asks)
            return
        if worked.calls is not None:
            self._grow(i, worked)
            return
        board = self.board
        board.records[i] = record = worked.record
        if board.uses[i]:
            board.have(i, worked.values)
        key = board.keys[i]
        waiting = self.sharing.end(key)
        if key is not None and (checkpoints := self.starter.checkpoints_for(i)) is not None:
            checkpoints.of(key).discard()
        self.ledger.done(i)
        for same in waiting:
            self._take(same, record, worked.values)
        self.board.settle(i)

    def _wait_for_more(self, i: int, names: Sequence[str]) -> None:
        """A node that has asked for lazy inputs runs again when they are there."""
        board = self.board
        node, key = board.nodes[i], board.keys[i]
        self.board.unusual = True
        self.asking.add(i)
        board.ready.extend(self.sharing.end(key))
        if key is not None:
            keep_asked(self.store, key, names, node.spec.name)
        if not self._ask(i, names):
            self._fail(i, RuntimeError(f"it asks for {', '.join(names)}, which it has, or which is not linked"))

    def _grow(self, i: int, worked: Worked) -> None:
        """A node wants others to run, and waits for what its results are made of."""
        board, node = self.board, self.board.nodes[i]
        self.board.unusual = True
        try:
            added, needed = self.growth.add(i, worked)
        except Exception as error:
            self._fail(i, error)
            return
        if self.ledger.on_event is not None:
            new = tuple([(board.nodes[n].id, board.nodes[n].spec.name, board.display(n)) for n in added])
            self.ledger.on_event(events.Expanded(node.id, node.spec.name, new))
        board.let_go(i)
        board.grown.add(i)
        self._demand(needed)
        board.waiting[i] = board.wait_for(i, needed)
        if board.waiting[i] == 0:
            board.ready.append(i)

    def _collect(self, i: int) -> None:
        """The nodes that a node added have settled."""
        bad = self.growth.missing(i, self.ledger.blocked)
        if bad is not None:
            self.growth.let_go(i)
            self.ledger.skip_after(i, bad)
            return
        worked = self.growth.collect(i)
        if i not in self.growth.saving:
            self.keeper.keep_grown(i, worked)
        self._finish(i, worked)

    def _fail(self, i: int, error: BaseException) -> None:
        """Note the failure of a node, and of those that waited for the very same action."""
        if isinstance(error, Cancelled | asyncio.CancelledError) or type(error).__name__ == "CancelledError":
            if self.token.cancelled:
                self.ledger.skip(i, None, "cancelled")
                return
            error = RuntimeError("the node says that it was cancelled, but nobody cancelled the run")
        for failed in (i, *self.sharing.end(self.board.keys[i])):
            self._fail_with(failed, problem_of(self.board.nodes[failed], error), traceback_of(error))

    def _fail_with(self, i: int, problem: Problem, details: str = "") -> None:
        if i in self.growth.growing:
            self.growth.let_go(i)
        self.ledger.failed(i, problem, details)

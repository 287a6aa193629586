"""What has become of each node of a run, noted and told to whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence

from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.board import Board
from nodegraph.execution.events import Listener
from nodegraph.execution.states import DONE, FAILED, HIT, OFF, SKIPPED
from nodegraph.sockets.flow import Blocked


class Ledger:
    """Notes outcomes and wakes the nodes that waited for them. `counts` has ids by state; `problems` the failures, in
    the order in which they happened; `blocked` are nodes that did not run since no value came for them."""

    def __init__(self, board: Board, on_event: Listener | None, notices: deque[str]) -> None:
        self.board, self.on_event, self.notices = board, on_event, notices
        self.counts: dict[int, list[str]] = {HIT: [], DONE: [], FAILED: [], SKIPPED: []}
        self.problems: list[Problem] = []
        self.blocked: set[int] = set()
        self._blame: dict[int, int] = {}  # which failure keeps a node from running
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def begin(self, hits: Sequence[int], idle: int) -> None:
        """Tell what is known without running anything: hits, and nodes that are off. idle: how many are asked for only
        if others want them."""
        board, plan = self.board, self.board.plan
        off = [i for i in plan.order if board.state[i] == OFF] if plan.staged else ()
        self.emit(events.Planned(len(plan.order) - idle - len(off), len(hits)))
        self.pass_on_notices()
        for i in hits:
            self.cached(i)
        for i in off:
            self.emit(events.Skipped(board.nodes[i].id, board.nodes[i].spec.name, None, "off"))

    def end(self, seconds: float, *, cancelled: bool) -> events.Status:
        """Tell that the run is over; how it went. What was cancelled too late to matter was not."""
        self.pass_on_notices()
        counts = self.counts
        stopped = cancelled and (counts[SKIPPED] or not counts[DONE] + counts[HIT])
        status = "cancelled" if stopped else "failed" if self.problems else "done"
        self.emit(events.RunFinished(status, seconds, *[len(counts[state]) for state in (DONE, HIT, FAILED, SKIPPED)]))
        return status

    def cached(self, i: int) -> None:
        """A node need not run; it may still be to settle."""
        node, record = self.board.nodes[i], self.board.records[i]
        self.counts[HIT].append(node.id)
        if self.on_event is not None:
            self.on_event(events.Cached(node.id, node.spec.name, record.saved if record else None))

    def done(self, i: int) -> None:
        """A node has run."""
        board, node, record = self.board, self.board.nodes[i], self.board.records[i]
        board.state[i] = DONE
        if i not in board.again:
            self.counts[DONE].append(node.id)
        if self.on_event is not None and record is not None:
            self.on_event(events.Finished(node.id, node.spec.name, record.seconds, record.saved))

    def failed(self, i: int, problem: Problem, details: str = "") -> None:
        """A node has failed."""
        node = self.board.nodes[i]
        self.problems.append(problem)
        self.board.state[i] = FAILED
        self.counts[FAILED].append(node.id)
        self.emit(events.Failed(node.id, node.spec.name, problem, details))
        self.board.settle(i)

    def off(self, i: int) -> None:
        """A node is not to run, which is no error."""
        node = self.board.nodes[i]
        self.board.state[i] = OFF
        self.emit(events.Skipped(node.id, node.spec.name, None, "off"))
        self.board.settle(i)

    def block(self, i: int, value: Blocked) -> None:
        """No value came for a node, on purpose."""
        if value.message:
            self.emit(events.Warned(self.board.nodes[i].id, value.message))
        self.blocked.add(i)
        self.skip(i, None, "blocked")

    def skip_after(self, i: int, bad: int) -> None:
        """A node cannot run since another one did not."""
        if bad in self.blocked:
            self.blocked.add(i)
            self.skip(i, None, "blocked")
        else:
            self.skip(i, self._blame.get(bad, bad), "failed")

    def skip(self, i: int, because: int | None, reason: events.SkipReason) -> None:
        """A node does not run."""
        nodes = self.board.nodes
        self.board.state[i] = SKIPPED
        if because is not None:
            self._blame[i] = because
        self.counts[SKIPPED].append(nodes[i].id)
        culprit = nodes[because].id if because is not None else None
        self.emit(events.Skipped(nodes[i].id, nodes[i].spec.name, culprit, reason))
        self.board.settle(i)

    def emit(self, event: events.Event) -> None:
        """Tell what happened, on the run's own thread."""
        if self.on_event is not None:
            self.on_event(event)

    def tell(self, event: events.Event) -> None:
        """Pass on what a node says while it runs, from whatever thread that is."""
        if self.on_event is None:
            return
        if threading.get_ident() == self._thread:  # a light or async node: before it can finish
            self.on_event(event)
        else:
            self.call_soon(self.on_event, event)

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Have something done on the loop, from any thread; nothing if the loop was closed meanwhile."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)

    def pass_on_notices(self) -> None:
        """Tell what the store had to say."""
        while self.notices:
            self.emit(events.Warned("", self.notices.popleft()))

"""The engine whose work is done by workers elsewhere: other processes, or other machines.

It chooses a worker for each call (`placement`), sends it there by its transport, and has what comes back kept by the
driver. A worker that dies takes nothing with it but its time: what it was at is sent again, a node twice at the most.
A cancelled call is asked to stop, and its worker ended if it does not. What cannot travel is done in this process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

from nodegraph.context import Cancelled
from nodegraph.engines.alarm import Alarm
from nodegraph.engines.calls import Call, Entry, copy, entries_of, gave_up, message_of, needs_of
from nodegraph.engines.contract import Buffer, Errand, Hello, Message, Transport, travels
from nodegraph.engines.desk import Desk, Refused
from nodegraph.engines.hello import misfit
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.messages import read_failure, read_outcome, steps_of
from nodegraph.engines.placement import Unsatisfiable
from nodegraph.engines.work import Worked
from nodegraph.errors import Problem, ProblemError
from nodegraph.files import FileDigests
from nodegraph.sockets.packing import BadFile, Unstorable

LOG: Final = logging.getLogger(__name__)
AGAIN: Final = 2  # how often a node is sent again whose worker died
GRACE: Final = 10.0  # seconds that a cancelled call has to stop
CHECKPOINT_SECONDS: Final = 20.0


class RemoteEngine:
    """Does errands by the workers of a transport, which are started when the first errand comes.

    expected: what each worker's hello has to agree with. checkpoints: where long nodes note how far they got, if
    workers see the same files. grace: seconds that a cancelled call has before its worker is ended.
    """

    chains = True

    def __init__(
        self,
        transport: Transport,
        expected: Callable[[], Hello],
        *,
        files: FileDigests | None = None,
        checkpoints: Path | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        grace: float = GRACE,
    ) -> None:
        self.transport, self.expected, self.grace = transport, expected, grace
        self.files = files or FileDigests()
        self.checkpoints = (str(checkpoints.absolute()), checkpoint_seconds) if checkpoints is not None else None
        self.width = transport.width
        self._local = LocalEngine()
        self._threads = ThreadPoolExecutor(2 * transport.width + 2, thread_name_prefix="nodegraph-engine")
        self._lock = threading.RLock()
        self._desk, self._alarm = Desk(), Alarm()
        self._entries: dict[Hashable, Entry] = {}
        self._calls: dict[int, Call] = {}  # those that are with a worker
        self._numbers = 0
        self._opened = self._closed = False
        self._homely: set[str] = set()  # node types whose values proved not to travel

    # --- what the driver asks

    def submit(self, errand: Errand) -> Future[Worked]:
        with self._lock:
            entry = self._entries.get(errand.ident)
            if entry is not None and entry.errand is None and not entry.lost:
                return self._ask(entry, errand)
            if not self._takes(errand):
                return self._local.submit(errand)
            if self._closed:
                raise RuntimeError("the engine is closed")
            entries = entries_of(errand)
            if entry is not None and entry.lost:
                entries[0].tries = entry.tries
                errand.context.warn(entry.lost)
            future = entries[0].ask(errand)
            self._entries.update((each.step.ident, each) for each in entries)
            refused = self._queue(entries)
            if not self._opened:
                self._opened = True
                self._desk.clear()
                self._threads.submit(self._open)
        self._refuse(refused)
        self._pump()
        return future

    def forget(self, idents: Sequence[Hashable]) -> None:
        if not idents:
            return
        with self._lock:
            for ident in idents:
                entry = self._entries.get(ident)
                if entry is not None and entry.errand is None:
                    del self._entries[ident]
                    entry.error = entry.error or Cancelled()
            idle = [call for call in self._calls.values() if not call.open and not call.cancelled]
        for call in idle:
            self._cancel(call)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._alarm.off()
            waiting = [*self._desk.empty(), *self._calls.values()]
            self._calls.clear()
        self.transport.close()
        for call in waiting:
            self._fail(call.open, Cancelled())
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._local.close()

    def _takes(self, errand: Errand) -> bool:
        """Whether an errand is done elsewhere. Over a network, what needs no model costs more to send than to do."""
        node = errand.job.node
        if errand.job.lazy or not travels(node) or node.spec.name in self._homely:
            return False
        return self.transport.near or node.spec.context_name is not None

    def _ask(self, entry: Entry, errand: Errand) -> Future[Worked]:
        """What was told ahead is asked for now."""
        future = entry.ask(errand)
        if entry.settled:
            self._entries.pop(errand.ident, None)
            self._threads.submit(entry.finish)
        elif any(entry in call.entries for call in self._calls.values()):
            future.set_running_or_notify_cancel()
        return future

    # --- calls go out

    def _open(self) -> None:
        """Start the workers."""
        try:
            lanes = self.transport.open(self)
            expected = self.expected()
            for lane in lanes:
                problem = misfit(expected, lane.hello, lane.name)
                if problem is not None:
                    raise ProblemError(problem)
        except ProblemError as error:
            self._break(error)
            return
        except Exception as error:
            LOG.exception("workers cannot be started")
            self._break(ProblemError(Problem("no_worker", f"workers cannot be started: {error}")))
            return
        with self._lock:
            refused = self._desk.begin(lanes)
        self._refuse(refused)
        self._pump()

    def _break(self, error: ProblemError) -> None:
        """There are no workers."""
        with self._lock:
            self._desk.broken = error
            waiting = self._desk.empty()
            self._reopen()
        self._refuse([(call, error) for call in waiting])

    def _reopen(self) -> None:
        """Where there may be workers later, the next errand asks for them."""
        if self._desk.broken is not None and self.transport.reopens:
            self._opened, self._desk.broken = False, None

    def _refuse(self, refused: Refused) -> None:
        """Calls that no worker could ever do have failed; of several nodes, each is tried by itself first."""
        for call, error in refused:
            rest = call.open
            if isinstance(error, Unsatisfiable) and len(rest) > 1:
                self._apart(rest)
            else:
                self._fail(rest, error)

    def _apart(self, entries: Sequence[Entry]) -> None:
        """Have each of some entries that is asked for wait by itself; the others may be asked for later."""
        refused: Refused = []
        with self._lock:
            for entry in entries:
                if entry.errand is None:
                    self._entries.pop(entry.step.ident, None)
                else:
                    refused += self._queue([entry])
        self._refuse(refused)

    def _queue(self, entries: list[Entry], done: Mapping[Hashable, Worked] | None = None) -> Refused:
        """Have entries wait for a worker as one call; returns it if that is in vain."""
        self._numbers += 1
        call = Call(self._numbers, entries, needs_of(entries), dict(done or {}), again=done is not None)
        error = self._desk.wait(call)
        return [] if error is None else [(call, error)]

    def _pump(self) -> None:
        """Give waiting calls to workers that are free."""
        with self._lock:
            while not self._closed and (found := self._desk.next()) is not None:
                call, lane = found
                if self._starts(call):
                    self._give(call, lane)
                else:
                    self._desk.free(lane, done=False)
            if not self._closed:
                self._alarm.set(self._desk.until - time.monotonic(), self._pump)

    def _starts(self, call: Call) -> bool:
        """Whether a call is still to be done. What was cancelled while it waited is not."""
        for entry in call.entries:
            if entry.future is not None and entry.future.cancelled():
                entry.error = entry.error or Cancelled()
        if call.wanted:
            return True
        for entry in call.entries:
            self._entries.pop(entry.step.ident, None)
        return False

    def _give(self, call: Call, lane: str) -> None:
        """A worker has been chosen."""
        call.entries = self._possible(call)
        call.lane = lane
        self._calls[call.number] = call
        for entry in call.entries:
            future = entry.future
            if future is not None and not future.running() and not future.set_running_or_notify_cancel():
                entry.error = Cancelled()
        self._threads.submit(self._send, call, lane)

    def _possible(self, call: Call) -> list[Entry]:
        """The entries that can be done: what others would have given that are not done any more is not there."""
        known, kept = set(call.done), list[Entry]()
        for entry in call.open:
            if entry.errand is not None:
                entry.step = steps_of(entry.errand)[0]
            if all(ident in known for ident, _ in entry.step.links.values()):
                known.add(entry.step.ident)
                kept.append(entry)
            else:
                self._entries.pop(entry.step.ident, None)
        return kept

    def _send(self, call: Call, lane: str) -> None:
        """Send a call; what cannot travel is done here."""
        try:
            token = call.lead.context.token
            data, buffers = message_of(call, self.files, self.checkpoints if self.transport.near else None)
        except Unstorable:
            self._go_home(call)
            return
        except Exception as error:
            LOG.exception("a call cannot be sent")
            self._end(call)
            self._fail(call.open, error)
            return
        if token is not None:
            call.undo = token.subscribe(lambda: self._cancel(call))
        with self._lock:
            if self._calls.get(call.number) is not call:  # its worker has died already
                return
        self.transport.send(lane, data, buffers)
        if token is not None and token.cancelled:
            self._cancel(call)

    # --- what comes back

    def message(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        """A worker says something (see `contract.Listener`)."""
        facts = cast("Mapping[str, Any]", data)
        with self._lock:
            call = self._calls.get(facts.get("call", -1))
            if call is None or call.lane != lane:
                return
            if facts["say"] == "ended":
                self._end(call)
            step = int(facts.get("step", -1))
            entry = call.entries[step] if 0 <= step < len(call.entries) else None
        match facts["say"]:
            case "ended":
                self._after(call)
            case "outcome" if entry is not None:
                self._settle(call, entry, facts, buffers)
            case "failed" if entry is not None:
                self._settle(call, entry, facts, ())
            case "home" if entry is not None:
                self._stay_home(entry)
            case _ if entry is not None:
                with self._lock:
                    entry.hear(data, buffers)
                self._watch(call, lane)
            case _:
                pass

    def _settle(self, call: Call, entry: Entry, facts: Mapping[str, Any], buffers: Sequence[Buffer]) -> None:
        """It is known what came of a step."""
        worked: Worked | None = None
        error: BaseException | None = None
        try:
            if facts["say"] == "outcome":
                worked = read_outcome(facts, buffers)
            else:
                error = read_failure(facts)
        except BadFile as bad:
            error = ProblemError(Problem("worker_differs", f"a worker's answer cannot be understood: {bad}"))
        with self._lock:
            entry.worked, entry.error = worked, error
            if worked is not None:
                call.done[entry.step.ident] = worked
            if entry.errand is not None:
                self._entries.pop(entry.step.ident, None)
        entry.finish()

    def _end(self, call: Call) -> None:
        """A call is over, and its worker free."""
        with self._lock:
            self._calls.pop(call.number, None)
            undo, call.undo = call.undo, lambda: None
            if call.lane is not None:
                self._desk.free(call.lane)
        undo()

    def _after(self, call: Call) -> None:
        """Of a call that is over, what has not been done is asked for anew by those who want it."""
        rest = call.open
        if call.cancelled:
            self._fail(rest, Cancelled())
        elif rest and rest[0] is call.entries[0]:
            problem = Problem("worker_differs", "a worker ended a call without a word of what came of it")
            self._fail([rest.pop(0)], ProblemError(problem))
        if not call.cancelled:
            self._apart(rest)
        self._pump()

    def _stay_home(self, entry: Entry) -> None:
        """A node's values do not travel, although they should: it is done here, as are all others of its type."""
        with self._lock:
            self._homely.add(entry.step.node.spec.name)
            self._entries.pop(entry.step.ident, None)
            entry.error = Unstorable("done elsewhere")  # it is not asked for again
        if entry.errand is not None and entry.future is not None:
            copy(self._local.submit(entry.errand), entry.future)

    def _go_home(self, call: Call) -> None:
        """The arguments of a call do not travel: it is done here."""
        self._end(call)
        for entry in call.open:
            with self._lock:
                self._entries.pop(entry.step.ident, None)
            if entry.errand is not None and entry.future is not None:
                copy(self._local.submit(entry.errand), entry.future)
        self._pump()

    def _watch(self, call: Call, lane: str) -> None:
        """Tell a worker when somebody begins to look at previews, or nobody does any more."""
        on = call.lead.context.wants_previews
        if on != call.watched:
            call.watched = on
            self._threads.submit(self.transport.send, lane, {"say": "watch", "call": call.number, "on": on}, ())

    def _fail(self, entries: Sequence[Entry], error: BaseException) -> None:
        with self._lock:
            for entry in entries:
                self._entries.pop(entry.step.ident, None)
                entry.error = error
                if entry.future is not None and not entry.future.running() and not entry.future.done():
                    entry.future.set_running_or_notify_cancel()
        for entry in entries:
            entry.finish()

    # --- when things go wrong

    def _cancel(self, call: Call) -> None:
        """Have a call stop, and its worker ended if that takes too long."""
        with self._lock:
            lane = call.lane
            if call.cancelled or lane is None or call.number not in self._calls:
                return
            call.cancelled = True
        self._threads.submit(self.transport.cancel, lane, call.number)
        timer = threading.Timer(self.grace, self._kill_late, (call, lane))
        timer.daemon = True
        timer.start()

    def _kill_late(self, call: Call, lane: str) -> None:
        with self._lock:
            late = self._calls.get(call.number) is call and not self._closed
        if late:
            LOG.warning("the worker %s did not stop when cancelled, and is ended", lane)
            self.transport.kill(lane)

    def died(self, lane: str, reason: str, *, returns: bool) -> None:
        """A worker is gone (see `contract.Listener`)."""
        with self._lock:
            if self._closed:
                return
            call = next((call for call in self._calls.values() if call.lane == lane), None)
            if call is not None:
                self._end(call)
            refused = self._desk.lose(lane, reason, returns=returns)
            self._reopen()
        if call is not None:
            self._again(call, lane, reason)
        self._refuse(refused)
        self._pump()

    def _again(self, call: Call, lane: str, reason: str) -> None:
        """Send again what a worker was at when it died: not for ever, for the node may be what it died of."""
        words = f"the worker {lane} ended ({reason}); what it was at begins anew elsewhere"
        refused: Refused = []
        with self._lock:
            rest = call.open
            first = rest[0] if rest and not call.cancelled else None
            if first is not None:
                first.tries += 1
                if first.tries > AGAIN:
                    first.error = gave_up(first, reason)
                elif call.wanted:
                    call.lead.context.warn(words)
                    refused = self._queue(rest, call.done)
                else:  # nobody has asked for it yet
                    for entry in rest:
                        entry.lost = words
        if first is None:
            self._fail(rest, Cancelled())
        elif first.error is not None:
            if first.errand is not None:
                self._fail([first], first.error)
            self._after(call)
        self._refuse(refused)

    def returned(self, lane: str, hello: Hello) -> None:
        """A worker is there again (see `contract.Listener`)."""
        problem = misfit(self.expected(), hello, lane)
        if problem is not None:
            LOG.error("%s", problem.describe())
        with self._lock:
            if problem is None:
                self._desk.come(lane, hello)
                refused: Refused = []
            else:
                refused = self._desk.lose(lane, problem.describe(), returns=False)
        self._refuse(refused)
        self._pump()

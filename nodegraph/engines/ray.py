"""Workers in a Ray cluster: a named actor for each device, which all drivers of the cluster share.

Ray starts them where there is room, starts them again when they die, and carries arrays through its store. Everything
else is nodegraph's: who does what is decided by `remote`, and what a worker does by `runner`. This file says what
Ray's errors mean: a worker that is gone and comes back, or that does not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from nodegraph.cache.environment import kind_of
from nodegraph.engines.contract import Buffer, Hello, Lane, Listener, Message
from nodegraph.engines.hello import Setup, misfit, read_hello
from nodegraph.engines.ray_actor import BEAT_SECONDS, IDLE_SECONDS, DeviceActor, array_of
from nodegraph.engines.ray_cluster import LOCAL, NAMESPACE, Cluster, RayOptions, check_options
from nodegraph.engines.ray_seats import Seat, Wish, seats_of, unsatisfiable
from nodegraph.errors import Problem, ProblemError

LOG: Final = logging.getLogger(__name__)
MOST: Final = 64  # workers, where no number was named: as many as there are devices
START_SECONDS: Final = 120.0  # that the first worker may take
MORE_SECONDS: Final = 3.0  # that the others may take after it; then work begins, and they are told when they are there
LEAVE_SECONDS: Final = 5.0
COMES_BACK_SECONDS: Final = 10.0
FIRST_BEAT_SECONDS: Final = 2.0
STARTS: Final = 3  # in a row that may fail before a worker is given up


class _Sent(NamedTuple):
    """A call on its way. start: begins it and gives the stream of what is said of it. stream: that, if it has begun."""

    number: int
    start: Callable[[], Any]
    stream: Any = None


@dataclass(slots=True, eq=False)
class _Desk:
    """A lane as the driver has it. pending: the calls that were sent. problem: why there is no worker, if there will be
    none. due: when it is given up that one is there again; it is welcome later. used: when it last had something to do;
    parted: it was told that this driver needs it no more, for now."""

    seat: Seat
    actor: Any = None
    pending: queue.SimpleQueue[_Sent | None] = field(default_factory=queue.SimpleQueue["_Sent | None"])
    hello: Hello | None = None
    problem: Problem | None = None
    failures: int = 0
    due: float = math.inf
    used: float = math.inf
    parted: bool = False


class RayTransport:
    """Workers of a cluster.

    setup: what they are made with; its device is for all. expected: the hello that they are to give. named: how many of
    them, 0 for as many as there are devices. first: the number of the first, for drivers that share out the others.
    near: all machines see the same files under the same names; by default where this starts the cluster, on one
    machine. beat: how often workers are told that their driver is there.
    """

    reopens = True

    def __init__(
        self,
        options: RayOptions,
        setup: Setup,
        expected: Callable[[], Hello],
        *,
        named: int = 0,
        first: int = 0,
        near: bool | None = None,
        beat: float = BEAT_SECONDS,
    ) -> None:
        check_options(options)
        self.options, self.expected, self.beat = options, expected, beat
        self.near = options.address == LOCAL if near is None else near
        self.wish = Wish(kind_of(setup.device), named, first, options.vram, setup.threads)
        self.setup = replace(setup, device=self.wish.kind, near=self.near)
        self.asked_for = setup.device
        self.width = named or MOST
        self.driver = secrets.token_hex(8)
        self.base = secrets.randbits(48) << 32  # calls of all drivers of an actor have numbers of their own
        self.desks: dict[str, _Desk] = {}
        self._cluster: Cluster | None = None
        self._listener: Listener | None = None
        self._opened = self._ended = False
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    @property
    def ray(self) -> Any:
        """Ray, once this is open."""
        assert self._cluster is not None
        return self._cluster.ray

    # --- the transport

    def open(self, listener: Listener) -> Sequence[Lane]:
        if self._threads:  # all workers were given up
            self._leave()
        self._listener, self._opened, self._threads, self.desks = listener, False, [], {}
        if self._ended:
            raise ProblemError(_unwanted())
        self._closed.clear()
        self._cluster = cluster = Cluster(self.options)
        cluster.join()
        try:
            self._seat()
            self._start(self._beat, "nodegraph-beat")
            for desk in self.desks.values():
                self._start(self._attend, f"nodegraph-{desk.seat.lane}", desk)
            return self._first_lanes()
        except BaseException:
            self._leave()  # another attempt may find room
            raise

    def send(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        desk = self.desks[lane]
        if data["say"] != "run":
            with contextlib.suppress(Exception):
                number = int(str(data["call"]))
                self._call(desk, "control", json.dumps({**data, "call": self.base + number}))
            return
        number = int(str(data["call"]))
        text = json.dumps({**data, "call": self.base + number}, separators=(",", ":"))
        arrays = [array_of(buffer) for buffer in buffers]

        def start() -> Any:
            options = {"concurrency_group": "work", "num_returns": "streaming"}
            return desk.actor.run.options(**options).remote(self.driver, text, arrays)

        stream: Any = None
        if not desk.parted:
            with contextlib.suppress(Exception):  # it is tried again, and told then
                stream = start()
        desk.pending.put(_Sent(number, start, stream))

    def cancel(self, lane: str, call: int) -> None:
        self.send(lane, {"say": "cancel", "call": call}, ())

    def kill(self, lane: str) -> None:
        with contextlib.suppress(Exception):
            self.ray.kill(self.desks[lane].actor, no_restart=False)

    def close(self) -> None:
        self._ended = True
        self._leave()

    def _leave(self) -> None:
        """Tell workers that this driver is gone, and go."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        for desk in self.desks.values():
            desk.pending.put(None)
            with contextlib.suppress(Exception):
                if desk.hello is None:
                    self.ray.kill(desk.actor, no_restart=True)  # it waits for room that it needs no longer
                else:
                    self._call(desk, "part", self.driver)
        until = time.monotonic() + LEAVE_SECONDS
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        if self._cluster is not None:
            self._cluster.leave()

    # --- workers come

    def _seat(self) -> None:
        """Find out which workers to ask for. Raises ProblemError if there will never be so many."""
        assert self._cluster is not None
        machines = self._cluster.machines()
        if self.asked_for == "auto" and self.wish.kind == "cpu" and any(m.resources.get("GPU") for m in machines):
            raise ProblemError(
                Problem(
                    "bad_device",
                    "the Ray cluster has GPUs, and this machine has none: it is not clear what is to be used",
                    hint="say --device cuda, or --device cpu",
                )
            )
        seats = seats_of(self.wish, machines)[:MOST]
        problem = unsatisfiable(seats, self.wish, machines)
        if problem is not None and not (self.options.wait and seats):
            raise ProblemError(problem)
        self.desks = {seat.lane: _Desk(seat) for seat in seats}
        self.width = len(seats)

    def _first_lanes(self) -> list[Lane]:
        """Wait for the first workers. Raises ProblemError if none comes."""
        until = time.monotonic() + max(START_SECONDS, self.options.wait)
        desks = list(self.desks.values())
        with self._changed:
            while not all(desk.hello or desk.problem for desk in desks):
                if self._closed.is_set():
                    raise ProblemError(_unwanted())
                if not self._changed.wait(until - time.monotonic()):
                    break
                if any(desk.hello for desk in desks):
                    until = min(until, time.monotonic() + MORE_SECONDS)
            found = [desk for desk in desks if desk.hello is not None]
            self._opened = True
        if not found:
            problem = next((desk.problem for desk in desks if desk.problem), None)
            raise ProblemError(problem or _late(desks[0].seat))
        return [Lane(desk.seat.lane, desk.hello) for desk in found if desk.hello is not None]

    def _greet(self, desk: _Desk) -> Hello | Problem | None:
        """Wait until a worker is there, and is one that this driver can use; None when this is closed meanwhile."""
        pause, program = 0.05, str(self.ray.get_runtime_context().get_job_id())
        while not self._closed.is_set():
            try:
                desk.actor = self._actor(desk.seat)
                said = self._answer(desk, self._call(desk, "greet", self.driver, program, self.setup.to_data()))
                if said is None:
                    return None
                hello = read_hello(said["hello"])
                problem = misfit(self.expected(), hello, desk.seat.lane)
                if problem is None and said["fits"]:
                    desk.failures = 0
                    return hello
                if said["others"] or (said["fresh"] and problem is not None):
                    return problem or _taken(desk.seat)
                # It was made for other folders or from older code, and nobody uses it now: another one takes its place.
                self.ray.kill(desk.actor, no_restart=True)
            except self.ray.exceptions.ActorUnavailableError:
                pass  # it is being started again
            except Exception as error:
                desk.failures += 1
                LOG.info("the worker %s does not come up: %s", desk.seat.lane, error)
                if desk.failures >= STARTS:
                    return _stillborn(desk.seat, _reason(error))
                with contextlib.suppress(Exception):
                    self.ray.kill(desk.actor, no_restart=True)  # one that fails to start keeps its name otherwise
            self._closed.wait(pause)
            pause = min(2 * pause, 2.0)
        return None

    def _actor(self, seat: Seat) -> Any:
        """The worker of a seat: the one that is there, or a new one."""
        return (
            self.ray.remote(concurrency_groups={"work": 1, "control": 4})(DeviceActor)
            .options(
                name=seat.actor,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_task_retries=0,
                num_cpus=seat.cpus,
                num_gpus=seat.gpus,
                resources={name: amount for name, amount in seat.needs.items() if name not in ("CPU", "GPU")},
                scheduling_strategy="SPREAD",
            )
            .remote(self.setup.to_data(), self.beat)
        )

    def _call(self, desk: _Desk, name: str, *arguments: object) -> Any:
        return getattr(desk.actor, name).options(concurrency_group="control").remote(*arguments)

    def _answer(self, desk: _Desk, reference: Any) -> Any:
        """What a call gives, however long that takes; None when this is closed meanwhile."""
        while not self._closed.is_set():
            ready, _ = self.ray.wait([reference], timeout=0.5)
            if ready:
                return self.ray.get(reference)
            if time.monotonic() > desk.due and self._listener is not None:
                desk.due = math.inf
                self._listener.died(desk.seat.lane, "the cluster has no room to start it again", returns=False)
        return None

    # --- one worker, from its first hello to its last

    def _attend(self, desk: _Desk) -> None:
        """Wait for a worker, take what it says, and begin again when it died."""
        lane, listener = desk.seat.lane, self._listener
        assert listener is not None
        while (found := self._greet(desk)) is not None:
            with self._changed:
                told = self._opened  # if not, `open` tells
                if isinstance(found, Hello):
                    desk.hello = found
                else:
                    desk.problem = found
                self._changed.notify_all()
            if isinstance(found, Problem):
                if told:
                    listener.died(lane, found.message, returns=False)
                return
            if told:
                listener.returned(lane, found)
            desk.due, desk.parted = math.inf, False
            reason = self._listen(desk, listener)
            if reason is None or self._closed.is_set():
                return
            desk.due = time.monotonic() + max(START_SECONDS, self.options.wait)
            listener.died(lane, reason, returns=True)

    def _listen(self, desk: _Desk, listener: Listener) -> str | None:
        """Pass on what a worker says, call after call. Returns what it died of, or None when this is closed."""
        desk.used = time.monotonic()
        while (sent := desk.pending.get()) is not None:
            desk.used = math.inf
            try:
                if sent.stream is None and desk.parted and not self._comes_back(desk):
                    return "it had ended, for it had nothing to do"
                number, stream = sent.number, sent.stream if sent.stream is not None else sent.start()
                del sent  # what is in Ray's store need not be here, too
                ended = False
                while not ended:  # and not until the stream ends, which Ray tells later
                    for text, buffers in self.ray.get(next(stream)):
                        data = json.loads(text)
                        ended = ended or data["say"] == "ended"
                        listener.message(desk.seat.lane, {**data, "call": number}, buffers)
            except Exception as error:
                return _reason(error)
            desk.used = time.monotonic()
        return None

    def _comes_back(self, desk: _Desk) -> bool:
        """Whether a worker that was left alone for long is still there, and takes this driver back."""
        program = str(self.ray.get_runtime_context().get_job_id())
        said = self.ray.get(
            self._call(desk, "greet", self.driver, program, self.setup.to_data()), timeout=COMES_BACK_SECONDS
        )
        desk.parted = False
        return bool(said["fits"]) and misfit(self.expected(), read_hello(said["hello"]), desk.seat.lane) is None

    def _beat(self) -> None:
        pause = FIRST_BEAT_SECONDS
        while not self._closed.wait(pause):
            pause = self.beat
            self.tend()

    def tend(self) -> None:
        """Tell workers that their driver is there, those with nothing to do that it needs them no more, and those that
        nobody uses, if some of ours find no room, to make some."""
        for desk in self.desks.values():
            if desk.hello is None or desk.parted:
                continue
            desk.parted = time.monotonic() - desk.used > IDLE_SECONDS  # others may want its device
            with contextlib.suppress(Exception):
                self._call(desk, "rest" if desk.parted else "beat", self.driver)
        if any(desk.hello is None or desk.due < math.inf for desk in self.desks.values()):
            self._make_room()

    def _make_room(self) -> None:
        """Have workers end that were made for other wishes than ours, and have no driver."""
        ours = {desk.seat.actor for desk in self.desks.values()}
        with contextlib.suppress(Exception):
            for name in set(self.ray.util.list_named_actors()) - ours:
                with contextlib.suppress(Exception):
                    actor = self.ray.get_actor(name, namespace=NAMESPACE)
                    actor.make_room.options(concurrency_group="control").remote()

    def _start(self, target: Callable[..., None], name: str, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def _reason(error: BaseException) -> str:
    """What Ray says a worker died of, in a few words."""
    name = type(error).__name__.partition("(")[0]
    known = {
        "ActorUnavailableError": "its process ended",
        "ActorDiedError": "its process ended",
        "NodeDiedError": "its machine is gone",
        "OutOfMemoryError": "the machine ran out of memory",
        "ObjectStoreFullError": "Ray's store of objects is full",
        "OutOfDiskError": "the disk that Ray's store moves objects to is full",
        "ObjectLostError": "a value was lost on its way",
        "OwnerDiedError": "a value was lost on its way",
    }
    if name in known:
        return f"{known[name]} ({name})"
    said = str(error).strip().splitlines()
    return f"{name}: {said[-1][:300]}" if said else name  # of what failed in a worker, the last line says what it is


def _unwanted() -> Problem:
    return Problem("no_worker", "workers are not wanted any more")


def _late(seat: Seat) -> Problem:
    needs = ", ".join(f"{amount:g} {name}" for name, amount in seat.needs.items())
    return Problem(
        "no_worker",
        f"no worker came up in the Ray cluster: each needs {needs}, which others hold now",
        got=needs,
        hint="`ray list actors` says who; workers of nodegraph that nobody uses end by themselves within 10 minutes",
    )


def _taken(seat: Seat) -> Problem:
    return Problem(
        "worker_differs",
        f"the worker {seat.lane} was made with other folders of models or nodes, and others use it now",
        hint="use the same folders and options as they do, or wait until they are done",
    )


def _stillborn(seat: Seat, reason: str) -> Problem:
    return Problem(
        "worker_died",
        f"the worker {seat.lane} does not come up in the Ray cluster: {reason}",
        got=reason,
        hint="the machines of the cluster need nodegraph, and the same version of Python",
    )

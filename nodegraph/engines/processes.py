"""Workers that are processes of this machine, one for each device named; several may name the same one.

A process that dies is started again. All of them end with the driver: they lose their pipe, and the system is asked to
end them. They are started by one thread that lives as long as they may, since that is whom the system takes for their
parent.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, cast

from nodegraph.engines.child import ending, environment_of
from nodegraph.engines.contract import Buffer, Hello, Lane, Listener, Message
from nodegraph.engines.frames import FrameWriter, read_frame
from nodegraph.engines.hello import Setup, read_hello
from nodegraph.errors import Problem, ProblemError

START_SECONDS: Final = 180.0
LEAVE_SECONDS: Final = 2.0  # that idle workers have to leave
STARTS: Final = 3  # in a row that may fail before a worker is given up


@dataclass(slots=True, eq=False)
class _Process:
    """One worker process. first: it is not there in place of another one. wanted: nobody has given it up. hello: as
    soon as it has said it."""

    lane: str
    process: subprocess.Popen[bytes]
    writer: FrameWriter
    first: bool
    wanted: bool = True
    hello: Future[Hello] = field(default_factory=Future[Hello])


class Processes:
    """Worker processes of this machine. setups: one for each worker; cores: for each the cores that it may run on,
    None for all."""

    near = True
    reopens = True

    def __init__(
        self,
        setups: Sequence[Setup],
        *,
        cores: Sequence[Sequence[int] | None] = (),
        start_seconds: float = START_SECONDS,
    ) -> None:
        names = [f"{i}:{setup.device}" for i, setup in enumerate(setups)]
        shared = fair_threads(setups)
        self.setups = {name: replace(setup, near=True) for name, setup in zip(names, shared, strict=True)}
        self.cores = dict(zip(names, cores, strict=False))
        self.start_seconds = start_seconds
        self.width = len(setups)
        self._listener: Listener | None = None
        self._lock = threading.Lock()
        self._processes: dict[str, _Process] = {}
        self._failures = dict.fromkeys(names, 0)
        self._closed = False
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-spawn")

    # --- the transport

    def open(self, listener: Listener) -> Sequence[Lane]:
        self._listener = listener
        self._give_up()
        self._failures = dict.fromkeys(self.setups, 0)
        try:
            started = [self._spawner.submit(self._spawn, name, first=True).result() for name in self.setups]
        except RuntimeError as error:  # closed before all were started
            raise ProblemError(Problem("no_worker", "workers are not wanted any more")) from error
        lanes: list[Lane] = []
        for each in started:
            try:
                lanes.append(Lane(each.lane, each.hello.result(self.start_seconds)))
            except TimeoutError as error:
                self._give_up()
                raise ProblemError(_late(each.lane, self.start_seconds)) from error
            except ProblemError:
                self._give_up()
                raise
        return lanes

    def _give_up(self) -> None:
        """End all workers that there are, without a word."""
        with self._lock:
            processes = list(self._processes.values())
            for each in processes:
                each.wanted = False
        for each in processes:
            each.process.kill()

    def send(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        with self._lock:
            process = self._processes.get(lane)
        if process is not None:
            with contextlib.suppress(OSError):  # it is gone, which its reader notices
                process.writer.send(data, buffers)

    def cancel(self, lane: str, call: int) -> None:
        self.send(lane, {"say": "cancel", "call": call}, ())

    def kill(self, lane: str) -> None:
        with self._lock:
            process = self._processes.get(lane)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.process.kill()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            processes = list(self._processes.values())
        until = time.monotonic() + LEAVE_SECONDS
        for each in processes:
            if not each.hello.done():  # it would only find out after it has imported everything
                each.process.kill()
            with contextlib.suppress(OSError):
                each.writer.send({"say": "leave"})
        for each in processes:
            try:
                each.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self._spawner.shutdown(wait=True)

    def pids(self) -> Mapping[str, int]:
        """The processes that are there now."""
        with self._lock:
            return {name: each.process.pid for name, each in self._processes.items()}

    # --- one process

    def _spawn(self, lane: str, *, first: bool = False) -> _Process:
        """Start a worker, and listen to it. To be called in the spawner's thread."""
        setup = self.setups[lane]
        process = subprocess.Popen(
            [sys.executable, "-m", "nodegraph.engines.process_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C on a terminal is for the driver, which then tells its workers
            env=environment_of(setup.threads),
        )
        cores = self.cores.get(lane)
        if cores is not None:
            with contextlib.suppress(OSError, AttributeError):
                os.sched_setaffinity(process.pid, cores)
        assert process.stdin is not None
        each = _Process(lane, process, FrameWriter(process.stdin.fileno()), first)
        with self._lock:
            self._processes[lane] = each
            closed = self._closed
        if closed:
            process.kill()
        with contextlib.suppress(OSError):
            each.writer.send({"say": "setup", "setup": setup.to_data()})
        threading.Thread(target=self._hear, args=(each,), daemon=True, name=f"nodegraph-hear-{lane}").start()
        return each

    def _hear(self, each: _Process) -> None:
        """Take what a worker says until it is gone."""
        stream = cast(BinaryIO, each.process.stdout)
        listener = self._listener
        assert listener is not None
        with contextlib.suppress(OSError, ValueError):
            while (frame := read_frame(stream)) is not None:
                if frame.data.get("say") == "hello":
                    self._greet(each, read_hello(cast("Mapping[str, Any]", frame.data["hello"])), listener)
                else:
                    listener.message(each.lane, frame.data, frame.buffers)
                del frame  # its buffers may be large, and the next message far
        self._bury(each, ending(each.process.wait()), listener)

    def _greet(self, each: _Process, hello: Hello, listener: Listener) -> None:
        self._failures[each.lane] = 0
        each.hello.set_result(hello)
        if not each.first:
            listener.returned(each.lane, hello)

    def _bury(self, each: _Process, reason: str, listener: Listener) -> None:
        """A worker is gone: another one takes its place, unless none ever lives."""
        for stream in (each.process.stdin, each.process.stdout):
            with contextlib.suppress(OSError):
                cast(BinaryIO, stream).close()
        born = each.hello.done()
        if not born:
            each.hello.set_exception(ProblemError(_stillborn(each.lane, reason)))
        with self._lock:
            if self._processes.get(each.lane) is each:
                del self._processes[each.lane]
            if self._closed or not each.wanted or (each.first and not born):  # then `open` tells
                return
            self._failures[each.lane] += 1
            returns = self._failures[each.lane] < STARTS
        listener.died(each.lane, reason, returns=returns)
        if returns:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                self._spawner.submit(self._spawn, each.lane)


def fair_threads(setups: Sequence[Setup]) -> list[Setup]:
    """Setups in which workers that compute on this machine's cores share them, unless they say how many they take."""
    sharing = sum(setup.device.partition(":")[0] in ("cpu", "auto") for setup in setups)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // max(1, sharing))
    return [
        replace(setup, threads=share)
        if setup.threads is None and sharing > 1 and setup.device.partition(":")[0] in ("cpu", "auto")
        else setup
        for setup in setups
    ]


def _late(lane: str, seconds: float) -> Problem:
    return Problem("worker_died", f"the worker {lane} did not start within {seconds:g} s")


def _stillborn(lane: str, reason: str) -> Problem:
    hint = "what it said is above; check its device and the node packs"
    return Problem("worker_died", f"the worker {lane} ended while it started: {reason}", got=reason, hint=hint)

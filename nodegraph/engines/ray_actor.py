"""The side of a worker in a Ray cluster: an actor that has one device and the models on it, for all drivers that ask.

It outlives its drivers, so that the next run finds models loaded, and ends when none has been there for a while. What
it gets and gives are texts (JSON) and arrays of bytes; Ray's own channel packs these, and nothing else is unpickled.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from nodegraph.engines.contract import Buffer, Message
from nodegraph.engines.hello import Setup, hello_data, hello_of
from nodegraph.engines.ray_seats import VRAM

if TYPE_CHECKING:
    import numpy

    Packet = tuple[str, list[numpy.ndarray[tuple[int], numpy.dtype[numpy.uint8]]]]

MODELS: Final = "NODEGRAPH_MODELS"  # a machine's own folders of models, as PATH lists them
BEAT_SECONDS: Final = 5.0  # how often a driver says that it is there
MISSED: Final = 2.5  # beats without word, and it is asked whether there still is such a driver
GONE: Final = 12.0  # beats without word, and it is gone
LINGER_SECONDS: Final = 0.001  # that something said waits for more to travel with
IDLE_SECONDS: Final = 300.0  # that a driver keeps a worker which it gives nothing, and that one lives without any


class DeviceActor:
    """A worker. beat: how often drivers say that they are there. idle: seconds without any after which it ends, and its
    device is free for others."""

    def __init__(self, setup: Mapping[str, Any], beat: float = BEAT_SECONDS, idle: float = IDLE_SECONDS) -> None:
        from nodegraph.engines.runner import Runner, share_threads

        self.setup = of_this_machine(Setup.from_data(setup), os.environ)
        share_threads(self.setup)
        self.runner = Runner(self.setup)
        self.beat_seconds, self.idle, self.fresh = beat, idle, True
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-worker")
        self._lock = threading.Lock()
        self._drivers: dict[str, float] = {}  # when each was last heard of
        self._programs: dict[str, str] = {}  # what Ray calls them
        self._calls: dict[int, str] = {}  # those that are here, and whose they are
        self._left = time.monotonic()
        threading.Thread(target=self._look_after, daemon=True, name="nodegraph-look-after").start()

    # --- short answers, in a thread of their own each

    def greet(self, driver: str, program: str, setup: Mapping[str, Any]) -> dict[str, Any]:
        """A driver is there, which Ray calls `program`: what this worker says of itself, whether it was made as that
        wants it, whether it is new, and how many other drivers use it."""
        wanted = of_this_machine(Setup.from_data(setup), os.environ)
        self._bury(0.0)
        with self._lock:
            self._drivers[driver], self._programs[driver] = time.monotonic(), program
            others, fresh, self.fresh = len(self._drivers) - 1, self.fresh, False
        said = self.runner.hello()
        assigned = _assigned()
        memory = said.memory or int(assigned.get(VRAM, 0) * (1 << 30))
        hello = hello_of(wanted, self.runner.registry, memory=memory, free=said.free)
        # The number format is the call's, so that drivers may differ in it.
        fits = _built(wanted) == _built(self.setup)
        data = hello_data(replace(hello, resources=assigned))
        return {"hello": data, "fits": fits, "fresh": fresh, "others": others}

    def beat(self, driver: str) -> None:
        """The driver is still there."""
        with self._lock:
            self._drivers[driver] = time.monotonic()

    def control(self, data: str) -> None:
        """Something to be heeded at once (see `Runner.control`)."""
        self.runner.control(json.loads(data))

    def rest(self, driver: str) -> None:
        """The driver needs this worker no more, for now."""
        with self._lock:
            self._drivers.pop(driver, None)
            self._programs.pop(driver, None)
            self._left = time.monotonic()

    def part(self, driver: str) -> None:
        """The driver leaves; what it still had running is of no use to anybody."""
        self.rest(driver)
        with self._lock:
            orphans = [call for call, owner in self._calls.items() if owner == driver]
        for call in orphans:
            self.runner.control({"say": "cancel", "call": call})

    def make_room(self) -> None:
        """Somebody finds no room for another worker: end, if nobody uses this one."""
        with self._lock:
            idle = not self._drivers and not self._calls
        if idle:
            _end_this_actor()

    # --- work, one call after the other

    def run(self, driver: str, data: str, buffers: Sequence[Buffer]) -> Generator[list[Packet]]:
        """Do a call, and give what is said meanwhile, as soon as it is said."""
        facts: dict[str, Any] = json.loads(data)
        said: queue.SimpleQueue[Packet | None] = queue.SimpleQueue()
        number = int(facts["call"])
        with self._lock:
            self._calls[number] = driver

        def say(message: Message, beside: Sequence[Buffer]) -> None:
            said.put((json.dumps(message, separators=(",", ":")), [array_of(buffer) for buffer in beside]))

        done = self._thread.submit(self.runner.run, facts, buffers, say)
        done.add_done_callback(lambda _: said.put(None))
        del facts, buffers
        try:
            yield from _batches(said)
            done.result()
        finally:
            with self._lock:
                self._calls.pop(number, None)
                self._left = time.monotonic()

    # --- nobody there

    def _look_after(self) -> None:
        """Stop what drivers wanted that are gone, and end when there has been none for long."""
        while True:
            time.sleep(self.beat_seconds / 2)
            self._bury(MISSED)
            with self._lock:
                idle = not self._drivers and not self._calls and time.monotonic() - self._left > self.idle
            if idle:
                _end_this_actor()

    def _bury(self, beats: float) -> None:
        """Part with drivers that are gone, of those that have missed so many beats."""
        with self._lock:
            now = time.monotonic()
            missed = {name: (now - heard) / self.beat_seconds for name, heard in self._drivers.items()}
            programs = {name: self._programs.get(name) for name, each in missed.items() if each >= beats}
        ended = _ended() if programs else frozenset[str]()
        for name, program in programs.items():
            if missed[name] > GONE or program in ended:
                self.part(name)


def of_this_machine(setup: Setup, environ: Mapping[str, str]) -> Setup:
    """The setup with this machine's own folders of models, if it names some."""
    folders = tuple([each for each in environ.get(MODELS, "").split(os.pathsep) if each])
    return replace(setup, models=folders, extra_models=()) if folders else setup


def array_of(buffer: Buffer) -> numpy.ndarray[tuple[int], numpy.dtype[numpy.uint8]]:
    """Bytes as an array, which Ray's store takes as it lies."""
    import numpy

    return numpy.frombuffer(memoryview(cast(Any, buffer)).cast("B"), dtype=numpy.uint8)


def _batches(said: queue.SimpleQueue[Packet | None]) -> Generator[list[Packet]]:
    """What is said, until None; what comes within a millisecond at once, since an item of a stream costs about one."""
    packet = said.get()
    while packet is not None:
        batch: list[Packet] = []
        until = time.monotonic() + LINGER_SECONDS
        while packet is not None:
            batch.append(packet)
            try:
                packet = said.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
        yield batch
        del batch  # its arrays are in Ray's store now
        if packet is not None:
            packet = said.get()


def _built(setup: Setup) -> tuple[object, ...]:
    """What of a setup a worker cannot change later."""
    return setup.device, setup.nodes, setup.models, setup.extra_models, setup.allow_pickle, setup.near


def _assigned() -> dict[str, float]:
    with contextlib.suppress(Exception):
        return dict(cast(Any, importlib.import_module("ray")).get_runtime_context().get_assigned_resources())
    return {}


def _ended() -> frozenset[str]:
    """The programs that Ray knows to have ended."""
    with contextlib.suppress(Exception):
        client: Any = importlib.import_module("ray._private.worker").global_worker.gcs_client
        options = {"skip_submission_job_info_field": True, "skip_is_running_tasks_field": True}
        return frozenset(job.hex() for job, facts in client.get_all_job_info(**options).items() if facts.is_dead)
    return frozenset()


def _end_this_actor() -> None:
    """End it for good; an exit of the process would have Ray start it again."""
    ray: Any = importlib.import_module("ray")
    with contextlib.suppress(Exception):
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)

"""The worker process: `python -m nodegraph.jobs.worker`, started by the supervisor and spoken to through pipes.

It keeps one session over all its jobs and does them one at a time. Questions (check, explain, catalogue) are answered
by another thread meanwhile. What nodes print goes to standard error. When the supervisor is gone, so is the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import pickle
import queue
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from nodegraph.cache.disk import DiskStore
from nodegraph.cache.memory import MemoryStore
from nodegraph.context import CancelToken
from nodegraph.engines.child import die_with_parent, take_pipes
from nodegraph.errors import ProblemError
from nodegraph.execution.session import Session, registry_for
from nodegraph.execution.settings import is_ray
from nodegraph.jobs.catalogue import catalogue_of
from nodegraph.jobs.converting import convert
from nodegraph.jobs.examine import Reader, examine
from nodegraph.jobs.frames import Frame, FrameWriter, read_frame_from
from nodegraph.jobs.model import Request, Result
from nodegraph.jobs.relaying import relay_logs
from nodegraph.jobs.rows import end_data, pack, request_of, result_data
from nodegraph.jobs.settings import JobSettings
from nodegraph.jobs.sweeping import sweep
from nodegraph.jobs.work import broken_run, run_job

FLUSH_SECONDS: Final = 0.005  # how long events wait for others to travel with
BATCH: Final = 500  # events that travel at once
IDLE_SECONDS: Final = 0.05  # without a job, after which what is left of earlier ones is recorded
MOST_LEFT: Final = 256  # jobs of which something may be left to be recorded
FEW_NODES: Final = 100  # of a larger job nothing is left, since that would take much memory
WARM: Final = ("torch", "diffusers")


class EventOutbox:
    """Events of one job, sent several at a time. Used on the job's loop only."""

    def __init__(self, writer: FrameWriter, job: str) -> None:
        self.writer, self.job = writer, job
        self.waiting: list[tuple[str, Mapping[str, object]]] = []
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None

    def event(self, kind: str, data: Mapping[str, object], *, now: bool = False) -> None:
        """Tell what happened, soon or at once."""
        self.waiting.append((kind, data))
        if now or len(self.waiting) >= BATCH:
            self.flush()
        elif self.timer is None:
            self.timer = self.loop.call_later(FLUSH_SECONDS, self.flush)

    def preview(self, data: Mapping[str, object], image: bytes) -> None:
        """Show a picture, after the events that came before it."""
        self.flush()
        self.writer.send({"say": "preview", "job": self.job, **data}, image)

    def flush(self) -> None:
        """Send what waits."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.waiting:
            events, self.waiting = self.waiting, []
            self.writer.send({"say": "events", "job": self.job, "events": events})


class Worker:
    """One worker: its session, and the job that it is at."""

    def __init__(
        self, settings: JobSettings, device: str, stream: BinaryIO, writer: FrameWriter, number: int = 0
    ) -> None:
        self.stream, self.writer, self.device = stream, writer, device
        self.settings = replace(settings.execution, device=device, previews=settings.previews)
        if is_ray(self.settings.engine) and settings.devices != ("auto",):  # one device of the cluster, each another
            self.settings = replace(self.settings, devices=(device,), ray_first=number)
        self.jobs: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self.questions: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self.job: str | None = None
        self.token = CancelToken()
        self.lock = threading.Lock()
        self.beat_seconds = settings.beat_seconds
        self.session: Session | None = None
        self.folders, self.warm = settings.nodes, settings.warm
        self.watched = False  # whether anybody looks at previews
        self.left: deque[Callable[[], object]] = deque()  # to be recorded of jobs that have ended, oldest first
        self.recording = threading.Lock()

    def serve(self) -> None:
        """Do jobs until the supervisor says that there will be no more, or is gone."""
        self.writer.send({"say": "hello", "pid": os.getpid()})
        for work in (self.hear, self.beat):
            threading.Thread(target=work, daemon=True, name=work.__name__).start()
        registry = registry_for(self.settings, self.folders)
        with Session(self.settings, registry) as session:
            self.session = session
            reader = Reader(registry)
            threading.Thread(target=self.answer, args=(reader,), daemon=True, name="answer").start()
            self.writer.send({"say": "ready", "broken": len(registry.broken)})
            if self.warm:
                threading.Thread(target=warm_up, daemon=True, name="warm").start()
            with asyncio.Runner() as runner:
                while (frame := self.next()) is not None:
                    runner.run(self.do(frame, session, reader))
            self.record()

    def next(self) -> Frame | None:
        """Wait for something to do. What is left of earlier jobs is recorded when nothing has come for a while: jobs
        that follow each other shall not wait for that."""
        self.record(down_to=MOST_LEFT)
        wait = IDLE_SECONDS
        while self.left:
            with contextlib.suppress(queue.Empty):
                return self.jobs.get(timeout=wait)
            self.record(down_to=max(0, len(self.left) - 1))
            wait = 0
        return self.jobs.get()

    def record(self, down_to: int = 0) -> None:
        """Record what is left of ended jobs, until no more than so many are left."""
        with self.recording:
            while len(self.left) > down_to:
                try:
                    self.left.popleft()()
                except Exception:
                    traceback.print_exc()

    async def do(self, frame: Frame, session: Session, reader: Reader) -> None:
        """Do one job, or let go of what is kept."""
        if frame.data["say"] == "free":
            free(session, models=frame.data["models"], memory=frame.data["memory"])
            self.writer.send({"say": "reply", "id": frame.data["id"], "value": None})
            return
        id_: str = frame.data["job"]
        request = request_of(frame.body.decode("utf-8", "surrogatepass"), frame.data["request"])
        outbox = EventOutbox(self.writer, id_)
        try:
            state, result = await run_job(
                request, session, reader, outbox, self.token, watched=lambda: self.watched, later=self.left.append
            )
        except ProblemError as error:
            state, result = "failed", Result(problems=tuple(problem.to_json() for problem in error.problems))
        except BrokenPipeError:  # the supervisor is gone
            raise
        except Exception as error:
            traceback.print_exc()
            state, result = "failed", broken_run(error)
        outbox.flush()
        with self.lock:
            self.job = None
        end = end_data(state, result)
        facts = {"say": "done", "job": id_, "state": state, "end": end}
        self.writer.send({**facts, **self.taken()}, pack(result_data(result)))
        if len(result.nodes) > FEW_NODES:
            self.record()

    def taken(self) -> dict[str, int]:
        """How much memory this process takes, and its models alone."""
        return {"memory": resident_bytes(), "models": self.session.pool.used if self.session is not None else 0}

    def hear(self) -> None:
        """Take messages from the supervisor until it is gone, and end then: nobody is left to work for."""
        with contextlib.suppress(OSError):
            self._hear()
        os._exit(0)

    def _hear(self) -> None:
        while (frame := read_frame_from(self.stream)) is not None:
            match frame.data["say"]:
                case "run":
                    with self.lock:
                        self.job, self.token = frame.data["job"], CancelToken()
                    self.writer.send({"say": "begun", "job": frame.data["job"]})
                    self.jobs.put(frame)
                case "cancel":
                    with self.lock:
                        token = self.token if self.job == frame.data["job"] else None
                    if token is not None:
                        token.cancel()
                case "watch":
                    self.watched = frame.data["on"]
                case "free":
                    self.jobs.put(frame)
                case "leave":
                    self.jobs.put(None)
                case _:
                    self.questions.put(frame)

    def beat(self) -> None:
        """Give a sign of life every now and then, with how much memory is taken."""
        wait = threading.Event()
        while True:
            try:
                self.writer.send({"say": "beat", **self.taken()})
            except OSError:
                os._exit(0)
            wait.wait(self.beat_seconds)

    def answer(self, reader: Reader) -> None:
        """Answer questions one after the other, with a session of its own beside the one that works."""
        assert self.session is not None
        registry = self.session.registry
        aside: Session | None = None
        while True:
            frame = self.questions.get()
            data: dict[str, Any] = {"say": "reply", "id": frame.data["id"]}
            try:
                match frame.data["say"]:
                    case "catalogue":
                        data["value"] = catalogue_of(registry, self.settings.roots(None))
                    case "check":
                        request = asked(frame)
                        data["value"] = asdict(examine(request, reader, self.settings).report(request))
                    case "sweep":
                        facts = {name: frame.data[name] for name in ("zipped", "grid")}
                        data["value"] = sweep(asked(frame), frame.data["over"], reader, self.settings, **facts)
                    case "convert":
                        to, picture = frame.data["to"], frame.data["picture"]
                        data["value"] = convert(asked(frame), to, registry, self.settings, picture=picture)
                    case _:
                        # What ran last is the same to both: otherwise the reasons would be those of long ago.
                        self.record()
                        aside = aside or Session(self.settings, registry, journal=self.session.journal)
                        data["value"] = explained(asked(frame), reader, aside)
            except ProblemError as error:
                data["problems"] = [problem.to_json() for problem in error.problems]
            except Exception as error:
                data["error"] = f"{type(error).__name__}: {error}"
            self.writer.send(data)


def asked(frame: Frame) -> Request:
    """The request that a question is about."""
    return request_of(frame.body.decode("utf-8", "surrogatepass"), frame.data["request"])


def explained(request: Request, reader: Reader, session: Session) -> list[dict[str, object]]:
    """Why each node would run. Raises ProblemError for a request with errors."""
    examined = examine(request, reader, session.settings)
    if examined.graph is None:
        raise ProblemError(problem for problem in examined.problems if problem.severity == "error")
    return [each.to_json() for each in session.explain(examined.graph, only=request.only, want=())]


def free(session: Session, *, models: bool, memory: bool) -> None:
    """Let go of models that nobody uses, and of results in memory."""
    if models:
        session.pool.drop_idle()
    if memory:
        if isinstance(session.store, DiskStore):
            session.store.flush()
            session.store.memory.clear()
        elif isinstance(session.store, MemoryStore):
            session.store.clear()
    gc.collect()
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def warm_up() -> None:
    """Import what almost every job needs."""
    for name in WARM:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def resident_bytes() -> int:
    """Bytes of memory that this process takes."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def main() -> None:
    """The process."""
    source, target = take_pipes()
    stream, writer = os.fdopen(source, "rb"), FrameWriter(target)
    die_with_parent()
    first = read_frame_from(stream)
    if first is None:
        return
    relay_logs(writer)
    settings: JobSettings = pickle.loads(first.body)  # from the supervisor, which has started this process
    Worker(settings, first.data["device"], stream, writer, first.data["number"]).serve()
    with contextlib.suppress(OSError):
        writer.send({"say": "bye"})
    sys.stdout.flush()
    os._exit(0)  # threads of nodes that never end do not matter


if __name__ == "__main__":
    main()

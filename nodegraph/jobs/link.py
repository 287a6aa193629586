"""One worker process as its supervisor sees it: starting it, speaking to it, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from nodegraph.engines.child import ending, environment_of
from nodegraph.errors import Problem, ProblemError, problem_from
from nodegraph.jobs.frames import Frame, frame, read_frame
from nodegraph.jobs.model import Job, Request, WorkerInfo
from nodegraph.jobs.rows import request_data
from nodegraph.jobs.settings import JobSettings

BUFFER: Final = 1 << 20

WorkerState = Literal["starting", "ready", "busy", "stopping", "dead"]


@dataclass(slots=True)
class Link:
    """One worker process, and the job that it is at. `why`: the reason for which the supervisor killed it. begun: it
    has got its job. at: the nodes that have begun and not ended. made: what nodes have saved or shown so far."""

    device: str
    owner: str
    process: asyncio.subprocess.Process
    state: WorkerState = "starting"
    job: Job | None = None
    begun: bool = False
    at: dict[str, str] = field(default_factory=dict[str, str])
    made: dict[str, object] = field(default_factory=dict[str, object])
    heard: float = field(default_factory=time.monotonic)
    cancelled: float | None = None
    why: str | None = None
    memory: int = 0
    models: int = 0
    asked: int = 0
    answers: dict[int, asyncio.Future[object]] = field(default_factory=dict[int, asyncio.Future[object]])
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, data: Mapping[str, object], body: bytes = b"") -> None:
        """Send a message; nothing if the worker is gone, which reading notices."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):
            self.process.stdin.write(frame(data, body))

    def weigh(self, data: Mapping[str, Any]) -> None:
        """Take note of how much memory it takes."""
        self.memory, self.models = data["memory"], data["models"]

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Take note of an event of its job, for the case that it does not live to tell the end."""
        if kind == "started":
            self.at[facts["node"]] = facts["type"]
        elif kind in ("finished", "failed", "skipped", "cached"):
            self.at.pop(facts["node"], None)
            if "files" in facts or "shown" in facts:
                self.made[facts["node"]] = {"files": facts.get("files", []), "shown": facts.get("shown", {})}

    def run(self, job: Job) -> None:
        """Have it do a job."""
        self.job, self.state, self.cancelled = job, "busy", None
        self.at.clear()
        self.begun, self.made = False, {}
        self.send({"say": "run", "job": job.id, "request": request_data(job.request)}, text_of(job.request))

    def cancel(self) -> None:
        """Have it stop its job; from now on it has not for ever."""
        if self.job is not None and self.cancelled is None:
            self.cancelled = time.monotonic()
            self.send({"say": "cancel", "job": self.job.id})

    def kill(self, why: str) -> None:
        """End it at once."""
        self.why = self.why or why
        # Not by `process.kill()`: that may take the exit code away from asyncio, which then does not know it.
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def ask(self, data: Mapping[str, object], request: Request | None = None) -> asyncio.Future[object]:
        """Ask something; the answer comes as a future."""
        self.asked += 1
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.answers[self.asked] = answer
        answer.add_done_callback(lambda _, asked=self.asked: self.answers.pop(asked, None))
        more = {"request": request_data(request)} if request is not None else {}
        self.send({**data, **more, "id": self.asked}, text_of(request) if request is not None else b"")
        return answer

    def answer(self, data: Mapping[str, Any]) -> None:
        """An answer has come."""
        future = self.answers.pop(data["id"], None)
        if future is None or future.done():
            return
        if "problems" in data:
            future.set_exception(ProblemError(problem_from(each) for each in data["problems"]))
        elif "error" in data:
            message = f"a worker could not answer: {data['error']}"
            future.set_exception(ProblemError(Problem("worker_died", message)))
        else:
            future.set_result(data["value"])

    async def hear(self) -> Frame | None:
        """The next message; None when the worker is gone."""
        assert self.process.stdout is not None
        return await read_frame(self.process.stdout)

    async def end(self) -> str:
        """Wait until the process is gone; how it ended."""
        code = await self.process.wait()
        self.state = "dead"
        for future in self.answers.values():
            if not future.done():
                future.set_exception(ProblemError(Problem("worker_died", f"the worker ended ({ending(code)})")))
        self.answers.clear()
        return self.why or ending(code)

    def info(self, restarts: int) -> WorkerInfo:
        """What others are told of it."""
        job = self.job.id if self.job is not None else None
        return WorkerInfo(self.device, self.state, self.process.pid, job, self.memory, self.models, restarts)


async def start_worker(settings: JobSettings, device: str, owner: str, number: int = 0) -> Link:
    """Start a worker process, the one of this number. Raises OSError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nodegraph.jobs.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=BUFFER,
        start_new_session=True,  # Ctrl-C on a terminal is for the server, which then tells its workers
        env=environment_of(settings.threads),
    )
    link = Link(device, owner, process)
    link.send({"say": "settings", "device": device, "number": number}, pickle.dumps(settings))
    return link


def text_of(request: Request) -> bytes:
    """The text of a request as it travels."""
    return request.text.encode("utf-8", "surrogatepass")

"""The queue, its history and its workers behind one door: `LocalJobService`, in this process and on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from nodegraph.errors import Problem, ProblemError
from nodegraph.jobs.here import Here, can_answer_here
from nodegraph.jobs.hub import Hub, Reader
from nodegraph.jobs.link import Link
from nodegraph.jobs.lock import FolderLock
from nodegraph.jobs.model import OPEN, CheckReport, Job, Json, Request, Result, State, WorkerInfo
from nodegraph.jobs.retention import Limits
from nodegraph.jobs.rows import end_data
from nodegraph.jobs.settings import JobSettings
from nodegraph.jobs.store import Ended, JobStore
from nodegraph.jobs.supervisor import Supervisor, died_with_server
from nodegraph.jobs.sweeping import Over

T = TypeVar("T")
FILE: Final = "jobs.sqlite"
CATALOGUE_SECONDS: Final = 1.0  # how long a catalogue is good for: making one looks into all folders of models
PATIENCE: Final = 60.0  # seconds that a question waits for a worker that is starting


class LocalJobService:
    """A `JobService` whose jobs lie in a folder and whose workers are processes of this machine."""

    def __init__(self, settings: JobSettings) -> None:
        self.settings = settings
        self._lock = FolderLock(settings.data_dir)
        self._store: JobStore | None = None
        self._hub: Hub | None = None
        self._supervisor: Supervisor | None = None
        self._here = Here(settings) if can_answer_here(settings) else None
        self._known: tuple[float, Json] | None = None
        self._told = False

    # --- coming up and going down

    async def start(self) -> None:
        """Open the store, take up jobs that a dead server left, and spawn the workers. Does not wait for them.

        Raises ProblemError if another server uses the folder, or the file of jobs cannot be used.
        """
        self._lock.take()
        try:
            self._store = JobStore(self.settings.data_dir / FILE, _limits(self.settings))
        except BaseException:
            self._lock.release()
            raise
        self._hub = Hub(self._store)
        self._supervisor = Supervisor(self._store, self._hub, self.settings, self._tell_queue)
        self._supervisor.paused = bool(self._store.meta("paused"))
        self._take_up()
        self._supervisor.start()
        if self._here is not None:
            self._here.prepare()

    async def stop(self, grace: float = 10.0) -> None:
        """Let workers end their step and go; what did not end is queued again for the next start."""
        if self._store is None or self._hub is None or self._supervisor is None:
            return
        await self._supervisor.stop(grace)
        if self._here is not None:
            self._here.close()
        self._hub.close()
        self._store.close(self._hub.seq)
        self._store = self._hub = self._supervisor = None
        self._lock.release()

    def _take_up(self) -> None:
        """Jobs that were running when the server died are tried again, or given up."""
        for job in self.store.jobs(("running",)):
            client = job.request.client
            if self.store.is_cancelled(job.id):
                self.store.finish(job.id, None, "cancelled", None)
                self.hub.publish(job.id, "job_finished", end_data("cancelled", None), client)
            elif job.attempts < job.request.max_attempts:
                self.store.give_back(job.id, None)
                self.hub.publish(job.id, "job_requeued", {"reason": "the server died"}, client)
            else:
                result = Result(error="the server died", problems=(died_with_server().to_json(),))
                self.store.finish(job.id, None, "interrupted", result)
                self.hub.publish(job.id, "job_finished", end_data("interrupted", result), client)

    @property
    def store(self) -> JobStore:
        """The store, while the service is up."""
        return _up(self._store)

    @property
    def hub(self) -> Hub:
        """The events, while the service is up."""
        return _up(self._hub)

    @property
    def supervisor(self) -> Supervisor:
        """The workers, while the service is up."""
        return _up(self._supervisor)

    # --- single jobs

    def submit(self, request: Request) -> Job:
        """Queue a job; it is on disk when this returns. Raises ProblemError if the queue is full or the id is taken."""
        job = self.store.submit(request)
        self.hub.publish(job.id, "job_queued", {"number": job.number}, request.client)
        self._tell_queue()
        asyncio.get_running_loop().call_soon(self._wake)  # whoever asked is answered first
        return job

    def _wake(self) -> None:
        if self._supervisor is not None:
            self._supervisor.wake()

    def get(self, id: str) -> Job | None:
        return self.store.get(id)

    def move(
        self, id: str, *, front: bool = False, before: str | None = None, priority: int | None = None
    ) -> Job | None:
        """Put a queued job elsewhere among those of its user; None if it is not queued. See `JobService.move`."""
        job = self.store.move(id, front=front, before=before, priority=priority)
        if job is not None:
            self._tell_queue()
        return job

    def retry(self, id: str) -> Job | None:
        """Queue an ended job anew, under a new id."""
        job = self.store.get(id)
        if job is None or job.state in OPEN:
            return None
        return self.submit(replace(job.request, id=None, number=None, front=False))

    # --- many jobs

    def jobs(
        self,
        states: Collection[State] = (),
        *,
        offset: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
        user: str | None = None,
    ) -> list[Job]:
        """Jobs of these states (none given: all). See `JobService.jobs`."""
        return self.store.jobs(states, offset=offset, limit=limit, newest_first=newest_first, user=user)

    def count(self, states: Collection[State] = (), *, user: str | None = None) -> int:
        return self.store.count(states, user=user)

    def cancel(self, ids: Collection[str]) -> int:
        """Cancel queued and running jobs; returns how many it concerns."""
        running = self.store.mark_cancelled(ids)
        ended = self.store.cancel_queued(ids)
        self._tell_each(ended, "job_finished", end_data("cancelled", None))
        self.supervisor.cancel(running)
        return len(running) + len(ended)

    def cancel_running(self) -> int:
        """Cancel whatever runs."""
        return self.cancel(self.store.ids(("running",)))

    def delete(self, ids: Collection[str]) -> int:
        """Take jobs out of the queue or the history; running ones are cancelled first and stay in the history."""
        running = self.store.mark_cancelled(ids)
        self.supervisor.cancel(running)
        gone = self.store.delete(ids)
        self._tell_each(gone, "job_removed", {})
        return len(running) + len(gone)

    def clear(self, states: Collection[State]) -> int:
        """Delete all jobs of these states."""
        return self.delete(self.store.ids(states)) if states else 0

    # --- the queue

    def pause(self) -> None:
        """Begin no more jobs, also after a restart."""
        self._set_paused(True)

    def resume(self) -> None:
        """Begin jobs again."""
        self._set_paused(False)
        self.supervisor.wake()

    @property
    def paused(self) -> bool:
        return self.supervisor.paused

    def _set_paused(self, paused: bool) -> None:
        self.supervisor.paused = paused
        self.store.set_meta("paused", int(paused))
        self._tell_queue()

    def subscribe(
        self, *, after: int | None = None, job: str | None = None, previews: bool = False, limit: int = 1000
    ) -> Reader:
        """Events from now on, or all that came after number `after` as far as they are kept."""
        return self.hub.subscribe(after=after, job=job, previews=previews, limit=limit)

    # --- questions

    async def check(self, request: Request) -> CheckReport:
        """Check a workflow as a run would, without queueing anything."""
        if self._here is not None:
            return await self._here.check(request)
        found = cast("dict[str, Any]", await self._ask({"say": "check"}, request))
        return CheckReport(**found)

    async def explain(self, request: Request) -> Sequence[Json]:
        """For each node whether it would run, and why. Raises ProblemError."""
        return cast("Sequence[Json]", await self._ask({"say": "explain"}, request))

    async def convert(self, request: Request, to: str, *, picture: bool = False) -> Json:
        """A workflow in another format. See `JobService.convert`. Raises ProblemError."""
        if self._here is not None:
            return await self._here.convert(request, to, picture=picture)
        return cast(Json, await self._ask({"say": "convert", "to": to, "picture": picture}, request))

    async def sweep(self, request: Request, over: Over, *, zipped: bool = False, grid: bool = True) -> Json:
        """The workflow of a sweep. See `JobService.sweep`. Raises ProblemError."""
        if self._here is not None:
            return await self._here.sweep(request, over, zipped=zipped, grid=grid)
        return cast(Json, await self._ask({"say": "sweep", "over": over, "zipped": zipped, "grid": grid}, request))

    async def catalogue(self) -> Json:
        """All node types. See `JobService.catalogue`. What it says of files may be a second old."""
        if self._known is None or time.monotonic() - self._known[0] > CATALOGUE_SECONDS:
            if self._here is not None:
                found = await self._here.catalogue()
            else:
                found = cast(Json, await self._ask({"say": "catalogue"}))
            self._known = (time.monotonic(), found)
        return self._known[1]

    async def free(self, *, models: bool = False, memory: bool = False) -> None:
        """Let go of loaded models, and of results kept in memory, as soon as no job runs."""
        for link in self.supervisor.links():
            if link.state in ("ready", "busy"):
                link.ask({"say": "free", "models": models, "memory": memory}).add_done_callback(_heard)

    def workers(self) -> Sequence[WorkerInfo]:
        return self.supervisor.infos()

    async def _ask(self, data: Json, request: Request | None = None) -> object:
        """Ask a worker, as soon as one is up; another one if that dies over it. Raises ProblemError."""
        link = await self._any_worker()
        try:
            return await self._answer(link, data, request)
        except ProblemError:
            if link.state != "dead":
                raise
        return await self._answer(await self._any_worker(), data, request)

    async def _answer(self, link: Link, data: Json, request: Request | None) -> object:
        patience = self.settings.ask_seconds
        try:
            return await asyncio.wait_for(link.ask(data, request), patience)
        except TimeoutError:
            message = f"a worker has not answered for {patience:g} s: what it is at lets nothing else through"
            hint = "try again when that is done, or cancel it"
            raise ProblemError(Problem("not_ready", message, hint=hint)) from None

    async def _any_worker(self) -> Link:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            links = self.supervisor.links()
            for link in links:
                if link.ready.is_set():
                    return link
            waits = [asyncio.create_task(link.ready.wait()) for link in links]
            if waits:
                await asyncio.wait(waits, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
            else:
                await asyncio.sleep(0.1)
        message = "no worker is up yet: they are still starting"
        raise ProblemError(Problem("not_ready", message, hint="try again in a moment"))

    # --- telling

    def _tell_each(self, jobs: Sequence[Ended], kind: Any, data: Mapping[str, object]) -> None:
        for job in jobs:
            self.hub.publish(job.id, kind, data, job.client)
        if jobs:
            self._tell_queue()

    def _tell_queue(self) -> None:
        """Tell that the queue changed, once for all changes of a moment."""
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._tell_queue_now)

    def _tell_queue_now(self) -> None:
        self._told = False
        if self._store is not None and self._hub is not None:
            counts = {state: self._store.count((state,)) for state in OPEN}
            self._hub.publish("", "queue", {**counts, "paused": self.paused})


def _heard(answer: asyncio.Future[object]) -> None:
    """Whether freeing went well, nobody asks."""
    if not answer.cancelled():
        answer.exception()


def _limits(settings: JobSettings) -> Limits:
    return Limits(
        settings.queue_length,
        settings.queue_bytes,
        settings.history_length,
        settings.history_bytes,
        settings.event_count,
        settings.event_bytes,
    )


def _up(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the service is not started")
    return part

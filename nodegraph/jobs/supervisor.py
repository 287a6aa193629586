"""Keeps a worker for each device alive, gives them jobs, and sees to it that the queue moves on when one dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from nodegraph.errors import Problem
from nodegraph.jobs.frames import Frame
from nodegraph.jobs.hub import Hub
from nodegraph.jobs.link import Link, start_worker
from nodegraph.jobs.model import Job, PreviewEvent, Result, State, WorkerInfo
from nodegraph.jobs.relaying import take_record
from nodegraph.jobs.rows import end_data, pack, result_data
from nodegraph.jobs.settings import JobSettings
from nodegraph.jobs.store import JobStore

LOG: Final = logging.getLogger(__name__)
STOPPED: Final = {"reason": "the server stopped"}
LOOK_SECONDS: Final = 0.1  # between two looks at whether workers are well
SETTLED_SECONDS: Final = 60.0  # a worker that lived this long does not die in a row


@dataclass(slots=True)
class Slot:
    """The place of a worker: of one device, held by one process after another."""

    device: str
    number: int = 0
    link: Link | None = None
    restarts: int = 0
    failures: int = 0


class Outcome(NamedTuple):
    """How a job ended at its owner; a state of None queues it again. told: what the event of it says. result: as
    `pack` gives it. counts: whether it was one of the tries that a job may have."""

    job: Job
    owner: str
    state: State | None
    told: Mapping[str, object]
    result: bytes | None = None
    counts: bool = True


def outcome_of(job: Job, owner: str, state: State, result: Result) -> Outcome:
    """A job has ended in a way that its worker could not tell."""
    return Outcome(job, owner, state, end_data(state, result), pack(result_data(result)))


class Supervisor:
    """The workers of a service. Used on one event loop."""

    def __init__(self, store: JobStore, hub: Hub, settings: JobSettings, changed: Callable[[], None]) -> None:
        self.store, self.hub, self.settings, self.changed = store, hub, settings, changed
        self.slots = [Slot(device, number) for number, device in enumerate(settings.devices)]
        self.tasks: list[asyncio.Task[None]] = []
        self.paused = False
        self.stopping = False
        self.stuck = False
        self.late: list[Outcome] = []  # what could not be written down, and will be tried again
        hub.on_watched = self._watched

    # --- from outside

    def start(self) -> None:
        """Begin to keep workers."""
        self.tasks = [asyncio.create_task(self._keep(slot), name=f"worker {slot.device}") for slot in self.slots]
        self.tasks.append(asyncio.create_task(self._watch(), name="watch workers"))

    async def stop(self, grace: float) -> None:
        """Let workers end their step and go; jobs that did not end are queued again."""
        self.stopping = True
        links = [slot.link for slot in self.slots if slot.link is not None]
        for link in links:
            link.cancel()
            link.send({"say": "leave"})
            if link.state == "starting":
                link.kill("the server stopped")
        keepers = self.tasks[:-1]
        if keepers:
            for slot, task in zip(self.slots, keepers, strict=True):
                if slot.link is None:
                    task.cancel()
            _, late = await asyncio.wait(keepers, timeout=grace)
            for link in links if late else ():
                link.kill("the server stopped")
            await asyncio.gather(*keepers, return_exceptions=True)
        for task in self.tasks[len(keepers) :]:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def wake(self) -> None:
        """Give jobs to workers that have none."""
        for slot in self.slots:
            link = slot.link
            if self.paused or self.stopping:
                return
            if link is not None and link.state == "ready":
                job = self._claim(link)
                if job is None:
                    return
                self._tell(job, "job_started", {"device": slot.device, "attempt": job.attempts})
                link.run(job)
                self.changed()

    def _claim(self, link: Link) -> Job | None:
        """The next job for a worker; none while the file of jobs cannot be written."""
        try:
            return self.store.claim(link.owner, link.device)
        except sqlite3.Error as error:
            LOG.error("no job can be begun: %s", error)
            self.stuck = True
            return None

    def cancel(self, ids: list[str]) -> None:
        """Have workers stop these jobs."""
        wanted = set(ids)
        for slot in self.slots:
            if slot.link is not None and slot.link.job is not None and slot.link.job.id in wanted:
                slot.link.cancel()

    def infos(self) -> list[WorkerInfo]:
        """What each worker is at."""
        return [
            slot.link.info(slot.restarts)
            if slot.link is not None
            else WorkerInfo(slot.device, "dead", restarts=slot.restarts)
            for slot in self.slots
        ]

    def links(self) -> list[Link]:
        """The workers that live."""
        return [slot.link for slot in self.slots if slot.link is not None and slot.link.state != "dead"]

    # --- one worker

    async def _keep(self, slot: Slot) -> None:
        """Have a worker run, and another one when it dies."""
        while not self.stopping:
            born = time.monotonic()
            try:
                owner = f"{os.getpid()}.{slot.device}.{slot.restarts}"
                link = slot.link = await start_worker(self.settings, slot.device, owner, slot.number)
            except OSError as error:
                self.hub.publish("", "worker", {"device": slot.device, "state": "dead", "reason": str(error)})
                reason = "cannot start"
            else:
                self._tell_worker(link)
                try:
                    reason = await self._serve(slot, link)
                except Exception as error:  # a message that cannot be understood, or a mistake of ours
                    LOG.exception("a worker is given up")
                    reason = f"{type(error).__name__}: {error}"
            if self.stopping:
                return
            slot.restarts += 1
            slot.failures = 1 if time.monotonic() - born > SETTLED_SECONDS else slot.failures + 1
            first, most = self.settings.backoff
            self.hub.publish("", "worker", {"device": slot.device, "state": "dead", "reason": reason})
            await asyncio.sleep(min(most, first * 2 ** min(slot.failures - 1, 20)) if slot.failures > 1 else 0)

    async def _serve(self, slot: Slot, link: Link) -> str:
        """Listen to a worker until it is gone; how it ended."""
        try:
            while (frame := await link.hear()) is not None:
                link.heard = time.monotonic()
                self._take(slot, link, frame)
            if link.process.returncode is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(link.process.wait(), 1)  # it is about to end, or has closed its pipe
        finally:
            if link.process.returncode is None:
                link.kill("it stopped speaking")
            reason = await link.end()
            self._take_back(link, reason)
            slot.link = None
        return reason

    def _take(self, slot: Slot, link: Link, frame: Frame) -> None:
        """A message from a worker."""
        data = frame.data
        match data["say"]:
            case "events":
                self._take_events(link, data)
            case "preview":
                self._take_preview(link, data, frame.body)
            case "done":
                self._finish(slot, link, frame)
            case "begun":
                link.begun = True
            case "beat":
                link.weigh(data)
            case "log":
                take_record(slot.device, data)
            case "reply":
                link.answer(data)
            case "ready":
                link.state = "stopping" if self.stopping else "ready"
                link.send({"say": "watch", "on": self.hub.watched})
                link.ready.set()
                self._tell_worker(link)
                self.wake()
            case _:
                pass

    def _take_events(self, link: Link, data: Mapping[str, Any]) -> None:
        job = link.job
        if job is None or job.id != data["job"]:
            return
        for kind, facts in data["events"]:
            link.note(kind, facts)
            self.hub.publish(job.id, kind, facts, job.request.client)

    def _take_preview(self, link: Link, data: Mapping[str, Any], image: bytes) -> None:
        job = link.job
        if job is None or job.id != data["job"]:
            return
        self.hub.show(
            PreviewEvent(
                job.id,
                data["node"],
                data["display"],
                data["parent"],
                image,
                data["width"],
                data["height"],
                job.request.client,
            )
        )

    def _finish(self, slot: Slot, link: Link, frame: Frame) -> None:
        """A worker has done its job."""
        job, data = link.job, frame.data
        if job is None or job.id != data["job"]:
            return
        link.job, link.cancelled = None, None
        link.weigh(data)
        slot.failures = 0
        state = cast(State, data["state"])
        if state == "cancelled" and self.stopping and not self._is_cancelled(job):
            self._settle(Outcome(job, link.owner, None, STOPPED, counts=False))
        else:
            self._settle(Outcome(job, link.owner, state, data["end"], frame.body))
        link.state = "stopping" if self.stopping else "ready"
        self.changed()
        self.wake()

    def _take_back(self, link: Link, reason: str) -> None:
        """A worker is gone: its job is cancelled, queued again, or given up."""
        job = link.job
        if job is None:
            return
        link.job = None
        cancelled = self._is_cancelled(job)
        if cancelled:
            self._settle(outcome_of(job, link.owner, "cancelled", Result(link.made, error=reason)))
        elif self.stopping:
            self._settle(Outcome(job, link.owner, None, STOPPED, counts=False))
        elif not link.begun:  # it was dead before, or died of something else
            self._settle(Outcome(job, link.owner, None, {"reason": reason}, counts=False))
        elif job.attempts < job.request.max_attempts:
            self._settle(Outcome(job, link.owner, None, {"reason": reason, **_place(link)}))
        else:
            result = Result(link.made, error=reason, problems=(died(link, reason).to_json(),))
            self._settle(outcome_of(job, link.owner, "interrupted", result))
        self.changed()
        self.wake()

    def _is_cancelled(self, job: Job) -> bool:
        try:
            return self.store.is_cancelled(job.id)
        except sqlite3.Error as error:
            LOG.error("the file of jobs cannot be read: %s", error)
            return False

    def _settle(self, outcome: Outcome) -> None:
        """Write down how a job ended, and tell it; where that cannot be done, it is tried again later."""
        job, owner, state = outcome.job, outcome.owner, outcome.state
        try:
            if state is None:
                if self.store.give_back(job.id, owner, count=outcome.counts):
                    self._tell(job, "job_requeued", outcome.told)
            elif self.store.finish(job.id, owner, state, outcome.result):
                self._tell(job, "job_finished", outcome.told)
        except sqlite3.Error as error:
            LOG.error("how job %s ended cannot be written down: %s", job.id, error)
            self.late.append(outcome)
        else:
            self.hub.flush()  # whoever comes back after a crash is told, too

    # --- all workers

    async def _watch(self) -> None:
        """Kill workers that give no sign of life, or do not stop when they are told to."""
        settings = self.settings
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if self.late or self.stuck:
                late, self.late, self.stuck = self.late, [], False
                for outcome in late:
                    self._settle(outcome)
                self.wake()
            for link in self.links():
                if link.cancelled is not None and now - link.cancelled > settings.cancel_grace:
                    link.kill("did not stop when cancelled")
                elif link.state == "starting" and now - link.heard > settings.start_seconds:
                    link.kill(f"did not start within {settings.start_seconds:g} s")
                elif link.state != "starting" and now - link.heard > settings.hang_seconds:
                    link.kill(f"hung: no sign of life for {settings.hang_seconds:g} s")

    def _watched(self, on: bool) -> None:
        """Somebody looks at previews now, or nobody any more."""
        for link in self.links():
            link.send({"say": "watch", "on": on})

    # --- telling

    def _tell(self, job: Job, kind: Any, data: Mapping[str, object]) -> None:
        self.hub.publish(job.id, kind, data, job.request.client)

    def _tell_worker(self, link: Link) -> None:
        self.hub.publish("", "worker", {"device": link.device, "state": link.state, "pid": link.process.pid})


def died(link: Link, reason: str) -> Problem:
    """What the end of a worker says to whoever waits for its job."""
    where = next(iter(reversed(link.at.items())), None)
    at = f" while '{where[0]}' ({where[1]}) ran" if where is not None else ""
    hint = "the machine may have run out of memory" if reason == "SIGKILL" else None
    node = where[0] if where is not None else None
    return Problem("worker_died", f"the worker process ended{at}: {reason}", node=node, got=reason, hint=hint)


def _place(link: Link) -> dict[str, object]:
    node = next(reversed(link.at), None)
    return {"node": node} if node is not None else {}


def died_with_server() -> Problem:
    """What is said of a job that ran when the server died, and may not be tried again."""
    return Problem("worker_died", "the server ended while this job ran", hint="queue it again")

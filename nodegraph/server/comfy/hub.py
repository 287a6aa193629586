"""Who listens, and what is known of the jobs that run: what a websocket needs beside its own events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from aiohttp import web

from nodegraph.jobs.model import JobEvent, JobService, Subscription
from nodegraph.server.comfy.messages import Run
from nodegraph.server.keys import SERVICE

if TYPE_CHECKING:
    from nodegraph.server.comfy.socket import Listener

ENDS: Final = ("job_finished", "job_removed", "job_requeued")


class Hub:
    """The listeners by their client ids, and the jobs that run, up to event number `seq`."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        self.runs: dict[str, Run] = {}
        self.clients: dict[str, str] = {}  # of the jobs that run
        self.seq: int | None = None
        self._unheard: set[str] = set()

    def queued(self, job: str, client: str) -> None:
        """Note whether a client listened when it queued a job."""
        if client and client not in self.listeners:
            self._unheard.add(job)

    def heard(self, job: str) -> bool:
        """Whether the job's client listened when it queued it."""
        return job not in self._unheard

    def runs_of(self, client: str) -> dict[str, Run]:
        """The jobs of a client that run, each a copy to go on from."""
        return {job: run.copy() for job, run in self.runs.items() if self.clients[job] == client}

    def take(self, event: JobEvent) -> None:
        """Note an event."""
        self.seq = event.seq
        if event.kind == "job_started":
            self.runs[event.job] = Run(event.job)
            self.clients[event.job] = event.client
        if event.kind in ENDS:
            self.runs.pop(event.job, None)
            self.clients.pop(event.job, None)
            if event.kind != "job_requeued":
                self._unheard.discard(event.job)
        elif event.job in self.runs:
            for _ in self.runs[event.job].take(event):
                pass

    async def follow(self, subscription: Subscription) -> None:
        """Note events as they come."""
        async for event in subscription:
            if isinstance(event, JobEvent):
                self.take(event)


HUB: Final = web.AppKey("comfy_hub", Hub)


def add_hub(app: web.Application) -> None:
    """Have a hub that follows the service while the application runs."""
    app[HUB] = Hub()
    app.cleanup_ctx.append(_following)
    app.on_shutdown.append(_close_all)


async def _following(app: web.Application) -> AsyncIterator[None]:
    service: JobService = app[SERVICE]
    subscription = service.subscribe()
    task = asyncio.create_task(app[HUB].follow(subscription))
    yield
    subscription.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _close_all(app: web.Application) -> None:
    for listener in list(app[HUB].listeners.values()):
        await listener.close()

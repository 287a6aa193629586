"""The last lines of the log, for whoever is let in: what servers and workers log, and what becomes of jobs.

What was asked for is not in it: lines name jobs, nodes and types, but no values, and no token.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from nodegraph.jobs.model import JobEvent, Subscription
from nodegraph.server.keys import SERVICE, SETTINGS

LOG: Final = logging.getLogger("nodegraph.server.jobs")
KEPT: Final = 1_000
MOST: Final = 2_000  # characters of a line
#: Requests, of which there are too many.
LEFT_OUT: Final = "nodegraph.access"
UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Line:
    """One record. seq rises by one from line to line while the server runs."""

    seq: int
    at: float
    level: str
    source: str
    message: str

    def to_json(self) -> dict[str, object]:
        """The line as JSON data."""
        return {"seq": self.seq, "at": self.at, "level": self.level, "from": self.source, "message": self.message}


class Journal(logging.Handler):
    """Keeps the last lines. secret: what must not stand in any."""

    def __init__(self, secret: str | None) -> None:
        super().__init__(logging.INFO)
        self.secret = secret
        self.seq = 0
        self.lines: deque[Line] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; its traceback, if it has one, is for the log on the server's own machine."""
        if record.name.startswith(LEFT_OUT):
            return
        try:
            message = UNSEEN.sub(" ", record.getMessage()[:MOST])
        except Exception:  # a record whose arguments do not fit its text
            return
        if self.secret is not None:
            message = message.replace(self.secret, "…")
        self.seq += 1
        self.lines.append(Line(self.seq, record.created, record.levelname.lower(), record.name, message))

    def after(self, seq: int, limit: int) -> list[Line]:
        """The lines after one, or the last ones if those are too many."""
        return [line for line in self.lines if line.seq > seq][-limit:]


JOURNAL: Final[web.AppKey[Journal]] = web.AppKey("journal", Journal)


def told(event: JobEvent) -> tuple[int, str] | None:
    """The level and the words of an event that is worth a line."""
    data = event.data
    match event.kind:
        case "job_started":
            return logging.INFO, f"job {event.job} began on {data.get('device')}, try {data.get('attempt')}"
        case "job_finished":
            counts = f"{data.get('executed', 0)} nodes run, {data.get('cached', 0)} known"
            why = f" ({data['error']})" if data.get("error") else ""
            return logging.INFO, f"job {event.job} is {data.get('state')}{why} after {data.get('seconds')} s: {counts}"
        case "job_requeued":
            return logging.WARNING, f"job {event.job} waits again: {data.get('reason')}"
        case "failed":
            return logging.WARNING, f"job {event.job}: node {data.get('node')} ({data.get('type')}) failed"
        case "worker" if data.get("state") == "dead":
            return logging.WARNING, f"worker {data.get('device')} ended: {data.get('reason')}"
        case "worker" if data.get("state") == "ready":
            return logging.INFO, f"worker {data.get('device')} is ready (process {data.get('pid')})"
        case _:
            return None


async def follow(subscription: Subscription) -> None:
    """Write down what happens."""
    async for event in subscription:
        line = told(event) if isinstance(event, JobEvent) else None
        if line is not None:
            LOG.log(line[0], "%s", line[1])


async def keeping(app: web.Application) -> AsyncIterator[None]:
    """Keep lines while the application runs; the program's logging is left as it was."""
    logger = logging.getLogger("nodegraph")
    before, journal = logger.level, app[JOURNAL]
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    logger.addHandler(journal)
    subscription = app[SERVICE].subscribe()
    task = asyncio.create_task(follow(subscription))
    yield
    subscription.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    logger.removeHandler(journal)
    logger.setLevel(before)


def add_journal(app: web.Application) -> None:
    """Have a journal."""
    app[JOURNAL] = Journal(app[SETTINGS].token)
    app.cleanup_ctx.append(keeping)

"""Checks and the catalogue, answered in the service's own process, where no pack but nodegraph's own is there: that
imports nothing heavy. With other packs, a worker answers."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

from nodegraph.execution.session import registry_for
from nodegraph.jobs.catalogue import catalogue_of
from nodegraph.jobs.converting import convert
from nodegraph.jobs.examine import Reader, examine
from nodegraph.jobs.model import CheckReport, Json, Request
from nodegraph.jobs.settings import JobSettings
from nodegraph.jobs.sweeping import Over, sweep
from nodegraph.registry import ENTRY_POINT_GROUP

T = TypeVar("T")


def can_answer_here(settings: JobSettings) -> bool:
    """Whether there are no packs beside the built-in one, so that importing node types is quick and harmless."""
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return (
        not settings.nodes and not settings.execution.custom_nodes and {point.name for point in points} <= {"builtin"}
    )


class Here:
    """Answers on a thread of its own, one question after the other."""

    def __init__(self, settings: JobSettings) -> None:
        self.settings = settings.execution
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="check")

    @cached_property
    def reader(self) -> Reader:
        """The node types, read when they are first needed."""
        return Reader(registry_for(self.settings))

    def prepare(self) -> None:
        """Read node types in the background."""
        self.thread.submit(lambda: self.reader)

    async def check(self, request: Request) -> CheckReport:
        """Check a request."""
        return await self._do(lambda: examine(request, self.reader, self.settings).report(request))

    async def convert(self, request: Request, to: str, *, picture: bool) -> Json:
        """Write a workflow in another format. Raises ProblemError."""
        return await self._do(lambda: convert(request, to, self.reader.registry, self.settings, picture=picture))

    async def sweep(self, request: Request, over: Over, *, zipped: bool, grid: bool) -> Json:
        """Prepare a sweep. Raises ProblemError."""
        return await self._do(lambda: sweep(request, over, self.reader, self.settings, zipped=zipped, grid=grid))

    async def catalogue(self) -> Json:
        """The catalogue."""
        return await self._do(lambda: catalogue_of(self.reader.registry, self.settings.roots(None)))

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

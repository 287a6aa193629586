"""The engine of this process: one worker thread, so that two models never fight for one device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Engine(Protocol):
    """Runs heavy work away from the event loop."""

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Start `work` as soon as there is room for it."""
        ...

    def close(self) -> None:
        """Let go of threads or processes; work under way is finished first."""
        ...


class LocalEngine:
    """Threads of this process, one unless told otherwise."""

    def __init__(self, workers: int = 1) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="nodegraph-worker")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        return self._pool.submit(work)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

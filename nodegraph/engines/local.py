"""The engine of this process: one worker thread, so that two models never fight for one device."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nodegraph.engines.contract import Errand
from nodegraph.engines.work import Worked


class LocalEngine:
    """Threads of this process, one unless told otherwise."""

    chains = False

    def __init__(self, workers: int = 1) -> None:
        self.width = workers
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="nodegraph-worker")

    def submit(self, errand: Errand) -> Future[Worked]:
        return self._pool.submit(errand.here)

    def forget(self, idents: Sequence[Hashable]) -> None:
        """Nothing is told ahead here."""

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

"""Work for a few threads that nobody has to wait for, not even the end of the program."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Errands:
    """At most `threads` threads, which begin when there is work. They are daemons: one that hangs in a call of the
    system holds up nothing."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads, self._name = threads, name
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._begun, self._open = 0, 0
        self._closed = False

    @property
    def left(self) -> int:
        """How much is not done yet."""
        return self._open

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Have something done. It is cancelled at once if there are no threads any more."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            self._open += 1
            if self._begun < min(self._threads, self._open):
                self._begun += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        self._queue.put((future, work))
        return future

    def drain(self, seconds: float) -> int:
        """Wait until everything is done, but no longer than `seconds`; returns how much is not."""
        until = time.monotonic() + seconds
        with self._changed:
            while self._open and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._open

    def close(self) -> None:
        """Let the threads end. What they have not begun is not done."""
        with self._changed:
            self._closed = True
            for _ in range(self._begun):
                self._queue.put(None)

    def _run(self) -> None:
        while (errand := self._queue.get()) is not None:
            future, work = errand
            try:
                if not self._closed and future.set_running_or_notify_cancel():
                    future.set_result(work())
                else:
                    future.cancel()
            except BaseException as error:
                future.set_exception(error)
            finally:
                with self._changed:
                    self._open -= 1
                    self._changed.notify_all()

"""The way to a remote cache, which may be slow, unreachable, read-only or full at any time.

A run waits for it no longer than its time-out, beyond what the results that it gave took to make. When it does not
answer, that is told once, and it is left alone for a while. Its errors are told without what addresses may hold of
credentials.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from functools import partial
from typing import TypeVar

from nodegraph.cache.access import reason_of
from nodegraph.cache.address import DEFAULT_TIMEOUT, Address, Mode, without_secrets
from nodegraph.cache.errands import Errands
from nodegraph.cache.objects import Objects, objects_at

T = TypeVar("T")
READERS, WRITERS = 8, 4
MOST_WAITING = 10_000  # results that wait to be written
REST_SECONDS = 60.0  # how long a cache that does not answer is left alone
REASON_LETTERS = 200
READ_ONLY = (PermissionError,)
READ_ONLY_NUMBERS = (30,)  # EROFS


class Remote:
    """A remote cache. Safe to use from several threads; opens, and imports, nothing before it is asked something.

    timeout: seconds that a run may wait for it. warn: told once about each kind of trouble.
    """

    def __init__(
        self,
        address: Address,
        *,
        mode: Mode = "read-write",
        timeout: float = DEFAULT_TIMEOUT,
        warn: Callable[[str], None] = lambda message: None,
        opened: Callable[[Address, float], Objects] = objects_at,
    ) -> None:
        self.address, self.mode, self.timeout = address, mode, timeout
        self._warn, self._opened = warn, opened
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._objects: Objects | None = None
        self._readers, self._writers = Errands(READERS, "nodegraph-remote"), Errands(WRITERS, "nodegraph-upload")
        self._told: set[str] = set()
        self._rests_until = 0.0
        self._may_write = mode == "read-write"
        self._waited = 0.0
        self._asked: dict[object, float] = {}  # what has not answered yet, and when that was asked

    # --- whether it is worth asking

    @property
    def answers(self) -> bool:
        """Whether a run may ask it something now."""
        with self._lock:
            oldest = min(self._asked.values(), default=None)
        now = time.monotonic()
        if oldest is not None and now - oldest > self.timeout:
            self.trouble(TimeoutError(), now)
        return now >= self._rests_until and self._waited < self.timeout

    @property
    def writes(self) -> bool:
        """Whether results may be written to it."""
        return self._may_write and time.monotonic() >= self._rests_until

    def begin(self) -> None:
        """A run begins: it may wait again."""
        self._waited = 0.0

    def gained(self, seconds: float) -> None:
        """A result was there that took so long to make; so much longer may a run wait."""
        with self._lock:
            self._waited -= seconds

    # --- asking

    def ask(self, question: Callable[[Objects], T], otherwise: T) -> T:
        """Ask something, and wait for the answer; `otherwise` if there is none in time."""
        return self.ask_all([question], otherwise)[0]

    def ask_all(self, questions: Sequence[Callable[[Objects], T]], otherwise: T) -> list[T]:
        """Ask several things at once."""
        if not questions or not self.answers:
            return [otherwise] * len(questions)
        began = time.monotonic()
        until = began + min(self.timeout, self.timeout - self._waited)

        def put(question: Callable[[Objects], T]) -> T:
            return question(self._open()) if time.monotonic() >= self._rests_until else otherwise

        futures = [self._readers.do(partial(put, question)) for question in questions]
        answers = [self._answer(future, until, otherwise) for future in futures]
        with self._lock:
            self._waited += time.monotonic() - began
        return answers

    def send(self, question: Callable[[Objects], object], then: Callable[[], object]) -> float:
        """Ask something without waiting; `then` is called, in another thread, when it is answered. Returns the seconds
        after which nobody should wait any longer."""
        token, began = object(), time.monotonic()
        with self._lock:
            self._asked[token] = began

        def work() -> None:
            try:
                question(self._open())
            except Exception as error:
                self.trouble(error, began)
            finally:
                with self._lock:
                    self._asked.pop(token, None)
                    self._waited += time.monotonic() - began
                then()

        self._readers.do(work)
        return min(self.timeout, max(0.0, self.timeout - self._waited))

    def _answer(self, future: Future[T], until: float, otherwise: T) -> T:
        began = time.monotonic()
        try:
            return future.result(max(0.0, until - began))
        except Late:
            future.cancel()
            self.trouble(TimeoutError(), began)
        except Exception as error:
            self.trouble(error, began)
        return otherwise

    def _open(self) -> Objects:
        with self._opening:
            if self._objects is None:
                self._objects = self._opened(self.address, self.timeout)
            return self._objects

    # --- writing

    def later(self, work: Callable[[Objects], object]) -> None:
        """Have something written when there is time."""
        if not self.writes:
            return
        if self._writers.left >= MOST_WAITING:
            self.tell("slow", f"the remote cache {self.address} takes results more slowly than they are made")
            return

        def write() -> None:
            began = time.monotonic()
            if not self.writes:
                return
            try:
                work(self._open())
            except Exception as error:
                if isinstance(error, READ_ONLY) or getattr(error, "errno", None) in READ_ONLY_NUMBERS:
                    self._may_write = False
                    self.tell(
                        "read-only", f"nothing can be written to the remote cache {self.address}; it is read only"
                    )
                else:
                    self.trouble(error, began)

        self._writers.do(write)

    def drain(self) -> None:
        """Wait, not beyond the time-out, until everything is written; not at all while the cache is left alone."""
        left = self._writers.drain(self.timeout if self.writes else 0.0)
        if left and self.writes:
            told = f"{left:,} results could not be written to the remote cache {self.address} in {self.timeout:g} s"
            self.tell("left", told)

    def close(self) -> None:
        """Write what there is time for, and let go of the threads."""
        self.drain()
        self._readers.close()
        self._writers.close()

    # --- trouble

    def trouble(self, error: Exception, began: float) -> None:
        """It did not answer: tell so once, and leave it alone for a while. What had been asked before it was left alone
        tells nothing new."""
        with self._lock:
            if began < self._rests_until - REST_SECONDS:
                return
            self._rests_until = time.monotonic() + REST_SECONDS
            self._asked.clear()
        reason = f"not within {self.timeout:g} s" if isinstance(error, TimeoutError) else _words(error)
        self.tell("down", f"the remote cache {self.address} does not answer ({reason}); this goes on without it")

    def tell(self, kind: str, message: str) -> None:
        """Tell of trouble, unless that kind of trouble is known."""
        with self._lock:
            known = kind in self._told
            self._told.add(kind)
        if not known:
            self._warn(message)


def _words(error: Exception) -> str:
    words = without_secrets(" ".join(reason_of(error).split()))
    return words if len(words) <= REASON_LETTERS else f"{words[:REASON_LETTERS]}…"

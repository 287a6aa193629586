"""Ctrl-C and termination during a run: once is a request to stop cleanly, twice is an order to stop now."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

from nodegraph.context import CancelToken

STOPPING: Final = "stopping after this step… (again to stop at once)"
SHOW_CURSOR: Final = b"\x1b[?25h\r\n"
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While this context is open, the first SIGINT or SIGTERM cancels `token` and calls `notify`; the next one ends
    the process. `notify` runs inside the signal handler, so it must neither print through Python's streams (they are
    not reentrant) nor wait for a lock.
    """

    def __init__(self, token: CancelToken, notify: Callable[[], None]) -> None:
        self.token = token
        self.notify = notify
        self.caught: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int | None:
        """128 + the signal's number, as shells have it; None without a signal."""
        return 128 + self.caught if self.caught is not None else None

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            os._exit(128 + self.caught)  # threads inside a node could not be waited for
        self.caught = signal.Signals(number)
        self.token.cancel()
        self.notify()


def write_stopping() -> None:
    """Tell that the run is stopping; safe inside a signal handler."""
    encoding = sys.stderr.encoding or "ascii"
    try:
        os.write(2, f"\n{STOPPING}\n".encode(encoding, "replace"))
    except OSError:
        return  # nobody listens any more

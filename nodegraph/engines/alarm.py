"""One call at a time in the future, in a thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable


class Alarm:
    """Calls back after a while; setting it anew, or off, forgets what it was set to."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def set(self, seconds: float, call: Callable[[], object]) -> None:
        """Call `call` in so many seconds; never, if they are infinite."""
        self.off()
        if seconds < math.inf:
            self._timer = threading.Timer(max(0.0, seconds), call)
            self._timer.daemon = True
            self._timer.start()

    def off(self) -> None:
        """Call nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

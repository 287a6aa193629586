"""One call at a time in the future."""

from __future__ import annotations

import math
import queue
import threading

from nodegraph.engines.alarm import Alarm


def test_only_what_it_was_set_to_last_is_called():
    alarm, called = Alarm(), queue.SimpleQueue[str]()
    alarm.set(3600.0, lambda: called.put("too early"))
    alarm.set(-1.0, lambda: called.put("now"))
    assert called.get(timeout=60) == "now"
    before = waiting()
    alarm.set(3600.0, lambda: called.put("never"))
    assert waiting() == before + 1
    alarm.set(math.inf, lambda: called.put("never"))
    assert waiting() == before
    alarm.off()
    assert called.empty()


def waiting() -> int:
    """How many timers have not run out."""
    timers = [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    return sum(not timer.finished.is_set() for timer in timers)

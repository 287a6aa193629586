"""Who works on what: processes that share a store name themselves, and others can tell whether they still live."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

BEAT_SECONDS = 3.0
DEAD_SECONDS = 30.0


def this_owner() -> str:
    """A name for one store object of this process: machine, process id, when the process started, a random part."""
    return f"{machine()} {os.getpid()} {_own_start(os.getpid())} {uuid.uuid4().hex[:8]}"


@cache
def machine() -> str:
    """What tells apart the places where a process id means a process: hosts, and containers on one host."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:12]


def is_alive(owner: str, beat: float, now: float) -> bool:
    """Whether an owner still lives: its process, where that can be seen, and its heartbeat in any case.

    A clock set back makes a heartbeat lie in the future; then it is not believed beyond the usual time.
    """
    if abs(now - beat) > DEAD_SECONDS:
        return False
    host, pid, started, *_ = [*owner.split(" "), "", "", ""]
    if host != machine() or not (pid.isascii() and pid.isdigit()):
        return True
    if int(pid) == os.getpid():
        return started == _own_start(os.getpid())
    return runs(int(pid)) and _started(int(pid)) == started


def runs(pid: int) -> bool:
    """Whether a process of that number runs on this machine; a zombie does nothing any more."""
    return exists(pid) and _state(pid)[0] not in ("Z", "X")


@cache
def _own_start(pid: int) -> str:
    """The same as `_started`, looked up once: a process asks for its own at each run."""
    return _started(pid)


def exists(pid: int) -> bool:
    """Whether a process of that number is on this machine; True where asking would disturb it."""
    if os.name == "nt":  # there, os.kill does what it says
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _started(pid: int) -> str:
    """When a process started, so that a reused process id is not taken for its predecessor; "-" where unknown."""
    return _state(pid)[1]


def _state(pid: int) -> tuple[str, str]:
    """A process's state (a letter) and start time, as Linux tells them; "-" where unknown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "-", "-"
    return fields[0], fields[19]


class Heartbeat:
    """Calls `beat` every few seconds on a thread of its own, as long as somebody wants it to.

    The thread outlives the last one who wanted it by one turn: where short runs follow each other, each would otherwise
    wait for a thread to start.
    """

    def __init__(self, beat: Callable[[], None], seconds: float = BEAT_SECONDS) -> None:
        self._beat, self._seconds = beat, seconds
        self._wanted = 0
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    def start(self) -> None:
        """Have it beat until as many calls of `stop` came."""
        with self._lock:
            self._wanted += 1
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._run, args=(self._stop,), name="nodegraph-beat", daemon=True).start()

    def stop(self) -> None:
        """One who wanted it wants it no longer."""
        with self._lock:
            self._wanted = max(0, self._wanted - 1)

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            if self._stop is not None:
                self._stop.set()
                self._stop = None

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._seconds):
            with self._lock:
                if self._wanted == 0:
                    self._stop = None
                    return
            self._beat()


def now() -> float:
    """Seconds since 1970: processes have no other clock in common."""
    return time.time()

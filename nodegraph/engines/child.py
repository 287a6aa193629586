"""What all worker processes of this machine have in common: their environment, their pipes, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
PR_SET_PDEATHSIG: Final = 1
SIGKILL: Final = 9


def environment_of(threads: int | None) -> dict[str, str]:
    """The environment of a worker process that computes with so many threads (None: as many as there are cores)."""
    given = dict.fromkeys(THREAD_VARIABLES, str(threads)) if threads is not None else {}
    # What `sys.path` was extended by, a child would not know otherwise.
    path = os.pathsep.join(path for path in sys.path if path and Path(path).is_dir())
    return {**os.environ, **given, "PYTHONPATH": path}


def take_pipes() -> tuple[int, int]:
    """The pipes to whoever started this process, to read from and to write to, put where nodes do not find them: their
    input is empty, and what they print goes to standard error."""
    given = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return given


def die_with_parent() -> None:
    """Have the system end this process with the one that started it, even while a node holds everything up."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


def ending(code: int) -> str:
    """How a process ended, by its exit code: the name of the signal that killed it, where one has."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

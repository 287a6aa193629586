"""`nodegraph serve` as a program that may die where a test wants it to: `python -m tests.server.child FAULT OPTION…`.

A fault strikes once there is a file `armed` in the current folder. To be quick, workers import nothing ahead, and
those that do not heed a cancellation, or do not answer, are given up sooner.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from nodegraph.cli import serve
from nodegraph.cli.main import main


def die() -> None:
    """End as if the machine had lost its power, if the fault is armed."""
    if Path("armed").exists():
        os.kill(os.getpid(), signal.SIGKILL)


def in_write() -> None:
    """Die while a file is written, before its bytes are on the disk."""
    whole = os.fsync

    def fsync(descriptor: int) -> None:
        die()
        whole(descriptor)

    os.fsync = fsync


def before_rename() -> None:
    """Die when a file is written, before it gets its name."""
    whole = Path.replace

    def replace_(self: Path, target: Any) -> Path:
        die()
        return whole(self, target)

    Path.replace = replace_  # type: ignore[method-assign]


def in_commit() -> None:
    """Die while the queue's file is changed, before the change is made."""
    whole = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = whole(*arguments, **options)
        connection.set_trace_callback(lambda statement: die() if statement.startswith("COMMIT") else None)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "none": lambda: None,
    "in_write": in_write,
    "before_rename": before_rename,
    "in_commit": in_commit,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    settings = serve.job_settings
    serve.job_settings = lambda *given: replace(settings(*given), warm=False, cancel_grace=0.5, ask_seconds=2.0)
    sys.exit(main(["serve", *sys.argv[2:]]))

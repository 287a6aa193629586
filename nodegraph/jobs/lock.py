"""A folder that one service uses at a time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from nodegraph.errors import Place, Problem, ProblemError

NAME: Final = "server.lock"


class FolderLock:
    """Held by the process that uses a folder, until it lets go or ends in whatever way."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.descriptor: int | None = None

    def take(self) -> None:
        """Take the folder. Raises ProblemError if somebody has it, or it cannot be used."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"the data folder cannot be used: {error.strerror or error}"
            problem = Problem("jobs_unusable", message, Place(str(self.path.parent)), hint="choose another --data-dir")
            raise ProblemError(problem) from None
        if not _locked(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            who = f" (process {holder})" if holder else ""
            message = f"another server{who} uses this data folder"
            hint = "stop it, or choose another folder with --data-dir"
            raise ProblemError(Problem("already_served", message, Place(str(self.path.parent)), hint=hint))
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self.descriptor = descriptor

    def release(self) -> None:
        """Let go."""
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = None


def _locked(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # a system without: whoever starts two servers there is not told
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

"""Files by what they hold: content digests, computed once for a file that does not change."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple, Protocol

RACY_NS = 2_000_000_000  # a file touched so shortly before it was digested may change again without its times telling


class FileState(NamedTuple):
    """What the system says of a file: as long as none of it changes, neither did the bytes."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Memos(Protocol):
    """Digests of files that outlive the process. Neither method fails."""

    def recall(self, path: str) -> tuple[FileState, str] | None:
        """The state in which a file was last digested, and its digest."""
        ...

    def remember(self, path: str, state: FileState, digest: str) -> None:
        """Note the digest of a file in a state."""
        ...


class FileDigests:
    """Content digests of files and folders, remembered by path, size, times and inode.

    A digest taken within two seconds of a file's last change is not remembered: clocks and file systems are too coarse
    to tell a further change from that one.
    """

    def __init__(self, memos: Memos | None = None) -> None:
        self._memos = memos
        self._known: dict[str, tuple[FileState, str]] = {}

    def digest(self, path: Path) -> str:
        """Hex digest of a file's bytes, or of a folder's files by relative name. Raises OSError."""
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".md")
            parts = [f"{file.relative_to(path).as_posix()}\0{self._file(file)}" for file in files]
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._file(path)

    def known(self, path: Path) -> list[tuple[str, FileState, str]]:
        """What is remembered of a file, or of those in a folder: real path, state and digest of each."""
        try:
            name = str(path.resolve())
        except OSError:
            return []
        below = name + os.sep
        return [(n, *known) for n, known in self._known.items() if n == name or n.startswith(below)]

    def _file(self, path: Path) -> str:
        real = path.resolve()
        name = str(real)
        state = _state(real.stat())
        known = self._known.get(name)
        if known is None and self._memos is not None:
            known = self._memos.recall(name)
        if known is not None and known[0] == state:
            self._known[name] = known
            return known[1]
        began = time.time_ns()
        with real.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            same = _state(os.fstat(file.fileno())) == state
        self._known.pop(name, None)
        if same and max(state.mtime_ns, state.ctime_ns) < began - RACY_NS:
            self._known[name] = (state, digest)
            if self._memos is not None:
                self._memos.remember(name, state, digest)
        return digest


def _state(status: os.stat_result) -> FileState:
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

"""The way to a store's index and files, which may break, fill up or vanish at any time.

Questions that cannot be answered get the answer for "nothing known". A damaged index is set aside and begun anew, so is
a folder that somebody deleted; a folder that cannot be used is given up, and the store works in memory. Of each kind of
trouble its user is told once.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nodegraph.cache.blobs import Blobs
from nodegraph.cache.index import Index, NewerSchema, NotAnIndex

T = TypeVar("T")
MAX_FAILURES = 5  # one after the other, before a store is given up
INDEX = "index.db"


class Access:
    """The index and the blobs in `folder`; both None once they were given up. Safe to use from several threads.

    warn: told about trouble. renewed: called when the index was begun anew, and holds nothing of what it held before.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None], renewed: Callable[[], None]) -> None:
        self.folder = folder
        self.index: Index | None = None
        self.blobs: Blobs | None = None
        self._warn, self._renewed, self._told = warn, renewed, set[str]()
        self._lock = threading.RLock()
        self._failures = 0
        self._inode = 0
        with self._lock:
            self._open()

    def ask(self, question: Callable[[Index], T], otherwise: T) -> T:
        """Ask the index something; `otherwise` if it cannot answer."""
        index = self.index
        if index is None:
            return otherwise
        try:
            answer = question(index)
        except (sqlite3.Error, OSError) as error:
            self._trouble(index, error)
            return otherwise
        except (TypeError, ValueError, OverflowError):  # a damaged row, or a name or number that SQLite cannot hold
            return otherwise
        self._failures = 0
        return answer

    def tell(self, kind: str, message: str) -> None:
        """Tell of trouble, unless that kind of trouble is known."""
        with self._lock:
            known = kind in self._told
            self._told.add(kind)
        if not known:
            self._warn(message)

    def come_back(self) -> None:
        """Begin anew if somebody deleted the folder: SQLite would go on writing to a file that nobody sees."""
        with self._lock:
            index = self.index
            if index is None or self._is_there(index):
                return
            index.close()
            self._open()
        self._renewed()

    def close(self) -> None:
        """Let go of the index."""
        with self._lock:
            index, self.index = self.index, None
        if index is not None:
            index.close()

    def _is_there(self, index: Index) -> bool:
        try:
            return index.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _open(self) -> None:
        self.index = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.blobs = Blobs(self.folder)
            path = self.folder / INDEX
            try:
                self.index = Index(path)
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._set_aside(self.blobs)
                self.index = Index(path)
            self._inode = path.stat().st_ino
            self.blobs.sweep()
        except NewerSchema as error:
            self._give_up(f"the cache in {self.folder} was written by a newer version of nodegraph ({error})")
        except (OSError, sqlite3.Error) as error:
            self._give_up(f"the cache in {self.folder} cannot be used ({reason_of(error)})")

    def _give_up(self, message: str) -> None:
        self.blobs, index, self.index = None, self.index, None
        if index is not None:
            index.close()
        self.tell("disk", f"{message}; results are kept in memory only. Choose another folder with --cache-dir")

    def _trouble(self, index: Index, error: Exception) -> None:
        with self._lock:
            if index is not self.index:
                return  # another thread met the same trouble, and dealt with it
            if not _is_corrupt(error):
                self._failures += 1
                if self._failures >= MAX_FAILURES:
                    self._give_up(f"the cache in {self.folder} cannot be used ({reason_of(error)})")
                else:
                    told = f"the cache in {self.folder} does not answer ({reason_of(error)}); results may not be kept"
                    self.tell("disk", told)
                return
            index.close()
            if self.blobs is not None and self._is_there(index):  # else another process has begun a new one already
                self._set_aside(self.blobs)
            self._open()
        self._renewed()

    def _set_aside(self, blobs: Blobs) -> None:
        """Move a damaged index out of the way."""
        self.tell("index", f"the index of the cache in {self.folder} was damaged; a new one is begun")
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                (self.folder / f"{INDEX}{suffix}").unlink(missing_ok=True)
        blobs.quarantine(self.folder / INDEX)


def reason_of(error: Exception) -> str:
    """What went wrong, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_corrupt(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    damaged = code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return damaged or isinstance(error, NotAnIndex) or str(error).startswith("no such ")

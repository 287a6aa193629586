"""How far long nodes got: one file for each action under way, so that a killed or cancelled run goes on from there.

A file is written to a temporary name, flushed and renamed, and says whose it is, in which format, and the digest of
what it holds. One that is short, damaged, another action's or of another format is no checkpoint: it is removed, and
the node starts at the beginning.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from nodegraph.context import Checkpoint
from nodegraph.sockets.codecs import Undigestible, as_tensor, digest
from nodegraph.sockets.packing import BadFile, Unstorable, pack, read_values, unpack, write_packed

FORMAT = "1"
DEFAULT_SECONDS = 20.0
MAX_TEMPORARY_SECONDS = 3600.0  # writing one takes well under a second
READS = 10  # of a file that is replaced all the while
SUFFIX, TEMPORARY = ".safetensors", ".tmp"


class Checkpoints:
    """The checkpoints in `folder`, which is made when the first one is saved. Safe to use from several threads.

    `seconds` of work lie between two saves; `warn` is told, once until it works again, when saving fails.
    """

    def __init__(
        self,
        folder: Path,
        seconds: float = DEFAULT_SECONDS,
        warn: Callable[[str], object] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.seconds, self.warn, self.clock = folder, seconds, warn, clock
        self._lock = threading.Lock()
        self._warned = False

    def of(self, key: bytes, warn: Callable[[str], object] | None = None) -> Checkpoint:
        """The checkpoint of the action `key`; its time until the first save begins now."""
        return _FileCheckpoint(self, key.hex(), warn or self.warn)

    def sweep(self, max_age_seconds: float) -> int:
        """Remove checkpoints that nobody came back for, and what dead writers left; returns how many files went."""
        now = time.time()
        removed = 0
        try:
            paths = list(self.folder.iterdir())
        except OSError:
            return 0
        for path in paths:
            limit = {SUFFIX: max_age_seconds, TEMPORARY: min(max_age_seconds, MAX_TEMPORARY_SECONDS)}.get(path.suffix)
            # A clock set back leaves files of the future behind.
            with contextlib.suppress(OSError):
                if limit is not None and abs(now - path.lstat().st_mtime) >= limit:
                    path.unlink()
                    removed += 1
        return removed

    def failed(self, message: str, warn: Callable[[str], object]) -> None:
        """Tell that saving fails, unless that is known: on a full disk every node's does."""
        with self._lock:
            known, self._warned = self._warned, True
        if not known:
            warn(message)

    def worked(self) -> None:
        """Saving works (again)."""
        with self._lock:
            self._warned = False


class _FileCheckpoint:
    """One action's checkpoint. Used by one node at a time."""

    def __init__(self, owner: Checkpoints, name: str, warn: Callable[[str], object]) -> None:
        self._owner, self._name, self._warn = owner, name, warn
        self._path = owner.folder / (name + SUFFIX)
        self._since = owner.clock()
        self._broken = False

    def load(self) -> object | None:
        try:
            for _ in range(READS):
                if not self._path.is_file():
                    return None
                before = _identity(self._path)
                try:
                    return _read(self._path, self._name)
                except BadFile as error:
                    # Tensors are read by the file's name, which another process may have given to a new file.
                    if _identity(self._path) == before:
                        self._warn(f"what was kept of an interrupted run is no use, so the node starts anew: {error}")
                        self.discard()
                        return None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn(f"what was kept of an interrupted run cannot be read, so the node starts anew: {error}")
        return None

    def due(self) -> bool:
        return not self._broken and self._owner.clock() - self._since >= self._owner.seconds

    def save(self, state: object) -> None:
        if self._broken:
            return
        try:
            _write(self._path, self._name, state)
        except (OSError, Unstorable, Undigestible) as error:
            self._broken = True
            self._owner.failed(
                f"how far a node got cannot be kept, so it could not go on after a stop: {error}", self._warn
            )
        else:
            self._owner.worked()
        self._since = self._owner.clock()

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    """Tells a file from the one that takes its name. Raises OSError."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _write(path: Path, name: str, state: object) -> None:
    """Put `state` in the place of what is at `path`, all of it or nothing. Raises OSError and Unstorable."""
    structure, tensors = pack(state)
    notes = {"key": name, "format": FORMAT, "digest": digest([structure, tensors]).hex()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}{TEMPORARY}")
    try:
        write_packed(temporary, structure, tensors, notes)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read(path: Path, name: str) -> object:
    """The state at `path`, checked and in memory of its own. Raises BadFile and OSError."""
    value, notes = read_values(path)
    if notes.get("format") != FORMAT:
        raise BadFile("it is of another format")
    if notes.get("key") != name:
        raise BadFile("it is another action's")
    try:
        structure, tensors = pack(value)
        # What was read is mapped, and its file will be replaced soon.
        own = {number: cast(Any, as_tensor(tensor)).clone() for number, tensor in tensors.items()}
        sound = notes.get("digest") == digest([structure, own]).hex()
    except (Unstorable, Undigestible) as error:
        raise BadFile(str(error)) from error
    if not sound:
        raise BadFile("it is damaged")
    return unpack(structure, own)

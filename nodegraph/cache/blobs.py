"""The files of the persistent store: values by action key, copies of saved pictures by content, and what went wrong.

    blobs/ab/<key>.safetensors    the values of an action
    files/ab/<digest>             a file that an output node saved, to be written again when somebody deleted it
    partial/<machine>-<process>-<random>    what is being written; renamed when it is whole
    broken/                       what was not what it should be, for whoever wants to know why

Every method may raise OSError; `read` and `copy_out` never hand out what they did not check.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from nodegraph.cache.owners import machine, runs
from nodegraph.sockets.packing import BadFile, Tensors, read_values, write_packed

CHUNK = 1 << 20
STALE_SECONDS = 3600.0
MAPPED_BYTES = 4 << 20  # smaller blobs are read at once, so that what happens to the file later does not matter
MAX_BROKEN = 20


class Blobs:
    """The files below the store's folder."""

    def __init__(self, root: Path) -> None:
        """Make the folders. Raises OSError, also if one of them is a link that leads elsewhere."""
        self.root = root
        self._shards: set[Path] = set()
        for name in ("blobs", "files", "partial", "broken"):
            _own_folder(root / name)

    def path(self, key: bytes) -> Path:
        name = key.hex()
        return self.root / "blobs" / name[:2] / f"{name}.safetensors"

    def copy_path(self, digest: str) -> Path:
        return self.root / "files" / digest[:2] / digest

    def write(self, key: bytes, structure: str, tensors: Tensors) -> tuple[int, str]:
        """Write packed values; returns the file's size and stamp. Also raises Unstorable."""
        partial = self._partial()
        try:
            size = write_packed(partial, structure, tensors, {"key": key.hex()})
            return size, self._place(partial, self.path(key))
        finally:
            partial.unlink(missing_ok=True)

    def read(self, key: bytes, size: int) -> tuple[tuple[object, ...], str]:
        """The values of an action and the stamp of their file. Raises BadFile if it is not the one that was written."""
        return _read(self.path(key), key, size)

    def adopt(
        self, key: bytes, size: int, load: Callable[[Path], object], check: Callable[[tuple[object, ...]], object]
    ) -> tuple[tuple[object, ...], str]:
        """Take in a blob that another store wrote: `load` writes it to a path, `check` raises BadFile for values that
        are not those that are meant. Returns the values and the stamp of the file."""
        partial = self._partial()
        try:
            load(partial)
            values, _ = _read(partial, key, size)
            check(values)
            return values, self._place(partial, self.path(key))
        finally:
            partial.unlink(missing_ok=True)

    def adopt_copy(self, digest: str, load: Callable[[Path], object]) -> None:
        """Take in a copy of a saved file that `load` writes to a path. Raises BadFile if it is another file."""
        partial = self._partial()
        try:
            load(partial)
            self.copy_in(partial, digest)
        finally:
            partial.unlink(missing_ok=True)

    def size(self, key: bytes) -> int | None:
        """The bytes of an action's blob, None if there is none."""
        try:
            return self.path(key).lstat().st_size
        except OSError:
            return None

    def copy_in(self, source: Path, digest: str) -> int:
        """Keep a copy of a file under the digest of its content; returns its bytes. Raises BadFile if it differs."""
        target = self.copy_path(digest)
        if target.is_file():
            return target.stat().st_size
        partial = self._partial()
        try:
            size, found = _copy(source, partial)
            if found != digest:
                raise BadFile(f"{source.name} was changed while it was kept")
            self._place(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return size

    def copy_out(self, digest: str, target: Path) -> None:
        """Write the copy with that digest to `target`, whole or not at all. Raises BadFile if the copy is damaged and
        FileExistsError if there is something by that name."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.parent / f".writing-{secrets.token_hex(8)}{target.suffix}"
        try:
            _, found = _copy(self.copy_path(digest), partial)
            if found != digest:
                raise BadFile(f"the copy of {target.name} is damaged")
            try:
                target.hardlink_to(partial)
            except FileExistsError:
                raise
            except OSError:  # a file system without links
                target.open("xb").close()
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def quarantine(self, path: Path) -> None:
        """Move a damaged file out of the way; the oldest ones there are deleted. Never fails."""
        with contextlib.suppress(OSError):
            path.replace(self.root / "broken" / f"{time.time_ns()}-{path.name}")
            for old in sorted((self.root / "broken").iterdir())[:-MAX_BROKEN]:
                _remove(old)
            return
        _remove(path)

    def remove(self, path: Path) -> None:
        """Delete a blob or copy. Never fails: what stays is found by the next clean-up."""
        _remove(path)

    def sweep(self) -> int:
        """Delete what dead processes left half-written; returns how many files."""
        swept = 0
        for path in (self.root / "partial").iterdir():
            with contextlib.suppress(OSError):  # its writer, or another sweeper, was faster
                if _is_left_over(path):
                    path.unlink()
                    swept += 1
        return swept

    def keys(self) -> Iterator[bytes]:
        """The keys of all blobs that lie there."""
        for path in (self.root / "blobs").glob("??/*.safetensors"):
            try:
                yield bytes.fromhex(path.stem)
            except ValueError:
                continue

    def copies(self) -> Iterator[str]:
        """The digests of all copies that lie there."""
        for path in (self.root / "files").glob("??/*"):
            yield path.name

    def free(self) -> int:
        """Free bytes of the disk."""
        return shutil.disk_usage(self.root).free

    def _partial(self) -> Path:
        folder = self.root / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{machine()}-{os.getpid()}-{secrets.token_hex(8)}"

    def _place(self, partial: Path, target: Path) -> str:
        """Give a whole file its name; returns its stamp."""
        if target.parent not in self._shards or not target.parent.is_dir():
            _own_folder(target.parent)
            self._shards.add(target.parent)
        partial.replace(target)
        return _stamp(target.lstat())


def _read(path: Path, key: bytes, size: int) -> tuple[tuple[object, ...], str]:
    """The values in a blob, and its stamp. Raises BadFile if it is not what was written under `key`."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise BadFile(f"{path.name} is not a file")
    if status.st_size != size:
        raise BadFile(f"{path.name} has {status.st_size:,} bytes instead of {size:,}")
    values, notes = read_values(path, mapped=size > MAPPED_BYTES)
    if notes.get("key") != key.hex() or not isinstance(values, tuple):
        raise BadFile(f"{path.name} holds something else")
    return cast("tuple[object, ...]", values), _stamp(status)


def _own_folder(path: Path) -> None:
    """Make a folder; raises OSError if it is a link, which would have files written elsewhere."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_symlink():
        raise OSError(f"{path} is a link")


def _is_left_over(path: Path) -> bool:
    """Whether nobody writes this partial file any more: its process is dead, or it is so old that it must be."""
    host, pid, *_ = [*path.name.split("-"), "", ""]
    if host == machine() and pid.isascii() and pid.isdigit() and not runs(int(pid)):
        return True
    return abs(time.time() - path.lstat().st_mtime) > STALE_SECONDS


def _remove(path: Path) -> None:
    """Delete a file, or whatever else lies there. Never fails."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _stamp(status: os.stat_result) -> str:
    """What changes whenever a file's bytes may have changed."""
    return f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file; returns its bytes and the digest of what was written."""
    hasher, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
            size += len(chunk)
    return size, hasher.hexdigest()

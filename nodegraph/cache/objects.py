"""Objects by name, as remote caches keep them: in a folder that machines share, or in a bucket.

    actions/ab/<key>.json                what is known of an action
    blobs/ab/<digest>.safetensors        values, by the sha256 of the file
    files/ab/<digest>                    saved files, by the sha256 of the file

All of it lies below `nodegraph-1`, the version of this layout. An object appears whole or not at all. Every method may
raise any exception, which means that the cache does not answer; FileNotFoundError and FileExistsError are answers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from nodegraph.cache.address import Address
from nodegraph.sockets.packing import BadFile

LAYOUT = "nodegraph-1"
FOLDERS = ("actions", "files", "blobs")  # in the order in which they may be deleted
PARTIAL = "partial"
CHUNK = 1 << 20
AT_ONCE = 64 << 20  # larger objects are not held in memory
STALE_SECONDS = 3600.0


class Listed(NamedTuple):
    """An object: its name, its bytes, and when it was written."""

    name: str
    bytes: int
    time: float


class Objects(Protocol):
    """What a remote cache can do."""

    def read(self, name: str, most: int) -> bytes:
        """The content of an object. Raises BadFile if it has more than `most` bytes."""
        ...

    def download(self, name: str, target: Path, size: int) -> None:
        """Write an object to a file. Raises BadFile unless it has `size` bytes."""
        ...

    def size(self, name: str) -> int | None:
        """The bytes of an object, None if there is none."""
        ...

    def write(self, name: str, data: bytes | Path, *, replace: bool) -> None:
        """Write an object. Raises FileExistsError if there is one, unless it is to be replaced."""
        ...

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        ...

    def listed(self, folder: str) -> Iterator[Listed]:
        """All objects below one of the folders."""
        ...


def objects_at(address: Address, timeout: float) -> Objects:
    """What is at an address. Imports fsspec for all but folders."""
    if address.kind == "file":
        return FolderObjects(Path(address.path) / LAYOUT)
    filesystem = cast(Any, importlib.import_module("fsspec")).filesystem  # it has no types
    if address.kind == "memory":
        return BucketObjects(filesystem("memory"), f"/{address.path}/{LAYOUT}".replace("//", "/"))
    found = filesystem(
        "s3",
        config_kwargs={"connect_timeout": timeout, "read_timeout": timeout, "retries": {"max_attempts": 1}},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    found.retries = 1  # it would wait longer and longer between tries
    return BucketObjects(found, f"{address.path}/{LAYOUT}")


class FolderObjects:
    """Objects in a folder, such as one of a network file system: written to a temporary name, then given their own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, most: int) -> bytes:
        with (self.root / name).open("rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise BadFile(f"it has more than {most:,} bytes")
        return data

    def download(self, name: str, target: Path, size: int) -> None:
        left = size + 1
        with (self.root / name).open("rb") as reader, target.open("wb") as writer:
            while left and (chunk := reader.read(min(CHUNK, left))):
                writer.write(chunk)
                left -= len(chunk)
        if left != 1:
            raise BadFile(f"it has not {size:,} bytes")

    def size(self, name: str) -> int | None:
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | Path, *, replace: bool) -> None:
        target, partial = self.root / name, self.root / PARTIAL / secrets.token_hex(16)
        for folder in (target.parent, partial.parent):
            _make(folder)
        try:
            with partial.open("xb") as writer:
                if isinstance(data, bytes):
                    writer.write(data)
                else:
                    with data.open("rb") as reader:
                        shutil.copyfileobj(reader, writer, CHUNK)
            if replace:
                partial.replace(target)
            else:
                _link(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def listed(self, folder: str) -> Iterator[Listed]:
        for path in (self.root / folder).glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield Listed(f"{folder}/{path.parent.name}/{path.name}", status.st_size, status.st_mtime)

    def sweep(self) -> None:
        """Delete what writers left half-written that must be dead by now."""
        for path in (self.root / PARTIAL).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()


def _make(folder: Path) -> None:
    """Make a folder. Raises OSError, but not that something exists, which is an answer."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"{folder.name} is not a folder") from None


def _link(partial: Path, target: Path) -> None:
    """Give a file its name, unless that is taken."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(target.name) from None
        partial.replace(target)


class BucketObjects:
    """Objects in a file system of fsspec that writes them whole or not at all."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._files, self._root = filesystem, root
        self._plain = threading.Event()  # set where objects cannot be written on condition that there are none

    def read(self, name: str, most: int) -> bytes:
        try:
            data: bytes = self._files.cat_file(self._path(name), start=0, end=most + 1)
        except FileNotFoundError as error:
            raise _told(error) from error
        except OSError as error:
            if "InvalidRange" in str(error) or "range" in str(error).lower():  # an empty object has no first byte
                raise BadFile("it is empty") from error
            raise
        if len(data) > most:
            raise BadFile(f"it has more than {most:,} bytes")
        return data

    def download(self, name: str, target: Path, size: int) -> None:
        if size <= AT_ONCE:
            data = self.read(name, size)
            if len(data) != size:
                raise BadFile(f"it has not {size:,} bytes")
            target.write_bytes(data)
            return
        if self._files.size(self._path(name)) != size:
            raise BadFile(f"it has not {size:,} bytes")
        self._files.get_file(self._path(name), str(target))

    def size(self, name: str) -> int | None:
        try:
            return int(self._files.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | Path, *, replace: bool) -> None:
        try:
            self._write(self._path(name), name, data, replace=replace)
        except FileNotFoundError as error:
            raise OSError("there is no such bucket") from error

    def _write(self, path: str, name: str, data: bytes | Path, *, replace: bool) -> None:
        if isinstance(data, Path) and data.stat().st_size <= AT_ONCE:
            data = data.read_bytes()
        if replace:
            self._files.put_file(str(data), path) if isinstance(data, Path) else self._files.pipe_file(path, data)
            return
        given = data.read_bytes() if isinstance(data, Path) else data
        if not self._plain.is_set():
            try:
                self._files.pipe_file(path, given, mode="create")
                return
            except FileExistsError:
                raise
            except (OSError, NotImplementedError) as error:
                if "implemented" not in str(error).lower():
                    raise
                self._plain.set()
        if self.size(name) is not None:
            raise FileExistsError(name)
        self._files.pipe_file(path, given)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def listed(self, folder: str) -> Iterator[Listed]:
        try:
            found: dict[str, dict[str, Any]] = self._files.find(self._path(folder), detail=True)
        except FileNotFoundError:
            return
        for path, facts in found.items():
            when: Any = facts.get("LastModified") or facts.get("created") or time.time()
            name = "/".join([folder, *path.rsplit("/", 2)[1:]])
            yield Listed(name, int(facts["size"]), when if isinstance(when, float) else when.timestamp())

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _told(error: FileNotFoundError) -> OSError:
    """That there is no such object, or that there is no such bucket, which is no answer to a question about objects."""
    return OSError("there is no such bucket") if "bucket" in str(error).lower() else error

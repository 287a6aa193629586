"""A persistent store with a remote cache behind it, which other machines share.

What the remote cache knows of an action becomes a row of this store's index when a plan asks for it; values are fetched
when they are needed, are checked, and lie in this store from then on. What is made here is written there in the
background: values and files first, then what is known of the action, unless somebody else was faster.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from nodegraph.cache.disk import DiskStore, check_values
from nodegraph.cache.entries import (
    MOST_BYTES,
    Blob,
    Entry,
    action_name,
    blob_name,
    entry_of,
    entry_text,
    file_name,
    files_of,
)
from nodegraph.cache.index import Row
from nodegraph.cache.objects import Objects
from nodegraph.cache.owners import now
from nodegraph.cache.records import Record
from nodegraph.cache.remote import Remote
from nodegraph.cache.rows import record_of, where_values_are
from nodegraph.sockets.packing import BadFile
from nodegraph.sockets.values import SavedFile

FORGET_SECONDS = 60.0  # how long it is remembered that the remote cache does not know an action
MOST_KNOWN = 100_000
FULL = (errno.ENOSPC, errno.EDQUOT)

Found: TypeAlias = "Entry | BadFile | None"


class SharedStore(DiskStore):
    """Results below a folder, and in a remote cache. Safe to use from several threads."""

    def __init__(self, folder: Path, remote: Remote, **options: Any) -> None:
        super().__init__(folder, **options)
        self.remote = remote
        self._blobs_there: dict[bytes, Blob] = {}
        self._unknown: dict[bytes, float] = {}  # actions that the remote cache did not know, and when
        self._bad: set[bytes] = set()  # actions that are damaged there
        self._files: dict[str, bool] = {}  # files that are there, or not
        self._imported: set[bytes] = set()

    # --- looking up

    def reaches_out(self) -> bool:
        self.remote.begin()
        for known in (self._blobs_there, self._unknown, self._files, self._imported):
            if len(known) > MOST_KNOWN:
                known.clear()  # it is looked up again
        return self.index is not None and self.remote.answers

    def look_up(self, keys: Collection[bytes]) -> None:
        wanted = [key for key in keys if self._may_ask_for(key)]
        found = self.remote.ask_all([partial(_find, key) for key in wanted], _NOTHING)
        for key, entry in zip(wanted, found, strict=True):
            if entry is not _NOTHING:
                self._learn(key, entry)
        self.flush()

    def seek(self, key: bytes, then: Callable[[], object]) -> float | None:
        known = self.index is None or self.record(key) is not None
        if known or not self.remote.answers or not self._may_ask_for(key):
            return None
        self._unknown[key] = time.monotonic()  # until there is an answer

        def question(objects: Objects) -> None:
            found = _find(key, objects)
            if isinstance(found, Entry) and found.blob is not None:
                self._learn(key, found)
                self._fetch(key, objects)
            else:
                self._learn(key, found)

        return self.remote.send(question, then)

    def is_distant(self, key: bytes) -> bool:
        return key in self._imported or self._places.get(key) == "remote"

    def absent(self, key: bytes, *, memory_counts: bool = True) -> str | None:
        why = super().absent(key, memory_counts=memory_counts)
        if why in ("evicted", "missing") and memory_counts and self.remote.answers and self._may_ask_for(key):
            found = self.remote.ask(partial(_find, key), _NOTHING)
            why = "remote" if self._is_the_same(key, found) else why
            if why == "remote":
                self._access.ask(lambda index: index.drop_values([key], "remote"), None)
                self._note_place(key, "remote")
        return None if why == "remote" and self.remote.answers else why

    def _may_ask_for(self, key: bytes) -> bool:
        asked = self._unknown.get(key)
        return key not in self._bad and (asked is None or time.monotonic() - asked > FORGET_SECONDS)

    def _learn(self, key: bytes, found: Found) -> None:
        """Note what the remote cache said of an action that this store does not know."""
        if found is None:
            self._unknown[key] = time.monotonic()
        elif isinstance(found, BadFile):
            self._reject(key, found)
        else:
            self._unknown.pop(key, None)
            if found.blob is not None:
                self._blobs_there[key] = found.blob
            self._files.update(dict.fromkeys(found.files, True))
            if self._row(key) is not None:  # made meanwhile by another process
                return
            self._imported.add(key)
            with self._lock:
                self._buffer[key] = found.row
                self._note_place(key, where_values_are(found.row))
            record = record_of(found.row)
            self.memory.note(key, record)
            self.remote.gained(record.seconds)

    def _is_the_same(self, key: bytes, found: Found) -> bool:
        """Whether the remote cache has the values that this store knew and no longer has."""
        row = self._row(key)
        if not isinstance(found, Entry) or found.blob is None or row is None or row.digests != found.row.digests:
            if found is not _NOTHING:
                self._unknown[key] = time.monotonic()
            return False
        self._blobs_there[key] = found.blob
        return True

    def _reject(self, key: bytes, error: Exception) -> None:
        self._bad.add(key)
        told = f"a result in the remote cache {self.remote.address} is damaged, and is made anew ({error})"
        self.remote.tell("damaged", told)

    # --- values and files

    def values(self, key: bytes) -> tuple[object, ...] | None:
        values = super().values(key)
        if values is not None:
            return values
        row = self._row(key)
        if row is None or row.absent != "remote":
            return None
        return self.remote.ask(partial(self._fetch, key), None)

    def has_file(self, file: SavedFile) -> bool:
        if super().has_file(file):
            return True
        if not file.digest or self.blobs is None:
            return False
        if file.digest not in self._files:
            size = self.remote.ask(lambda objects: objects.size(file_name(file.digest)) or 0, None)
            if size is None:  # no answer
                return False
            self._files[file.digest] = size > 0
        return self._files[file.digest] and self.remote.answers

    def restore(self, file: SavedFile, target: Path) -> bool:
        if super().restore(file, target):
            return True
        if not self._files.get(file.digest) or target.exists():
            return False
        return self.remote.ask(partial(self._fetch_file, file.digest), False) and super().restore(file, target)

    def _fetch(self, key: bytes, objects: Objects) -> tuple[object, ...] | None:
        """Get the values of an action, check them, and have them in this store."""
        row, blobs = self._row(key), self.blobs
        if row is None or blobs is None:
            return None
        record = record_of(row)
        try:
            blob = self._blobs_there.get(key) or _blob_of(_find(key, objects), row)
            with self._room.writing() as make_room:
                if not make_room(blob.bytes):
                    return None
                load = partial(objects.download, blob_name(blob.digest), size=blob.bytes)
                values, stamp = blobs.adopt(key, blob.bytes, load, lambda values: check_values(values, record))
                self._have(row._replace(bytes=blob.bytes, stamp=stamp, absent=None, used=now()))
            if key not in self._imported:  # else that was counted when its record came
                self.remote.gained(record.seconds)
            self._imported.discard(key)
        except (BadFile, FileNotFoundError) as error:
            reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
            self._reject(key, BadFile(reason))
            self._access.ask(lambda index: index.drop_values([key], "missing"), None)
            self._note_place(key, "missing")
            return None
        except OSError as error:
            if error.errno in FULL:  # this machine's disk
                return None
            raise
        self.memory.put(key, record, values)
        return values

    def _have(self, row: Row) -> None:
        with self._lock:
            self._buffer.pop(row.key, None)
            self._access.ask(lambda index: index.put([row]), None)
            self._note_place(row.key, where_values_are(row))

    def _fetch_file(self, digest: str, objects: Objects) -> bool:
        blobs = self.blobs
        if blobs is None:
            return False
        try:
            size = objects.size(file_name(digest))
            if size is None:
                raise FileNotFoundError
            with self._room.writing() as make_room:
                if not make_room(size):
                    return False
                blobs.adopt_copy(digest, lambda path: objects.download(file_name(digest), path, size))
                sql = "INSERT OR REPLACE INTO file VALUES (?, ?, ?)"
                self._access.ask(lambda index: index.write(sql, (digest, size, now())), None)
        except (BadFile, FileNotFoundError):
            self._files[digest] = False
            told = f"a file in the remote cache {self.remote.address} is missing or damaged, and is made anew"
            self.remote.tell("file", told)
            return False
        except OSError as error:
            if error.errno in FULL:
                return False
            raise
        return True

    # --- what is made here

    def put(
        self, key: bytes, record: Record, values: tuple[object, ...], *, to_disk: bool = True, **options: Any
    ) -> None:
        super().put(key, record, values, to_disk=to_disk, **options)
        self._imported.discard(key)
        if to_disk and self.index is not None:
            self.remote.later(partial(self.write, key))

    def write(self, key: bytes, objects: Objects) -> bool:
        """Write an action to the remote cache; whether it is there now."""
        with self._lock:  # between memory and the index no row is to be seen
            row = self._row(key)
        blobs, bad = self.blobs, key in self._bad
        if row is None or blobs is None:
            return False
        try:
            blob = _blob_in(blobs.path(key)) if row.bytes else None
            text = entry_text(row, blob)
            if text is None:  # nobody else's business
                return False
            if blob is not None:
                _send(objects, blob_name(blob.digest), blobs.path(key), replace=bad)
            for digest in files_of(row.saved):
                lost = self._files.get(digest) is False
                _send(objects, file_name(digest), blobs.copy_path(digest), replace=lost)
        except FileNotFoundError:  # evicted meanwhile
            return False
        with contextlib.suppress(FileExistsError):  # somebody else was faster
            objects.write(action_name(key), text, replace=bad)
        self._bad.discard(key)
        return True

    def close(self) -> None:
        """Write what waits, as far as there is time, and let go of the index."""
        self.flush()
        try:
            self.remote.close()
        finally:  # somebody may be tired of waiting
            super().close()

    def _damaged(self, key: bytes, error: Exception) -> None:
        super()._damaged(key, error)
        if key in self._imported:  # what the remote cache said was not what it said it was
            self._bad.add(key)


_NOTHING = BadFile("no answer")


def _find(key: bytes, objects: Objects) -> Found:
    """What a remote cache knows of an action; what is wrong with that, if something is; None if it knows nothing."""
    try:
        return entry_of(key, objects.read(action_name(key), MOST_BYTES), now())
    except FileNotFoundError:
        return None
    except BadFile as error:
        return error


def _blob_of(found: Found, row: Row) -> Blob:
    """Where the values of a row are. Raises BadFile and FileNotFoundError."""
    if isinstance(found, BadFile):
        raise found
    if found is None or found.blob is None:
        raise FileNotFoundError
    if found.row.digests != row.digests:
        raise BadFile("it holds something else")
    return found.blob


def _send(objects: Objects, name: str, path: Path, *, replace: bool) -> None:
    """Write a file to where its digest says, unless it is there."""
    if replace or objects.size(name) != path.stat().st_size:
        objects.write(name, path, replace=True)


def _blob_in(path: Path) -> Blob:
    """What a file is called by in a remote cache."""
    with path.open("rb") as file:
        return Blob(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)

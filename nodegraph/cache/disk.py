"""The persistent result store: memory first, then an SQLite index and files that all processes of a machine share.

Whatever goes wrong with the disk (no space, no rights, damaged or missing files, an index of a newer version) makes
results be missed or kept in memory only, with one warning of each kind; it never gives a wrong result and never fails.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar, cast

from nodegraph.cache.blobs import Blobs
from nodegraph.cache.eviction import Candidate, victims
from nodegraph.cache.index import Index, NewerSchema, Row
from nodegraph.cache.memory import DEFAULT_BUDGET as DEFAULT_MEMORY
from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.owners import Heartbeat, is_alive, now, this_owner
from nodegraph.cache.records import Record, Tally
from nodegraph.cache.rows import joined_digests, record_of, saved_text
from nodegraph.files import FileState
from nodegraph.sockets.codecs import Undigestible, digest
from nodegraph.sockets.packing import BadFile, Unstorable, from_bytes, pack, tensor_bytes, to_bytes
from nodegraph.sockets.values import SavedFile

T = TypeVar("T")

VERSION_FOLDER = "v1"
DEFAULT_BUDGET = 20 << 30
DEFAULT_FREE = 1 << 30  # bytes of the disk that stay free
INLINE_BYTES = 4096  # smaller values live in the index
CHECKED_BYTES = 4 << 20  # smaller blobs are digested at every read, larger ones when their file was touched
READ_SECONDS, READ_RATE = 5e-4, 1e9  # what reading a value costs: seconds for any, bytes a second
BUFFERED_ROWS = 256
MAX_FAILURES = 5
KEPT_SECONDS = 1.0  # what a saved file's copy counts for when something is to be evicted


class DiskStore:
    """Results below `folder`, shared with other processes. Safe to use from several threads.

    warn: told once about each kind of trouble. budget, free: bytes that the files may take, and that stay free.
    """

    def __init__(
        self,
        folder: Path,
        *,
        memory: int = DEFAULT_MEMORY,
        budget: int = DEFAULT_BUDGET,
        free: int = DEFAULT_FREE,
        warn: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.folder = folder / VERSION_FOLDER
        self.memory = MemoryStore(memory)
        self.budget, self.free = budget, free
        self.owner = this_owner()
        self._warn, self._warned = warn, set[str]()
        self._lock = threading.RLock()
        self._buffer: dict[bytes, Row] = {}
        self._places: dict[bytes, int | str] = {}  # bytes of the blob, 0 in the row itself, or why there is nothing
        self._heartbeat = Heartbeat(self._beat)
        self._failures = 0
        self._written = 0
        self._index: Index | None = None
        self._inode = 0
        self._open()

    # --- results

    def record(self, key: bytes) -> Record | None:
        known = self.memory.record(key)
        if known is not None:
            return known
        row = self._ask(lambda index: index.action(key), None)
        if row is None:
            return None
        try:
            record = record_of(row)
        except BadFile as error:
            self._damaged(key, error)
            return None
        self._places[key] = _place(row)
        self.memory.note(key, record)
        return record

    def absent(self, key: bytes, *, memory_counts: bool = True) -> str | None:
        if memory_counts and self.memory.absent(key) is None:
            return None
        place = self._places.get(key)
        if place is None or isinstance(place, str):  # another process may know more by now
            row = self._buffer.get(key) or self._ask(lambda index: index.action(key), None)
            if row is None:
                return "unknown"
            place = self._places[key] = _place(row)
        if isinstance(place, str):
            return place
        return None if place == 0 or self._blob_size(key) == place else "missing"

    def values(self, key: bytes) -> tuple[object, ...] | None:
        values = self.memory.values(key)
        if values is not None:
            return values
        row = self._buffer.get(key) or self._ask(lambda index: index.action(key), None)
        if row is None or isinstance(_place(row), str):
            return None
        try:
            record = record_of(row)
            values = self._read(row, record)
        except FileNotFoundError:
            self._tell("a stored result is missing, and is made anew")
            self._places[key] = "missing"
            self._ask(lambda index: index.drop_values([key], "missing"), None)
            return None
        except (BadFile, OSError) as error:
            self._damaged(key, error)
            return None
        self.memory.put(key, record, values)
        return values

    def put(
        self,
        key: bytes,
        record: Record,
        values: tuple[object, ...],
        *,
        node_type: str = "",
        to_disk: bool = True,
        at_once: bool = False,
        rebuild: float | None = None,
    ) -> None:
        self.memory.put(key, record, values)
        if not to_disk or self._index is None:
            return
        if at_once:
            self._come_back()
        saved = self._kept_saved(record)
        if saved is None:
            return
        value, size, stamp, absent = self._store(key, record, values, rebuild)
        time = now()
        row = Row(
            key,
            node_type,
            joined_digests(record),
            record.seconds,
            saved or None,
            value,
            size,
            stamp,
            absent,
            time,
            time,
        )
        with self._lock:
            self._buffer[key] = row
            self._places[key] = _place(row)
            if at_once or len(self._buffer) >= BUFFERED_ROWS:
                self.flush()

    def flush(self) -> None:
        """Write the rows that wait in memory."""
        with self._lock:
            rows, self._buffer = list(self._buffer.values()), {}
            if rows:
                self._ask(lambda index: index.put(rows), None)

    def forget(self, key: bytes) -> None:
        """Drop all that is known of an action."""
        with self._lock:
            self._buffer.pop(key, None)
            self._places.pop(key, None)
        self.memory.forget(key)
        self._ask(lambda index: index.drop([key]), None)

    # --- files that nodes saved

    def has_file(self, file: SavedFile) -> bool:
        return bool(file.digest) and self._blobs is not None and self._blobs.copy_path(file.digest).is_file()

    def restore(self, file: SavedFile, target: Path) -> bool:
        if self._blobs is None or not file.digest:
            return False
        try:
            self._blobs.copy_out(file.digest, target)
        except BadFile as error:
            self._tell(f"{error}; the file is made anew")
            self._blobs.quarantine(self._blobs.copy_path(file.digest))
            return False
        except OSError:
            return False
        self._ask(lambda index: index.touch((), [file.digest], now()), None)
        return True

    # --- digests of files

    def recall(self, path: str) -> tuple[FileState, str] | None:
        sql = "SELECT size, mtime_ns, ctime_ns, inode, digest FROM memo WHERE path = ?"
        rows = self._ask(lambda index: index.read(sql, (path,)), [])
        return (FileState(*rows[0][:4]), rows[0][4]) if rows else None

    def remember(self, path: str, state: FileState, digest: str) -> None:
        sql = "INSERT OR REPLACE INTO memo VALUES (?, ?, ?, ?, ?, ?)"
        self._ask(lambda index: index.write(sql, (path, *state, digest)), None)

    # --- who works on what

    def claim(self, key: bytes) -> bool:
        claimed = self._ask(lambda index: index.claim(key, self.owner, now(), _lives), None)
        if claimed:
            self._heartbeat.start()
        return claimed is not False

    def release(self, key: bytes) -> None:
        if self._index is not None:
            self._heartbeat.stop()
        sql = "DELETE FROM claim WHERE key = ? AND owner = ?"
        self._ask(lambda index: index.write(sql, (key, self.owner)), None)

    def begin(self, keys: Collection[bytes] = ()) -> None:
        self._come_back()
        places = self._places
        used = [key for key in keys if type(places.get(key)) is int and places[key]]
        time = now()

        def note(index: Index) -> None:
            index.write("INSERT OR REPLACE INTO run VALUES (?, ?, ?)", (self.owner, time, time))
            if used:
                index.touch(used, (), time)

        self._ask(note, None)
        self._heartbeat.start()

    def end(self, tallies: Mapping[str, Tally]) -> None:
        self._heartbeat.stop()
        self.flush()

        def note(index: Index) -> None:
            index.write("DELETE FROM run WHERE owner = ?", (self.owner,))
            index.write_many(
                "INSERT INTO tally VALUES (?, ?, ?, ?) ON CONFLICT(type) DO UPDATE SET hits = hits + excluded.hits, "
                "runs = runs + excluded.runs, saved = saved + excluded.saved",
                [(name, *tally) for name, tally in tallies.items()],
            )

        self._ask(note, None)

    def close(self) -> None:
        """Write what waits, and let go of the index; the store works on in memory."""
        self.flush()
        with self._lock:
            index, self._index = self._index, None
        if index is not None:
            index.close()

    @property
    def index(self) -> Index | None:
        """The index, None if the store works in memory only."""
        return self._index

    @property
    def blobs(self) -> Blobs | None:
        """The files, None if the store works in memory only."""
        return self._blobs

    # --- reading and writing values

    def _read(self, row: Row, record: Record) -> tuple[object, ...]:
        """The values of a row, checked. Raises BadFile and OSError."""
        if row.value is not None:
            values = from_bytes(row.value)
            if not isinstance(values, tuple):
                raise BadFile("a row of the index holds something else")
            found = cast("tuple[object, ...]", values)
            _check(found, record)
            return found
        if self._blobs is None:
            raise FileNotFoundError
        values, stamp = self._blobs.read(row.key, row.bytes)
        if row.bytes <= CHECKED_BYTES or stamp != row.stamp:
            _check(values, record)
            if stamp != row.stamp:
                self._ask(lambda index: index.restamp(row.key, stamp), None)
        return values

    def _store(
        self, key: bytes, record: Record, values: tuple[object, ...], rebuild: float | None
    ) -> tuple[bytes | None, int, str | None, str | None]:
        """Put values where they belong: (value for the row, bytes of the blob, its stamp, why there is neither)."""
        try:
            structure, tensors = pack(values)
            size = len(structure) + tensor_bytes(tensors)
            if size <= INLINE_BYTES:
                return to_bytes(structure, tensors), 0, None, None
            cost = record.seconds if rebuild is None else rebuild
            if cost < READ_SECONDS + size / READ_RATE:
                return None, 0, None, "cheap"
            if self._blobs is None or not self._make_room(size):
                return None, 0, None, "full"
            size, stamp = self._blobs.write(key, structure, tensors)
            return None, size, stamp, None
        except Unstorable:
            return None, 0, None, "unstorable"
        except OSError as error:
            self._tell(f"a result cannot be written to {self.folder} ({_reason(error)}); it is kept in memory only")
            return None, 0, None, "full"

    def _kept_saved(self, record: Record) -> str | None:
        """What a record says of saved files, as text, once copies of them are kept; None if it cannot be written."""
        if record.saved is None:
            return ""
        try:
            text = saved_text(record.saved)
        except Unstorable:
            return None
        for file in record.saved.files:
            if file.digest and self._blobs is not None:
                self._keep(file, self._blobs)
        return text

    def _keep(self, file: SavedFile, blobs: Blobs) -> None:
        try:
            path = Path(file.path)
            if self._make_room(path.stat().st_size):
                size = blobs.copy_in(path, file.digest)
                sql = "INSERT OR REPLACE INTO file VALUES (?, ?, ?)"
                self._ask(lambda index: index.write(sql, (file.digest, size, now())), None)
        except BadFile:
            return
        except OSError as error:
            self._tell(f"no copy of {file.filename} can be kept in {self.folder} ({_reason(error)})")

    # --- bounds

    def _make_room(self, size: int) -> bool:
        """Whether there is room for `size` more bytes, once enough was evicted."""
        assert self._blobs is not None
        self._written += size
        lacking = self.free + size - self._blobs.free()
        if lacking <= 0 and self._written < self.budget // 50 and size < self.budget // 50:
            return True  # the sum is looked at now and then only
        self._written = 0
        self.flush()
        excess = self.used() + size - self.budget
        if excess > 0:
            excess += self.budget // 10  # so that not each put evicts something
        if excess > 0 or lacking > 0:
            freed = self.evict(max(excess, lacking))
            if freed < max(excess - self.budget // 10, lacking):
                reason = "its disk is nearly full" if lacking > freed else "it is full of what running workflows need"
                self._tell(f"the cache in {self.folder} keeps no more for now: {reason}")
                return False
        return True

    def used(self) -> int:
        """Bytes of all blobs and copies."""
        sql = "SELECT (SELECT TOTAL(bytes) FROM action WHERE bytes > 0) + (SELECT TOTAL(bytes) FROM file)"
        return int(self._ask(lambda index: index.read(sql)[0][0], 0))

    def evict(self, excess: int) -> int:
        """Free `excess` bytes, as far as no running workflow needs them; returns the bytes freed."""
        return self._ask(lambda index: self._evict(index, excess), 0)

    def _evict(self, index: Index, excess: int) -> int:
        pinned = _oldest_run(index)
        time = now()
        sql = "SELECT key, bytes, seconds, used FROM action WHERE bytes > 0 AND used < ?"
        candidates = [Candidate(*row) for row in index.read(sql, (pinned,))]
        files = index.read("SELECT digest, bytes, used FROM file WHERE used < ?", (pinned,))
        candidates += [Candidate(name, size, KEPT_SECONDS, used) for name, size, used in files]
        chosen = victims(candidates, excess, time)
        keys = [each.key for each in chosen if isinstance(each.key, bytes)]
        names = [each.key for each in chosen if isinstance(each.key, str)]
        index.drop_values(keys, "evicted")  # the row first: a blob without a row is harmless
        index.write_many("DELETE FROM file WHERE digest = ?", [(name,) for name in names])
        assert self._blobs is not None
        for key in keys:
            self._places[key] = "evicted"
            self._blobs.path(key).unlink(missing_ok=True)
        for name in names:
            self._blobs.copy_path(name).unlink(missing_ok=True)
        return sum(each.bytes for each in chosen)

    # --- trouble

    def _open(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._blobs: Blobs | None = Blobs(self.folder)
            self._blobs.sweep()
            try:
                self._index = Index(self.folder / "index.db")
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._set_aside()
                self._index = Index(self.folder / "index.db")
            self._inode = (self.folder / "index.db").stat().st_ino
        except NewerSchema as error:
            self._give_up(f"the cache in {self.folder} was written by a newer version of nodegraph ({error})")
        except (OSError, sqlite3.Error) as error:
            self._give_up(f"the cache in {self.folder} cannot be used ({_reason(error)})")

    def _give_up(self, reason: str) -> None:
        self._blobs, index, self._index = None, self._index, None
        if index is not None:
            index.close()
        self._tell(f"{reason}; results are kept in memory only. Choose another folder with --cache-dir")

    def _ask(self, question: Callable[[Index], T], otherwise: T) -> T:
        """Ask the index something; `otherwise` if it cannot answer."""
        index = self._index
        if index is None:
            return otherwise
        try:
            answer = question(index)
        except (sqlite3.Error, OSError) as error:
            self._trouble(error)
            return otherwise
        self._failures = 0
        return answer

    def _trouble(self, error: Exception) -> None:
        with self._lock:
            if self._index is None:
                return
            if _is_corrupt(error):
                self._index.close()
                self._set_aside()
                self._index = None
                self._places.clear()
                self._open()
                return
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._give_up(f"the cache in {self.folder} cannot be used ({_reason(error)})")
            else:
                self._tell(f"the cache in {self.folder} does not answer ({_reason(error)})")

    def _set_aside(self) -> None:
        """Move a damaged index out of the way."""
        self._tell(f"the index of the cache in {self.folder} was damaged; a new one is begun")
        for suffix in ("-wal", "-shm"):
            (self.folder / f"index.db{suffix}").unlink(missing_ok=True)
        Blobs(self.folder).quarantine(self.folder / "index.db")

    def _come_back(self) -> None:
        """Begin anew if somebody deleted the folder: SQLite would go on writing to a file that nobody sees."""
        if self._index is None:
            return
        try:
            there = self._index.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            with self._lock:
                self._index.close()
                self._index = None
                self._places.clear()
                self._open()

    def _damaged(self, key: bytes, error: Exception) -> None:
        self._tell(f"a stored result is damaged, and is made anew ({_reason(error)})")
        if self._blobs is not None and self._blob_size(key) is not None:
            self._blobs.quarantine(self._blobs.path(key))
        self.forget(key)

    def _blob_size(self, key: bytes) -> int | None:
        return self._blobs.size(key) if self._blobs is not None else None

    def _beat(self) -> None:
        def beat(index: Index) -> None:
            for table in ("claim", "run"):
                index.write(f"UPDATE {table} SET beat = ? WHERE owner = ?", (now(), self.owner))

        self._ask(beat, None)

    def _tell(self, message: str) -> None:
        kind = message.partition("(")[0]
        if kind not in self._warned:
            self._warned.add(kind)
            self._warn(message)


def _place(row: Row) -> int | str:
    if row.value is not None:
        return 0
    return row.bytes or row.absent or "unknown"


def _check(values: tuple[object, ...], record: Record) -> None:
    """Raises BadFile unless the values are those that the record speaks of."""
    try:
        found = tuple(digest(value) for value in values)
    except Undigestible as error:
        raise BadFile(str(error)) from error
    if found != record.digests:
        raise BadFile("its digest is another")


def _lives(owner: str, beat: float) -> bool:
    return is_alive(owner, beat, now())


def _oldest_run(index: Index) -> float:
    """When the oldest run began that still goes on; the rows of dead ones are deleted."""
    oldest = float("inf")
    for owner, since, beat in index.read("SELECT owner, since, beat FROM run"):
        if _lives(owner, beat):
            oldest = min(oldest, since)
        else:
            index.write("DELETE FROM run WHERE owner = ?", (owner,))
    return oldest


def _is_corrupt(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

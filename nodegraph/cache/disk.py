"""The persistent result store: memory first, then an SQLite index and files that all processes of a machine share.

Whatever goes wrong with the disk (no space, no rights, damaged or missing files, an index of a newer version) makes
results be missed or kept in memory only, with one warning of each kind; it never gives a wrong result and never fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import cast

from nodegraph.cache.access import Access, reason_of
from nodegraph.cache.blobs import Blobs
from nodegraph.cache.index import Index, Row
from nodegraph.cache.memory import DEFAULT_BUDGET as DEFAULT_MEMORY
from nodegraph.cache.memory import MAX_RECORDS, MemoryStore
from nodegraph.cache.owners import Heartbeat, is_alive, now, this_owner
from nodegraph.cache.records import Alone, Record, Tally
from nodegraph.cache.room import Room, oldest_run
from nodegraph.cache.rows import Place, record_of, row_of, saved_text, where_values_are
from nodegraph.files import FileState
from nodegraph.sockets.codecs import Undigestible, digest
from nodegraph.sockets.packing import BadFile, Unstorable, from_bytes, pack, tensor_bytes, to_bytes
from nodegraph.sockets.values import SavedFile

VERSION_FOLDER = "v1"
DEFAULT_BUDGET = 20 << 30
DEFAULT_FREE = 1 << 30  # bytes of the disk that stay free
INLINE_BYTES = 4096  # smaller values live in the index
CHECKED_BYTES = 4 << 20  # smaller blobs are digested at every read, larger ones when their file was touched
HEAD_BYTES, TENSOR_HEAD_BYTES = 1024, 256  # a blob is so much larger than its tensors, at most
READ_SECONDS, READ_RATE = 5e-4, 1e9  # what reading a value costs: seconds for any, bytes a second
BUFFERED_ROWS = 256


class DiskStore(Alone):
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
        self.owner = this_owner()
        self._lock = threading.RLock()
        self._buffer: dict[bytes, Row] = {}
        self._places: dict[bytes, int | str] = {}  # bytes of the blob, 0 in the row itself, or why there is nothing
        self._claims: set[bytes] = set()
        self._runs, self._since = 0, 0.0
        self._heartbeat = Heartbeat(self._beat)
        self._access = Access(self.folder, warn, self._renewed)
        self._room = Room(self._access, budget, free, self._evicted)

    @property
    def index(self) -> Index | None:
        """The index, None if the store works in memory only."""
        return self._access.index

    @property
    def blobs(self) -> Blobs | None:
        """The files, None if the store works in memory only."""
        return self._access.blobs

    @property
    def budget(self) -> int:
        """Bytes that the files may take."""
        return self._room.budget

    def used(self) -> int:
        """Bytes of all blobs and copies."""
        return self._room.used()

    def evict(self, excess: int) -> int:
        """Free `excess` bytes, as far as no running workflow needs them; returns the bytes freed."""
        return self._room.evict(excess)

    # --- results

    def record(self, key: bytes) -> Record | None:
        known = self.memory.record(key)
        if known is not None:
            return known
        row = self._access.ask(lambda index: index.action(key), None)
        if row is None:
            return None
        try:
            record = record_of(row)
        except BadFile as error:
            self._damaged(key, error)
            return None
        self._note_place(key, where_values_are(row))
        self.memory.note(key, record)
        return record

    def absent(self, key: bytes, *, memory_counts: bool = True) -> str | None:
        if memory_counts and self.memory.absent(key) is None:
            return None
        place = self._places.get(key)
        if place is None or isinstance(place, str):  # another process may know more by now
            row = self._row(key)
            if row is None:
                return "unknown"
            place = where_values_are(row)
            self._note_place(key, place)
        if isinstance(place, str):
            return place
        return None if place == 0 or self._blob_size(key) == place else "missing"

    def values(self, key: bytes) -> tuple[object, ...] | None:
        values = self.memory.values(key)
        if values is not None:
            return values
        row = self._row(key)
        if row is None or isinstance(where_values_are(row), str):
            return None
        try:
            record = record_of(row)
            values = self._read(row, record)
        except FileNotFoundError:
            self._access.tell("missing", "a stored result is missing, and is made anew")
            self._note_place(key, "missing")
            self._access.ask(lambda index: index.drop_values([key], "missing"), None)
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
        if not to_disk or self._access.index is None:
            return
        if at_once:
            self._access.come_back()
        try:
            saved = saved_text(record.saved) if record.saved is not None else None
        except Unstorable:
            return
        with self._room.writing() as make_room:
            for file in record.saved.files if record.saved is not None else ():
                self._keep(file, make_room)
            place = self._store(key, values, record.seconds if rebuild is None else rebuild, make_room)
            row = row_of(key, node_type, record, saved, place, now())
            with self._lock:
                self._buffer[key] = row
                self._note_place(key, where_values_are(row))
                if at_once or place.bytes or len(self._buffer) >= BUFFERED_ROWS:
                    self.flush()

    def flush(self) -> None:
        """Write the rows that wait in memory."""
        with self._lock:
            rows, self._buffer = list(self._buffer.values()), {}
            if rows:
                self._access.ask(lambda index: index.put(rows), None)

    def forget(self, key: bytes) -> None:
        """Drop all that is known of an action."""
        with self._lock:
            self._buffer.pop(key, None)
            self._places.pop(key, None)
        self.memory.forget(key)
        self._access.ask(lambda index: index.drop([key]), None)

    # --- files that nodes saved

    def has_file(self, file: SavedFile) -> bool:
        blobs = self._access.blobs
        return bool(file.digest) and blobs is not None and blobs.copy_path(file.digest).is_file()

    def restore(self, file: SavedFile, target: Path) -> bool:
        blobs = self._access.blobs
        if blobs is None or not file.digest:
            return False
        try:
            blobs.copy_out(file.digest, target)
        except BadFile as error:
            self._access.tell("copy", f"{error}; the file is made anew")
            blobs.quarantine(blobs.copy_path(file.digest))
            return False
        except OSError:
            return False
        self._access.ask(lambda index: index.touch((), [file.digest], now()), None)
        return True

    # --- digests of files

    def recall(self, path: str) -> tuple[FileState, str] | None:
        sql = "SELECT size, mtime_ns, ctime_ns, inode, digest FROM memo WHERE path = ?"
        rows = self._access.ask(lambda index: index.read(sql, (path,)), [])
        return (FileState(*rows[0][:4]), rows[0][4]) if rows else None

    def remember(self, path: str, state: FileState, digest: str) -> None:
        sql = "INSERT OR REPLACE INTO memo VALUES (?, ?, ?, ?, ?, ?)"
        self._access.ask(lambda index: index.write(sql, (path, *state, digest)), None)

    # --- who works on what

    def claim(self, key: bytes) -> bool:
        with self._lock:
            if key in self._claims:  # another run of this process
                return False
            self._claims.add(key)
        if self._access.ask(lambda index: index.claim(key, self.owner, now(), _lives), True):
            self._heartbeat.start()
            return True
        with self._lock:
            self._claims.discard(key)
        return False

    def release(self, key: bytes) -> None:
        with self._lock:
            if key not in self._claims:
                return
            self._claims.discard(key)
        self._heartbeat.stop()
        sql = "DELETE FROM claim WHERE key = ? AND owner = ?"
        self._access.ask(lambda index: index.write(sql, (key, self.owner)), None)

    def begin(self, keys: Collection[bytes] = ()) -> None:
        self._access.come_back()
        places = self._places
        used = [key for key in keys if type(place := places.get(key)) is int and place]
        time = now()
        with self._lock:
            self._runs += 1
            if self._runs == 1:  # what the run that began first needs, is needed until the last one ends
                self._since = time
        self._heartbeat.start()
        self._access.ask(lambda index: self._note_run(index, time), None)
        self._access.ask(lambda index: oldest_run(index, time), 0.0)  # cleans up after those who died
        if used:
            self._access.ask(lambda index: index.touch(used, (), time), None)

    def end(self, tallies: Mapping[str, Tally]) -> None:
        self.flush()
        with self._lock:
            if self._runs == 0:
                return
            self._runs -= 1
            last = self._runs == 0
        self._heartbeat.stop()

        def note(index: Index) -> None:
            if last:
                index.write("DELETE FROM run WHERE owner = ?", (self.owner,))
            index.write_many(
                "INSERT INTO tally VALUES (?, ?, ?, ?) ON CONFLICT(type) DO UPDATE SET hits = hits + excluded.hits, "
                "runs = runs + excluded.runs, saved = saved + excluded.saved",
                [(name, *tally) for name, tally in tallies.items()],
            )

        self._access.ask(note, None)
        if last:
            self._room.trim_index()

    def close(self) -> None:
        """Write what waits, and let go of the index; the store works on in memory."""
        self.flush()
        self._heartbeat.close()
        self._access.close()

    # --- reading and writing values

    def _read(self, row: Row, record: Record) -> tuple[object, ...]:
        """The values of a row, checked. Raises BadFile and OSError."""
        if row.value is not None:
            found = from_bytes(row.value)
            if not isinstance(found, tuple):
                raise BadFile("a row of the index holds something else")
            values = cast("tuple[object, ...]", found)
            check_values(values, record)
            return values
        blobs = self._access.blobs
        if blobs is None:
            raise FileNotFoundError
        values, stamp = blobs.read(row.key, row.bytes)
        if row.bytes <= CHECKED_BYTES or stamp != row.stamp:
            check_values(values, record)
            if stamp != row.stamp:
                self._access.ask(lambda index: index.restamp(row.key, stamp), None)
        return values

    def _store(self, key: bytes, values: tuple[object, ...], cost: float, make_room: Callable[[int], bool]) -> Place:
        """Put values where they belong: into the row, a blob, or nowhere. `cost`: seconds to make them again."""
        blobs = self._access.blobs
        try:
            structure, tensors = pack(values)
            size = len(structure) + tensor_bytes(tensors)
            if size <= INLINE_BYTES:
                return Place(value=to_bytes(structure, tensors))
            if cost < READ_SECONDS + size / READ_RATE:
                return Place(absent="cheap")
            if blobs is None or not make_room(size + HEAD_BYTES + TENSOR_HEAD_BYTES * len(tensors)):
                return Place(absent="full")
            size, stamp = blobs.write(key, structure, tensors)
            return Place(bytes=size, stamp=stamp)
        except Unstorable:
            return Place(absent="unstorable")
        except OSError as error:
            told = f"a result cannot be written to {self.folder} ({reason_of(error)}); it is kept in memory only"
            self._access.tell("disk", told)
            return Place(absent="full")

    def _keep(self, file: SavedFile, make_room: Callable[[int], bool]) -> None:
        """Keep a copy of a file that a node saved."""
        blobs, path = self._access.blobs, Path(file.path)
        if blobs is None or not file.digest:
            return
        try:
            if make_room(path.stat().st_size):
                size = blobs.copy_in(path, file.digest)
                sql = "INSERT OR REPLACE INTO file VALUES (?, ?, ?)"
                self._access.ask(lambda index: index.write(sql, (file.digest, size, now())), None)
        except BadFile:
            return
        except OSError as error:
            told = f"no copy of {file.filename} can be kept in {self.folder} ({reason_of(error)})"
            self._access.tell("disk", told)

    def _evicted(self, keys: tuple[bytes, ...]) -> None:
        for key in keys:
            self._places[key] = "evicted"

    # --- what others have done

    def _row(self, key: bytes) -> Row | None:
        return self._buffer.get(key) or self._access.ask(lambda index: index.action(key), None)

    def _note_place(self, key: bytes, place: int | str) -> None:
        if len(self._places) >= MAX_RECORDS:
            self._places.clear()  # they are looked up again
        self._places[key] = place

    def _blob_size(self, key: bytes) -> int | None:
        blobs = self._access.blobs
        return blobs.size(key) if blobs is not None else None

    def _damaged(self, key: bytes, error: Exception) -> None:
        self._access.tell("damaged", f"a stored result is damaged, and is made anew ({reason_of(error)})")
        blobs = self._access.blobs
        if blobs is not None and blobs.size(key) is not None:
            blobs.quarantine(blobs.path(key))
        self.forget(key)

    def _renewed(self) -> None:
        """The index is a new one, and knows nothing of this process."""
        self._places.clear()
        if self._runs:
            self._access.ask(lambda index: self._note_run(index, now()), None)

    def _note_run(self, index: Index, time: float) -> None:
        index.write("INSERT OR REPLACE INTO run VALUES (?, ?, ?)", (self.owner, self._since, time))

    def _beat(self) -> None:
        def beat(index: Index) -> None:
            for table in ("claim", "run"):
                index.write(f"UPDATE {table} SET beat = ? WHERE owner = ?", (now(), self.owner))

        self._access.ask(beat, None)


def check_values(values: tuple[object, ...], record: Record) -> None:
    """Raises BadFile unless the values are those that the record speaks of."""
    try:
        found = tuple([digest(value) for value in values])
    except (Undigestible, ValueError) as error:
        raise BadFile(str(error)) from error
    if found != record.digests:
        raise BadFile("its digest is another")


def _lives(owner: str, beat: float) -> bool:
    return is_alive(owner, beat, now())

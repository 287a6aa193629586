"""The index of the persistent store: one SQLite file in WAL mode, shared by all processes of a machine.

Rows are small: what is known of an action, where its values lie, which files were digested, who works on what. A row
is written after its blob is in place, so a crash leaves at worst a blob without a row. Every method may raise
sqlite3.Error; the store turns that into a miss.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
APPLICATION_ID = 0x6E6F6465  # "node"
BUSY_SECONDS = 10
RETRY_SECONDS = 0.02
WAL_BYTES = 64 << 20
VERSION_AT = 60  # where an SQLite file keeps the schema version

_TABLES = """
CREATE TABLE action(
    key BLOB PRIMARY KEY, type TEXT NOT NULL, digests BLOB NOT NULL, seconds REAL NOT NULL, saved TEXT,
    value BLOB, bytes INTEGER NOT NULL, stamp TEXT, absent TEXT, created REAL NOT NULL, used REAL NOT NULL,
    seal BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX action_bytes ON action(bytes) WHERE bytes > 0;
CREATE TABLE file(digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE memo(
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE claim(key BLOB PRIMARY KEY, owner TEXT NOT NULL, beat REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE run(owner TEXT PRIMARY KEY, since REAL NOT NULL, beat REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE seen(
    scope TEXT NOT NULL, node TEXT NOT NULL, key BLOB, fields TEXT NOT NULL, PRIMARY KEY(scope, node)) WITHOUT ROWID;
CREATE TABLE tally(
    type TEXT PRIMARY KEY, hits INTEGER NOT NULL, runs INTEGER NOT NULL, saved REAL NOT NULL) WITHOUT ROWID;
"""


class NewerSchema(Exception):
    """The index was written by a newer version, which this one must not touch."""


class NotAnIndex(sqlite3.DatabaseError):
    """The file is a database, but not an index of results."""


class Row(NamedTuple):
    """A row of `action`.

    The values are in `value` (small ones), in a blob of `bytes` bytes whose file had `stamp` when it was last checked,
    or nowhere, and then `absent` says why: unstorable, cheap, full, evicted or missing. `seal` is a digest of what
    others rely on without looking at the values.
    """

    key: bytes
    type: str
    digests: bytes
    seconds: float
    saved: str | None
    value: bytes | None
    bytes: int
    stamp: str | None
    absent: str | None
    created: float
    used: float
    seal: bytes


_COLUMNS = ", ".join(Row._fields)
_PUT = f"INSERT OR REPLACE INTO action({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"
_GET = f"SELECT {_COLUMNS} FROM action WHERE key = ?"


class Index:
    """One connection to the index, usable from several threads."""

    def __init__(self, path: Path) -> None:
        """Open, or create. Raises sqlite3.Error, OSError and NewerSchema; then the file is as it was."""
        self.path = path
        self._lock = threading.RLock()
        _refuse_newer(_version_in(path))
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _patiently(self._prepare)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        _refuse_newer(self._version())
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        if self._version() == 0:
            with self.transaction():
                if self._version() == 0:  # nobody was faster
                    for statement in filter(str.strip, _TABLES.split(";")):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._db.execute(f"PRAGMA user_version = {SCHEMA}")
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(action)")]
        if columns != list(Row._fields):
            raise NotAnIndex("it has other tables than an index")

    def _version(self) -> int:
        return self._db.execute("PRAGMA user_version").fetchone()[0]

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Several writes that count together or not at all."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # --- actions

    def action(self, key: bytes) -> Row | None:
        with self._lock:
            row = self._db.execute(_GET, (key,)).fetchone()
        return None if row is None else Row._make(row)

    def put(self, rows: Iterable[Row]) -> None:
        with self.transaction():
            self._db.executemany(_PUT, rows)

    def drop(self, keys: Iterable[bytes]) -> None:
        with self.transaction():
            self._db.executemany("DELETE FROM action WHERE key = ?", [(key,) for key in keys])

    def drop_values(self, keys: Iterable[bytes], why: str) -> None:
        """Forget where values lie, but not what is known of the actions."""
        with self.transaction():
            self._db.executemany(
                "UPDATE action SET bytes = 0, value = NULL, stamp = NULL, absent = ? WHERE key = ?",
                [(why, key) for key in keys],
            )

    def restamp(self, key: bytes, stamp: str) -> None:
        self.write("UPDATE action SET stamp = ? WHERE key = ?", (stamp, key))

    def claim(self, key: bytes, owner: str, now: float, alive: Callable[[str, float], bool]) -> bool:
        """Make `owner` the one who works on `key`, unless another one does who is alive."""
        with self.transaction():
            row = self._db.execute("SELECT owner, beat FROM claim WHERE key = ?", (key,)).fetchone()
            if row is not None and row[0] != owner and alive(row[0], row[1]):
                return False
            self._db.execute("INSERT OR REPLACE INTO claim VALUES (?, ?, ?)", (key, owner, now))
        return True

    def touch(self, keys: Iterable[bytes], files: Iterable[str], now: float) -> None:
        """Note that values and files are used now."""
        with self.transaction():
            self._db.executemany("UPDATE action SET used = ? WHERE key = ? AND bytes > 0", [(now, k) for k in keys])
            self._db.executemany("UPDATE file SET used = ? WHERE digest = ?", [(now, d) for d in files])

    def trim(self, limit: int, before: float) -> None:
        """If the index takes more than `limit` bytes, drop the oldest quarter of the actions without a blob, as far as
        they were last used before a time. The space is used again."""
        with self._lock:
            pages, free, size = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        if (pages - free) * size > limit:
            self.write(
                "DELETE FROM action WHERE key IN (SELECT key FROM action WHERE bytes = 0 AND used < ? ORDER BY used "
                "LIMIT (SELECT 1 + COUNT(*) / 4 FROM action WHERE bytes = 0))",
                (before,),
            )

    # --- anything

    def read(self, sql: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, arguments).fetchall()

    def write(self, sql: str, arguments: Sequence[object] = ()) -> None:
        with self._lock:
            self._db.execute(sql, arguments)

    def write_many(self, sql: str, arguments: Iterable[Sequence[object]]) -> None:
        with self.transaction():
            self._db.executemany(sql, arguments)


def _version_in(path: Path) -> int:
    """The schema version in the head of an index, read without SQLite, which would touch the files; 0 if unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(VERSION_AT + 4)
    except FileNotFoundError:
        return 0
    return int.from_bytes(head[VERSION_AT:]) if head.startswith(b"SQLite format 3\0") else 0


def _refuse_newer(version: int) -> None:
    if version > SCHEMA:
        raise NewerSchema(f"schema {version}, this version knows {SCHEMA}")


def _patiently(work: Callable[[], None]) -> None:
    """Do `work` again while somebody else opens the same new index: SQLite does not wait in that case by itself."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > until:
                raise
        time.sleep(RETRY_SECONDS)

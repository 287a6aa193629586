"""The file that jobs are kept in: its tables, and how a file of another version is dealt with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Place, Problem, ProblemError

SCHEMA: Final = 2
APPLICATION_ID: Final = 0x6E6A6F62  # "njob"
BUSY_MS: Final = 10_000
WAL_BYTES: Final = 64 << 20

# Whose job it is: the user's who gave a name, else the client's.
WHOSE: Final = "CASE user WHEN 'default' THEN 'client ' || client ELSE 'user ' || user END"

# In `turn` is everybody who has queued jobs of a priority; the least `at` is next (see placing.py). Triggers see to it,
# so that no change of the queue can forget somebody, or leave somebody there who has nothing queued.
_JOIN: Final = """
INSERT OR IGNORE INTO turn(priority, whose, at)
    SELECT new.priority, new.whose, coalesce((SELECT value FROM meta WHERE name = 'turn'), 0) - 1
    WHERE new.state = 'queued';"""
_LEAVE: Final = """
DELETE FROM turn WHERE old.state = 'queued' AND priority = old.priority AND whose = old.whose AND NOT EXISTS (
    SELECT 1 FROM job WHERE state = 'queued' AND priority = old.priority AND whose = old.whose);"""
TURNS: Final = f"""
CREATE TABLE turn(
    n INTEGER PRIMARY KEY, priority INTEGER NOT NULL, whose TEXT NOT NULL, at INTEGER NOT NULL,
    UNIQUE(priority, whose));
CREATE INDEX turn_order ON turn(priority DESC, at, n);
CREATE INDEX job_turn ON job(state, priority DESC, whose, number, n);
CREATE TRIGGER turn_joined AFTER INSERT ON job BEGIN {_JOIN} END;
CREATE TRIGGER turn_changed AFTER UPDATE OF state, priority ON job BEGIN {_JOIN} {_LEAVE} END;
CREATE TRIGGER turn_left AFTER DELETE ON job BEGIN {_LEAVE} END;
"""

# What was asked for has a table of its own, so that a change of state need not write it again.
TABLES: Final = f"""
CREATE TABLE job(
    n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, priority INTEGER NOT NULL,
    number REAL NOT NULL, user TEXT NOT NULL, client TEXT NOT NULL,
    max_attempts INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, owner TEXT,
    device TEXT, created REAL NOT NULL, started REAL, finished REAL, result BLOB, bytes INTEGER NOT NULL,
    whose TEXT AS ({WHOSE}) VIRTUAL);
CREATE TABLE asked(n INTEGER PRIMARY KEY, text TEXT NOT NULL, request TEXT NOT NULL);
CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN DELETE FROM asked WHERE n = old.n; END;
CREATE INDEX job_ended ON job(state, finished, bytes);
CREATE TABLE event(
    seq INTEGER PRIMARY KEY, job TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,
    client TEXT NOT NULL);
CREATE INDEX event_job ON event(job, seq);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
{TURNS}"""


def _give_turns(connection: sqlite3.Connection) -> None:
    """Jobs that were queued in one row for all are queued by whose they are."""
    connection.execute(f"ALTER TABLE job ADD COLUMN whose TEXT AS ({WHOSE}) VIRTUAL")
    connection.execute("DROP INDEX job_queue")
    for statement in _statements(TURNS):
        connection.execute(statement)
    connection.execute(
        "INSERT INTO turn(priority, whose, at) SELECT priority, whose, -1 FROM job WHERE state = 'queued' "
        "GROUP BY priority, whose ORDER BY min(number), min(n)"
    )


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


#: By version: what makes a file of that version one of the next.
MIGRATIONS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = MappingProxyType({1: _give_turns})


def open_file(
    path: Path,
    *,
    schema: int = SCHEMA,
    migrations: Mapping[int, Callable[[sqlite3.Connection], None]] = MIGRATIONS,
) -> sqlite3.Connection:
    """The file, made or brought up to date if need be. Raises ProblemError for one that cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ProblemError(unusable(path, f"cannot be opened: {error}")) from None
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if owner != APPLICATION_ID and tables:
            raise ProblemError(unusable(path, "is another program's file"))
        if version > schema:
            reason = f"was written by a newer version of nodegraph (format {version}, and this one knows {schema})"
            raise ProblemError(unusable(path, reason, "use that version, or another folder (--data-dir)"))
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        connection.execute("PRAGMA synchronous=NORMAL")
        if not tables:
            _write(connection, TABLES + f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={schema};")
        elif version < schema:
            _migrate(connection, path, version, schema, migrations)
    except sqlite3.Error as error:
        connection.close()
        raise ProblemError(unusable(path, f"cannot be used: {error}")) from None
    except BaseException:
        connection.close()
        raise
    return connection


def unusable(path: Path, reason: str, hint: str = "move it away to begin with an empty queue") -> Problem:
    """Why the file of jobs cannot be used."""
    return Problem("jobs_unusable", f"the file of jobs {reason}", Place(str(path)), hint=hint)


def _write(connection: sqlite3.Connection, script: str) -> None:
    connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")


def _migrate(
    connection: sqlite3.Connection,
    path: Path,
    version: int,
    schema: int,
    migrations: Mapping[int, Callable[[sqlite3.Connection], None]],
) -> None:
    """Bring an older file up to date; as it was, it stays beside the new one."""
    backup = path.with_name(f"{path.name}.v{version}.bak")
    written = backup.with_name(backup.name + ".tmp")
    written.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(written),))
    written.replace(backup)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in range(version, schema):
            if step not in migrations:
                raise ProblemError(unusable(path, f"has a format that is no longer read ({version})"))
            migrations[step](connection)
        connection.execute(f"PRAGMA user_version={schema}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

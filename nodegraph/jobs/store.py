"""The durable queue: one SQLite file with a row for each job, and the events of open jobs and of the last ended ones.

What `submit` has returned is on disk (synchronous=FULL); what follows is written without waiting for the disk, so that
a power failure costs at most the last moments, after which those jobs run again from what is cached. A job belongs to
its owner, a worker, from `claim` to `finish` or `give_back`; only the owner can do these. One service uses the file at
a time and sees its workers die, so ownership needs no clock.

Methods are synchronous and take milliseconds at most. They are called from one thread.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
import uuid
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from nodegraph.errors import Problem, ProblemError, shorten
from nodegraph.jobs.listing import bounded, listed, listing, only, whole
from nodegraph.jobs.model import Job, JobEvent, Request, Result, State
from nodegraph.jobs.placing import first_turn, had_turn, is_shared, next_turn, place_before, place_front
from nodegraph.jobs.retention import Limits, trim_events, trim_history
from nodegraph.jobs.rows import JOB, dump, job_of, pack, request_data, result_data
from nodegraph.jobs.schema import open_file

ID_LENGTH: Final = 200  # characters of the name of a job
#: What SQLite says when there is no room: the disk is full, or writing failed.
FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
RESERVED: Final = 10_000  # numbers of events set aside at a time, so that none is used twice after a crash


class Ended(NamedTuple):
    """A job that a change of many has ended or removed, and who asked for it."""

    id: str
    client: str


class JobStore:
    """The jobs in one file."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self.connection = open_file(path)
        self.execute = self.connection.execute
        self.ended_since_trim = self.events_since_trim = 0
        self.reserved = self.meta("seq")
        trim_history(self.connection, limits)

    def close(self, seq: int | None = None) -> None:
        """Close the file. seq: the last number of an event, so that numbering goes on without a gap."""
        if seq is not None:
            self.set_meta("seq", seq)
        self.connection.close()

    @contextmanager
    def changing(self, *, durable: bool = False) -> Generator[None]:
        """A transaction; if durable, it is on disk when this ends."""
        if durable:
            self.execute("PRAGMA synchronous=FULL")
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self.connection.in_transaction:  # a full disk may have ended it already
                self.execute("ROLLBACK")
            raise
        else:
            self.execute("COMMIT")
        finally:
            if durable:
                self.execute("PRAGMA synchronous=NORMAL")

    # --- facts beside jobs

    def meta(self, name: str, default: int = 0) -> int:
        """A number kept under a name."""
        row = self.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row is not None else default

    def set_meta(self, name: str, value: int) -> None:
        """Keep a number."""
        self.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def reserve(self, seq: int) -> None:
        """Have no later service use the numbers of events up to `seq`."""
        if seq > self.reserved:
            self.reserved = seq + RESERVED
            self.set_meta("seq", self.reserved)

    # --- single jobs

    def submit(self, request: Request) -> Job:
        """Queue a job. Raises ProblemError if the queue is full, the id is taken, or it cannot be written down."""
        try:
            return self._submit(request)
        except sqlite3.Error as error:
            message = f"the job cannot be written down: {error}"
            full = getattr(error, "sqlite_errorcode", 0) in FULL
            hint = "free some space" if full else "see whether the folder can be written to"
            code = "disk_full" if full else "cannot_write"
            raise ProblemError(Problem(code, message, hint=hint)) from None

    def _submit(self, request: Request) -> Job:
        id_, now, row = request.id or str(uuid.uuid4()), time.time(), dump(request_data(request))
        size = len(request.text) + len(row)
        if not 0 < len(id_) <= ID_LENGTH or whole(id_) != id_:
            message = f"a job cannot be called {shorten(id_)}"
            raise ProblemError(Problem("bad_name", message, got=id_, hint="leave the id out, or use a UUID"))
        if request.number is not None and not math.isfinite(request.number):
            message = f"a place in the queue is a number, not {request.number}"
            raise ProblemError(Problem("bad_number", message, got=str(request.number)))
        with self.changing(durable=True):
            self._refuse_overflow(size)
            number, count = request.number, self.meta("number") + 1
            if number is None:
                number = -float(count) if request.front else float(count)
            try:
                facts = (request.user, request.client, max(1, bounded(request.max_attempts)), now, size)
                n = self.execute(
                    "INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes) "
                    "VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
                    (id_, bounded(request.priority), number, *facts),
                ).lastrowid
                self.execute("INSERT INTO asked VALUES (?, ?, ?)", (n, request.text, row))
            except sqlite3.IntegrityError:
                message = f"there is a job {shorten(id_)} already"
                raise ProblemError(Problem("job_exists", message, got=id_, hint="choose another id")) from None
            except UnicodeEncodeError:
                raise ProblemError(Problem("bad_encoding", "the request holds half a surrogate pair")) from None
            self.set_meta("number", count)
        return Job(id_, "queued", request, number, now)

    def _refuse_overflow(self, size: int) -> None:
        count, used = self.execute("SELECT count(*), sum(bytes) FROM job WHERE state = 'queued'").fetchone()
        if count >= self.limits.queue_length or (used or 0) + size > self.limits.queue_bytes:
            message = f"the queue is full: {count:,} jobs wait"
            raise ProblemError(Problem("queue_full", message, hint="try again when some of them are done"))

    def get(self, id_: str) -> Job | None:
        """A job, whatever its state."""
        row = self.execute(f"{JOB} WHERE id = ?", (whole(id_),)).fetchone()
        return job_of(row) if row is not None else None

    def claim(self, owner: str, device: str | None = None) -> Job | None:
        """Take the next queued job, which now runs at `owner`; None if none is queued."""
        with self.changing():
            found = next_turn(self.connection)
            if found is None:
                return None
            n, turn = found
            (id_,) = self.execute(
                "UPDATE job SET state = 'running', owner = ?, device = ?, started = ?, attempts = attempts + 1, "
                "cancel = 0 WHERE n = ? RETURNING id",
                (owner, device, time.time(), n),
            ).fetchone()
            at = self.meta("turn") + 2
            had_turn(self.connection, turn, at)
            self.set_meta("turn", at)
        return self.get(id_)

    def finish(self, id_: str, owner: str | None, state: State, result: Result | bytes | None) -> bool:
        """End a running job; whether it was still the owner's (None: whoever's). result: may be packed already."""
        blob = pack(result_data(result)) if isinstance(result, Result) else result
        changed = self.execute(
            "UPDATE job SET state = ?, finished = ?, result = ?, owner = NULL, bytes = bytes + ? "
            "WHERE id = ? AND state = 'running' AND (? IS NULL OR owner = ?)",
            (state, time.time(), blob, len(blob or b""), id_, owner, owner),
        ).rowcount
        self._trim(changed)
        return bool(changed)

    def give_back(self, id_: str, owner: str | None, *, count: bool = True) -> bool:
        """Queue a running job again, at its old place; its turn is next. count: whether this was one of its
        attempts."""
        with self.changing():
            row = self.execute(
                "UPDATE job SET state = 'queued', owner = NULL, device = NULL, started = NULL, attempts = attempts - ? "
                "WHERE id = ? AND state = 'running' AND (? IS NULL OR owner = ?) RETURNING priority, whose",
                (0 if count else 1, id_, owner, owner),
            ).fetchone()
            if row is not None:
                first_turn(self.connection, *row)
        return row is not None

    def is_cancelled(self, id_: str) -> bool:
        """Whether a running job is to be cancelled."""
        row = self.execute("SELECT cancel FROM job WHERE id = ?", (id_,)).fetchone()
        return row is not None and bool(row[0])

    def move(
        self, id_: str, *, front: bool = False, before: str | None = None, priority: int | None = None
    ) -> Job | None:
        """Put a queued job elsewhere among its user's; None if it, or `before`, is not queued. Before another job, it
        has that one's priority."""
        id_ = whole(id_)
        with self.changing(durable=True):
            row = self.execute("SELECT n, priority FROM job WHERE id = ? AND state = 'queued'", (id_,)).fetchone()
            if row is None:
                return None
            if before is not None:
                return self.get(id_) if place_before(self.connection, row[0], whole(before)) else None
            if priority is not None:
                self.execute("UPDATE job SET priority = ? WHERE n = ?", (bounded(priority), row[0]))
            if front:
                place_front(self.connection, row[0])
        return self.get(id_)

    # --- many jobs

    def jobs(
        self,
        states: Collection[State] = (),
        *,
        offset: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
        user: str | None = None,
    ) -> list[Job]:
        """Jobs of these states (none given: all): running ones, then the queue in order, then others by their end."""
        rows, values = listing(states, user, newest_first, shared=is_shared(self.connection))
        page = (-1 if limit is None else bounded(limit), max(0, bounded(offset)))
        ids = [row[0] for row in self.execute(f"{rows} LIMIT ? OFFSET ?", (*values, *page))]
        found = self.execute(f"{JOB} WHERE n IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
        jobs = {row[-1]: job_of(row) for row in found}
        return [jobs[n] for n in ids]

    def count(self, states: Collection[State] = (), *, user: str | None = None) -> int:
        """How many jobs of these states there are."""
        where, values = only(states, user)
        return self.execute(f"SELECT count(*) FROM job WHERE {where}", values).fetchone()[0]

    def cancel_queued(self, ids: Collection[str]) -> list[Ended]:
        """End queued jobs as cancelled."""
        with self.changing(durable=True):
            ended = self.execute(
                "UPDATE job SET state = 'cancelled', finished = ? "
                "WHERE state = 'queued' AND id IN (SELECT value FROM json_each(?)) RETURNING id, client",
                (time.time(), listed(ids)),
            ).fetchall()
        self._trim(len(ended))
        return [Ended(*row) for row in ended]

    def mark_cancelled(self, ids: Collection[str]) -> list[str]:
        """Note that running jobs are to be cancelled, also if their worker dies first."""
        with self.changing(durable=True):
            rows = self.execute(
                "UPDATE job SET cancel = 1 "
                "WHERE state = 'running' AND id IN (SELECT value FROM json_each(?)) RETURNING id",
                (listed(ids),),
            ).fetchall()
        return [row[0] for row in rows]

    def delete(self, ids: Collection[str]) -> list[Ended]:
        """Remove jobs that do not run, with their events."""
        with self.changing(durable=True):
            rows = self.execute(
                "DELETE FROM job WHERE state != 'running' AND id IN (SELECT value FROM json_each(?)) "
                "RETURNING id, client",
                (listed(ids),),
            ).fetchall()
            gone = json.dumps([row[0] for row in rows])
            self.execute("DELETE FROM event WHERE job IN (SELECT value FROM json_each(?))", (gone,))
        return [Ended(*row) for row in rows]

    def ids(self, states: Collection[State]) -> list[str]:
        """The ids of the jobs of these states."""
        where, values = only(states, None)
        return [row[0] for row in self.execute(f"SELECT id FROM job WHERE {where} ORDER BY n", values)]

    # --- events

    def keep_events(self, events: Sequence[JobEvent]) -> None:
        """Write events down."""
        with self.changing():
            self.connection.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
                [(each.seq, each.job, each.kind, each.at, dump(each.data), each.client) for each in events],
            )
        self.events_since_trim += len(events)
        if self.events_since_trim * 20 >= self.limits.event_count:
            self.events_since_trim = 0
            trim_events(self.connection, self.limits)

    def events(self, after: int, job: str | None = None, limit: int = 500) -> list[JobEvent]:
        """The events after a number, of one job or of all, in order."""
        mine, values = ("job = ? AND ", (whole(job),)) if job is not None else ("", ())
        rows = self.execute(
            f"SELECT seq, job, kind, at, data, client FROM event WHERE {mine}seq > ? ORDER BY seq LIMIT ?",
            (*values, bounded(after), limit),
        )
        return [JobEvent(seq, of, kind, at, json.loads(data), client) for seq, of, kind, at, data, client in rows]

    def _trim(self, ended: int) -> None:
        self.ended_since_trim += ended
        if self.ended_since_trim * 100 >= self.limits.history_length:
            self.ended_since_trim = 0
            trim_history(self.connection, self.limits)

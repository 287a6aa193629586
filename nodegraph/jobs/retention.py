"""How much is remembered: ended jobs and events beyond the limits are forgotten, the oldest first."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

KEPT: Final = 0.9  # of a limit that was passed, so that not every job has something forgotten
OPEN_JOBS: Final = "SELECT id FROM job WHERE state IN ('queued', 'running')"
ENDED: Final = "state NOT IN ('queued', 'running')"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store holds at most: see `JobSettings`."""

    queue_length: int
    queue_bytes: int
    history_length: int
    history_bytes: int
    event_count: int
    event_bytes: int


def trim_history(connection: sqlite3.Connection, limits: Limits) -> None:
    """Forget the jobs that ended longest ago, beyond the limits of the history, with their events."""
    execute = connection.execute
    count, size = execute(f"SELECT count(*), coalesce(sum(bytes), 0) FROM job WHERE {ENDED}").fetchone()
    if count <= limits.history_length and size <= limits.history_bytes:
        return
    rows = execute(f"SELECT n, id, bytes FROM job WHERE {ENDED} ORDER BY finished, n")
    gone: list[tuple[int, str]] = []
    for n, id_, each in rows:
        if count <= limits.history_length and size <= limits.history_bytes:
            break
        gone.append((n, id_))
        count, size = count - 1, size - each
    execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM event WHERE job = ?", [(id_,) for _, id_ in gone])
    connection.executemany("DELETE FROM job WHERE n = ?", [(n,) for n, _ in gone])
    execute("COMMIT")


def trim_events(connection: sqlite3.Connection, limits: Limits) -> None:
    """Forget events beyond the limits: the oldest of ended jobs, and if that is not enough, the oldest of all."""
    execute = connection.execute
    for spared in (f" AND job NOT IN ({OPEN_JOBS})", ""):
        count, size = execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM event").fetchone()
        if count <= limits.event_count and size <= limits.event_bytes:
            return
        share = min(limits.event_count / count, limits.event_bytes / max(size, 1)) * KEPT
        surplus = count - int(count * share)
        execute(
            f"DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE 1{spared} ORDER BY seq LIMIT ?)", (surplus,)
        )

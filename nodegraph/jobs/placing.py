"""Where a job stands in the queue: numbers between numbers."""

from __future__ import annotations

import sqlite3
from typing import Final

_NEXT: Final = "state = 'queued' AND priority = ? AND n != ?"


def place_before(connection: sqlite3.Connection, n: int, before: str) -> bool:
    """Give row `n` the priority of the queued job `before`, and a number that puts it right before that; whether there
    is such a job."""
    execute = connection.execute
    target = execute(
        "SELECT n, priority, number FROM job WHERE id = ? AND state = 'queued' AND n != ?", (before, n)
    ).fetchone()
    if target is None:
        return False
    at, priority, number = target
    ahead = execute(
        f"SELECT n, number FROM job WHERE {_NEXT} AND (number, n) < (?, ?) ORDER BY number DESC, n DESC",
        (priority, n, number, at),
    )
    first = ahead.fetchone()
    place = (first[1] + number) / 2 if first is not None else number - 1
    if first is not None and not first[1] < place < number:
        # No number fits between the two: all that is ahead is numbered anew, counting down from `before`.
        place = number - 1
        rows = [first[0], *(row[0] for row in ahead.fetchall())]
        connection.executemany(
            "UPDATE job SET number = ? WHERE n = ?", [(number - 2 - i, row) for i, row in enumerate(rows)]
        )
    execute("UPDATE job SET priority = ?, number = ? WHERE n = ?", (priority, place, n))
    return True

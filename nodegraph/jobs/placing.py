"""Where a job stands in the queue: the turn goes round among those who have jobs of the highest priority.

Whose turn is next is in the table `turn`: the least `at`, and of equal ones whoever came first. Who has had a turn is
put behind all others. Who comes anew is put behind all but the one who had the last turn, and so waits for one job of
each of the others at most, and not at all behind somebody's many jobs. Of one's jobs the one with the least number is
next; moving one to the front, or before another, changes that order and takes nobody else's turn.
"""

from __future__ import annotations

import sqlite3
from typing import Final

_MINE: Final = "state = 'queued' AND priority = ? AND whose = ?"
#: Queued jobs with how many turns of their owner come before each, and where that owner stands among the others.
PLACES: Final = (
    "SELECT place.n, priority, whose, user, round, turn.at, turn.n AS seat FROM ("
    "SELECT n, priority, whose, user, row_number() OVER (PARTITION BY priority, whose ORDER BY number, n) AS round "
    "FROM job WHERE state = 'queued') AS place JOIN turn USING (priority, whose)"
)
#: Jobs in columns like those, where no turns matter.
ROWS: Final = "SELECT n, priority, whose, user, number AS round, 0 AS at, n AS seat FROM job"
PLACE_ORDER: Final = "priority DESC, round, at, seat"
PLACE_ORDER_BACK: Final = "priority, round DESC, at DESC, seat DESC"


def next_turn(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """The queued job that is next, and whose turn that is; None if there is none."""
    turn = connection.execute("SELECT n, priority, whose FROM turn ORDER BY priority DESC, at, n LIMIT 1").fetchone()
    if turn is None:
        return None
    row = connection.execute(f"SELECT n FROM job WHERE {_MINE} ORDER BY number, n LIMIT 1", turn[1:]).fetchone()
    return row[0], turn[0]


def had_turn(connection: sqlite3.Connection, turn: int, at: int) -> None:
    """Somebody has had a turn, which was number `at`. Numbers go up by two: who comes anew gets one between."""
    connection.execute("UPDATE turn SET at = ? WHERE n = ?", (at, turn))


def first_turn(connection: sqlite3.Connection, priority: int, whose: str) -> None:
    """Somebody whose turn came to nothing is next again."""
    connection.execute(
        "UPDATE turn SET at = (SELECT min(at) FROM turn WHERE priority = ?1) - 1 WHERE priority = ?1 AND whose = ?2",
        (priority, whose),
    )


def is_shared(connection: sqlite3.Connection) -> bool:
    """Whether there are several whose jobs of one priority are queued."""
    several = "SELECT 1 FROM turn AS a JOIN turn AS b ON b.priority = a.priority AND b.n != a.n"
    return bool(connection.execute(f"SELECT EXISTS({several})").fetchone()[0])


def place_front(connection: sqlite3.Connection, n: int) -> None:
    """Give row `n` a number before all others of its owner and priority."""
    least = (
        "SELECT min(number) - 1 FROM job "
        "WHERE state = 'queued' AND priority = o.priority AND whose = o.whose AND n != o.n"
    )
    connection.execute(f"UPDATE job AS o SET number = coalesce(({least}), number) WHERE n = ?", (n,))


def place_before(connection: sqlite3.Connection, n: int, before: str) -> bool:
    """Give row `n` the priority of the queued job `before`, and a number that puts it before that, right before it if
    both are the same person's, else as its owner's turns allow; whether there is such a job."""
    execute = connection.execute
    target = execute(
        "SELECT n, priority, whose FROM job WHERE id = ? AND state = 'queued' AND n != ?", (before, n)
    ).fetchone()
    if target is None:
        return False
    at, priority, whose = target
    (mine,) = execute("SELECT whose FROM job WHERE n = ?", (n,)).fetchone()
    execute("UPDATE job SET priority = ? WHERE n = ?", (priority, n))
    own = at if whose == mine else _last_before(connection, n, at, mine)
    if own is None:
        place_front(connection, n)
    else:
        _place_right_before(connection, n, own)
    return True


def _last_before(connection: sqlite3.Connection, n: int, at: int, whose: str) -> int | None:
    """Of somebody's jobs other than `n` the last that will run before row `at`, so that `n` may have its place."""
    order = f"{PLACES} ORDER BY {PLACE_ORDER}"
    own: int | None = None
    for row, _, of, *_ in connection.execute(order):
        if row == at:
            break
        if of == whose and row != n:
            own = row
    (priority,) = connection.execute("SELECT priority FROM job WHERE n = ?", (n,)).fetchone()
    found = connection.execute("SELECT 1 FROM job WHERE n = ? AND priority = ?", (own, priority)).fetchone()
    return own if found is not None else None


def _place_right_before(connection: sqlite3.Connection, n: int, at: int) -> None:
    """Give row `n` a number between that of row `at` and the one ahead of it, both of the same owner and priority."""
    execute = connection.execute
    priority, whose, number = execute("SELECT priority, whose, number FROM job WHERE n = ?", (at,)).fetchone()
    ahead = execute(
        f"SELECT n, number FROM job WHERE {_MINE} AND n != ? AND (number, n) < (?, ?) ORDER BY number DESC, n DESC",
        (priority, whose, n, number, at),
    )
    first = ahead.fetchone()
    place = (first[1] + number) / 2 if first is not None else number - 1
    if first is not None and not first[1] < place < number:
        # No number fits between the two: all that is ahead is numbered anew, counting down from `at`.
        place = number - 1
        rows = [first[0], *(row[0] for row in ahead.fetchall())]
        connection.executemany(
            "UPDATE job SET number = ? WHERE n = ?", [(number - 2 - i, row) for i, row in enumerate(rows)]
        )
    execute("UPDATE job SET number = ? WHERE n = ?", (place, n))

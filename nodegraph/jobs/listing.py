"""Questions about many jobs, as SQL: which, and in what order."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from nodegraph.jobs.model import FINAL, State
from nodegraph.jobs.placing import PLACE_ORDER, PLACE_ORDER_BACK, PLACES, ROWS

LARGEST: Final = 2**53
#: Of the queue, if nobody shares a priority with others: what an index gives without sorting.
_PLAIN_ORDER: Final = ("priority DESC, whose, number, n", "priority, whose DESC, number DESC, n DESC")


def listing(states: Collection[State], user: str | None, newest_first: bool, *, shared: bool) -> tuple[str, list[Any]]:
    """The query for the row numbers of jobs (and what they are sorted by) with its values: running ones, then the queue
    in the order in which it will run, then others by their end; or all of that backwards. shared: whether turns matter
    to the queue."""
    if set(states) == {"queued"} and not shared:
        where, given = only(states, user)
        return f"SELECT n FROM job WHERE {where} ORDER BY {_PLAIN_ORDER[newest_first]}", given
    parts: list[str] = []
    values: list[Any] = []
    if not states or "queued" in states:
        mine, given = only((), user)
        if shared:
            parts.append(f"SELECT *, 1 AS rank, NULL AS finished FROM ({PLACES}) WHERE {mine}")
        else:
            parts.append(f"SELECT *, 1 AS rank, NULL AS finished FROM ({ROWS} WHERE state = 'queued') WHERE {mine}")
        values += given
    others: list[State] = [state for state in ("running", *FINAL) if not states or state in states]
    if others:
        where, given = only(others, user)
        kinds = "(state != 'running') * 2 AS rank, finished"
        parts.append(f"{ROWS.replace(' FROM', f', {kinds} FROM')} WHERE {where}")
        values += given
    order = f"rank DESC, finished DESC, {PLACE_ORDER_BACK}" if newest_first else f"rank, finished, {PLACE_ORDER}"
    return f"{' UNION ALL '.join(parts)} ORDER BY {order}", values


def only(states: Collection[State], user: str | None) -> tuple[str, list[Any]]:
    """The condition for jobs of these states (none given: all) and of this user, with its values."""
    wanted = [state for state in states if state in ("queued", "running", *FINAL)]
    parts = [f"state IN ({', '.join('?' * len(wanted))})"] if states else []
    values: list[Any] = list(wanted)
    if user is not None:
        parts.append("user = ?")
        values.append(whole(user))
    return " AND ".join(parts) or "1", values


def whole(text: str) -> str:
    """A text that SQLite takes whole: half a surrogate pair and zeros are written out, and so find nothing."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def listed(ids: Collection[str]) -> str:
    """Ids as a JSON list."""
    return json.dumps([whole(id_) for id_ in ids])


def bounded(number: int) -> int:
    """A whole number that SQLite takes."""
    return max(-LARGEST, min(LARGEST, number))

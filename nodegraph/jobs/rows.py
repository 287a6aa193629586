"""Requests and results as columns of the store, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final, cast

from nodegraph.jobs.model import Job, Request, Result

#: What `job_of` takes, and where it is.
JOB: Final = (
    "SELECT id, state, text, request, number, created, attempts, started, finished, result, device, priority, max_attempts "
    "FROM job JOIN asked USING (n)"
)
PACKED_FROM: Final = 512  # bytes from which a result is worth compressing
PACKED: Final = b"z"
LISTS: Final = frozenset(("problems", "executed", "cached", "skipped"))
PLAIN: Final = b"j"


def dump(data: object) -> str:
    """JSON without spaces, and of ASCII, so that half a surrogate pair does no harm."""
    return json.dumps(data, separators=(",", ":"), default=str)


def request_data(request: Request) -> dict[str, object]:
    """A request without its text, as JSON data; defaults are left out."""
    data: dict[str, object] = {}
    for each in fields(Request):
        value = getattr(request, each.name)
        if each.name != "text" and value not in (None, (), {}, "", 0, False):
            data[each.name] = value
    return data


def request_of(text: str, data: dict[str, Any]) -> Request:
    """The request that `request_data` gave."""
    if "only" in data:
        data["only"] = tuple(data["only"])
    return Request(text, **data)


def result_data(result: Result) -> dict[str, object]:
    """A result as JSON data."""
    return {each.name: getattr(result, each.name) for each in fields(Result)}


def result_of(data: dict[str, Any]) -> Result:
    """The result that `result_data` gave; what a later version added is left out."""
    known = {each.name for each in fields(Result)}
    values: dict[str, Any] = {name: value for name, value in data.items() if name in known}
    values |= {name: tuple(values[name]) for name in LISTS if name in values}
    return Result(**values)


def pack(data: object) -> bytes:
    """JSON data as bytes, compressed where that saves something."""
    raw = dump(data).encode()
    return PACKED + zlib.compress(raw, 1) if len(raw) >= PACKED_FROM else PLAIN + raw


def unpack(blob: bytes) -> Any:
    """What `pack` was given."""
    return json.loads(zlib.decompress(blob[1:]) if blob[:1] == PACKED else blob[1:])


def job_of(row: Sequence[object]) -> Job:
    """A row of `JOB` as a job."""
    id_, state, text, request, number, created, attempts, started, finished, result, device, priority, most = cast(
        "tuple[Any, ...]", row
    )
    data: dict[str, Any] = json.loads(request)
    data |= {"priority": priority, "max_attempts": most}
    return Job(
        id=id_,
        state=state,
        request=request_of(text, data),
        number=number,
        created=created,
        attempts=attempts,
        started=started,
        finished=finished,
        result=result_of(unpack(result)) if result is not None else None,
        device=device,
    )

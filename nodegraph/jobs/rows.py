"""Requests and results as columns of the store, and back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, cast

from nodegraph.jobs.model import Job, Request, Result, State

#: What `job_of` takes, and where it is.
JOB: Final = (
    "SELECT id, state, text, request, number, created, attempts, started, finished, result, device, priority, "
    "max_attempts, n FROM job JOIN asked USING (n)"
)
DEPTH: Final = 20  # how deep data that nodes show may be nested
PACKED_FROM: Final = 512  # bytes from which a result is worth compressing
PACKED: Final = b"z"
LISTS: Final = frozenset(("problems", "executed", "cached", "skipped"))
PLAIN: Final = b"j"


def dump(data: object) -> str:
    """JSON without spaces, and of ASCII, so that half a surrogate pair does no harm."""
    try:
        return json.dumps(data, separators=(",", ":"), default=str, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # numbers or keys that JSON has no words for
        return json.dumps(plain(data), separators=(",", ":"))


def plain(value: object, depth: int = 0) -> object:
    """A value as JSON has it; what JSON has no words for, as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # not infinite, and a number
    if depth < DEPTH and isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {str(key): plain(each, depth + 1) for key, each in mapping.items()}
    if depth < DEPTH and isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in cast("list[Any]", value)]
    return str(value)


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


def end_data(state: State, result: Result | None) -> dict[str, object]:
    """What the last event of a job says."""
    result = result or Result()
    failed = sum(cast("Mapping[str, object]", node).get("state") == "failed" for node in result.nodes.values())
    data: dict[str, object] = {
        "state": state,
        "seconds": round(result.seconds, 6),
        "executed": len(result.executed),
        "cached": len(result.cached),
        "failed": failed,
        "skipped": len(result.skipped),
    }
    return data | ({"error": result.error} if result.error is not None else {})


def pack(data: object) -> bytes:
    """JSON data as bytes, compressed where that saves something."""
    raw = dump(data).encode()
    return PACKED + zlib.compress(raw, 1) if len(raw) >= PACKED_FROM else PLAIN + raw


def unpack(blob: bytes) -> Any:
    """What `pack` was given."""
    return json.loads(zlib.decompress(blob[1:]) if blob[:1] == PACKED else blob[1:])


def job_of(row: Sequence[object]) -> Job:
    """A row of `JOB` as a job."""
    id_, state, text, request, number, created, attempts, started, finished, result, device, priority, most, _ = cast(
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

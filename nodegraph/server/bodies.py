"""Bodies of requests: what kind they must be, how large, and JSON without its traps."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Final

from aiohttp import web

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.workflow.limits import DEFAULT_LIMITS
from nodegraph.workflow.read import read_document
from nodegraph.workflow.tree import Located, Report

#: Kinds of bodies that any page can make a browser send without asking first.
SIMPLE: Final = frozenset(("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"))
#: Texts that `json` reads and others do not, or that may be too much: the slow reader looks at them.
SUSPECT: Final = re.compile(r"\\u[dD][89a-fA-F]|\d{19}|[eE][+]?\d{3}|-?(?:NaN|Infinity)|[\[{](?:\s*[\[{]){16}")
LARGE: Final = 200_000  # bytes
MAX_DEPTH: Final = DEFAULT_LIMITS.depth


def media_type(request: web.Request) -> str:
    """The kind of the body, in lower case and without parameters; empty if the client does not say."""
    return request.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()


def is_browser(request: web.Request) -> bool:
    """Whether a browser sends this on behalf of a page."""
    return "Origin" in request.headers or "Sec-Fetch-Site" in request.headers


def is_json(kind: str) -> bool:
    """Whether a kind of body is JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def require_json(request: web.Request, *, lenient: bool = False) -> None:
    """Refuse a body that does not say it is JSON. Raises ProblemError.

    lenient: clients that are no browsers need not say so, as ComfyUI's usual ones do not.
    """
    kind = media_type(request)
    if not (is_json(kind) or (lenient and not is_browser(request))):
        raise wrong_kind(kind, "application/json")


def wrong_kind(kind: str, *wanted: str) -> ProblemError:
    """The exception for a kind of body that is not taken."""
    message = f"a body of the kind {kind[:80]!r} is not taken" if kind else "the body's kind is not said"
    hint = f"send it with 'Content-Type: {wanted[0]}'" + "".join(f", or {other}" for other in wanted[1:])
    code = "wrong_origin" if kind in SIMPLE else "wrong_media_type"
    return ProblemError(Problem(code, message, got=kind[:80], expected=" or ".join(wanted), hint=hint))


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes of it. Raises ProblemError."""
    declared = request.content_length
    if declared is not None and declared > limit:
        raise ProblemError(too_large(limit))
    data = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        data += chunk
        if len(data) > limit:
            raise ProblemError(too_large(limit))
    return bytes(data)


def too_large(limit: int) -> Problem:
    """The answer to a body over the limit."""
    return Problem("body_too_large", f"the body is larger than {limit:,} bytes", expected=f"at most {limit} bytes")


async def read_json(request: web.Request, *, lenient: bool = False, limit: int | None = None) -> object:
    """The JSON that a request carries; an empty body is an empty object. Raises ProblemError.

    lenient: as of `require_json`.
    """
    if not request.can_read_body:
        return {}
    require_json(request, lenient=lenient)
    data = await read_bytes(request, limit or request.client_max_size)
    if len(data) > LARGE:  # nobody else waits while this one is read
        return await asyncio.to_thread(parse_json, data)
    return parse_json(data) if data else {}


def parse_json(data: bytes | str, *, file: str = "body") -> object:
    """Strict JSON: keys once, numbers that fit, whole characters, bounded depth. Raises ProblemError with places."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        if SUSPECT.search(text) is None:
            value = json.loads(text, object_pairs_hook=once)
            if not is_deep(value):
                return value
    except (ValueError, RecursionError):
        pass  # the other reader says where and why
    found: list[object] = []

    def keep(root: Located, report: Report) -> None:
        found.append(plain(root))

    _, problems = read_document(data, keep, file=file, format="json")
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or not found:
        place = Place(file, 1, 1)
        raise ProblemError(errors or Problem("json_syntax", "this is not JSON", place))
    return found[0]


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of an object. Raises ValueError when a key is given twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is given twice")
    return members


def is_deep(value: object) -> bool:
    """Whether lists and objects nest beyond the limit."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        following: list[object] = []
        for item in level:
            if isinstance(item, dict):
                following.extend(inner for inner in item.values() if isinstance(inner, dict | list))  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
            elif isinstance(item, list):
                following.extend(inner for inner in item if isinstance(inner, dict | list))  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
        if not following:
            return False
        level = following
    return True


def plain(located: Located) -> object:
    """The value without its places; its depth is bounded by the reader."""
    value = located.value
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value

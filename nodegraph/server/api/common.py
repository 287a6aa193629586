"""What the resources share: the service, paging, answers, and bodies held against openapi.yaml."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import hdrs, web

from nodegraph.errors import Problem, ProblemError
from nodegraph.jobs.model import JobService
from nodegraph.server.bodies import read_json
from nodegraph.server.errors import bad_request
from nodegraph.server.files import matches
from nodegraph.server.keys import SERVICE, SETTINGS
from nodegraph.server.settings import ServerSettings

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

DOCUMENT: Final = Path(__file__).resolve().parent.parent / "openapi.yaml"
MAX_COMPLAINTS: Final = 20


def service_of(request: web.Request) -> JobService:
    """The service behind the application."""
    return request.app[SERVICE]


def settings_of(request: web.Request) -> ServerSettings:
    """The settings of the application."""
    return request.app[SETTINGS]


def answer(data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON data as an answer."""
    body = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def answer_tagged(request: web.Request, data: object, tag: str) -> web.Response:
    """JSON data with an entity tag; only the tag if the client has it already."""
    etag = f'"{tag}"'
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers={hdrs.ETAG: etag})
    return answer(data, headers={hdrs.ETAG: etag})


@functools.cache
def document() -> Mapping[str, Any]:
    """openapi.yaml as data."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return cast("Mapping[str, Any]", yaml.load(DOCUMENT.read_text(encoding="utf-8"), loader))


@functools.cache
def validator(name: str) -> Validator:
    """What holds data against a schema of openapi.yaml."""
    from jsonschema import Draft202012Validator

    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": document()["components"]["schemas"]}}
    return Draft202012Validator(schema)


async def prepare(app: web.Application) -> None:
    """Read openapi.yaml and what checks bodies in the background, so that the first request need not wait for it."""
    app[PREPARING] = asyncio.create_task(asyncio.to_thread(validator, "JobRequest"))


async def end_preparing(app: web.Application) -> None:
    """Wait for what was begun."""
    await app[PREPARING]


PREPARING: Final[web.AppKey[asyncio.Task[object]]] = web.AppKey("preparing", asyncio.Task)


def check_body(data: object, name: str) -> Mapping[str, Any]:
    """The body of a request, once it fits a schema of openapi.yaml. Raises ProblemError with all that does not."""
    problems: list[Problem] = []
    for error in validator(name).iter_errors(cast("Any", data)):
        place = error.json_path.removeprefix("$").lstrip(".") or None
        message = f"{place or 'the body'}: {error.message[:300]}"
        problems.append(Problem("bad_request", message, input=place))
        if len(problems) >= MAX_COMPLAINTS:
            break
    if problems:
        raise ProblemError(problems)
    return cast("Mapping[str, Any]", data)


async def read_body(request: web.Request, name: str) -> Mapping[str, Any]:
    """The JSON body of a request, held against a schema. Raises ProblemError."""
    return check_body(await read_json(request), name)


def number(request: web.Request, name: str, default: int, *, most: int) -> int:
    """A whole number of the query. Raises ProblemError."""
    text = request.query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) > most:
        message = f"{name}: {text[:40]!r} is not a number from 0 to {most}"
        raise bad_request(message, input=name)
    return int(text)


def page(request: web.Request) -> tuple[int, int]:
    """offset and limit of the query. Raises ProblemError."""
    limits = settings_of(request).limits
    return number(request, "offset", 0, most=10**15), number(request, "limit", min(100, limits.page), most=limits.page)


def flag(request: web.Request, name: str) -> bool:
    """Whether the query has a switch on. Raises ProblemError."""
    text = request.query.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise bad_request(f"{name}: {text[:40]!r} is neither true nor false", input=name)
    return text in ("true", "1")

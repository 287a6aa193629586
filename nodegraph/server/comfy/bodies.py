"""What requests of ComfyUI's clients carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aiohttp import web

from nodegraph.server.bodies import parse_json, read_bytes, read_json
from nodegraph.server.errors import bad_request

JsonObject = dict[str, object]


async def json_body(request: web.Request) -> JsonObject:
    """The JSON object in a body; no body is an empty object. Raises ProblemError."""
    return json_object(await read_json(request, lenient=True))


async def own_page_json(request: web.Request) -> object:
    """The JSON in a body that ComfyUI's web app sends as plain text. Only for what does no harm: other sites are kept
    out by the check of the origin alone. Raises ProblemError."""
    return parse_json(await read_bytes(request, request.client_max_size))


def json_object(value: object) -> JsonObject:
    """A value that must be a JSON object. Raises ProblemError."""
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object")
    return cast(JsonObject, value)


def text_of(body: Mapping[str, object], key: str) -> str:
    """The text at a key, '' if there is none. Raises ProblemError for anything else."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad_request(f"'{key}' must be a text", input=key)
    return value


def texts_of(body: Mapping[str, object], key: str) -> list[str] | None:
    """The list of texts at a key, None if there is none. Raises ProblemError for anything else."""
    value = body.get(key)
    if value is None:
        return None
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(item, str) for item in items):
        raise bad_request(f"'{key}' must be a list of texts", input=key)
    return cast("list[str]", items)


def is_yes(text: str | None) -> bool:
    """Whether a query's or a form's value means yes."""
    return (text or "").lower() in ("true", "1", "yes")

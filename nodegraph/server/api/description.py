"""/api/v1/openapi.yaml, and the same for people at /api/v1/docs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, cast

from aiohttp import hdrs, web

from nodegraph.server.api.common import DOCUMENT, document
from nodegraph.server.files import matches

METHODS = ("get", "post", "put", "delete")
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-size:.95em}section{border-top:1px solid #8886;margin-top:1.5rem}dt{margin-top:.5rem}"
    "dd{margin-left:1.5rem}"
)


@functools.cache
def text() -> bytes:
    """openapi.yaml as it is written."""
    return DOCUMENT.read_bytes()


async def get_description(request: web.Request) -> web.Response:
    """The file."""
    etag = f'"{hashlib.sha256(text()).hexdigest()[:32]}"'
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers={hdrs.ETAG: etag})
    return web.Response(body=text(), content_type="application/yaml", charset="utf-8", headers={hdrs.ETAG: etag})


async def get_page(request: web.Request) -> web.Response:
    """The file as a page."""
    return web.Response(text=page(), content_type="text/html")


async def get_style(request: web.Request) -> web.Response:
    """How the page looks; in a file of its own, since pages run and style nothing that stands in them."""
    return web.Response(text=STYLE, content_type="text/css")


@functools.cache
def page() -> str:
    """The page: every operation with its parameters and answers."""
    api = document()
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>nodegraph API</title>',
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/api/v1/docs.css">',
        f"<h1>{escape(api['info']['title'])}</h1><p>{escape(api['info']['description'])}</p>",
        '<p>For programs: <a href="/api/v1/openapi.yaml">openapi.yaml</a></p>',
        *(part for path, item in api["paths"].items() for part in operations(path, item)),
        "</html>",
    ]
    return "\n".join(parts)


def operations(path: str, item: Mapping[str, Any]) -> Iterator[str]:
    """The section of each operation of an address."""
    for method in METHODS:
        if method not in item:
            continue
        operation = item[method]
        yield f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
        rows = [resolved(row) for row in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        yield definitions((f"{row['name']} ({row['in']})", row.get("description", "")) for row in rows)
        kinds = list(resolved(operation.get("requestBody", {})).get("content", {}))
        if kinds:
            yield f"<p>Body: <code>{escape(', '.join(kinds))}</code></p>"
        answers = operation["responses"].items()
        yield definitions((str(status), resolved(row)["description"]) for status, row in answers)
        yield "</section>"


def resolved(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the document, where it stands itself."""
    reference = row.get("$ref")
    if reference is None:
        return row
    found: Any = document()
    for name in str(reference).removeprefix("#/").split("/"):
        found = found[name]
    return cast("Mapping[str, Any]", found)


def definitions(pairs: Iterator[tuple[str, str]]) -> str:
    """Terms and what they mean."""
    rows = "".join(f"<dt><code>{escape(term)}</code></dt><dd>{escape(meaning)}</dd>" for term, meaning in pairs)
    return f"<dl>{rows}</dl>" if rows else ""


def add_routes(app: web.Application) -> None:
    """Add the routes of the description."""
    app.router.add_get("/api/v1/openapi.yaml", get_description)
    app.router.add_get("/api/v1/docs", get_page)
    app.router.add_get("/api/v1/docs.css", get_style)

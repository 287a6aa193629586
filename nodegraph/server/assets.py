"""Files that a browser runs or shows as a page: code that somebody installed, unlike pictures and uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from nodegraph.server.files import BINARY, matches, open_file, send_part

TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".mp4": "video/mp4",
}


async def send_asset(
    request: web.Request, root: Path, name: str, more: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Send a file of a web app. Raises ProblemError."""
    file = await asyncio.to_thread(open_file, root, name)
    with file.stream:
        headers = {hdrs.ETAG: file.etag, **(more or {})}
        if matches(request.headers.get(hdrs.IF_NONE_MATCH), file.etag):
            # A browser puts these headers in place of those that it keeps, the page's policy too.
            return web.Response(status=304, headers=headers)
        headers[hdrs.CONTENT_TYPE] = TYPES.get(Path(name).suffix.lower(), BINARY)
        return await send_part(request, web.StreamResponse(headers=headers), file, 0, file.size)

"""Files for the browser: those of node packs at `/extensions`, and those of an installed web app.

They are code that somebody installed, unlike pictures and uploads: scripts and styles are sent as such.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from nodegraph.server.comfy.object_info import web_folders
from nodegraph.server.errors import not_found
from nodegraph.server.files import BINARY, MAX_NAME, copy, matches, open_file
from nodegraph.server.keys import SERVICE

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
        headers = {hdrs.ETAG: file.etag, hdrs.CONTENT_TYPE: TYPES.get(Path(name).suffix.lower(), BINARY)} | {
            **(more or {})
        }
        if matches(request.headers.get(hdrs.IF_NONE_MATCH), file.etag):
            return web.Response(status=304, headers={hdrs.ETAG: file.etag})
        response = web.StreamResponse(headers=headers)
        response.content_length = file.size
        await response.prepare(request)
        if request.method != "HEAD":
            await copy(file.stream, response, 0, file.size)
        await response.write_eof()
        return response


async def get_extensions(request: web.Request) -> web.Response:
    """The addresses of all scripts of packs, and of the web app's own."""
    folders = web_folders(await request.app[SERVICE].catalogue())
    named = [(pack, Path(folder)) for pack, folder in folders.items()]
    if (root := request.app[APP_FILES]) is not None:
        named += [(folder.name, folder) for folder in _folders(root / "extensions")]
    return web.json_response(await asyncio.to_thread(_scripts, named))


async def get_extension(request: web.Request) -> web.StreamResponse:
    """One file of a pack."""
    pack, name = request.match_info["pack"], request.match_info["path"]
    if len(name) > MAX_NAME:
        raise not_found("file")
    folder = web_folders(await request.app[SERVICE].catalogue()).get(pack)
    if folder is not None:
        return await send_asset(request, Path(folder), name)
    if (root := request.app[APP_FILES]) is not None:
        return await send_asset(request, root / "extensions", f"{pack}/{name}")
    raise not_found("file")


#: The folder of the web app's files, if one is served.
APP_FILES: Final[web.AppKey[Path | None]] = web.AppKey("comfy_app_files")


def _folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def _scripts(named: list[tuple[str, Path]]) -> list[str]:
    return [
        f"/extensions/{pack}/{path.relative_to(folder).as_posix()}"
        for pack, folder in named
        for path in sorted(folder.rglob("*.js"))
        if path.is_file()
    ]

"""Files for the browser: those of node packs at `/extensions`, and those of an installed web app."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from aiohttp import web

from nodegraph.server.assets import send_asset
from nodegraph.server.comfy.object_info import web_folders
from nodegraph.server.errors import not_found
from nodegraph.server.files import MAX_NAME
from nodegraph.server.keys import SERVICE


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

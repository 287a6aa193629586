"""`/userdata`: files that ComfyUI's web app keeps for a user, such as workflows."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.bodies import read_bytes
from nodegraph.server.comfy.bodies import is_yes
from nodegraph.server.comfy.users import user_folder, write_file
from nodegraph.server.errors import bad_request, not_found
from nodegraph.server.files import is_good_name, resolve, send_file
from nodegraph.server.keys import SETTINGS

MAX_DEPTH: Final = 20


async def get_userdata(request: web.Request) -> web.Response:
    """The files in a folder: names, with `full_info` more of each, with `split` the name and its parts."""
    query = request.query
    name = query.get("dir", "")
    if not name:
        raise bad_request("'dir' says which folder", input="dir")
    folder = await asyncio.to_thread(_folder, user_folder(request), name)
    recurse, full = is_yes(query.get("recurse")), is_yes(query.get("full_info"))
    limit = request.app[SETTINGS].limits.listed
    found = await asyncio.to_thread(lambda: [*_listed(folder, folder, recurse, limit)])
    paths = sorted((path for path in found if path.is_file()), key=lambda path: path.as_posix())
    if full:
        return web.json_response([info_of(path, folder) for path in paths])
    names = [path.relative_to(folder).as_posix() for path in paths]
    if is_yes(query.get("split")):
        return web.json_response([[name, *name.split("/")] for name in names])
    return web.json_response(names)


async def get_userdata_v2(request: web.Request) -> web.Response:
    """Files and folders below a folder."""
    root, name = user_folder(request), request.query.get("path", "").strip("/")
    if name:
        folder = await asyncio.to_thread(_folder, root, name)
    elif root.is_dir():
        folder = root.resolve()
    else:
        return web.json_response([])
    base = root.resolve()
    found = await asyncio.to_thread(
        lambda: sorted(_listed(folder, folder, False, request.app[SETTINGS].limits.listed), key=lambda path: path.name)
    )
    return web.json_response([entry_of(path, base) for path in found])


async def get_file(request: web.Request) -> web.StreamResponse:
    """One file."""
    return await send_file(request, user_folder(request), request.match_info["file"])


async def post_file(request: web.Request) -> web.Response:
    """Write a file; one that is there only if it may be."""
    root = user_folder(request)
    path = await asyncio.to_thread(_target, root, request.match_info["file"])
    if request.query.get("overwrite", "true") == "false" and path.exists():
        raise ProblemError(Problem("name_taken", "there is a file of this name"))
    data = await read_bytes(request, request.client_max_size)
    await asyncio.to_thread(write_file, path, data)
    return _said(request, path, root)


async def delete_file(request: web.Request) -> web.Response:
    """Remove a file."""
    path = await asyncio.to_thread(_existing, user_folder(request), request.match_info["file"])
    await asyncio.to_thread(path.unlink)
    return web.Response(status=204)


async def move_file(request: web.Request) -> web.Response:
    """Give a file another name; over one that is there only if asked to."""
    root = user_folder(request)
    source = await asyncio.to_thread(_existing, root, request.match_info["file"])
    target = await asyncio.to_thread(_target, root, request.match_info["dest"])
    if target.exists() and not is_yes(request.query.get("overwrite")):
        raise ProblemError(Problem("name_taken", "there is a file of this name"))
    try:
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(os.replace, source, target)
    except OSError as error:
        raise ProblemError(Problem("cannot_write", f"the file cannot be moved ({error.strerror})")) from error
    return _said(request, target, root)


def _said(request: web.Request, path: Path, root: Path) -> web.Response:
    base = root.resolve()
    if is_yes(request.query.get("full_info")):
        return web.json_response(info_of(path, base))
    return web.json_response(path.relative_to(base).as_posix())


def info_of(path: Path, base: Path) -> dict[str, object]:
    """What a list says of a file; times in milliseconds."""
    status = path.stat()
    name = path.relative_to(base).as_posix()
    times: dict[str, object] = {"modified": int(status.st_mtime * 1000), "created": int(status.st_ctime * 1000)}
    return {"path": name, "size": status.st_size} | times


def entry_of(path: Path, base: Path) -> dict[str, object]:
    """What a list says of a file or a folder."""
    about: dict[str, object] = {"name": path.name, "path": path.relative_to(base).as_posix()}
    if path.is_dir():
        return about | {"type": "directory"}
    status = path.stat()
    return about | {"type": "file", "size": status.st_size, "modified": int(status.st_mtime * 1000)}


def _folder(root: Path, name: str) -> Path:
    path = resolve(root, name.strip("/"))
    if not path.is_dir():
        raise not_found("folder")
    return path


def _existing(root: Path, name: str) -> Path:
    path = resolve(root, name)
    if not stat.S_ISREG(path.lstat().st_mode):
        raise not_found("file")
    return path


def _target(root: Path, name: str) -> Path:
    """Where a file of a name goes; always below the root, whatever links there are. Raises ProblemError."""
    if not is_good_name(name):
        raise bad_request("this is no name for a file", input="file")
    base = root.resolve()
    path = (base / name).resolve()
    if path == base or not path.is_relative_to(base) or path.is_dir():
        raise bad_request("this is no name for a file", input="file")
    return path


def _listed(folder: Path, root: Path, recurse: bool, limit: int) -> Iterator[Path]:
    """What is in a folder, without hidden files and links; at most `limit` entries."""
    pending, seen = [folder], 0
    while pending:
        for entry in os.scandir(pending.pop()):
            seen += 1
            if seen > limit:
                return
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            path = Path(entry.path)
            yield path
            if recurse and entry.is_dir() and len(path.relative_to(root).parts) < MAX_DEPTH:
                pending.append(path)

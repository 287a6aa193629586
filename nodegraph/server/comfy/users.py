"""`/users` and `/settings`: who somebody is to ComfyUI's web app, and what the app remembers for them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Final, cast

from aiohttp import web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.bodies import parse_json
from nodegraph.server.comfy.bodies import JsonObject, json_object, own_page_json
from nodegraph.server.errors import bad_request
from nodegraph.server.keys import SETTINGS
from nodegraph.server.users import user_name

SETTINGS_FILE: Final = "comfy.settings.json"
MAX_SETTINGS: Final = 4_000_000
MAX_KEY: Final = 200


def user_folder(request: web.Request) -> Path:
    """The folder of whoever asks. Raises ProblemError for what is no user name."""
    return request.app[SETTINGS].data_dir / "users" / user_name(request)


async def get_users(request: web.Request) -> web.Response:
    """Where settings are kept: here, for one user."""
    return web.json_response({"storage": "server", "migrated": True})


async def get_settings(request: web.Request) -> web.Response:
    """All settings."""
    return web.json_response(await asyncio.to_thread(_read, user_folder(request)))


async def get_setting(request: web.Request) -> web.Response:
    """One setting, null if it was never made."""
    kept = await asyncio.to_thread(_read, user_folder(request))
    return web.json_response(kept.get(request.match_info["id"]))


async def post_settings(request: web.Request) -> web.Response:
    """Change some settings."""
    await _change(request, json_object(await own_page_json(request)))
    return web.Response()


async def post_setting(request: web.Request) -> web.Response:
    """Change one setting."""
    await _change(request, {request.match_info["id"]: await own_page_json(request)})
    return web.Response()


async def _change(request: web.Request, changes: JsonObject) -> None:
    if any(len(key) > MAX_KEY for key in changes):
        raise bad_request(f"the name of a setting has more than {MAX_KEY} characters")
    folder = user_folder(request)
    async with request.app[WRITING]:
        kept = await asyncio.to_thread(_read, folder)
        data = json.dumps(kept | changes, ensure_ascii=False, indent=2).encode("utf-8")
        if len(data) > MAX_SETTINGS:
            raise ProblemError(Problem("body_too_large", f"settings may take {MAX_SETTINGS:,} bytes"))
        await asyncio.to_thread(write_file, folder / SETTINGS_FILE, data)


WRITING: Final = web.AppKey("comfy_writing", asyncio.Lock)


def _read(folder: Path) -> JsonObject:
    """The settings in a folder; damaged ones count as none."""
    try:
        kept = parse_json((folder / SETTINGS_FILE).read_bytes())
    except (OSError, ProblemError):
        return {}
    return cast(JsonObject, kept) if isinstance(kept, dict) else {}


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises ProblemError."""
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path.name} cannot be written ({error.strerror or error})"
        raise ProblemError(Problem("cannot_write", message)) from error

"""/api/v1/outputs, /api/v1/uploads and /api/v1/previews: pictures that were made, brought along, or only shown."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from aiohttp import web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.api.addresses import BASES, OUTPUTS, PREVIEWS, UPLOADS, id_of, name_of
from nodegraph.server.api.common import answer, page, settings_of
from nodegraph.server.api.submitting import MULTIPART, form_parts
from nodegraph.server.api.workflow_files import cannot_write, short, walk
from nodegraph.server.bodies import media_type, wrong_kind
from nodegraph.server.errors import bad_request
from nodegraph.server.files import PICTURES, RootName, open_file, root_of, send_file
from nodegraph.server.pictures import READABLE, Version, check_size, parse_preview, parse_side, send_version, unreadable
from nodegraph.server.settings import ServerSettings

SUFFIXES: Final = {"PNG": ".png", "WEBP": ".webp", "JPEG": ".jpg"}
MAX_METADATA: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a gallery."""

    name: str
    size: int
    modified: float


def found_in(root: Path, temp: Path, limit: int) -> list[Found]:
    """The pictures below a folder, newest first; those of the folder for passing ones are left out."""
    found: list[Found] = []
    for path in walk(root, limit):
        if path.suffix.lower() in PICTURES and not path.is_relative_to(temp):
            try:
                status = path.stat()
            except OSError:  # gone meanwhile
                continue
            found.append(Found(path.relative_to(root).as_posix(), status.st_size, status.st_mtime))
    return sorted(found, key=lambda each: (-each.modified, each.name))


def entry(found: Found, base: str) -> dict[str, object]:
    """A file as lists have it."""
    id = id_of(found.name)
    links = {"file": f"{base}/{id}/file", "thumbnail": f"{base}/{id}/thumbnail"}
    return {"id": id, "name": found.name, "size": found.size, "modified": found.modified, **links}


async def listing(request: web.Request, root: RootName, base: str) -> web.Response:
    """A page of the pictures of a folder."""
    offset, limit = page(request)
    settings = settings_of(request)
    found = await asyncio.to_thread(found_in, root_of(settings, root), settings.temp, settings.limits.listed)
    shown = [entry(each, base) for each in found[offset : offset + limit]]
    return answer({"files": shown, "total": len(found), "offset": offset, "limit": limit})


def facts(root: Path, name: str, base: str, settings: ServerSettings) -> dict[str, object]:
    """What is known of a picture, with the texts inside it. Raises ProblemError."""
    file = open_file(root, name)
    with file.stream:
        found = Found(name, file.size, file.modified)
        return entry(found, base) | picture_facts(file.stream, settings)


def picture_facts(stream: BinaryIO, settings: ServerSettings) -> dict[str, object]:
    """Size, format and texts of a picture; no pixel is decoded. Raises ProblemError."""
    from PIL import Image as Images

    from nodegraph.server.api.submitting import texts_in

    try:
        with Images.open(stream, formats=READABLE) as picture:
            check_size(picture, settings.limits.pixels)
            width, height, kind = *picture.size, picture.format
    except ProblemError:
        raise
    except Exception as error:  # a damaged picture makes pillow raise almost anything
        raise ProblemError(unreadable()) from error
    stream.seek(0)
    texts: dict[str, str] = {}
    if kind in ("PNG", "WEBP"):
        try:
            texts = texts_in(stream.read(settings.limits.upload))
        except ProblemError:  # a picture without readable texts is still a picture
            texts = {}
    return {"width": width, "height": height, "format": kind, "metadata": {key: parsed(texts[key]) for key in texts}}


def parsed(text: str) -> object:
    """A text as JSON, if it is."""
    if len(text) > MAX_METADATA:
        return text[:MAX_METADATA]
    try:
        return json.loads(text, parse_constant=str) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


async def list_outputs(request: web.Request) -> web.Response:
    """The pictures that were made, newest first."""
    return await listing(request, "output", OUTPUTS)


async def list_uploads(request: web.Request) -> web.Response:
    """The pictures that were brought along, newest first."""
    return await listing(request, "input", UPLOADS)


def place_of(request: web.Request) -> tuple[Path, str]:
    """The folder and the name that an address means. Raises ProblemError."""
    return root_of(settings_of(request), root_name(request)), name_of(request.match_info["id"])


def root_name(request: web.Request) -> RootName:
    """Which folder an address is about."""
    return next(root for root, base in BASES.items() if request.path.startswith(base))


async def get_facts(request: web.Request) -> web.Response:
    """What is known of a picture."""
    root, name = place_of(request)
    base = BASES[root_name(request)]
    return answer(await asyncio.to_thread(facts, root, name, base, settings_of(request)))


async def get_file(request: web.Request) -> web.StreamResponse:
    """The file itself, or a version of it."""
    root, name = place_of(request)
    if (text := request.query.get("preview")) is None:
        return await send_file(request, root, name)
    format, quality = parse_preview(text)
    return await send_version(request, root, name, Version(format, quality))


async def get_thumbnail(request: web.Request) -> web.Response:
    """A small version of a picture."""
    root, name = place_of(request)
    side = parse_side(request.query.get("size", "256"))
    return await send_version(request, root, name, Version("webp", 80, side=side))


async def upload(request: web.Request) -> web.Response:
    """Keep a picture in the input folder, under a name that is free."""
    kind = media_type(request)
    if kind != MULTIPART:
        raise wrong_kind(kind, MULTIPART)
    settings = settings_of(request)
    name: str | None = None
    picture: bytes | None = None
    async for part, data in form_parts(request, settings.limits.upload):
        if part.name == "picture" and picture is None:
            picture, name = data, part.filename
        else:
            raise bad_request(f"the form has an unknown field {str(part.name)[:60]!r}", hint="send the file 'picture'")
    if picture is None:
        raise bad_request("the form has no file 'picture'", input="picture")
    stored = await asyncio.to_thread(store_picture, settings, picture, name or "picture")
    base: Mapping[str, Any] = await asyncio.to_thread(facts, settings.input, stored, UPLOADS, settings)
    return answer(base, status=201, headers={"Location": f"{UPLOADS}/{base['id']}"})


def store_picture(settings: ServerSettings, data: bytes, name: str) -> str:
    """Keep a picture in the input folder; its suffix is that of its content. Returns its name. Raises ProblemError."""
    kind = picture_kind(data, settings.limits.pixels)
    stem = re.sub(r"[^\w\- ()]+", "_", re.split(r"[\\/]", name)[-1].rsplit(".", 1)[0]).strip(" _")
    stem = short(stem) or "picture"
    try:
        settings.input.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".upload-", dir=settings.input)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            Path(temporary).chmod(0o644)
            return linked(settings.input, Path(temporary), stem, SUFFIXES[kind])
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error) from None


def linked(folder: Path, temporary: Path, stem: str, suffix: str) -> str:
    """Give a finished file the first free name; nothing is ever overwritten."""
    for count in range(100_000):
        name = f"{stem}{f' ({count})' if count else ''}{suffix}"
        try:
            os.link(temporary, folder / name)
        except FileExistsError:
            continue
        return name
    raise bad_request("there are too many pictures of this name")


def picture_kind(data: bytes, pixels: int) -> str:
    """PNG, WEBP or JPEG, by the content. Raises ProblemError for anything else, and for a picture that is too large."""
    import io

    from PIL import Image as Images

    try:
        with Images.open(io.BytesIO(data), formats=READABLE) as picture:
            check_size(picture, pixels)
            picture.verify()
            return str(picture.format)
    except ProblemError:
        raise
    except Exception as error:  # a damaged picture makes pillow raise almost anything
        raise ProblemError(Problem(unreadable().code, unreadable().message, hint="send a picture")) from error


def add_routes(app: web.Application) -> None:
    """Add the routes of pictures."""
    router = app.router
    router.add_get(OUTPUTS, list_outputs)
    router.add_get(UPLOADS, list_uploads)
    router.add_post(UPLOADS, upload)
    for base in (OUTPUTS, UPLOADS, PREVIEWS):
        router.add_get(f"{base}/{{id}}", get_facts)
        router.add_get(f"{base}/{{id}}/file", get_file)
        router.add_get(f"{base}/{{id}}/thumbnail", get_thumbnail)

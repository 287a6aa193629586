"""Serving files: only regular ones that really lie below a root, and only pictures and JSON shown in place.

What a file is, is decided by its content. A name that leads elsewhere is answered as one that does not exist.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal
from urllib.parse import quote

from aiohttp import hdrs, web

from nodegraph.errors import Problem
from nodegraph.server.errors import error_response, not_found
from nodegraph.server.settings import ServerSettings

RootName = Literal["output", "input", "temp"]
ROOTS: Final[tuple[RootName, ...]] = ("output", "input", "temp")
MAX_NAME: Final = 1_000
MAX_PART: Final = 255
CHUNK: Final = 262_144
BAD_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:|^~")
#: Nothing in a served file may run, whatever it turns out to be.
ARTEFACT_POLICY: Final = "default-src 'self'; sandbox"
BINARY: Final = "application/octet-stream"
#: How the names of pictures end that are shown in place.
PICTURES: Final = (".png", ".webp", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class Served:
    """An open file, and what is known of it."""

    stream: BinaryIO
    name: str
    size: int
    etag: str
    modified: float


def root_of(settings: ServerSettings, name: str) -> Path:
    """The folder of a root. Raises ProblemError for any other name."""
    folders: dict[str, Path] = {"output": settings.output, "input": settings.input, "temp": settings.temp}
    if name not in folders:
        raise not_found("folder")
    return folders[name]


def is_good_name(name: str) -> bool:
    """Whether a relative name is one that a file below a root may have. Hidden files have none."""
    parts = name.split("/")
    return (
        0 < len(name) <= MAX_NAME
        and BAD_CHARACTERS.search(name) is None
        and all(part and part[0] != "." and len(os.fsencode(part)) <= MAX_PART for part in parts)
        and is_text(name)
    )


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def resolve(root: Path, name: str) -> Path:
    """The real path of a file or folder below a root. Raises ProblemError, which says nothing of why."""
    try:
        if not is_good_name(name):
            raise not_found("file")
        folder = root.resolve(strict=True)
        path = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise not_found("file") from None
    if path == folder or not path.is_relative_to(folder):
        raise not_found("file")
    return path


def open_file(root: Path, name: str) -> Served:
    """Open a regular file below a root; never waits for a pipe or a device. Raises ProblemError."""
    path = resolve(root, name)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # opening some devices does something
            raise not_found("file")
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        raise not_found("file") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise not_found("file")
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    return Served(os.fdopen(descriptor, "rb"), path.name, status.st_size, etag, status.st_mtime)


def kind_of(head: bytes, name: str) -> tuple[str, bool]:
    """The media type that a file is sent with, by its first bytes, and whether it may be shown in place."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", True
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp", True
    if name.lower().endswith(".json") and head.lstrip()[:1] in (b"{", b"["):
        return "text/plain", True
    return BINARY, False


def disposition(name: str, *, inline: bool) -> str:
    """The Content-Disposition of a file: its name in a form that no name can break out of."""
    return f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}"


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match or If-Match header holds a tag."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


async def send_file(request: web.Request, root: Path, name: str) -> web.StreamResponse:
    """Send a file below a root: whole, a range of it, or only that it has not changed. Raises ProblemError."""
    file = await asyncio.to_thread(open_file, root, name)
    with file.stream:
        return await send(request, file)


async def send(request: web.Request, file: Served) -> web.StreamResponse:
    """Send an open file."""
    headers = {hdrs.ETAG: file.etag, hdrs.ACCEPT_RANGES: "bytes", "Content-Security-Policy": ARTEFACT_POLICY}
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), file.etag):
        return web.Response(status=304, headers=headers)
    start, stop = wanted_range(request, file)
    if start >= stop and file.size > 0:
        problem = Problem("bad_request", "the file has no such range", expected=f"0-{file.size - 1}")
        return error_response(problem, status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{file.size}"})
    kind, inline = kind_of(await asyncio.to_thread(file.stream.read, 512), file.name)
    headers[hdrs.CONTENT_TYPE] = f"{kind}; charset=utf-8" if kind == "text/plain" else kind
    headers[hdrs.CONTENT_DISPOSITION] = disposition(file.name, inline=inline)
    whole = stop - start == file.size
    if not whole:
        headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{file.size}"
    response = web.StreamResponse(status=200 if whole else 206, headers=headers)
    response.last_modified = file.modified
    return await send_part(request, response, file, start, stop)


async def send_part(
    request: web.Request, response: web.StreamResponse, file: Served, start: int, stop: int
) -> web.StreamResponse:
    """Send a response whose body are the bytes of an open file from `start` to before `stop`."""
    response.content_length = stop - start
    await response.prepare(request)
    if request.method != "HEAD":
        await _copy(file.stream, response, start, stop)
    await response.write_eof()
    return response


async def _copy(stream: BinaryIO, response: web.StreamResponse, start: int, stop: int) -> None:
    """Send the bytes from `start` to before `stop`."""
    await asyncio.to_thread(stream.seek, start)
    left = stop - start
    while left > 0:
        data = await asyncio.to_thread(stream.read, min(CHUNK, left))
        if not data:  # the file was cut meanwhile: the client sees that bytes are missing
            raise ConnectionResetError("the file became shorter while it was sent")
        left -= len(data)
        await response.write(data)


def wanted_range(request: web.Request, file: Served) -> tuple[int, int]:
    """First byte and the one after the last that are asked for; the whole file where no (single) range is."""
    header = request.headers.get(hdrs.RANGE)
    condition = request.headers.get("If-Range")
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip()) if header else None
    if found is None or found.group() == "bytes=-" or (condition is not None and condition != file.etag):
        return 0, file.size
    first, last = found.groups()
    if not first:
        count = int(last)
        return (max(0, file.size - count), file.size) if count else (file.size, file.size)
    end = min(int(last) + 1, file.size) if last else file.size
    return int(first), end

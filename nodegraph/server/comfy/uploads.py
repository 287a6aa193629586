"""`/upload/image` and `/upload/mask`: pictures into the input folder. What is no picture by its content is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from aiohttp import BodyPartReader, MultipartReader, web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.bodies import media_type, too_large, wrong_kind
from nodegraph.server.comfy.bodies import is_yes
from nodegraph.server.errors import bad_request
from nodegraph.server.files import is_good_name, open_file, resolve, root_of
from nodegraph.server.keys import SETTINGS
from nodegraph.server.pictures import check_size, unreadable

if TYPE_CHECKING:
    from PIL.Image import Image

#: Kinds of pictures that are taken, each with the endings that its files may have; the first is given otherwise.
SUFFIXES: Final = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
MAX_FIELD: Final = 10_000
MAX_PARTS: Final = 20
MAX_TRIES: Final = 10_000
CHUNK: Final = 262_144


@dataclass(slots=True)
class Form:
    """What a form holds: its texts, and the file as it was written aside, with the name it came with."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    file: Path | None = None
    name: str = ""


async def upload_image(request: web.Request) -> web.Response:
    """Keep a picture; says under which name."""
    return await _upload(request, lambda form, path, pixels: check_picture(path, pixels))


async def upload_mask(request: web.Request) -> web.Response:
    """Give a picture that is there the transparency of the one that is sent, and keep the result."""

    def combine(form: Form, path: Path, pixels: int) -> str:
        original = _original(request, form.texts.get("original_ref", ""))
        check_picture(path, pixels)
        return combine_mask(original, path, pixels)

    return await _upload(request, combine)


async def _upload(request: web.Request, work: Callable[[Form, Path, int], str]) -> web.Response:
    settings = request.app[SETTINGS]
    if not media_type(request).startswith("multipart/"):
        raise wrong_kind(media_type(request), "multipart/form-data")
    aside = settings.input / f".upload-{secrets.token_hex(8)}"
    await asyncio.to_thread(settings.input.mkdir, parents=True, exist_ok=True)
    try:
        form = await read_form(request, aside, settings.limits.upload)
        if form.file is None:
            raise bad_request("the form has no file 'image'", input="image")
        kind = form.texts.get("type") or "input"
        root, subfolder = root_of(settings, kind), form.texts.get("subfolder", "").strip("/")
        suffix_of = await asyncio.to_thread(work, form, aside, settings.limits.pixels)
        name = file_name(form.name, suffix_of)
        overwrite = is_yes(form.texts.get("overwrite"))
        name = await asyncio.to_thread(keep, aside, root, subfolder, name, overwrite)
    finally:
        await asyncio.to_thread(aside.unlink, missing_ok=True)
    return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


async def read_form(request: web.Request, aside: Path, limit: int) -> Form:
    """Read a form; its file goes to `aside`, at most `limit` bytes of it. Raises ProblemError."""
    if request.content_length is not None and request.content_length > limit + MAX_PARTS * MAX_FIELD:
        raise ProblemError(too_large(limit))
    form = Form()
    try:
        reader = await request.multipart()
        for _ in range(MAX_PARTS):
            part = await reader.next()
            if part is None:
                return form
            if isinstance(part, MultipartReader):
                raise bad_request("the form has a form in it")
            await _read_part(part, form, aside, limit)
    except (ValueError, UnicodeDecodeError, AssertionError):
        raise bad_request("the body is not a form that can be read") from None
    raise bad_request(f"the form has more than {MAX_PARTS} parts")


async def _read_part(part: BodyPartReader, form: Form, aside: Path, limit: int) -> None:
    if part.name == "image" and part.filename is not None:
        form.file, form.name = aside, part.filename
        with aside.open("wb") as out:
            left = limit
            while chunk := await part.read_chunk(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise ProblemError(too_large(limit))
                await asyncio.to_thread(out.write, chunk)
        return
    text = bytearray()
    while chunk := await part.read_chunk():
        text += chunk
        if len(text) > MAX_FIELD:
            raise ProblemError(too_large(MAX_FIELD))
    form.texts[part.name or ""] = text.decode("utf-8")


def check_picture(path: Path, pixels: int) -> str:
    """The kind of picture that a file is. Raises ProblemError if it is none, damaged, or too large."""
    from PIL import Image

    try:
        with Image.open(path, formats=tuple(SUFFIXES)) as picture:
            check_size(picture, pixels)
            kind = picture.format or ""
            picture.verify()
    except ProblemError:
        raise
    except Exception as error:  # a damaged picture makes pillow raise almost anything
        raise ProblemError(unreadable()) from error
    return kind


def combine_mask(original: Path, path: Path, pixels: int) -> str:
    """Write to `path` the original picture with the transparency of the one at `path`. Raises ProblemError."""
    from PIL import Image, PngImagePlugin

    try:
        with Image.open(original, formats=tuple(SUFFIXES)) as under, Image.open(path) as mask:
            check_size(under, pixels)
            alpha = mask.convert("RGBA").getchannel("A")
            texts = PngImagePlugin.PngInfo()
            for key, value in cast("dict[str, object]", getattr(under, "text", {})).items():
                texts.add_text(key, str(value))
            whole = under.convert("RGBA")
            _give(whole, alpha)
        with path.open("wb") as out:
            whole.save(out, "PNG", compress_level=4, pnginfo=texts)
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(unreadable()) from error
    return "PNG"


def _give(picture: Image, alpha: Image) -> None:
    picture.putalpha(alpha if alpha.size == picture.size else alpha.resize(picture.size))


def _original(request: web.Request, text: str) -> Path:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad_request("'original_ref' must say which picture the mask is for", input="original_ref")
    reference = cast("dict[str, object]", found)
    filename, subfolder = str(reference.get("filename") or ""), str(reference.get("subfolder") or "").strip("/")
    root = root_of(request.app[SETTINGS], str(reference.get("type") or "output"))
    name = f"{subfolder}/{filename}" if subfolder else filename
    path = resolve(root, name)
    open_file(root, name).stream.close()  # refuses what is no regular file
    return path


def file_name(given: str, kind: str) -> str:
    """The name that a picture is kept under: the one it came with, ending as its content says. Raises ProblemError."""
    name = given.replace("\\", "/").rsplit("/", 1)[-1].strip()
    suffixes = SUFFIXES[kind]
    if not name.lower().endswith(suffixes):
        name = f"{Path(name).stem}{suffixes[0]}"
    if not is_good_name(name):
        raise bad_request("this is no name for a file", input="image", hint="use letters, digits, '-' and '_'")
    return name


def keep(aside: Path, root: Path, subfolder: str, name: str, overwrite: bool) -> str:
    """Move a file to its place below a root. Where its name is taken by another file it gets a number. Returns its
    name. Raises ProblemError."""
    if subfolder and not is_good_name(subfolder):
        raise bad_request("this is no name for a folder", input="subfolder")
    real = root.resolve()
    folder = (real / subfolder).resolve()
    if not folder.is_relative_to(real):
        raise bad_request("this is no name for a folder", input="subfolder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if overwrite:
            aside.replace(folder / name)
            return name
        stem, suffix = Path(name).stem, Path(name).suffix
        for i in range(MAX_TRIES):
            tried = folder / (f"{stem} ({i}){suffix}" if i else name)
            if _placed(aside, tried):
                return tried.name
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProblemError(Problem("cannot_write", f"the picture cannot be kept ({reason})")) from error
    raise bad_request("there are too many files of this name", input="image")


def _placed(aside: Path, target: Path) -> bool:
    """Whether the file now lies at `target`, because it was free or because the same bytes lay there."""
    with contextlib.suppress(FileExistsError):
        os.link(aside, target)
        return True
    return target.is_file() and not target.is_symlink() and _same(aside, target)


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        while chunk := a.read(CHUNK):
            if chunk != b.read(CHUNK):
                return False
    return True

"""Smaller or other versions of pictures, made with a bounded number of pixels at a time."""

from __future__ import annotations

import asyncio
import io
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, get_args

from aiohttp import hdrs, web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.errors import bad_request
from nodegraph.server.files import ARTEFACT_POLICY, Served, disposition, matches, open_file
from nodegraph.server.settings import ServerSettings

if TYPE_CHECKING:
    from PIL.Image import Image

Format = Literal["webp", "jpeg", "png"]
Channel = Literal["rgba", "rgb", "a"]
READABLE: Final = ("PNG", "WEBP", "JPEG")
MAX_SIDE: Final = 1_024
KEPT_BYTES: Final = 32_000_000
#: Pictures that are decoded at once.
AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Version:
    """What is made of a picture. side: its longer side is at most this; None leaves the size as it is."""

    format: Format = "webp"
    quality: int = 90
    channel: Channel = "rgba"
    side: int | None = None


def parse_preview(text: str) -> tuple[Format, int]:
    """`webp`, `webp;90` or `jpeg;75`: a format, and a quality from 1 to 100. Raises ProblemError."""
    match = re.fullmatch(r"(webp|jpeg|jpg|png)(?:;(\d{1,3}))?", text)
    quality = int(match.group(2) or 90) if match else 0
    if match is None or not 1 <= quality <= 100:
        hint = "give a format and a quality, such as webp;90 or jpeg;75"
        raise bad_request(f"{text[:60]!r} is no kind of preview", hint=hint, input="preview")
    return ("jpeg" if match.group(1) in ("jpeg", "jpg") else "webp" if match.group(1) == "webp" else "png"), quality


def parse_channel(text: str) -> Channel:
    """`rgba`, `rgb` or `a`. Raises ProblemError."""
    for channel in get_args(Channel):
        if text == channel:
            return channel
    raise bad_request(f"{text[:60]!r} is no channel", hint="give rgba, rgb or a", input="channel")


def parse_side(text: str) -> int:
    """The longer side of a thumbnail. Raises ProblemError."""
    if re.fullmatch(r"\d{1,4}", text) and 16 <= int(text) <= MAX_SIDE:
        return int(text)
    raise bad_request(f"{text[:60]!r} is no size", hint=f"give a number from 16 to {MAX_SIDE}", input="size")


class Versions:
    """Makes versions of pictures, a few at once, and keeps the newest up to a number of bytes."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._kept: OrderedDict[tuple[str, Version], bytes] = OrderedDict()
        self._bytes = 0
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get(self, file: Served, version: Version) -> bytes:
        """A version of a picture. Raises ProblemError."""
        key = (file.etag, version)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        async with self._turn:
            data = await asyncio.to_thread(make, file.stream, version, self._pixels)
        if key not in self._kept and len(data) <= KEPT_BYTES // 8:
            self._kept[key] = data
            self._bytes += len(data)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


VERSIONS: Final[web.AppKey[Versions]] = web.AppKey("versions", Versions)


def add_pictures(app: web.Application, settings: ServerSettings) -> None:
    """Add the maker of versions."""
    app[VERSIONS] = Versions(settings.limits.pixels)


async def send_version(request: web.Request, root: Path, name: str, version: Version) -> web.Response:
    """Send a version of a picture below a root. Raises ProblemError."""
    file = await asyncio.to_thread(open_file, root, name)
    with file.stream:
        etag = f'"{file.etag[1:-1]}-{version.format}{version.quality}{version.channel}{version.side or ""}"'
        headers = {hdrs.ETAG: etag, "Content-Security-Policy": ARTEFACT_POLICY}
        if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
            return web.Response(status=304, headers=headers)
        data = await request.app[VERSIONS].get(file, version)
    headers[hdrs.CONTENT_DISPOSITION] = disposition(f"{Path(file.name).stem}.{version.format}", inline=True)
    return web.Response(body=data, content_type=f"image/{version.format}", headers=headers)


def make(stream: BinaryIO, version: Version, pixels: int) -> bytes:
    """A version of the picture in a stream. Raises ProblemError for what is none, or too large."""
    from PIL import Image as Images

    try:
        stream.seek(0)
        with Images.open(stream, formats=READABLE) as picture:
            check_size(picture, pixels)
            if version.side is not None:
                picture.draft("RGB", (version.side * 2, version.side * 2))
            out = io.BytesIO()
            changed(picture, version).save(out, version.format.upper(), quality=version.quality)
            return out.getvalue()
    except ProblemError:
        raise
    except Exception as error:  # a damaged picture makes pillow raise almost anything
        raise ProblemError(unreadable()) from error


def changed(picture: Image, version: Version) -> Image:
    """The pixels of a version: turned as the camera says, in eight bits, of the channels that are wanted."""
    from PIL import ImageOps

    upright = eight_bits(ImageOps.exif_transpose(picture))
    transparent = upright.has_transparency_data
    shown = upright.convert("RGBA" if transparent or version.channel == "a" else "RGB")
    if version.side is not None:
        shown.thumbnail((version.side, version.side))
    if version.channel == "a":
        return only_alpha(shown.getchannel("A"), version.format)
    return shown.convert("RGB") if version.channel == "rgb" or version.format == "jpeg" else shown


def only_alpha(alpha: Image, format: Format) -> Image:
    """Black with this transparency, as editors of masks read it; in a format without any, its greys."""
    from PIL import Image as Images

    if format == "jpeg":
        return alpha
    black = Images.new("RGBA", alpha.size)
    black.putalpha(alpha)
    return black


def eight_bits(picture: Image) -> Image:
    """A picture whose numbers go to 65535 as one whose numbers go to 255; others as they are."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def check_size(picture: Image, pixels: int) -> None:
    """Refuse a picture with more pixels than are decoded. Raises ProblemError."""
    width, height = picture.size
    if width * height > pixels:
        message = f"the picture has {width} × {height} pixels, more than {pixels:,}"
        raise ProblemError(Problem("too_large", message, got=f"{width}x{height}", expected=f"at most {pixels} pixels"))


def unreadable() -> Problem:
    """The answer to what cannot be decoded."""
    return Problem("file_unreadable", "this is no PNG, WebP or JPEG picture that can be read")

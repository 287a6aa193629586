"""The metadata of WebP files, in which ComfyUI keeps workflows. No pixel is decoded.

Sources: RFC 9649 (the WebP container), sections 2.3 to 2.7; the Exif 2.3 standard, section 4.6 (TIFF structure).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits

ASCII: Final = 2
#: Texts are written as `name:text`, below tags that are meant for a camera's maker and model.
NAMES: Final = ("workflow", "prompt", "nodegraph")
MAX_TAGS: Final = 1_000


def is_webp(data: bytes) -> bool:
    """Whether a file begins as WebP files do."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_exif_texts(picture: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> dict[str, str]:
    """The texts that ComfyUI writes into a WebP, by name: workflow, prompt.

    Raises:
        ProblemError: when the file cannot be read, ends early, or its metadata are too large.
    """
    file = os.fspath(picture)
    try:
        with Path(file).open("rb") as stream:
            exif = exif_chunk(stream, file, limits)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProblemError(Problem("file_unreadable", f"{file} cannot be read: {reason}", Place(file))) from None
    found: dict[str, str] = {}
    for value in ascii_values(exif):
        name, colon, text = value.partition(b":")
        key = name.decode("latin-1").casefold()
        if colon and key in NAMES:
            found.setdefault(key, text.rstrip(b"\0").decode("utf-8", "replace"))
    return found


def exif_chunk(stream: BinaryIO, file: str, limits: Limits) -> bytes:
    """The content of the Exif chunk, nothing if there is none."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if not is_webp(stream.read(12)):
        raise ProblemError(Problem("file_unreadable", f"{file} is not a WebP file", Place(file)))
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        kind, length = struct.unpack("<4sI", stream.read(8))
        if position + 8 + length > size:
            raise ProblemError(Problem("file_unreadable", f"{file} is a damaged WebP file: it ends early", Place(file)))
        if kind == b"EXIF":
            if length > limits.bytes:
                message = f"the metadata in {file} are larger than {limits.bytes:,} bytes"
                raise ProblemError(Problem("file_too_large", message, Place(file)))
            return stream.read(length)
        position += 8 + length + length % 2
    return b""


def ascii_values(exif: bytes) -> Iterator[bytes]:
    """The texts of the first directory; what is damaged ends the search."""
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return
    (number,) = struct.unpack_from(f"{order}H", data, start)
    for index in range(min(number, MAX_TAGS)):
        entry = start + 2 + index * 12
        if entry + 12 > len(data):
            return
        _, kind, count, offset = struct.unpack_from(f"{order}HHII", data, entry)
        if kind == ASCII and count > 4 and offset + count <= len(data):
            yield data[offset : offset + count]

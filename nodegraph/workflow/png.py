"""The text chunks of PNG files. No pixel is decoded.

Source: the PNG specification, third edition, sections 5 (structure) and 11.3.3 (text),
https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits
from nodegraph.workflow.read import PNG_SIGNATURE

TEXT_CHUNKS: Final = (b"tEXt", b"zTXt", b"iTXt")


def read_text_chunks(picture: str | os.PathLike[str] | bytes, limits: Limits = DEFAULT_LIMITS) -> dict[str, str]:
    """The texts of a PNG by keyword; of equal keywords the first counts. Texts together stay below
    `limits.bytes`.

    Raises:
        ProblemError: when the file cannot be read, is not a PNG, ends early, or its texts are too large.
    """
    if isinstance(picture, bytes):
        return texts_of(io.BytesIO(picture), "picture", limits)
    file = os.fspath(picture)
    try:
        with Path(file).open("rb") as stream:
            return texts_of(stream, file, limits)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProblemError(Problem("file_unreadable", f"{file} cannot be read: {reason}", Place(file))) from None


def texts_of(stream: BinaryIO, file: str, limits: Limits) -> dict[str, str]:
    """The texts of the PNG in `stream`."""
    texts: dict[str, str] = {}
    room = limits.bytes
    for kind, data in text_chunks(stream, file, limits):
        keyword, text = parse_text_chunk(kind, data, room, file)
        room -= len(text)
        if room < 0:
            raise ProblemError(too_large(file, limits.bytes))
        texts.setdefault(keyword, text)
    return texts


def text_chunks(stream: BinaryIO, file: str, limits: Limits) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each text chunk up to the end of the picture."""
    if stream.read(8) != PNG_SIGNATURE:
        raise ProblemError(Problem("file_unreadable", f"{file} is not a PNG file", Place(file)))
    size = stream.seek(0, io.SEEK_END)
    position = 8
    while True:
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            raise ProblemError(broken(file, "it ends in the middle"))
        length, kind = struct.unpack(">I4s", header)
        if length > 0x7FFFFFFF or position + 12 + length > size:
            raise ProblemError(broken(file, "it ends in the middle"))
        if kind == b"IEND":
            return
        if kind in TEXT_CHUNKS:
            if length > limits.bytes:
                raise ProblemError(too_large(file, limits.bytes))
            data = stream.read(length)
            if zlib.crc32(kind + data) != int.from_bytes(stream.read(4), "big"):
                raise ProblemError(broken(file, f"the checksum of its {kind.decode()} chunk is wrong"))
            yield kind, data
        position += 12 + length


def parse_text_chunk(kind: bytes, data: bytes, room: int, file: str) -> tuple[str, str]:
    """Keyword and text of a chunk; at most `room` bytes are decompressed."""
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, rest.decode("latin-1")
    if kind == b"zTXt":
        return name, inflate(rest[1:], room, file).decode("latin-1")
    # iTXt: a flag and a method, a language and a translated keyword (each ending in a zero), then UTF-8.
    compressed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    text = inflate(text, room, file) if compressed else text
    try:
        return name, text.decode("utf-8")
    except UnicodeDecodeError:
        raise ProblemError(broken(file, f"its text '{name[:80]}' is not UTF-8")) from None


def inflate(data: bytes, room: int, file: str) -> bytes:
    """Decompressed data, refused beyond `room` bytes without decompressing the rest."""
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(data, room + 1)
    except zlib.error:
        raise ProblemError(broken(file, "its compressed text is damaged")) from None
    if len(text) > room:
        raise ProblemError(too_large(file, room))
    if not decompressor.eof:
        raise ProblemError(broken(file, "its compressed text is cut off"))
    return text


def broken(file: str, reason: str) -> Problem:
    """The answer to a damaged file."""
    return Problem("file_unreadable", f"{file} is a damaged PNG file: {reason}", Place(file))


def too_large(file: str, limit: int) -> Problem:
    """The answer to more text than a workflow can have."""
    return Problem("file_too_large", f"the texts in {file} are larger than {limit:,} bytes", Place(file))

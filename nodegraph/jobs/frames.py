"""Messages between the service and a worker process: JSON, and bytes beside it where there are any."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, NamedTuple

from nodegraph.jobs.rows import dump

HEAD: Final = struct.Struct(">II")
MAX_BYTES: Final = 1 << 30  # what is larger is no message of ours


class Frame(NamedTuple):
    """A message: what it is called, its data, and bytes."""

    data: dict[str, Any]
    body: bytes = b""


def frame(data: Mapping[str, object], body: bytes = b"") -> bytes:
    """A message as bytes."""
    head = dump(data).encode()
    return HEAD.pack(len(head), len(body)) + head + body


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next message; None when the other side is gone, or sends something else."""
    try:
        sizes = HEAD.unpack(await reader.readexactly(HEAD.size))
        if sum(sizes) > MAX_BYTES:
            return None
        return _parse(await reader.readexactly(sum(sizes)), sizes[0])
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None


def read_frame_from(stream: BinaryIO) -> Frame | None:
    """The next message of a pipe; None when the other side is gone."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    sizes = HEAD.unpack(head)
    data = stream.read(sum(sizes))
    return _parse(data, sizes[0]) if len(data) == sum(sizes) else None


def _parse(data: bytes, size: int) -> Frame:
    return Frame(json.loads(data[:size]), data[size:])


class FrameWriter:
    """Writes messages to a pipe, from any thread, each whole."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lock = threading.Lock()

    def send(self, data: Mapping[str, object], body: bytes = b"") -> None:
        """Write a message; OSError when nobody reads any more."""
        rest = memoryview(frame(data, body))
        with self.lock:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

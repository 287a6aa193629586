"""Messages of engines as bytes in a pipe: JSON, and buffers beside it, which are neither copied nor parsed."""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, NamedTuple, cast

from nodegraph.engines.contract import Buffer, Message

HEAD: Final = struct.Struct(">IQ")
ALIGNMENT: Final = 64  # of buffers, so that numbers in them may be used where they lie
MOST: Final = 1 << 20  # bytes that are written at once


class Frame(NamedTuple):
    """A message and its buffers."""

    data: dict[str, Any]
    buffers: list[memoryview]


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next message of a pipe; None when the other side is gone. Its buffers lie in memory of their own."""
    head = _exactly(stream, HEAD.size)
    if head is None:
        return None
    size, rest = HEAD.unpack(head)
    text = _exactly(stream, size)
    body = _exactly(stream, rest) if text is not None else None
    if text is None or body is None:
        return None
    data = json.loads(bytes(text))
    whole, buffers, at = memoryview(body), list[memoryview](), 0
    for length in data.pop("buffers"):
        buffers.append(whole[at : at + length])
        at += _aligned(length)
    return Frame(data, buffers)


def _exactly(stream: BinaryIO, size: int) -> bytearray | None:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        count = cast(Any, stream).readinto(view[at:])
        if not count:
            return None
        at += count
    return data


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class FrameWriter:
    """Writes messages to a pipe, from any thread, each whole."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, data: Message, buffers: Sequence[Buffer] = ()) -> None:
        """Write a message; OSError when nobody reads any more."""
        views = [memoryview(cast(Any, buffer)).cast("B") for buffer in buffers]
        head = {**data, "buffers": [view.nbytes for view in views]}
        text = json.dumps(head, separators=(",", ":")).encode("utf-8", "surrogatepass")
        size = sum(_aligned(view.nbytes) for view in views)
        with self._lock:
            self._write(memoryview(HEAD.pack(len(text), size) + text))
            for view in views:
                self._write(view)
                self._write(memoryview(bytes(_aligned(view.nbytes) - view.nbytes)))

    def _write(self, rest: memoryview) -> None:
        while rest:
            rest = rest[os.write(self.descriptor, rest[:MOST]) :]

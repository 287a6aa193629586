"""What a weights file says of itself: safetensors headers, read and checked without reading a weight.

A safetensors file is a length (u64, little-endian), that many bytes of JSON (names → dtype, shape, offsets, and texts
under `__metadata__`), then the bytes of the tensors. Nothing here imports torch. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

MAX_HEADER_BYTES = 100 << 20  # as much as the library takes
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")


class UnreadableModel(ValueError):
    """A model that cannot be used; the message says which file, and why."""


class PickledModel(UnreadableModel):
    """A model in a pickle, which could be read if its user allowed it."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: its number format by safetensors' name (F16, F32 …) and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class Header:
    """All tensors of a file by name, and the texts that its writer added."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, () if it is not there."""
        info = self.tensors.get(name)
        return () if info is None else info.shape


def read_header(path: Path) -> Header:
    """The header of a safetensors file that is all there. Raises UnreadableModel, without reading a weight."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if length < 2 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _not_safetensors(path, start, "its length of the header cannot be")
            text = file.read(length)
    except OSError as error:
        raise UnreadableModel(f"{path} cannot be read ({error.strerror or error})") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_safetensors(path, start, "its header is no JSON") from error
    if not isinstance(data, dict):
        raise _not_safetensors(path, start, "its header is no table")
    return _checked(path, data, size - 8 - length)


def _checked(path: Path, data: dict[str, Any], room: int) -> Header:
    """A header whose tensors lie one after another and fill the file, as the format demands."""
    metadata = data.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise UnreadableModel(f"{path}: what its header says of __metadata__ makes no sense")
    spans: list[tuple[int, int]] = []
    tensors: dict[str, TensorInfo] = {}
    for name, entry in data.items():
        try:
            begin, end = entry["data_offsets"]
            info = TensorInfo(entry["dtype"], tuple(entry["shape"]))
            sizes_fit = all(type(side) is int and side >= 0 for side in info.shape) and info.bytes == end - begin
        except (TypeError, KeyError, ValueError) as error:
            raise UnreadableModel(f"{path}: what its header says of {name!r:.80} makes no sense") from error
        if not sizes_fit or type(begin) is not int:
            raise UnreadableModel(f"{path}: what its header says of {name!r:.80} makes no sense")
        tensors[name] = info
        spans.append((begin, end))
    spans.sort()
    reached = 0
    for begin, end in spans:
        if begin != reached:
            raise UnreadableModel(f"{path}: the tensors that its header tells of overlap or leave holes")
        reached = end
    if reached != room:
        why = "is cut short" if reached > room else "has more bytes than its header tells of"
        raise UnreadableModel(f"{path} {why} ({room:,} bytes of weights instead of {reached:,})")
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    return Header(MappingProxyType(tensors), MappingProxyType(texts))


def _not_safetensors(path: Path, start: bytes, why: str) -> UnreadableModel:
    if starts_like_pickle(start):
        return pickled(path)
    return UnreadableModel(f"{path} is damaged, cut short, or no safetensors file ({why})")


def pickled(path: Path) -> PickledModel:
    """The error for a pickle that may not be read."""
    return PickledModel(f"{path} is a pickle, whatever its name; it may run code when read and is not used")


def stored_format(headers: Iterable[Header], prefixes: Sequence[str] = ("",)) -> str:
    """The number format, by safetensors' name, of most of the decimal numbers below some prefixes; "" for none."""
    counts: dict[str, int] = {}
    begins = tuple(prefixes)
    for header in headers:
        for name, info in header.tensors.items():
            if name.startswith(begins) and "F" in info.dtype:
                counts[info.dtype] = counts.get(info.dtype, 0) + math.prod(info.shape)
    return max(counts, key=lambda dtype: counts[dtype], default="")


def starts_like_pickle(start: bytes) -> bool:
    """Whether the first bytes of a file are those of a pickle, or of the zip archive that torch puts around one."""
    return start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in _PICKLE_PROTOCOLS)


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle by what it holds. Raises OSError."""
    with path.open("rb") as file:
        return starts_like_pickle(file.read(8))

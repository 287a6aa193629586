"""Values as files: a JSON structure with the tensors beside it, in one safetensors file; never a pickle.

What can be packed: None, booleans, numbers, texts, bytes, tensors, lists, tuples and mappings of such, and what several
items or no value are told by (`flow`). Anything
else (a model handle above all, which is only of use in the process that can load it) cannot: `Unstorable`.

A file is a safetensors file whose metadata holds the structure and what the writer adds. Tensors keep dtype and shape
and are mapped when read, so a large one costs nothing before it is used, and changing it never reaches the file.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from nodegraph.sockets.codecs import MAX_DEPTH, as_tensor
from nodegraph.sockets.flow import Blocked, Many

if TYPE_CHECKING:
    from torch import Tensor


#: Tensors by name, as beside a packed structure.
Tensors: TypeAlias = "Mapping[str, Tensor]"
#: Dataclasses that may be packed field by field, by name; for messages, since files are to be read for ever.
Kinds: TypeAlias = Mapping[str, type]

#: torch's names of number formats, and those in files.
FORMATS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
NO_KINDS: Kinds = MappingProxyType({})
ALIGNMENT = 8
PLAIN_BITS = 1024  # longer numbers are written in hexadecimal
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON would join two of them into one letter
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, RuntimeError, OverflowError)


class Unstorable(TypeError):
    """Raised for a value that is never written to a file."""


class BadFile(ValueError):
    """Raised for a file that does not hold what it should."""


def pack(value: object, kinds: Kinds = NO_KINDS) -> tuple[str, dict[str, Tensor]]:
    """A value as JSON text and its tensors by number. Raises Unstorable."""
    tensors: dict[str, Tensor] = {}
    return json.dumps(_pack(value, tensors, 0, kinds), separators=(",", ":")), tensors


def unpack(structure: str, tensors: Tensors, kinds: Kinds = NO_KINDS) -> object:
    """The value again. Raises BadFile for a structure that `pack` did not write or a tensor that is not there."""
    try:
        return _unpack(json.loads(structure), tensors, kinds)
    except _DAMAGE as error:
        raise BadFile(f"the structure of the value is damaged: {error}") from error


def write_values(path: Path, value: object, notes: Mapping[str, str]) -> int:
    """Write a value and `notes` to `path`, which is to be a temporary name; returns the bytes written.

    Raises Unstorable and OSError.
    """
    structure, tensors = pack(value)
    return write_packed(path, structure, tensors, notes)


def write_packed(path: Path, structure: str, tensors: Tensors, notes: Mapping[str, str]) -> int:
    """The same for a value that is packed already. Raises Unstorable and OSError."""
    pieces = _file_pieces(tensors, {**notes, "structure": structure})
    with path.open("wb") as file:
        return sum([file.write(piece) for piece in pieces])


def read_values(path: Path, *, mapped: bool = True) -> tuple[object, dict[str, str]]:
    """The value in a file, and the writer's notes. Raises BadFile and OSError.

    mapped: large tensors stay in the file until they are used. Otherwise all is read now.
    """
    notes, tensors = _mapped(path) if mapped else _loaded(path.read_bytes())
    structure = notes.pop("structure", None)
    if structure is None:
        raise BadFile("the file has no structure of a value")
    return unpack(structure, tensors), notes


def _mapped(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with cast(Any, safe_open)(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            return notes, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, *_DAMAGE) as error:
        raise BadFile(f"not a safetensors file: {error}") from error


def _loaded(data: bytes) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        (size,) = struct.unpack("<Q", data[:8])
        notes = json.loads(data[8 : 8 + size]).get("__metadata__", {})
        return dict(notes), load(data)
    except (SafetensorError, struct.error, *_DAMAGE) as error:
        raise BadFile(f"not a safetensors file: {error}") from error


def _file_pieces(tensors: Tensors, notes: Mapping[str, str]) -> list[bytes | memoryview]:
    """A safetensors file in pieces: the length of the header, the header, and the bytes of each tensor.

    Made here because the library would write to a temporary file of a name of its own, which nobody could tell from
    others' when the process is killed meanwhile. Raises Unstorable.
    """
    header: dict[str, object] = {"__metadata__": dict(notes)} if notes else {}
    data: list[bytes | memoryview] = []
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):  # so all lie aligned
        piece, begin = _bytes_of(tensor), end
        end += len(piece)
        kind = _format_of(tensor)
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [begin, end]}
        data.append(piece)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return [struct.pack("<Q", len(text)), text, *data]


def _format_of(tensor: Tensor) -> str | None:
    return FORMATS.get(str(tensor.dtype).removeprefix("torch."))


def _bytes_of(tensor: Tensor) -> bytes | memoryview:
    """The bytes of a tensor, row by row; not copied if they lie so already. Raises Unstorable if it has none."""
    import torch

    try:
        flat = tensor.detach().cpu().resolve_neg().contiguous().reshape(-1)
        return flat.view(torch.uint8).numpy().data if flat.numel() else b""
    except RuntimeError as error:
        raise Unstorable(f"tensors on {tensor.device} are not written to files: {error}") from error


def _pack(value: object, tensors: dict[str, Tensor], depth: int, kinds: Kinds) -> object:
    if depth > MAX_DEPTH:
        raise Unstorable(f"a value is nested more than {MAX_DEPTH} levels deep")
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return value if value.bit_length() <= PLAIN_BITS else {"i": hex(value)}  # Python limits long decimal numbers
    if type(value) is str:
        return value if not _SURROGATE.search(value) else {"u": value.encode("utf-8", "surrogatepass").hex()}
    if type(value) is float:
        return value if math.isfinite(value) else {"f": repr(value)}
    if type(value) is bytes:
        return {"y": base64.b64encode(value).decode()}
    if type(value) in (list, tuple):
        items = [_pack(item, tensors, depth + 1, kinds) for item in cast("list[object]", value)]
        return items if type(value) is list else {"t": items}
    if type(value) is dict:
        pairs = cast("dict[object, object]", value).items()
        return {"m": [[_pack(k, tensors, depth + 1, kinds), _pack(v, tensors, depth + 1, kinds)] for k, v in pairs]}
    if type(value) is Many:
        return {"*": [_pack(item, tensors, depth + 1, kinds) for item in cast("Many[object]", value).items]}
    if type(value) is Blocked:
        return {"!": _pack(value.message, tensors, depth + 1, kinds)}
    if kinds.get(type(value).__name__) is type(value):
        parts = {field.name: getattr(value, field.name) for field in fields(cast(Any, value))}
        packed = [[name, _pack(part, tensors, depth + 1, kinds)] for name, part in parts.items()]
        return {"@": [type(value).__name__, packed]}
    tensor = as_tensor(value)
    if tensor is None or str(tensor.layout) != "torch.strided" or _format_of(tensor) is None:
        raise Unstorable(f"values of type {type(value).__qualname__} are not written to files")
    name = str(len(tensors))
    tensors[name] = tensor
    return {"x": name}


def _unpack(data: object, tensors: Tensors, kinds: Kinds) -> object:
    if isinstance(data, list):
        return [_unpack(item, tensors, kinds) for item in cast("list[object]", data)]
    if not isinstance(data, dict):
        return data
    ((tag, inner),) = cast("dict[str, Any]", data).items()
    if tag == "x":
        return tensors[inner]
    if tag == "t":
        return tuple(_unpack(item, tensors, kinds) for item in inner)
    if tag == "*":
        return Many(tuple(_unpack(item, tensors, kinds) for item in inner))
    if tag == "!":
        return Blocked(_text_or_none(_unpack(inner, tensors, kinds)))
    if tag == "@":
        return kinds[inner[0]](**{name: _unpack(part, tensors, kinds) for name, part in inner[1]})
    if tag == "m":
        return {_unpack(key, tensors, kinds): _unpack(item, tensors, kinds) for key, item in inner}
    if tag == "y":
        return base64.b64decode(inner, validate=True)
    if tag == "f":
        return float(inner)
    if tag == "i":
        return int(inner, 16)
    if tag == "u":
        return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
    raise BadFile(f"unknown mark {tag!r}")


def _text_or_none(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise BadFile("a message is not a text")


def to_bytes(structure: str, tensors: Tensors) -> bytes:
    """A packed value as bytes, for small ones that need no file of their own. Raises Unstorable."""
    text = structure.encode()
    if not tensors:
        return b"j" + text
    return b"".join([b"s", struct.pack(">I", len(text)), text, *_file_pieces(tensors, {})])


def from_bytes(data: bytes) -> object:
    """The value that `to_bytes` wrote. Raises BadFile. Imports torch only if there are tensors."""
    try:
        if data[:1] == b"j":
            return unpack(data[1:].decode(), {})
        if data[:1] != b"s":
            raise BadFile("a small value is damaged: it is of no known kind")
        (size,) = struct.unpack(">I", data[1:5])
        structure = data[5 : 5 + size].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise BadFile(f"a small value is damaged: {error}") from error
    return unpack(structure, _loaded(data[5 + size :])[1])


def tensor_bytes(tensors: Tensors) -> int:
    """The bytes of packed tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

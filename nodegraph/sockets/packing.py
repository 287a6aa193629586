"""Values as files: a JSON structure with the tensors beside it, in one safetensors file; never a pickle.

What can be packed: None, booleans, numbers, texts, bytes, tensors, and lists, tuples and mappings of such. Anything
else (a model handle above all, which is only of use in the process that can load it) cannot: `Unstorable`.

A file is a safetensors file whose metadata holds the structure and what the writer adds. Tensors keep dtype and shape
and are mapped when read, so a large one costs nothing before it is used, and changing it never reaches the file.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nodegraph.sockets.codecs import MAX_DEPTH, as_tensor

if TYPE_CHECKING:
    from torch import Tensor


class Unstorable(TypeError):
    """Raised for a value that is never written to a file."""


class BadFile(ValueError):
    """Raised for a file that does not hold what it should."""


def pack(value: object) -> tuple[str, dict[str, Tensor]]:
    """A value as JSON text and its tensors by number. Raises Unstorable."""
    tensors: dict[str, Tensor] = {}
    return json.dumps(_pack(value, tensors, 0), separators=(",", ":")), tensors


def unpack(structure: str, tensors: Mapping[str, Tensor]) -> object:
    """The value again. Raises BadFile for a structure that `pack` did not write or a tensor that is not there."""
    try:
        return _unpack(json.loads(structure), tensors)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise BadFile(f"the structure of the value is damaged: {error}") from error


def write_values(path: Path, value: object, notes: Mapping[str, str]) -> int:
    """Write a value and `notes` to `path`, which is to be a temporary name; returns the bytes written.

    Raises Unstorable and OSError.
    """
    structure, tensors = pack(value)
    return write_packed(path, structure, tensors, notes)


def write_packed(path: Path, structure: str, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> int:
    """The same for a value that is packed already. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors import torch as tensor_files

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        cast(Any, tensor_files).save_file(_unshared(plain), path, {**notes, "structure": structure})
    except SafetensorError as error:  # how the library tells a full disk
        raise OSError(str(error)) from error
    except (KeyError, ValueError, RuntimeError) as error:
        raise Unstorable(f"safetensors cannot hold this value: {error}") from error
    return path.stat().st_size


def read_values(path: Path) -> tuple[object, dict[str, str]]:
    """The value in a file, and the writer's notes. Raises BadFile and OSError."""
    from safetensors import SafetensorError, safe_open

    try:
        with cast(Any, safe_open)(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise BadFile(f"not a safetensors file: {error}") from error
    structure = notes.pop("structure", None)
    if structure is None:
        raise BadFile("the file has no structure of a value")
    return unpack(structure, tensors), notes


def _unshared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share memory are copied: safetensors writes each byte once only."""
    seen: set[int] = set()
    for name, tensor in tensors.items():
        start = tensor.untyped_storage().data_ptr()
        if start in seen or tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size():
            tensors[name] = tensor.clone()
        seen.add(start)
    return tensors


def _pack(value: object, tensors: dict[str, Tensor], depth: int) -> object:
    if depth > MAX_DEPTH:
        raise Unstorable(f"a value is nested more than {MAX_DEPTH} levels deep")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"f": repr(value)}
    if type(value) is bytes:
        return {"y": base64.b64encode(value).decode()}
    if type(value) in (list, tuple):
        items = [_pack(item, tensors, depth + 1) for item in cast("list[object]", value)]
        return items if type(value) is list else {"t": items}
    if type(value) is dict:
        pairs = cast("dict[object, object]", value).items()
        return {"m": [[_pack(k, tensors, depth + 1), _pack(v, tensors, depth + 1)] for k, v in pairs]}
    tensor = as_tensor(value)
    if tensor is None or tensor.layout.__str__() != "torch.strided" or tensor.is_quantized or tensor.is_complex():
        raise Unstorable(f"values of type {type(value).__qualname__} are not written to files")
    name = str(len(tensors))
    tensors[name] = tensor
    return {"x": name}


def _unpack(data: object, tensors: Mapping[str, Tensor]) -> object:
    if isinstance(data, list):
        return [_unpack(item, tensors) for item in cast("list[object]", data)]
    if not isinstance(data, dict):
        return data
    ((tag, inner),) = cast("dict[str, Any]", data).items()
    if tag == "x":
        return tensors[inner]
    if tag == "t":
        return tuple(_unpack(item, tensors) for item in inner)
    if tag == "m":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in inner}
    if tag == "y":
        return base64.b64decode(inner, validate=True)
    if tag == "f":
        return float(inner)
    raise BadFile(f"unknown mark {tag!r}")


def to_bytes(structure: str, tensors: Mapping[str, Tensor]) -> bytes:
    """A packed value as bytes, for small ones that need no file of their own. Raises Unstorable."""
    text = structure.encode()
    if not tensors:
        return b"j" + text
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        return b"s" + struct.pack(">I", len(text)) + text + save(_unshared(plain))
    except (KeyError, ValueError, RuntimeError) as error:
        raise Unstorable(f"safetensors cannot hold this value: {error}") from error


def from_bytes(data: bytes) -> object:
    """The value that `to_bytes` wrote. Raises BadFile. Imports torch only if there are tensors."""
    try:
        if data[:1] == b"j":
            return unpack(data[1:].decode(), {})
        (size,) = struct.unpack(">I", data[1:5])
        structure = data[5 : 5 + size].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise BadFile(f"a small value is damaged: {error}") from error
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return unpack(structure, load(data[5 + size :]))
    except SafetensorError as error:
        raise BadFile(f"a small value is damaged: {error}") from error


def tensor_bytes(tensors: Mapping[str, Tensor]) -> int:
    """The bytes of packed tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

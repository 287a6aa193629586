"""Digests and sizes of values: what makes results content-addressed.

Every value is hashed with a tag for its type and lengths before its parts, so that no two different values share an
encoding (1, 1.0, True and "1" differ; floats count by their bits). Tensors hash their dtype, shape and bytes; model
handles their recipe. A value of an unknown type has no digest of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 64  # bytes that a number or a short record counts for


class Undigestible(TypeError):
    """Raised for a value whose type says nothing of its content."""


def digest(value: object) -> bytes:
    """The 32-byte digest of a value. Raises Undigestible for a type it does not know."""
    kind = type(value)
    if kind is int:
        return sha256(b"i%d" % cast(int, value)).digest()
    if kind is str:
        return sha256(b"s" + cast(str, value).encode("utf-8", "surrogatepass")).digest()
    hasher = sha256()
    _feed(value, hasher.update, 0)
    return hasher.digest()


def encode(value: object) -> bytes:
    """The tagged encoding that a literal enters a key with. Raises Undigestible."""
    pieces: list[bytes] = []
    _feed(value, pieces.append, 0)
    return b"".join(pieces)


def _feed(value: object, update: Callable[[Any], object], depth: int) -> None:
    if depth > 64:
        raise Undigestible("a value is nested more than 64 levels deep")
    if value is None:
        update(b"n")
    elif isinstance(value, bool):
        update(b"b1" if value else b"b0")
    elif isinstance(value, int):
        update(b"i%d;" % value if depth else b"i%d" % value)
    elif isinstance(value, float):
        update(b"f" + struct.pack(">d", value))
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        update(b"s%d:" % len(text) + text if depth else b"s" + text)
    elif isinstance(value, bytes):
        update(b"y%d:" % len(value) + value)
    elif isinstance(value, list | tuple):
        items = cast("list[object] | tuple[object, ...]", value)
        update(b"l%d:" % len(items))
        for item in items:
            _feed(item, update, depth + 1)
    elif hasattr(value, "keys"):
        _feed_mapping(cast("dict[object, object]", value), update, depth)
    elif isinstance(handle := getattr(value, "digest", None), str):
        update(b"h%d:" % len(handle) + handle.encode())
    elif (tensor := as_tensor(value)) is not None:
        _feed_tensor(tensor, update)
    else:
        raise Undigestible(f"values of type {type(value).__qualname__} have no digest")


def _feed_mapping(value: dict[object, object], update: Callable[[Any], object], depth: int) -> None:
    items = sorted((encode(name), item) for name, item in value.items())
    update(b"m%d:" % len(items))
    for name, item in items:
        update(b"%d:" % len(name) + name)
        _feed(item, update, depth + 1)


def _feed_tensor(tensor: Tensor, update: Callable[[Any], object]) -> None:
    import torch

    flat = tensor.detach().cpu().contiguous()
    update(f"t{tensor.dtype}{tuple(tensor.shape)}:".encode())
    if flat.numel():
        update(memoryview(flat.reshape(-1).view(torch.uint8).numpy()))


def as_tensor(value: object) -> Tensor | None:
    """`value` if it is a torch tensor; torch is not imported to find out (another thread may be doing so just now)."""
    kind = type(value)
    is_tensor = kind.__module__.partition(".")[0] == "torch" and hasattr(kind, "element_size")
    return cast("Tensor", value) if is_tensor else None


def size_of(value: object) -> int:
    """About how many bytes a value keeps in memory."""
    if isinstance(value, int | float | None):
        return SMALL
    if isinstance(value, str | bytes):
        return SMALL + len(value)
    if (tensor := as_tensor(value)) is not None:
        return SMALL + tensor.numel() * tensor.element_size()
    if isinstance(value, list | tuple):
        return SMALL + _total(cast("list[object]", value))
    if hasattr(value, "values") and hasattr(value, "keys"):
        return SMALL + _total(cast("dict[object, object]", value).values())
    return 4 * SMALL


def _total(values: Iterable[object]) -> int:
    return sum(size_of(value) for value in values)

"""Digests and sizes of values: what makes results content-addressed.

Every value is hashed with a tag for its type and lengths before its parts, so that no two different values share an
encoding (1, 1.0, True and "1" differ; floats count by their bits). Lists and tuples of equal parts are the same value,
as they are in files. Tensors hash their dtype, shape and bytes; model handles their recipe. A value of an unknown type
has no digest of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from nodegraph.sockets.flow import Blocked, Many

if TYPE_CHECKING:
    from torch import Tensor

SMALL = 64  # bytes that a number or a short record counts for
MAX_DEPTH = 64  # values inside each other; deeper ones are not looked into


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
    if depth > MAX_DEPTH:
        raise Undigestible(f"a value is nested more than {MAX_DEPTH} levels deep")
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
    elif isinstance(value, Mapping):
        _feed_mapping(cast("Mapping[object, object]", value), update, depth)
    elif isinstance(value, Many):
        many = cast("Many[object]", value)
        update(b"*%d:" % len(many.items))
        for item in many.items:
            _feed(item, update, depth + 1)
    elif isinstance(value, Blocked):
        update(b"!")
        _feed(value.message, update, depth + 1)
    elif isinstance(handle := getattr(value, "digest", None), str):
        update(b"h%d:" % len(handle) + handle.encode())
    elif (tensor := as_tensor(value)) is not None:
        _feed_tensor(tensor, update)
    else:
        raise Undigestible(f"values of type {type(value).__qualname__} have no digest")


def _feed_mapping(value: Mapping[object, object], update: Callable[[Any], object], depth: int) -> None:
    items = sorted([(encode(name), item) for name, item in value.items()], key=itemgetter(0))
    update(b"m%d:" % len(items))
    for name, item in items:
        update(b"%d:" % len(name) + name)
        _feed(item, update, depth + 1)


def _feed_tensor(tensor: Tensor, update: Callable[[Any], object]) -> None:
    import torch

    try:
        flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    except (RuntimeError, NotImplementedError) as error:  # sparse, or without data
        raise Undigestible(f"tensors of layout {tensor.layout} on {tensor.device} have no digest") from error
    update(f"t{tensor.dtype}{tuple(tensor.shape)}:".encode())
    if flat.numel():
        update(flat.reshape(-1).view(torch.uint8).numpy().data)


def as_tensor(value: object) -> Tensor | None:
    """`value` if it is a torch tensor; torch is not imported to find out (another thread may be doing so just now)."""
    kind = type(value)
    is_tensor = kind.__module__.partition(".")[0] == "torch" and hasattr(kind, "element_size")
    return cast("Tensor", value) if is_tensor else None


def size_of(value: object, depth: int = 0) -> int:
    """About how many bytes a value keeps in memory."""
    if isinstance(value, int | float | None) or depth > MAX_DEPTH:
        return SMALL
    if isinstance(value, str | bytes):
        return SMALL + len(value)
    if (tensor := as_tensor(value)) is not None:
        return SMALL + tensor.numel() * tensor.element_size()
    if isinstance(value, list | tuple):
        return SMALL + _total(cast("list[object]", value), depth)
    if isinstance(value, Many):
        return SMALL + _total(cast("Many[object]", value).items, depth)
    if isinstance(value, Mapping):
        return SMALL + _total(cast("Mapping[object, object]", value).values(), depth)
    return 4 * SMALL


def _total(values: Iterable[object], depth: int) -> int:
    return sum([size_of(value, depth + 1) for value in values])

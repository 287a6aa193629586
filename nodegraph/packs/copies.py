"""Copies of values: packs write to what they are given and keep what they return, and results here never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from nodegraph.sockets.codecs import as_tensor

MAX_DEPTH: Final = 64


def copied(value: object, *, tensors: bool = True, depth: int = 0) -> Any:
    """A copy of containers all the way down, and of tensors too; other objects are themselves."""
    if depth > MAX_DEPTH:
        return value

    def inner(item: object) -> Any:
        return copied(item, tensors=tensors, depth=depth + 1)

    if (tensor := as_tensor(value)) is not None:
        return tensor.clone() if tensors else tensor
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        plain = type(cast(object, value)) is dict or not isinstance(value, dict)  # other dictionaries know more
        return {key: inner(item) for key, item in items} if plain else cast(object, value)
    if type(value) is list:
        return [inner(item) for item in cast("list[object]", value)]
    if type(value) is tuple:
        return tuple([inner(item) for item in cast("tuple[object, ...]", value)])
    if type(value).__module__ == "numpy" and type(value).__name__ == "ndarray":
        return cast(Any, value).copy() if tensors else value
    return value

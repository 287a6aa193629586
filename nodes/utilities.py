"""Looking at values of any type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from nodegraph.node import node
from nodegraph.sockets import Saved

MAX_CHARACTERS = 10_000


@node(category="utils", display_name="Preview Any", output_node=True, numeric=False)
def PreviewAny(source: Any) -> Saved:
    """Show a value as text: texts and numbers as they are, lists as JSON, pictures and other tensors by their size."""
    text = text_of(source)
    return Saved(shown={"text": text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + "…"})


def text_of(value: object) -> str:
    """A value in words, or in JSON where that can hold it."""
    plain = _plain(value, 0)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain, ensure_ascii=False, indent=2 if isinstance(plain, list | dict) else None)


def _plain(value: object, depth: int) -> object:
    """A value made of what JSON can hold; what it cannot is told of."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth > 20:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in cast("list[object]", value)]
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "shape"):
        return _tensor_text(value)
    return f"{type(value).__name__} {getattr(value, 'digest', '')}".strip()


def _tensor_text(tensor: Any) -> str:
    size = " × ".join(str(length) for length in tensor.shape)
    kind = str(tensor.dtype).removeprefix("torch.")
    if not tensor.numel() or tensor.is_complex():
        return f"tensor {size}, {kind}"
    low, high, mean = float(tensor.min()), float(tensor.max()), float(tensor.double().mean())
    return f"tensor {size}, {kind}, {low:.4g} … {high:.4g}, mean {mean:.4g}"

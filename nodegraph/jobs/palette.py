"""The socket types that node types use, with colours and a line of help each, so that all editors show the same."""

from __future__ import annotations

import colorsys
import functools
import hashlib
import typing
from collections.abc import Callable, Iterable

from nodegraph.sockets.types import PRIMITIVE_COLOURS, PRIMITIVE_HELP, Socket, marks_in
from nodegraph.spec import NodeSpec

LIGHTNESS, SATURATION = 0.66, 0.5


def palette(specs: Iterable[NodeSpec]) -> dict[str, dict[str, str]]:
    """Type name → colour and description, for all types that occur. Types of packs that give no colour get one made of
    their name, which is the same on every machine."""
    names: set[str] = set()
    marks: dict[str, Socket] = {}
    for spec in specs:
        names.update(name for port in (*spec.inputs, *spec.outputs) for name in port.type.names)
        marks |= {mark.name: mark for mark in _marks_of(spec.function)}
    return {name: _look(name, marks.get(name)) for name in sorted(names)}


def _look(name: str, mark: Socket | None) -> dict[str, str]:
    if mark is not None:
        return {"colour": mark.colour, "description": mark.description}
    return {"colour": PRIMITIVE_COLOURS.get(name) or colour_of(name), "description": PRIMITIVE_HELP.get(name, "")}


def colour_of(name: str) -> str:
    """A colour for a type that has none of its own."""
    hue = hashlib.sha256(name.encode("utf-8", "replace")).digest()[0] / 256
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, LIGHTNESS, SATURATION))


@functools.lru_cache(4096)
def _marks_of(function: Callable[..., object]) -> frozenset[Socket]:
    """The marks of all types in a function's signature."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:  # functions of packs say what they like; their types have names only
        return frozenset()
    return frozenset(mark for hint in hints.values() for mark in marks_in(hint))

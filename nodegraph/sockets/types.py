"""Socket types: what may travel along a link, by name.

A Python type becomes a socket type by `socket(Type, "NAME")`, which marks the type itself; nothing is registered
anywhere else. Plain `int`, `float`, `str`, `bool` and `Any` are sockets already. In signatures, `A | B` is a union,
`X | None` an optional input, and a `TypeVar` a generic: every place that names it has the same type in one node.
`tuple[X, ...]` is a collecting input: it takes outputs of type X, all cells of a sweep at once. `list[X]` is an output
that gives several items, or an input that takes all of several items (see `flow`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

ANY = "*"
PRIMITIVES: Mapping[object, str] = {
    int: "INT",
    float: "FLOAT",
    str: "STRING",
    bool: "BOOLEAN",
    Any: ANY,
    object: ANY,
}
DEFAULT_COLOUR = "#9aa0a6"
PRIMITIVE_COLOURS: Mapping[str, str] = {
    "INT": "#7fb069",
    "FLOAT": "#a3c76d",
    "STRING": "#d9c46b",
    "BOOLEAN": "#c98bb9",
    "COMBO": "#8fa3bf",
    ANY: DEFAULT_COLOUR,
}
PRIMITIVE_HELP: Mapping[str, str] = {
    "INT": "whole numbers",
    "FLOAT": "numbers",
    "STRING": "texts",
    "BOOLEAN": "true or false",
    "COMBO": "one of several choices",
    ANY: "anything",
}


@dataclass(frozen=True, slots=True)
class Socket:
    """The mark that `socket()` leaves on a Python type: its name on the wire, its colour, a line of help."""

    name: str
    colour: str = DEFAULT_COLOUR
    description: str = ""


@dataclass(frozen=True, slots=True)
class SocketType:
    """The type of an input or output: one name, several (a union), or a generic variable with its bound."""

    names: tuple[str, ...]
    variable: str | None = None

    def __str__(self) -> str:
        return self.variable if self.variable and self.names == (ANY,) else " | ".join(self.names)

    @property
    def is_any(self) -> bool:
        return ANY in self.names

    @property
    def wire(self) -> str:
        """The name as ComfyUI's clients read it: unions are `A,B`."""
        return ",".join(self.names)


TYPE = TypeVar("TYPE")


def socket(type_: TYPE, name: str, *, colour: str = DEFAULT_COLOUR, description: str = "") -> TYPE:
    """Make `type_` (a class or a NewType) the socket type `name`; returns it unchanged.

        Voxels = NewType("Voxels", object)
        socket(Voxels, "VOXELS", colour="#44cc99")

    (Type checkers know a NewType only when it is assigned by itself, hence the two lines.)
    """
    if not name or name != name.strip() or "," in name or name == ANY:
        raise ValueError(f"a socket type cannot be called {name!r}")
    type_.__socket__ = Socket(name, colour, description)  # type: ignore[attr-defined]
    return type_


def socket_of(annotation: object) -> Socket | None:
    """The socket mark of a type, if it has one of its own (a subclass does not inherit it)."""
    mark = vars(annotation).get("__socket__") if hasattr(annotation, "__dict__") else None
    return mark if isinstance(mark, Socket) else None


def marks_in(annotation: object) -> Iterator[Socket]:
    """The marks of all socket types that an annotation names, however deep."""
    mark = socket_of(annotation)
    if mark is not None:
        yield mark
    elif is_named_tuple(annotation):
        for hint in named_fields(cast(type, annotation)).values():
            yield from marks_in(hint)
    elif isinstance(annotation, TypeVar):
        for bound in (*annotation.__constraints__, annotation.__bound__):
            yield from marks_in(bound)
    elif get_origin(annotation) is Annotated:
        yield from marks_in(get_args(annotation)[0])
    elif get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from marks_in(inner)


def socket_type(annotation: object) -> SocketType:
    """The socket type that an annotation stands for.

    Raises TypeError with a sentence when it stands for none.
    """
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, TypeVar):
        return _variable(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [socket_type(member) for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return members[0]  # an optional input; a generic one stays generic
        return SocketType(tuple(dict.fromkeys(name for member in members for name in member.names)))
    if get_origin(annotation) is Literal:
        return SocketType(("COMBO",))
    primitive = PRIMITIVES.get(annotation) if _hashable(annotation) else None
    if primitive is not None:
        return SocketType((primitive,))
    mark = socket_of(annotation)
    if mark is None:
        raise TypeError(
            f"{describe_annotation(annotation)} is not a socket type; mark it with nodegraph.sockets.socket()"
        )
    return SocketType((mark.name,))


def _variable(variable: TypeVar) -> SocketType:
    bounds = variable.__constraints__ or ((variable.__bound__,) if variable.__bound__ is not None else ())
    names = [name for bound in bounds for name in socket_type(bound).names]
    return SocketType(tuple(dict.fromkeys(names)) or (ANY,), variable.__name__)


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def describe_annotation(annotation: object) -> str:
    """An annotation as its author wrote it, near enough."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def accepts(wanted: SocketType, offered: SocketType) -> bool:
    """Whether an input of type `wanted` may be fed with `offered`.

    Whole numbers are accepted where decimal ones are wanted, texts and numbers where a choice is wanted (the value is
    checked when it is known); everything else must match by name. A union is accepted when each member is.
    """
    if wanted.is_any or offered.is_any:
        return True
    return all(_accepts_one(wanted.names, name) for name in offered.names)


def _accepts_one(wanted: Iterable[str], name: str) -> bool:
    wanted = tuple(wanted)
    if name in wanted:
        return True
    if "FLOAT" in wanted and name == "INT":
        return True
    return ("COMBO" in wanted and name in ("STRING", "INT")) or ("STRING" in wanted and name == "COMBO")


def collected(annotation: object) -> object | None:
    """X for `tuple[X, ...]`, the annotation of a collecting input; None for any other."""
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    return None


def wrapped(annotation: object, *wrappers: type) -> tuple[type, object] | None:
    """Wrapper and X for `wrapper[X]`, also for `wrapper[X] | None`; None for any other annotation."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    members = [member for member in members if member is not type(None)]
    if len(members) != 1:
        return None
    origin = get_origin(members[0])
    return next(((wrapper, get_args(members[0])[0]) for wrapper in wrappers if origin is wrapper), None)


def is_named_tuple(annotation: object) -> bool:
    """Whether an annotation is a NamedTuple class, which is how nodes declare several outputs."""
    return isinstance(annotation, type) and issubclass(annotation, tuple) and "_fields" in vars(cast(type, annotation))


def named_fields(annotation: type) -> dict[str, object]:
    """The fields of a NamedTuple with their annotations, resolved."""
    return typing.get_type_hints(annotation, include_extras=True)

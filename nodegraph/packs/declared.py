"""What a class that was written for ComfyUI says of its node, whichever of the two forms it is written in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

#: Name → what `INPUT_TYPES` says of an input: a type, or (type, options).
Section = Mapping[str, object]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class BadNode(Exception):
    """Raised for a class that cannot be a node; the message says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The arguments that a function takes, with their defaults; open: it takes any others too."""

    defaults: Mapping[str, object]
    open: bool = False

    def of(self, values: Mapping[str, object]) -> dict[str, object]:
        """Those of some values that the function takes."""
        return {name: value for name, value in values.items() if self.open or name in self.defaults}


REQUIRED: Final = inspect.Parameter.empty
POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a class says of its node.

    inputs: called anew, it says so of the inputs as they are now. bind: gives the function to call, for the values of
    the hidden inputs. groups: inputs that arrive together, as one dictionary, by the name that they have there.
    methods: what is asked of the class before the call, by ComfyUI's first name for it. holder: hidden inputs are not
    arguments; `bind` makes them known. own_names: the names that methods have in the class, where they are others.
    expands: it may return more nodes.
    """

    name: str
    cls: type
    bind: Callable[[Mapping[str, object]], Callable[..., Any]]
    taken: Taken
    is_async: bool
    inputs: Callable[[], tuple[Section, Section]]
    required: Section
    optional: Section
    hidden: Mapping[str, str]
    returns: tuple[object, ...]
    return_names: tuple[object, ...] = ()
    tooltips: tuple[object, ...] = ()
    output_lists: tuple[object, ...] = ()
    display_name: str = ""
    category: str = "custom"
    description: str = ""
    output_node: bool = False
    takes_lists: bool = False
    not_idempotent: bool = False
    deprecated: bool = False
    experimental: bool = False
    open: bool = False
    holder: bool = False
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: NOTHING)
    methods: Mapping[str, Callable[[], Callable[..., Any]]] = field(default_factory=lambda: NOTHING)
    own_names: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    expands: bool = False

    def asks_async(self, name: str) -> bool:
        """Whether what is asked of the class is answered by an `async` method; no instance is made to find out."""
        found = inspect.getattr_static(self.cls, self.own_names.get(name, name), None)
        return inspect.iscoroutinefunction(getattr(found, "__func__", found))


def taken_by(function: Callable[..., Any], *, bound: bool = False) -> Taken:
    """The arguments of a function. bound: without the first one, which is the instance."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Taken(NOTHING, open=True)
    if bound and parameters and parameters[0].kind in POSITIONAL:
        parameters = parameters[1:]
    named = [p for p in parameters if p.kind in (*POSITIONAL, p.KEYWORD_ONLY)]
    return Taken({p.name: cast(object, p.default) for p in named}, any(p.kind is p.VAR_KEYWORD for p in parameters))


def is_bound(cls: type, name: str) -> bool:
    """Whether a method of a class belongs to the class itself, and needs no instance."""
    return isinstance(inspect.getattr_static(cls, name), classmethod | staticmethod)

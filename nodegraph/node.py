"""Typed nodes: `@node` turns a typed function into a node, and its signature into a `NodeSpec`.

    @node(category="text")
    def Join(left: str, right: str, separator: str = " ") -> str:
        \"\"\"Two texts with a separator between them.\"\"\"
        return left + separator + right

The function stays what it was: call it, test it, let a type checker check the call. Everything that the rest of
nodegraph knows of it (inputs, outputs, ranges, choices, help) is read from the signature once, at import, and a
signature that cannot be understood fails there, with a message that names the function.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from nodegraph.context import NO_CONTEXT, Cancelled, Context
from nodegraph.sockets.flow import Blocked, Expansion, Lazy
from nodegraph.sockets.types import (
    SocketType,
    collected,
    describe_annotation,
    is_named_tuple,
    named_fields,
    socket_type,
    wrapped,
)
from nodegraph.sockets.values import Saved
from nodegraph.spec import (
    Choices,
    Facts,
    Foresee,
    Foreseen,
    Help,
    InputSpec,
    Mentions,
    Multiline,
    NodeSpec,
    OutputSpec,
    Range,
    Seed,
    SeedControl,
    Sight,
)

__all__ = [
    "NO_CONTEXT",
    "Blocked",
    "Cancelled",
    "Choices",
    "Context",
    "Expansion",
    "Facts",
    "Foreseen",
    "Help",
    "InputSpec",
    "Lazy",
    "Mentions",
    "Multiline",
    "NodeDefinitionError",
    "NodeSpec",
    "OutputSpec",
    "Range",
    "Seed",
    "SeedControl",
    "Sight",
    "node",
    "spec_of",
]

P = ParamSpec("P")
R = TypeVar("R")
NAME = re.compile(r"[^\W\d][\w.+|: /()-]{0,99}")


class NodeDefinitionError(TypeError):
    """A node whose signature cannot be understood; the message names the function and its place."""


def node(
    *,
    category: str,
    version: int = 1,
    name: str | None = None,
    display_name: str | None = None,
    output_node: bool = False,
    light: bool = False,
    deterministic: bool = True,
    numeric: bool = True,
    deprecated: bool = False,
    experimental: bool = False,
    foresee: Foresee | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a typed function a node.

    category: where editors list it, with `/` between levels. version: raise it when results change. light: so cheap
    that it may run on the event loop (arithmetic, texts). deterministic: False if equal inputs may give different
    outputs; such results are never reused. numeric: False if results do not depend on torch, device or dtype. foresee:
    what a check can know of its outputs, and of what will go wrong; without it an output is taken to be like the first
    input of its type.
    Raises NodeDefinitionError for a signature that cannot be understood.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if not inspect.isfunction(function):
            raise NodeDefinitionError(f"@node decorates a function, which {function!r} is not")
        spec = replace(
            _read_signature(function, name or function.__name__, category, version),
            display_name=display_name or name or function.__name__,
            output_node=output_node,
            light=light,
            deterministic=deterministic,
            numeric=numeric,
            deprecated=deprecated,
            experimental=experimental,
            foresee=foresee,
        )
        function.__node__ = spec  # type: ignore[attr-defined]
        return function

    return decorate


def spec_of(function: Callable[..., object]) -> NodeSpec:
    """The NodeSpec of a function decorated with `@node`; TypeError for any other."""
    spec = getattr(function, "__node__", None)
    if not isinstance(spec, NodeSpec):
        raise TypeError(f"{getattr(function, '__qualname__', function)!r} is not a node; decorate it with @node")
    return spec


def _read_signature(
    function: Callable[..., Any],
    name: str,
    category: str,
    version: int,
) -> NodeSpec:
    def fail(reason: str) -> NodeDefinitionError:
        code = function.__code__
        return NodeDefinitionError(f"node {function.__qualname__} ({code.co_filename}:{code.co_firstlineno}): {reason}")

    if not NAME.fullmatch(name):
        raise fail(f"{name!r} cannot be the name of a node")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise fail(f"its annotations cannot be resolved: {error}") from error
    inputs: list[InputSpec] = []
    context_name: str | None = None
    open_ = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ = True
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise fail(f"parameter '{parameter.name}' must be a plain named one; *args and / are not inputs")
        if parameter.name not in hints:
            raise fail(f"parameter '{parameter.name}' has no annotation")
        if hints[parameter.name] is Context:
            context_name = parameter.name
            continue
        try:
            inputs.append(_read_input(parameter, hints[parameter.name]))
        except TypeError as error:
            raise fail(f"input '{parameter.name}': {error}") from error
    if "return" not in hints:
        raise fail("it has no return annotation; write '-> None' for a node without outputs")
    try:
        outputs, several = _read_outputs(hints["return"])
    except TypeError as error:
        raise fail(f"its return type: {error}") from error
    return NodeSpec(
        name=name,
        function=function,
        category=category,
        version=version,
        description=inspect.cleandoc(function.__doc__ or ""),
        inputs=tuple(inputs),
        outputs=outputs,
        display_name=name,
        is_async=inspect.iscoroutinefunction(function),
        context_name=context_name,
        several=several,
        open=open_,
        expands="Expansion" in str(hints["return"]),
    )


def _read_input(parameter: inspect.Parameter, annotation: object) -> InputSpec:
    base, extras = _strip(annotation)
    item = collected(base)
    held = wrapped(base, list, Lazy)
    inner = item if item is not None else held[1] if held is not None else None
    if inner is not None:
        base, more = _strip(inner)
        extras = (*extras, *more)
    type_ = socket_type(base)
    default: object = parameter.default
    required = default is inspect.Parameter.empty
    optional = get_origin(base) in (Union, types.UnionType) and type(None) in get_args(base)
    if optional and (required or default is not None):
        raise TypeError("an optional input ('| None') has the default None")
    range_ = next((extra for extra in extras if isinstance(extra, Range)), None)
    choices = next((extra for extra in extras if isinstance(extra, Choices)), None)
    literal = _literal_choices(base)
    if item is not None and (optional or not (required or default == ())):
        raise TypeError("an input that collects is required or has the default ()")
    if held is not None and not (required or default is None):
        raise TypeError("a list of items or a lazy input is required, or optional with the default None")
    optional = optional or (held is not None and not required)
    if range_ is not None:
        _check_range(type_, range_, None if required else default)
    if literal is not None and not required and not optional and item is None and default not in literal:
        raise TypeError(f"its default {default!r} is not among its choices")
    if not required and literal is None and not optional and item is None:
        _check_default(type_, default)
    return InputSpec(
        name=parameter.name,
        type=SocketType(("COMBO",)) if choices is not None else type_,
        required=required,
        default=None if required else default,
        range=range_,
        choices=literal or choices,
        multiline=any(isinstance(extra, Multiline) for extra in extras),
        control=any(isinstance(extra, SeedControl) for extra in extras),
        help=next((extra.text for extra in extras if isinstance(extra, Help)), ""),
        collects=item is not None,
        mentions=next((extra for extra in extras if isinstance(extra, Mentions)), None),
        lazy=held is not None and held[0] is Lazy,
        takes_list=held is not None and held[0] is list,
    )


def _literal_choices(base: object) -> tuple[Any, ...] | None:
    """The choices of a `Literal`, also of an optional one."""
    if get_origin(base) is Literal:
        return get_args(base)
    members = [member for member in get_args(base) if member is not type(None)]
    optional = get_origin(base) in (Union, types.UnionType) and len(members) == 1
    return _literal_choices(_strip(members[0])[0]) if optional else None


def _strip(annotation: object) -> tuple[object, tuple[object, ...]]:
    """An annotation without `Annotated`, and what was annotated, also inside `Annotated[X, …] | None`."""
    if get_origin(annotation) is Annotated:
        base, *extras = get_args(annotation)
        return base, tuple(extras)
    if get_origin(annotation) in (Union, types.UnionType):
        pairs = [_strip(member) for member in get_args(annotation)]
        return annotation, tuple(extra for _, extras in pairs for extra in extras)
    return annotation, ()


def _check_range(type_: SocketType, range_: Range, default: object) -> None:
    if not set(type_.names) <= {"INT", "FLOAT"}:
        raise TypeError(f"a Range needs a number, not {type_}")
    if math.isnan(range_.min) or math.isnan(range_.max) or range_.min > range_.max:
        raise TypeError(f"the range {range_.min} … {range_.max} is empty")
    if isinstance(default, int | float) and not range_.min <= default <= range_.max:
        raise TypeError(f"its default {default!r} is outside {range_.min} … {range_.max}")


def _check_default(type_: SocketType, default: object) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "INT": (int,),
        "FLOAT": (int, float),
        "STRING": (str,),
        "BOOLEAN": (bool,),
    }
    allowed = [kind for name in type_.names for kind in kinds.get(name, ())]
    if type_.is_any or (isinstance(default, tuple(allowed)) and (not isinstance(default, bool) or bool in allowed)):
        return
    raise TypeError(f"its default {default!r} is not {type_}" if allowed else "only values can have a default")


def _read_outputs(annotation: object) -> tuple[tuple[OutputSpec, ...], bool]:
    if annotation is None or annotation is type(None) or annotation is Saved:
        return (), False
    annotation = _without_expansion(annotation)
    if is_named_tuple(annotation):
        fields = named_fields(typing.cast(type, annotation))
        return tuple(_read_output(name, hint) for name, hint in fields.items()), True
    base, _ = _strip(annotation)
    if get_origin(base) is tuple:
        raise TypeError("several outputs are a NamedTuple, so that they have names")
    single = _read_output("", annotation)
    name = str(single.type) if len(single.type.names) == 1 else "value"
    return (replace(single, name=name),), False


def _without_expansion(annotation: object) -> object:
    """X for `Expansion[X]`, `X | Expansion[X]` and `X | Blocked`; any other annotation as it is."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    plain = [member for member in members if wrapped(member, Expansion) is None and member is not Blocked]
    held = [found[1] for member in members if (found := wrapped(member, Expansion)) is not None]
    if len(plain) == len(members):
        return annotation
    if not held and plain:
        return Union[tuple(plain)]  # noqa: UP007 (of members that are known only now)
    whole = list(dict.fromkeys([*plain, *held]))
    if len(whole) != 1:
        raise TypeError("an Expansion[X] stands alone or beside the same X")
    return whole[0]


def _read_output(name: str, annotation: object) -> OutputSpec:
    base, extras = _strip(annotation)
    if base is Context:
        raise TypeError(f"{describe_annotation(base)} is not a value")
    items = wrapped(base, list)
    if items is not None:
        base, more = _strip(items[1])
        extras = (*extras, *more)
    help_ = next((extra.text for extra in extras if isinstance(extra, Help)), "")
    return OutputSpec(name, socket_type(base), help_, is_list=items is not None)

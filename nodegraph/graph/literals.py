"""Literals against inputs: is this value what the input takes, and if not, what to write instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nodegraph.context import Roots
from nodegraph.errors import Problem, did_you_mean, listing, shorten
from nodegraph.node import Choices, InputSpec, Range

KIND_NAMES: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a decimal number",
    str: "a text",
    type(None): "nothing",
}
TYPE_WORDS = {"INT": "a whole number", "FLOAT": "a number", "STRING": "a text", "BOOLEAN": "true or false"}
VALUE_TYPES = frozenset(TYPE_WORDS)


class ChoiceLists:
    """The choices that depend on the file roots, listed once per check."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self._known: dict[int, Sequence[str]] = {}

    def of(self, choices: Choices) -> Sequence[str]:
        if id(choices) not in self._known:
            self._known[id(choices)] = list(choices.list(self.roots))
        return self._known[id(choices)]


def check_literal(spec: InputSpec, value: object, choices: ChoiceLists) -> tuple[object, Problem | None]:
    """The value as the input takes it (whole numbers become decimal where those are wanted), or a problem.

    The problem has no place or node yet; its caller knows them.
    """
    if value is None and not spec.required and spec.default is None:
        return None, None
    if spec.choices is not None:
        return _check_choice(spec, value, choices)
    names = spec.type.names
    if spec.type.is_any or spec.custom:
        return value, None
    if type(value) is int:
        if "INT" in names:
            return value, _check_range(spec, value)
        if "FLOAT" in names:
            return _float(spec, value)
    elif type(value) is float:
        if "FLOAT" in names:
            problem = None if math.isfinite(value) else _not_finite(spec, value)
            return value, problem or _check_range(spec, value)
    elif (type(value) is str and "STRING" in names) or (type(value) is bool and "BOOLEAN" in names):
        return value, None
    return value, _wrong_type(spec, value)


def _float(spec: InputSpec, value: int) -> tuple[object, Problem | None]:
    problem = _check_range(spec, value)
    try:
        return float(value), problem
    except OverflowError:
        return value, problem or _not_finite(spec, value)


def _check_range(spec: InputSpec, value: int | float) -> Problem | None:
    bounds = spec.range
    if bounds is None:
        return None
    if bounds.min <= value <= bounds.max:
        return None if bounds.multiple == 1 or value % bounds.multiple == 0 else _not_a_multiple(spec, value, bounds)
    expected = f"{_number(bounds.min)} … {_number(bounds.max)}"
    near = _number(bounds.min if value < bounds.min else bounds.max)
    return Problem(
        code="out_of_range",
        message=f"input '{spec.name}' must be {expected}, got {shorten(value)}",
        input=spec.name,
        got=shorten(value),
        expected=expected,
        hint=f"the nearest allowed value is {near}",
    )


def _not_a_multiple(spec: InputSpec, value: int | float, bounds: Range) -> Problem:
    below = int(value // bounds.multiple) * bounds.multiple
    near = [str(each) for each in (below, below + bounds.multiple) if bounds.min <= each <= bounds.max]
    return Problem(
        code="out_of_range",
        message=f"input '{spec.name}' must be a multiple of {bounds.multiple}, got {shorten(value)}",
        input=spec.name,
        got=shorten(value),
        expected=f"a multiple of {bounds.multiple}",
        hint=f"the nearest are {' and '.join(near)}",
    )


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _not_finite(spec: InputSpec, value: object) -> Problem:
    return Problem(
        code="out_of_range",
        message=f"input '{spec.name}' must be a finite number, got {shorten(value)}",
        input=spec.name,
        got=shorten(value),
        expected="a finite number",
        hint="write a plain number",
    )


def _wrong_type(spec: InputSpec, value: object) -> Problem:
    words = [TYPE_WORDS[name] for name in spec.type.names if name in TYPE_WORDS]
    if not words:
        expected = f"a link to {article(str(spec.type))} output"
        hint = f"write a reference such as $node.{spec.type.names[0].lower()}"
    else:
        expected = " or ".join(words)
        hint = _type_hint(spec, value)
    return Problem(
        code="type_mismatch",
        message=f"input '{spec.name}' wants {expected}, got {_kind(value)} {shorten(value)}",
        input=spec.name,
        got=shorten(value),
        expected=expected,
        hint=hint,
    )


def _type_hint(spec: InputSpec, value: object) -> str | None:
    names = spec.type.names
    if "STRING" in names and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f'write it in quotes: "{text}"'
    if "INT" in names and isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return f"write {int(value)}"
    if (
        "BOOLEAN" in names
        and isinstance(value, str)
        and value.casefold() in ("yes", "on", "true", "no", "off", "false")
    ):
        return f"write {'true' if value.casefold() in ('yes', 'on', 'true') else 'false'} without quotes"
    if isinstance(value, str) and ("INT" in names or "FLOAT" in names):
        try:
            float(value)
        except ValueError:
            return None
        return f"write {value.strip()} without quotes"
    return None


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    return KIND_NAMES.get(type(value), "a list")


def _check_choice(spec: InputSpec, value: object, lists: ChoiceLists) -> tuple[object, Problem | None]:
    source = spec.choices
    assert source is not None
    if isinstance(source, Choices):
        if isinstance(value, str) and source.path is not None and source.path(value, lists.roots) is not None:
            return value, None
        offered: Sequence[object] = lists.of(source)
        found = isinstance(value, str) and source.path is None and value in offered
    else:
        offered = source
        found = any(type(choice) is type(value) and choice == value for choice in source)
    if found:
        return value, None
    texts = [str(choice) for choice in offered]
    guess = did_you_mean(str(value)[:200], texts)
    noun = source.kind if isinstance(source, Choices) else "choice"
    if isinstance(source, Choices) and source.path is not None:
        where = f"there is no such {noun} in {_places(source, lists.roots)}" if texts else f"no {noun} was found at all"
        hint = guess or (f"there are: {listing(texts)}" if texts else _folders_hint(source, lists.roots))
    else:
        where, hint = f"it is one of {listing(texts)}", guess
    return value, Problem(
        code="not_a_choice",
        message=f"input '{spec.name}' cannot be {shorten(value)}: {where}",
        input=spec.name,
        got=shorten(value),
        expected=listing(texts, limit=60),
        hint=hint,
    )


def _folders_hint(choices: Choices, roots: Roots) -> str:
    return f"put the {choices.kind} below {_places(choices, roots)}"


def _places(choices: Choices, roots: Roots) -> str:
    """The folders that a file is looked for in: those of its kind of models, or those of inputs."""
    folders = roots.model_folders(choices.folder) if choices.folder else roots.input
    return " or ".join(str(folder) for folder in folders)


def article(noun: str) -> str:
    """`a` or `an` before a socket type's name."""
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"

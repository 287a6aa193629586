"""Which values a sweep is over, as they are given beside a workflow: on the command line, or in a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from nodegraph.errors import Problem, listing, shorten
from nodegraph.node import InputSpec
from nodegraph.registry import Registry
from nodegraph.workflow import scalars
from nodegraph.workflow.document import Param, Series, Span, Value, Workflow
from nodegraph.workflow.param_values import Fault
from nodegraph.workflow.params import parse_value
from nodegraph.workflow.sweep_reader import parse_span
from nodegraph.workflow.sweeps import split_target

MAX_VALUES: Final = 10_000
PIECE: Final = re.compile(r'\\([\\,"])|(")|(,)|(.)', re.DOTALL)
OVER_HELP: Final = "write --over NAME=3,5,7 or --over NAME=1..4"

#: Reads one value.
Read = Callable[[str], Value | Problem]


def parse_over(
    workflow: Workflow, registry: Registry, options: Iterable[str]
) -> tuple[dict[str, Series], list[Problem]]:
    """The values of each `NAME=VALUES`, by full name in the order given, and what is wrong with them.

    Whether a name stands for anything, and a value fits, the check of the workflow says.
    """
    found: dict[str, Series] = {}
    problems: list[Problem] = []
    for option in options:
        written, equals, text = option.partition("=")
        name = full_name(workflow, registry, written.strip())
        if isinstance(name, Problem):
            problems.append(name)
        elif not equals or not name:
            problems.append(Problem("usage", f"--over takes NAME=VALUES, not {shorten(option)}", hint=OVER_HELP))
        elif name in found:
            problems.append(Problem("usage", f"--over names {shorten(name)} twice", hint="give all its values at once"))
        else:
            series = parse_series(text, *_reader(workflow, registry, name))
            if isinstance(series, Problem):
                problems.append(series)
            elif not series:
                problems.append(Problem("usage", f"--over gives {shorten(name)} no values", hint=OVER_HELP))
            else:
                found[name] = series
    return found, problems


def values_over(
    workflow: Workflow, registry: Registry, given: Mapping[str, str | Sequence[str | int | float | bool]]
) -> tuple[dict[str, Series], list[Problem]]:
    """The same from names and their values: lists of values as they are, or a text such as `3,5,7` or `1..4`."""
    found: dict[str, Series] = {}
    problems: list[Problem] = []
    for written, values in given.items():
        name = full_name(workflow, registry, written.strip())
        if isinstance(name, Problem):
            problems.append(name)
            continue
        text = isinstance(values, str)
        series = parse_series(values, *_reader(workflow, registry, name)) if text else tuple(values)
        if isinstance(series, Problem):
            problems.append(series)
        elif name in found or not series:
            fault = f"gives {shorten(name)} no values" if not series else f"names {shorten(name)} twice"
            problems.append(Problem("usage", f"the sweep {fault}", got=name, hint="give all its values, once"))
        else:
            found[name] = series
    return found, problems


def full_name(workflow: Workflow, registry: Registry, name: str) -> str | Problem:
    """`cfg` as `latent.cfg` where that is the only node with such an input; other names as they are."""
    if name in workflow.params or "." in name:
        return name
    specs = {node: registry.get(entry.uses) for node, entry in workflow.nodes.items()}
    found = [f"{node}.{name}" for node, spec in specs.items() if spec is not None and name in spec.inputs_by_name]
    if len(found) > 1:
        message = f"{shorten(name)} cannot be swept over: it is no parameter, and several nodes have such an input"
        return Problem("usage", message, got=name, hint=f"write one of {listing(found)}")
    return found[0] if found else name


def parse_series(text: str, read: Read, counts: bool) -> Series | Problem:
    """`3,5,7`, `1..4`, `1..10:3`, or a mixture; a comma inside a value is written `\\,` or in double quotes.

    counts: whether whole numbers are wanted, so that `1..4` stands for four of them.
    """
    values: list[Value] = []
    pieces = split_values(text)
    for piece in pieces:
        span = parse_span(piece) if counts else None
        if isinstance(span, Problem):
            return span
        if isinstance(span, Span):
            if len(pieces) == 1:
                return span
            if (span.last - span.first) // span.step + len(values) >= MAX_VALUES:
                return Problem("too_large", f"{shorten(piece)} stands for more than {MAX_VALUES:,} values")
            values += span.numbers
            continue
        value = read(piece)
        if isinstance(value, Problem):
            return value
        values.append(value)
    return tuple(values)


def split_values(text: str) -> list[str]:
    """The values between commas, without the spaces around them; quotes keep spaces and commas."""
    pieces: list[str] = []
    piece, kept, inside = "", 0, False  # kept: how much of the piece stood in quotes, or was escaped
    for match in PIECE.finditer(text):
        escaped, quote, comma, plain = match.groups()
        if quote:
            inside = not inside
            kept = len(piece)
        elif comma and not inside:
            pieces.append(piece[:kept] + piece[kept:].rstrip())
            piece, kept = "", 0
        elif plain and plain.isspace() and not piece and not inside:
            continue
        else:
            piece += escaped or comma or plain
            kept = len(piece) if escaped or inside else kept
    pieces.append(piece[:kept] + piece[kept:].rstrip())
    return pieces if pieces != [""] else []


def _reader(workflow: Workflow, registry: Registry, name: str) -> tuple[Read, bool]:
    """How the values of a name are read, and whether spans are."""
    target = split_target(workflow, name)
    if target is None:
        param = workflow.params.get(name)
        return (_plain, True) if param is None else (lambda text: _for_param(param, text), param.type != "STRING")
    spec = registry.get(workflow.nodes[target[0]].uses)
    given = spec.inputs_by_name.get(target[1]) if spec is not None else None
    if given is None:
        return _plain, True
    return (lambda text: _for_input(given, text)), given.choices is None and bool(
        {"INT", "FLOAT", "*"}.intersection(given.type.names)
    )


def _for_param(param: Param, text: str) -> Value | Problem:
    value = parse_value(param, text)
    return value.problem() if isinstance(value, Fault) else value


def _for_input(given: InputSpec, text: str) -> Value | Problem:
    if isinstance(given.choices, tuple):
        return next((choice for choice in given.choices if str(choice) == text), text)
    if given.choices is not None or set(given.type.names) <= {"STRING", "COMBO"}:
        return text
    return _plain(text)


def _plain(text: str) -> Value | Problem:
    try:
        return scalars.plain(text)
    except scalars.BadNumberError as error:
        return Problem("bad_number", f"the number {shorten(text)} to sweep over {error}", got=shorten(text))

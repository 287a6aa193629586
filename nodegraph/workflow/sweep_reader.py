"""Reading sweeps: `foreach:` and `matrix:`, of a node or of a whole workflow.

    foreach: {cfg: [3, 5], sampler_name: [euler, heun]}   # two cells: values at the same position belong together
    matrix: {cfg: [3, 5, 7], seed: 1..4}                  # twelve cells: every combination, cfg varying slowest

A series is a list, `FIRST..LAST`, `FIRST..LAST:STEP`, or `{range: [FIRST, LAST]}` (with STEP as third number). Whether
its names and values fit is the graph's to check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, Protocol

from nodegraph.errors import Place, Problem, shorten
from nodegraph.workflow.document import Series, Span, Sweep, Value
from nodegraph.workflow.scalars import INT_MAX, INT_MIN, MAX_DIGITS
from nodegraph.workflow.tree import UNREADABLE, Located, Report, Unreadable, kind_of

SWEEP_KEYS: Final = ("foreach", "matrix")
SPAN: Final = re.compile(r"\s*([+-]?[0-9]+)\s*\.\.\s*([+-]?[0-9]+)\s*(?::\s*([+-]?[0-9]+)\s*)?")
SERIES_HELP: Final = "write a list such as [3, 5, 7], or 1..4 for whole numbers"


class ReadValue(Protocol):
    """Reads what an input is given; `document_builder.read_value`."""

    def __call__(
        self, given: Located, report: Report, node: str | None, input: str | None
    ) -> Value | Literal[Unreadable.UNREADABLE]: ...


def read_sweep(
    keys: Mapping[str, Located], report: Report, read_value: ReadValue, *, node: str | None = None
) -> Sweep | None:
    """The sweep of a node (or, without `node`, of the workflow), or None if it has none that can be read.

    A name whose values could not be read was reported; it is in `key_places` only.
    """
    found = [key for key in SWEEP_KEYS if key in keys]
    if not found:
        return None
    if len(found) > 1:
        message = "'foreach' and 'matrix' stand side by side, and only one of them can be meant"
        hint = "zip lists with 'foreach', combine them with 'matrix'"
        report.add("duplicate_key", message, report.at_key(keys[found[1]]), node=node, hint=hint)
        return None
    key = found[0]
    entry = keys[key]
    if entry.value is UNREADABLE or entry.value is None:
        return None
    if not isinstance(entry.value, dict) or not entry.value:
        got = "nothing" if entry.value == {} else kind_of(entry.value)
        message = f"'{key}' is a mapping of {'inputs' if node else 'parameters'} to lists of values, not {got}"
        report.add("wrong_kind", message, report.at(entry), node=node, hint=f"write {key}: {{seed: [1, 2, 3]}}")
        return None
    values: dict[str, Series] = {}
    places: dict[str, tuple[Place, ...]] = {}
    key_places: dict[str, Place] = {}
    for name, given in entry.value.items():
        key_places[name] = report.at_key(given)
        series = read_series(name, given, report, read_value, node)
        if series is not None:
            values[name], places[name] = series
    place = report.at_key(entry)
    return Sweep(
        key == "foreach", MappingProxyType(values), place, MappingProxyType(places), MappingProxyType(key_places)
    )


def read_series(
    name: str, given: Located, report: Report, read_value: ReadValue, node: str | None
) -> tuple[Series, tuple[Place, ...]] | None:
    """The values below one name, with their places; None, with a problem told, if they cannot be made out."""
    value = given.value
    if value is UNREADABLE:
        return None
    if isinstance(value, list) and value:
        items = [read_value(item, report, node, name) for item in value]
        readable = tuple([item for item in items if item is not UNREADABLE])
        return (readable, tuple([report.at(item) for item in value])) if len(readable) == len(items) else None
    span: Span | Problem | None = None
    if isinstance(value, str):
        span = parse_span(value)
    elif isinstance(value, dict) and value.keys() == {"range"}:
        span = range_of(value["range"])
    if isinstance(span, Span):
        return span, (report.at(given),)
    if span is None:
        shown = shorten(value) if isinstance(value, str) else "an empty list" if value == [] else kind_of(value)
        span = Problem("wrong_kind", f"{shorten(name)} takes its values from a list, not {shown}", hint=SERIES_HELP)
    report.add(span.code, span.message, report.at(given), node=node, input=name, got=span.got, hint=span.hint)
    return None


def parse_span(text: str) -> Span | Problem | None:
    """What `1..4` or `1..10:3` means; None for a text that is no span, a Problem for one that makes no sense."""
    match = SPAN.fullmatch(text)
    if match is None:
        return None
    if any(len(number) > MAX_DIGITS for number in match.groups(default="")):
        return Problem("bad_number", f"the numbers in {shorten(text)} are too long", got=shorten(text))
    first, last, step = match.groups()
    return make_span([int(first), int(last), *([int(step)] if step else [])], text)


def range_of(entry: Located) -> Span | Problem | None:
    """What `{range: [1, 4]}` means."""
    if not isinstance(entry.value, list):
        return None
    numbers = [item.value for item in entry.value if type(item.value) is int]
    if len(numbers) != len(entry.value) or len(numbers) not in (2, 3):
        return Problem("wrong_kind", "'range' is two or three whole numbers: the first, the last, and the step")
    return make_span(numbers, "[" + ", ".join(map(str, numbers)) + "]")


def make_span(numbers: Sequence[int], written: str) -> Span | Problem:
    """The span from first to last, with its step if there is a third number."""
    first, last = numbers[:2]
    step = numbers[2] if len(numbers) > 2 else 1 if last >= first else -1
    if not all(INT_MIN <= number <= INT_MAX for number in (first, last, step)):
        return Problem("bad_number", f"the numbers in {shorten(written)} are not between -2^63 and 2^64 - 1")
    if step == 0 or (last - first) * step < 0:
        hint = f"use a step of {1 if last >= first else -1}, or leave it out"
        return Problem("bad_number", f"steps of {step} never lead from {first} to {last}", got=written, hint=hint)
    return Span(first, last, step)

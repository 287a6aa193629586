"""The axes of a workflow's sweeps: what varies, and through which values.

A `matrix` is one axis a name, a `foreach` one axis for all its names together. Axes are numbered as they are declared:
first those of the workflow, then those of its nodes in the order of the file. The first one varies slowest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from nodegraph.errors import Place, Problem, did_you_mean, listing, shorten
from nodegraph.graph import complaints
from nodegraph.graph.complaints import Hints
from nodegraph.workflow.document import NodeEntry, Ref, Series, Slot, Span, Sweep, Template, Value, Workflow
from nodegraph.workflow.param_values import Fault, fit
from nodegraph.workflow.sweeps import split_target
from nodegraph.workflow.texts import write_text

MAX_POSITIONS: Final = 10_000
MAX_LABEL: Final = 200
UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")

#: What a value of a sweep is shown as: itself with its parameters filled in.
Shown = Callable[[Value], object]


class Target(NamedTuple):
    """What varies along an axis: an input of a node, or (without a node) a parameter."""

    node: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies together: `rows` has for each position the value of every target."""

    targets: tuple[Target, ...]
    rows: tuple[tuple[Value, ...], ...]
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    places: tuple[tuple[Place, ...], ...]
    place: Place

    def place_of(self, target: int, position: int) -> Place:
        """Where the value of a target at a position stands in the file."""
        places = self.places[target]
        return places[min(position, len(places) - 1)] if places else self.place


def has_sweeps(entries: Iterable[NodeEntry], sweep: Sweep | None) -> bool:
    """Whether there is anything to look at here; quick, since nearly all workflows have no sweep."""
    return sweep is not None or any(entry.sweep is not None for entry in entries)


def read_axes(hints: Hints, shown: Shown) -> tuple[list[Axis], list[Problem]]:
    """All axes of a workflow, and what is wrong with its sweeps; an axis with a problem is left out."""
    workflow, problems = hints.workflow, list[Problem]()
    found: list[_Raw] = []
    if workflow.sweep is not None:
        found += _raw_axes(hints, workflow.sweep, None, problems)
    for entry in workflow.nodes.values():
        if entry.sweep is not None:
            found += _raw_axes(hints, entry.sweep, entry, problems)
    counted = Counter(target for raw in found for target in raw.targets)
    names = Counter(target.name for target in counted)
    axes: list[Axis] = []
    told = set[Target]()
    for raw in found:
        twice = next((target for target in raw.targets if counted[target] > 1), None)
        if twice is not None and twice in told:
            continue
        if twice is not None:
            told.add(twice)
            message = f"two sweeps give values to {_written(twice)}"
            problems.append(Problem("duplicate_key", message, raw.place, twice.node, hint="remove one of them"))
        elif (rows := _rows(hints, raw, problems)) is not None:
            called = [target.name if names[target.name] == 1 else _written(target) for target in raw.targets]
            texts = [[text_of(shown(value)) for value in row] for row in rows]
            axes.append(Axis(raw.targets, rows, labels_of(called, texts), ids_of(texts), raw.places, raw.place))
    return axes, problems


class _Raw(NamedTuple):
    targets: tuple[Target, ...]
    series: tuple[Series, ...]
    places: tuple[tuple[Place, ...], ...]
    place: Place


def _raw_axes(hints: Hints, sweep: Sweep, entry: NodeEntry | None, problems: list[Problem]) -> list[_Raw]:
    """The axes of one sweep, their values as they are written."""
    raws: list[_Raw] = []
    for name, series in sweep.values.items():
        place = sweep.key_places.get(name, sweep.place)
        target = _target(hints, name, entry, place)
        length = _length(series)
        if isinstance(target, Target) and not 0 < length <= MAX_POSITIONS:
            message = f"{_written(target)} is swept over {length:,} values; 1 to {MAX_POSITIONS:,} are allowed"
            target = Problem("too_large", message, place, target.node)
        if isinstance(target, Problem):
            problems.append(target)
        else:
            raws.append(_Raw((target,), (series,), (sweep.places.get(name, ()),), place))
    if not sweep.zipped or not raws or len(raws) < len(sweep.values):
        return [] if sweep.zipped else raws  # of a zipped sweep with a mistake nothing can be said
    lengths = {raw.targets[0].name: _length(raw.series[0]) for raw in raws}
    if len(set(lengths.values())) > 1:
        shown = listing([f"{length:,} for {name}" for name, length in lengths.items()])
        message = f"the lists below 'foreach' belong together, but have different lengths: {shown}"
        hint = "give them the same length, or use 'matrix' for all combinations"
        problems.append(Problem("wrong_kind", message, sweep.place, entry.id if entry else None, hint=hint))
        return []
    columns = [(raw.targets[0], raw.series[0], raw.places[0]) for raw in raws]
    targets, series_, places = zip(*columns, strict=True)
    return [_Raw(tuple(targets), tuple(series_), tuple(places), sweep.place)]


def _length(series: Series) -> int:
    if not isinstance(series, Span):
        return len(series)
    return (series.last - series.first) // series.step + 1 if series.step else 0  # len(range) is bounded by the machine


def _target(hints: Hints, name: str, entry: NodeEntry | None, place: Place) -> Target | Problem:
    """What a name in a sweep stands for, or what is wrong with it."""
    workflow = hints.workflow
    if entry is None:
        split = split_target(workflow, name)
        if split is None and name in workflow.params:
            return Target(None, name)
        if split is None:
            names = [*workflow.params, *(f"{node}." for node in islice(workflow.nodes, 100))]
            near = did_you_mean(name, list(workflow.params)) or (
                f"write a parameter or NODE.INPUT; there are {listing(names)}" if names else "it has no parameters"
            )
            message = f"{shorten(name)} names neither a parameter nor an input of a node"
            return Problem("unknown_param", message, place, got=name[:200], hint=near)
        entry, name = workflow.nodes[split[0]], split[1]
        given_twice = False
    else:
        given_twice = name in entry.inputs
    spec = hints.registry.get(entry.uses)
    if spec is not None and name not in spec.inputs_by_name:
        problem = complaints.unknown_input(hints, entry, spec, name)
        return replace(problem, place=place)
    if given_twice:
        message = f"the input '{name}' is given below 'with' and swept as well"
        return Problem("duplicate_key", message, place, entry.id, name, hint=f"remove '{name}' below 'with'")
    return Target(entry.id, name)


def _rows(hints: Hints, raw: _Raw, problems: list[Problem]) -> tuple[tuple[Value, ...], ...] | None:
    """The values of an axis, one row a position; None, with problems told, if one of them cannot be used."""
    columns: list[list[Value]] = []
    before = len(problems)
    for target, series, places in zip(raw.targets, raw.series, raw.places, strict=True):
        column: list[Value] = []
        for i, value in enumerate(series.numbers if isinstance(series, Span) else series):
            usable = _usable(hints, target, value)
            if isinstance(usable, Problem):
                place = places[min(i, len(places) - 1)] if places else raw.place
                problems.append(usable.at(place))
            else:
                column.append(usable)
        columns.append(column)
    return tuple(zip(*columns, strict=True)) if len(problems) == before else None


def _usable(hints: Hints, target: Target, value: Value) -> Value | Problem:
    """A value as its target takes it, or what is wrong with it; what inputs take, the node's own check says."""
    workflow = hints.workflow
    if target.node is None:
        fitted = fit(workflow.params[target.name], value)
        return fitted.problem() if isinstance(fitted, Fault) else fitted
    if isinstance(value, Slot) or (isinstance(value, Ref) and value.name in workflow.nodes):
        message = f"'{target.name}' is swept over values, and {shorten(write_text(value))} is a link to a node"
        hint = "sweep over an input of that node instead"
        return Problem("bad_reference", message, node=target.node, input=target.name, hint=hint)
    return value


def _written(target: Target) -> str:
    return target.name if target.node is None else f"{target.node}.{target.name}"


def text_of(value: object) -> str:
    """A value as a label shows it."""
    if isinstance(value, Ref | Slot | Template):
        return write_text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def swept_inputs(workflow: Workflow) -> Mapping[str, Mapping[str, Place]]:
    """The inputs that sweeps name, by node, with the places of their names. What is wrong there is told by itself, so
    such an input is not missing."""
    found: dict[str, dict[str, Place]] = {}
    for name, entry in workflow.nodes.items():
        if entry.sweep is not None:
            found[name] = dict(entry.sweep.key_places)
    for name, place in workflow.sweep.key_places.items() if workflow.sweep is not None else ():
        if (target := split_target(workflow, name)) is not None:
            found.setdefault(target[0], {})[target[1]] = place
    return found


def positioned(entry: NodeEntry, axes: Sequence[Axis], at: Mapping[int, int]) -> NodeEntry:
    """The node as it is at a position (axis number → position) of the axes that vary its inputs."""
    inputs, places = dict(entry.inputs), dict(entry.places)
    for number, position in at.items():
        axis = axes[number]
        for i, target in enumerate(axis.targets):
            if target.node == entry.id:
                inputs[target.name] = axis.rows[position][i]
                places[target.name] = axis.place_of(i, position)
    return replace(entry, inputs=MappingProxyType(inputs), places=MappingProxyType(places))


def labels_of(names: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What a contact sheet writes beside each position: `cfg=3`, or `cfg=3, sampler_name=euler`."""
    texts = (", ".join(f"{name}={text}" for name, text in zip(names, row, strict=True)) for row in rows)
    return tuple([text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…" for text in texts])


def ids_of(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What each position is called in the ids of nodes: its value if that is short and plain, otherwise a number."""
    shown = ["+".join([UNSAFE.sub("-", text[:100]).strip("-")[:24] for text in row]) for row in rows]
    if len(set(shown)) == len(shown) and all(text.strip("+") for text in shown):
        return tuple(shown)
    return tuple([str(i + 1) for i in range(len(shown))])

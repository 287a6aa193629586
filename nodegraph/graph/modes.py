"""`mode: muted` and `mode: bypassed`: nodes that are in a file but do not run.

A muted node is taken out with all that needs it; an input that may be left out merely loses its link. A bypassed node
is stepped over: who takes an output of it takes what arrives at its first input of the same type, and if there is none,
goes as if the node were muted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from nodegraph.errors import Problem
from nodegraph.graph.complaints import cycle
from nodegraph.registry import Registry
from nodegraph.sockets.types import accepts
from nodegraph.spec import NodeSpec
from nodegraph.workflow.arrangement import arranged
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Span, Value, Workflow


@dataclass(frozen=True, slots=True)
class Gone:
    """Stands for an output that has no value."""


GONE = Gone()


def settle_modes(workflow: Workflow, registry: Registry) -> tuple[Workflow, tuple[Problem, ...]]:
    """The workflow of the nodes that run, and what is wrong with those that are stepped over."""
    if all(entry.mode == "run" for entry in workflow.nodes.values()):
        return workflow, ()
    steps = _Steps(workflow, registry)
    silent = {name for name, entry in workflow.nodes.items() if entry.mode != "run"}
    nodes = {name: _relinked(steps, entry) for name, entry in workflow.nodes.items() if name not in silent}
    lost = _lost(nodes, silent, registry)
    gone = silent | lost
    kept = {name: _without(entry, gone) for name, entry in nodes.items() if name not in lost}
    outputs: dict[str, Ref] = {}
    for name, ref in workflow.outputs.items():
        settled = steps.followed(ref)
        if not isinstance(settled, Ref | Slot):
            continue
        if settled.name in kept or settled.name in workflow.params or settled.name not in workflow.nodes:
            outputs[name] = settled if isinstance(settled, Ref) else _named(settled, kept, registry)
    shorter = replace(workflow, nodes=MappingProxyType(kept), outputs=MappingProxyType(outputs))
    return arranged(shorter, workflow, lambda name: name if name in kept else None), tuple(steps.problems)


@dataclass(slots=True)
class _Steps:
    """Follows links over nodes that are bypassed; what was followed once is remembered."""

    workflow: Workflow
    registry: Registry
    known: dict[Ref | Slot, Value | Gone] = field(default_factory=dict[Ref | Slot, Value | Gone])
    problems: list[Problem] = field(default_factory=list[Problem])

    def followed(self, value: Ref | Slot) -> Value | Gone:
        """What a link takes instead: itself, a link further up, or nothing."""
        way: dict[Ref | Slot, None] = {}
        here: Value | Gone = value
        while isinstance(here, Ref | Slot) and here not in self.known:
            if here in way:
                passed = list(way)
                names = list(dict.fromkeys(link.name for link in reversed(passed[passed.index(here) :])))
                self.problems.append(cycle(self.workflow, names))
                here = GONE
                break
            entry = self.workflow.nodes.get(here.name)
            if entry is None or entry.mode == "run":
                break
            way[here] = None
            here = GONE if entry.mode == "muted" else self.passed(here, entry)
        found = self.known.get(here, here) if isinstance(here, Ref | Slot) else here
        self.known.update(dict.fromkeys(way, found))
        return found

    def passed(self, value: Ref | Slot, entry: NodeEntry) -> Value | Gone:
        """What a bypassed node passes on to one of its outputs."""
        spec = self.registry.get(entry.uses)
        number = _output(value, spec) if spec is not None else None
        if spec is None or number is None:
            return GONE
        wanted = spec.outputs[number].type
        values = [(given, entry.inputs.get(given.name)) for given in spec.inputs]
        linked = [(given, link) for given, link in values if isinstance(link, Ref | Slot)]
        for given, link in linked:
            if given.type.names == wanted.names:
                return link
        return next((link for given, link in linked if accepts(wanted, given.type)), GONE)


def _output(value: Ref | Slot, spec: NodeSpec) -> int | None:
    if isinstance(value, Slot):
        return value.index if value.index < len(spec.outputs) else None
    if value.output is None:
        return 0 if len(spec.outputs) == 1 else None
    return spec.output_index(value.output)


def _relinked(steps: _Steps, entry: NodeEntry) -> NodeEntry:
    """A node whose links lead past bypassed nodes; a link to nothing is left, to be found by `_lost`."""

    def past(value: Value) -> Value:
        if not isinstance(value, Ref | Slot) or value.name not in steps.workflow.nodes:
            return value
        found = steps.followed(value)
        return value if isinstance(found, Gone) else found

    inputs = {name: past(value) for name, value in entry.inputs.items()}
    changed = {name: value for name, value in inputs.items() if value is not entry.inputs[name]}
    if changed:
        entry = replace(entry, inputs=MappingProxyType(inputs))
    if entry.sweep is not None:
        series = {
            name: values if isinstance(values, Span) else tuple([past(value) for value in values])
            for name, values in entry.sweep.values.items()
        }
        entry = replace(entry, sweep=replace(entry.sweep, values=MappingProxyType(series)))
    when = tuple([past(value) for value in entry.when]) if isinstance(entry.when, tuple) else past(entry.when)
    return entry if when == entry.when else replace(entry, when=when)


def _links(entry: NodeEntry) -> Iterator[tuple[str | None, str]]:
    """The nodes that a node takes something from, with the input's name; None where a sweep or a condition does."""
    for name, value in entry.inputs.items():
        if isinstance(value, Ref | Slot):
            yield name, value.name
    for value in entry.when if isinstance(entry.when, tuple) else (entry.when,):
        if isinstance(value, Ref | Slot):
            yield None, value.name
    for values in entry.sweep.values.values() if entry.sweep is not None else ():
        for value in () if isinstance(values, Span) else values:
            if isinstance(value, Ref | Slot):
                yield None, value.name


def _lost(nodes: Mapping[str, NodeEntry], silent: set[str], registry: Registry) -> set[str]:
    """The nodes that cannot run since something that they need does not."""
    needing: dict[str, list[str]] = {}
    for name, entry in nodes.items():
        spec = registry.get(entry.uses)
        for given, source in _links(entry):
            found = spec.input(given) if spec is not None and given is not None else None
            if found is None or found.required:
                needing.setdefault(source, []).append(name)
    lost: set[str] = set()
    waiting = list(silent)
    while waiting:
        for name in needing.get(waiting.pop(), ()):
            if name not in lost:
                lost.add(name)
                waiting.append(name)
    return lost


def _without(entry: NodeEntry, gone: set[str]) -> NodeEntry:
    """A node without the links to nodes that do not run; its defaults take their place."""
    dropped = {given for given, source in _links(entry) if source in gone}
    if not dropped:
        return entry
    inputs, places, key_places = (
        MappingProxyType({name: value for name, value in part.items() if name not in dropped})
        for part in (entry.inputs, entry.places, entry.key_places)
    )
    return replace(entry, inputs=inputs, places=places, key_places=key_places)


def _named(slot: Slot, nodes: Mapping[str, NodeEntry], registry: Registry) -> Ref:
    """An output by name instead of number."""
    spec = registry.get(nodes[slot.name].uses) if slot.name in nodes else None
    if spec is None or slot.index >= len(spec.outputs):
        return Ref(slot.name, str(slot.index))
    return Ref(slot.name, spec.outputs[slot.index].name if len(spec.outputs) > 1 else None)

"""Nodes of a workflow, one by one, with every name, value and reference of theirs resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from nodegraph.errors import Problem
from nodegraph.graph import complaints
from nodegraph.graph.complaints import Hints, placed
from nodegraph.graph.draft import DraftNode, NamedLink
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Many
from nodegraph.sockets.types import ANY, SocketType, accepts
from nodegraph.workflow.document import NodeEntry, Ref, Scalar, Slot, Template, Value, Workflow
from nodegraph.workflow.parts import BROKEN, is_part
from nodegraph.workflow.texts import filled_in

MISSING = object()  # what is left of a value that had a problem of its own
MAX_DEPTH = 64


@dataclass(slots=True)
class Draft:
    """A workflow being checked: what is known of it, and the problems found so far. `used` are parameters."""

    workflow: Workflow
    registry: Registry
    params: Mapping[str, Scalar]
    choices: ChoiceLists
    hints: Hints
    problems: list[Problem]
    used: set[str] = field(default_factory=set[str])


def draft_node(draft: Draft, entry: NodeEntry) -> DraftNode | None:
    """A node with everything about it resolved; None, with a problem told, if its type is not known."""
    spec = draft.registry.specs.get(entry.uses)
    if spec is None:
        if entry.uses and not is_part(entry.uses):  # an empty one, or a part still here, has its problem already
            draft.problems.append(complaints.unknown_node(draft.hints, entry))
        for value in entry.inputs.values():
            note_params(draft, value)
        return None
    values: dict[str, object] = {}
    links: dict[str, NamedLink] = {}
    inputs, given = spec.inputs_by_name, entry.inputs
    for name, value in given.items():
        input_spec = inputs.get(name) or spec.input(name)
        if input_spec is not None and spec.validation is not None and spec.validation.takes_over(name):
            input_spec = _unbounded(input_spec)
        if input_spec is None:
            note_params(draft, value)
            problem = complaints.unknown_input(draft.hints, entry, spec, name)
            if not spec.checks_arrivals and not isinstance(value, Ref | Slot):
                problem = replace(problem, severity="warning")  # other versions of a pack have other widgets
            draft.problems.append(problem)
        elif type(value) is Ref or type(value) is Slot:
            link = _draft_reference(draft, entry, input_spec, value, values)
            if link is not None:
                links[name] = link
        else:
            _draft_value(draft, entry, input_spec, value, values)
    if spec.open or len(values) + len(links) < len(inputs):
        for name, input_spec in inputs.items():
            if name in given or name in entry.key_places:
                continue
            if input_spec.required:
                draft.problems.append(complaints.missing_input(draft.hints, entry, spec, input_spec))
            else:
                values[name] = input_spec.default
    node = DraftNode(entry, spec, values, links)
    if entry.when is not None:
        for value in entry.when if isinstance(entry.when, tuple) else (entry.when,):
            _draft_gate(draft, node, value)
    return node


def _unbounded(spec: InputSpec) -> InputSpec:
    """An input whose bounds and choices somebody else checks."""
    type_ = spec.type if spec.choices is None else SocketType((ANY,))
    return replace(spec, range=None, choices=None, type=type_)


GATE = InputSpec("when", SocketType(("BOOLEAN",)), required=True)


def _draft_gate(draft: Draft, node: DraftNode, value: Value) -> None:
    """One thing that decides whether a node runs: what is known of it now, or the output that will say."""
    entry, given = node.entry, dict[str, object]()
    if value is BROKEN:
        return
    here = replace(entry, places={"when": entry.when_place})
    if isinstance(value, Ref | Slot):
        link = _draft_reference(draft, here, GATE, value, given)
        if link is not None:
            offered = draft.registry.specs[draft.workflow.nodes[link.name].uses].outputs[link.output].type
            if accepts(GATE.type, offered):
                node.when = (*node.when, link)
            else:
                draft.problems.append(placed(complaints.not_a_gate(link, offered), here, "when"))
    else:
        _draft_value(draft, here, GATE, value, given)
    node.absent = node.absent or given.get("when") is False


def shown_value(draft: Draft, value: Value) -> object:
    """A value of a sweep with its parameters filled in, as far as that can be done; problems are told elsewhere."""
    if isinstance(value, Ref):
        return draft.params.get(value.name, value)
    if isinstance(value, Template) and all(isinstance(part, str) or part.name in draft.params for part in value.parts):
        return "".join([part if isinstance(part, str) else filled_in(draft.params[part.name]) for part in value.parts])
    return value


def _draft_reference(
    draft: Draft, entry: NodeEntry, spec: InputSpec, value: Ref | Slot, values: dict[str, object]
) -> NamedLink | None:
    """The link that a reference stands for; the value of a parameter goes into `values` instead."""
    target = draft.workflow.nodes.get(value.name)
    if target is None:
        if value.name not in draft.workflow.params:
            problem = complaints.unknown_reference(draft.hints, value)
        elif isinstance(value, Ref) and value.output is None:
            _draft_value(draft, entry, spec, value, values)
            return None
        else:
            draft.used.add(value.name)
            problem = complaints.output_of_param(value)
        draft.problems.append(placed(problem, entry, spec.name))
        return None
    target_spec = draft.registry.specs.get(target.uses)
    if target_spec is None:
        return None  # told at the node itself
    output = output_of(value, target_spec)
    if isinstance(output, Problem):
        draft.problems.append(placed(output, entry, spec.name))
        return None
    return NamedLink(value.name, output, value)


def output_of(value: Ref | Slot, spec: NodeSpec) -> int | Problem:
    """The number of the output that a reference names, or what is wrong with it."""
    if isinstance(value, Slot):
        if 0 <= value.index < len(spec.outputs):
            return value.index
    elif value.output is None:
        if len(spec.outputs) == 1:
            return 0
    elif (index := spec.output_index(value.output)) is not None:
        return index
    return complaints.unknown_output(value, spec)


def _draft_value(draft: Draft, entry: NodeEntry, spec: InputSpec, value: Value, values: dict[str, object]) -> None:
    kind = type(value)
    if not (kind is int or kind is str or kind is float or kind is bool):
        if value is BROKEN:
            return
        filled = _filled(draft, entry, spec.name, value, 0)
        if filled is MISSING:
            return
        value = cast(Value, filled)
    if spec.collects or (spec.takes_list and type(value) is tuple):
        checked = [check_literal(spec, item, draft.choices) for item in (value if type(value) is tuple else (value,))]
        items = tuple([item for item, _ in checked])
        values[spec.name] = items if spec.collects else Many(items)
        draft.problems += [placed(problem, entry, spec.name) for _, problem in checked if problem is not None]
        return
    values[spec.name], problem = check_literal(spec, value, draft.choices)
    if problem is not None:
        draft.problems.append(placed(problem, entry, spec.name))


def _filled(draft: Draft, entry: NodeEntry, input_name: str, value: Value, depth: int) -> object:
    """A value with its parameters filled in, or MISSING if one of them has a problem (which is noted)."""
    if depth > MAX_DEPTH:
        problem = Problem("nested_too_deep", f"the value is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, Ref | Slot):
        if isinstance(value, Ref) and value.output is None and value.name in draft.workflow.params:
            draft.used.add(value.name)
            return draft.params.get(value.name, MISSING)  # a parameter without a value has a problem of its own
        known = value.name in draft.workflow.nodes
        problem = complaints.nested_reference(value) if known else complaints.unknown_reference(draft.hints, value)
    elif isinstance(value, Template):
        return _fill_text(draft, entry, input_name, value)
    elif isinstance(value, tuple):
        items = tuple([_filled(draft, entry, input_name, item, depth + 1) for item in value])
        return MISSING if MISSING in items else items
    elif isinstance(value, Mapping):
        members = {key: _filled(draft, entry, input_name, item, depth + 1) for key, item in value.items()}
        return MISSING if MISSING in members.values() else members
    else:
        return value
    draft.problems.append(placed(problem, entry, input_name))
    return MISSING


def _fill_text(draft: Draft, entry: NodeEntry, input_name: str, template: Template) -> object:
    pieces: list[str] = []
    complete = True
    for part in template.parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        draft.used.add(part.name)
        if part.name in draft.params:
            pieces.append(filled_in(draft.params[part.name]))
            continue
        complete = False
        if part.name not in draft.workflow.params:
            problem = complaints.unknown_template_name(draft.hints, part)
            draft.problems.append(placed(problem, entry, input_name))
    return "".join(pieces) if complete else MISSING


def note_params(draft: Draft, value: Value) -> None:
    """Parameters in a value that is not looked at count as used."""
    if isinstance(value, Ref):
        draft.used.add(value.name)
    elif isinstance(value, Template):
        draft.used.update(part.name for part in value.parts if isinstance(part, Ref))


def note_silent(draft: Draft, whole: Workflow) -> None:
    """Parameters count as used, too, that only nodes name which do not run."""
    for name, entry in whole.nodes.items():
        if name not in draft.workflow.nodes:
            when = entry.when if isinstance(entry.when, tuple) else (entry.when,)
            for value in (*entry.inputs.values(), *when):
                note_params(draft, value)

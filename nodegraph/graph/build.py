"""Workflow + registry → a checked graph, or all of its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nodegraph.context import Roots
from nodegraph.errors import Place, Problem, did_you_mean, listing, shorten
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.graph.model import Checked, Graph, GraphNode, Link
from nodegraph.graph.order import topological_order
from nodegraph.graph.link_types import check_link_types
from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Scalar, Slot, Template, Value, Workflow
from nodegraph.workflow.params import resolve_params


def check(
    workflow: Workflow,
    registry: Registry,
    *,
    roots: Roots | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Checked:
    """Resolve every name, check every value and link, and order the nodes.

    Collects all problems; the graph is there when none of them is an error. Nodes whose type is unknown are left out
    of further checks, so that one mistake is told once.
    """
    params, problems = resolve_params(workflow, overrides or {})
    draft = _Draft(workflow, registry, params, ChoiceLists(roots or Roots()), list(problems))
    drafted = {name: _draft_node(draft, entry) for name, entry in workflow.nodes.items()}
    nodes = {name: node for name, node in drafted.items() if node is not None}
    links = {name: [link.name for link in node.links.values()] for name, node in nodes.items()}
    order = topological_order(links)
    if len(order) < len(nodes):
        draft.problems += [_cycle_problem(workflow, cycle) for cycle in find_cycles(links, set(nodes) - set(order))]
    draft.problems += check_link_types(nodes, order)
    outputs = _named_outputs(draft, nodes)
    draft.problems += _unused(draft, nodes, outputs)
    problems = _sorted(draft.problems)
    if any(problem.severity == "error" for problem in problems):
        return Checked(None, problems)
    return Checked(_assemble(workflow, params, nodes, order, outputs), problems)


@dataclass(frozen=True, slots=True)
class NamedLink:
    """A link while nodes are still known by name: the output `output` of the node `name`, written as `written`."""

    name: str
    output: int
    written: str


@dataclass(frozen=True, slots=True)
class DraftNode:
    """A node whose inputs are resolved but whose links are not checked for type yet."""

    entry: NodeEntry
    spec: NodeSpec
    values: dict[str, object]
    links: dict[str, NamedLink]


@dataclass(slots=True)
class _Draft:
    workflow: Workflow
    registry: Registry
    params: Mapping[str, Scalar]
    choices: ChoiceLists
    problems: list[Problem]
    used: set[str] = field(default_factory=set[str])


def _draft_node(draft: _Draft, entry: NodeEntry) -> DraftNode | None:
    spec = draft.registry.get(entry.uses)
    if spec is None:
        draft.problems.append(_unknown_node(draft.registry, entry))
        for value in entry.inputs.values():
            _note_params(draft, value)
        return None
    node = DraftNode(entry, spec, {}, {})
    inputs = spec.inputs_by_name
    for name, value in entry.inputs.items():
        input_spec = inputs.get(name)
        if input_spec is None:
            _note_params(draft, value)
            draft.problems.append(_unknown_input(entry, spec, name))
        else:
            _draft_input(draft, node, input_spec, value)
    given = entry.inputs
    for input_spec in spec.inputs:
        if input_spec.name not in given:
            if input_spec.required:
                draft.problems.append(_missing_input(draft, entry, spec, input_spec))
            else:
                node.values[input_spec.name] = input_spec.default
    return node


def _draft_input(draft: _Draft, node: DraftNode, spec: InputSpec, value: Value) -> None:
    kind = type(value)
    if kind is Ref or kind is Slot:
        assert isinstance(value, Ref | Slot)
        if isinstance(value, Ref) and value.output is None and value.name in draft.workflow.params:
            draft.used.add(value.name)
            if value.name not in draft.params:
                return  # the parameter has a problem of its own
            value = draft.params[value.name]
        else:
            link = _resolve_link(draft, node.entry, spec.name, value)
            if link is not None:
                node.links[spec.name] = link
            return
    elif isinstance(value, Template):
        filled = _fill(draft, node.entry, spec.name, value)
        if filled is None:
            return
        value = filled
    node.values[spec.name], problem = check_literal(spec, value, draft.choices)
    if problem is not None:
        draft.problems.append(_placed(problem, node.entry, spec.name))


def _resolve_link(draft: _Draft, entry: NodeEntry, input_name: str, value: Ref | Slot) -> NamedLink | None:
    target = draft.workflow.nodes.get(value.name)
    if target is None:
        draft.problems.append(_placed(_unknown_reference(draft, value), entry, input_name))
        return None
    spec = draft.registry.get(target.uses)
    if spec is None:
        return None  # told at the node itself
    result = output_of(value, spec)
    if isinstance(result, Problem):
        draft.problems.append(_placed(result, entry, input_name))
        return None
    return NamedLink(value.name, result, str(value) if isinstance(value, Ref) else f"${value.name}.{result}")


def output_of(value: Ref | Slot, spec: NodeSpec) -> int | Problem:
    """The number of the output that a reference names, or what is wrong with it."""
    names = [output.name for output in spec.outputs]
    written = [f"${value.name}.{name.lower()}" for name in names]
    if isinstance(value, Slot):
        if 0 <= value.index < len(names):
            return value.index
        return Problem(
            code="unknown_output",
            message=f"'{value.name}' ({spec.name}) has {len(names)} outputs, so none with number {value.index}",
            got=str(value.index),
            expected=f"0 … {len(names) - 1}" if names else "no output",
        )
    if not names:
        return Problem(
            code="unknown_output",
            message=f"'{value.name}' ({spec.name}) has no outputs to link to",
            got=str(value),
            hint="output nodes end a workflow; link to the node that feeds it",
        )
    if value.output is None:
        if len(names) == 1:
            return 0
        return Problem(
            code="ambiguous_output",
            message=f"'{value.name}' ({spec.name}) has {len(names)} outputs",
            got=str(value),
            expected=listing(written),
            hint=f"write one of {listing(written)}",
        )
    index = spec.output_index(value.output)
    if index is not None:
        return index
    return Problem(
        code="unknown_output",
        message=f"'{value.name}' ({spec.name}) has no output {shorten(value.output)}",
        got=value.output,
        expected=listing([name.lower() for name in names]),
        hint=did_you_mean(value.output, [name.lower() for name in names]) or f"it has {listing(written)}",
    )


def _fill(draft: _Draft, entry: NodeEntry, input_name: str, template: Template) -> str | None:
    pieces: list[str] = []
    complete = True
    for part in template.parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        draft.used.add(part.name)
        if part.name in draft.params:
            pieces.append(_text(draft.params[part.name]))
            continue
        complete = False
        if part.name not in draft.workflow.params:
            draft.problems.append(_placed(_unknown_template_name(draft, part), entry, input_name))
    return "".join(pieces) if complete else None


def _text(value: Scalar) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _note_params(draft: _Draft, value: Value) -> None:
    if isinstance(value, Ref):
        draft.used.add(value.name)
    elif isinstance(value, Template):
        draft.used.update(part.name for part in value.parts if isinstance(part, Ref))


def _placed(problem: Problem, entry: NodeEntry, input_name: str) -> Problem:
    return Problem(
        code=problem.code,
        message=problem.message,
        place=entry.places.get(input_name, entry.place),
        node=entry.id,
        input=input_name,
        got=problem.got,
        expected=problem.expected,
        hint=problem.hint,
        severity=problem.severity,
    )


def _unknown_node(registry: Registry, entry: NodeEntry) -> Problem:
    hint = did_you_mean(entry.uses, registry.specs)
    if hint is None:
        broken = [pack.name for pack in registry.broken]
        hint = "run 'nodegraph nodes' for the list" + (f"; broken packs: {listing(broken)}" if broken else "")
    return Problem(
        code="unknown_node",
        message=f"unknown node type {shorten(entry.uses)}",
        place=entry.uses_place,
        node=entry.id,
        got=entry.uses,
        hint=hint,
    )


def _unknown_input(entry: NodeEntry, spec: NodeSpec, name: str) -> Problem:
    free = [input_spec.name for input_spec in spec.inputs if input_spec.name not in entry.inputs]
    names = [input_spec.name for input_spec in spec.inputs]
    return Problem(
        code="unknown_input",
        message=f"{spec.name} has no input {shorten(name)}",
        place=entry.key_places.get(name, entry.place),
        node=entry.id,
        input=name,
        got=name,
        expected=listing(names),
        hint=did_you_mean(name, free) or (f"it has {listing(names)}" if names else "it takes none"),
    )


def _missing_input(draft: _Draft, entry: NodeEntry, spec: NodeSpec, missing: InputSpec) -> Problem:
    fitting = outputs_of_type(draft.workflow, draft.registry, missing, exclude=entry.id)
    if fitting:
        hint = f"add '{missing.name}: {fitting[0]}'" if len(fitting) == 1 else f"outputs that fit: {listing(fitting)}"
    elif missing.is_widget:
        hint = f"add '{missing.name}: …' ({missing.type})"
    else:
        hint = f"add a node that gives {missing.type} and link to it"
    return Problem(
        code="missing_input",
        message=f"'{entry.id}' ({spec.name}) needs its input '{missing.name}' ({missing.type})",
        place=entry.place,
        node=entry.id,
        input=missing.name,
        expected=str(missing.type),
        hint=hint,
    )


def outputs_of_type(workflow: Workflow, registry: Registry, wanted: InputSpec, *, exclude: str) -> list[str]:
    """References to the outputs in a workflow that have exactly a type the input names; few enough to list."""
    found: list[str] = []
    for entry in workflow.nodes.values():
        spec = registry.get(entry.uses)
        if spec is None or entry.id == exclude:
            continue
        for output in spec.outputs:
            if not output.type.is_any and set(output.type.names) <= set(wanted.type.names):
                found.append(f"${entry.id}" + (f".{output.name.lower()}" if len(spec.outputs) > 1 else ""))
        if len(found) > 12:
            break
    return found


def _unknown_reference(draft: _Draft, value: Ref | Slot) -> Problem:
    names = [*draft.workflow.nodes, *draft.workflow.params]
    written = str(value) if isinstance(value, Ref) else f"[{value.name}, {value.index}]"
    if value.name in draft.workflow.params:
        draft.used.add(value.name)
        return Problem(
            code="unknown_output",
            message=f"'{value.name}' is a parameter, so it has no outputs",
            got=written,
            hint=f"write ${value.name}",
        )
    return Problem(
        code="unknown_reference",
        message=f"{shorten(written)} refers to no node or parameter",
        got=written,
        hint=did_you_mean(value.name, names, sigil="$")
        or (f"there are {listing(names, limit=8)}" if names else "there are none"),
    )


def _unknown_template_name(draft: _Draft, part: Ref) -> Problem:
    is_node = part.name in draft.workflow.nodes
    return Problem(
        code="unknown_param",
        message=f"${{{part.name}}} names {'a node' if is_node else 'no parameter'}; texts are filled with parameters",
        got=part.name,
        expected=listing(list(draft.workflow.params)),
        hint=did_you_mean(part.name, draft.workflow.params) or "declare it under params:, or write $$ for a dollar",
    )


def _cycle_problem(workflow: Workflow, cycle: list[str]) -> Problem:
    path = [*cycle, cycle[0]]
    shown = path if len(path) <= 40 else [*path[:20], f"… {len(path) - 40} more …", *path[-20:]]
    entry = workflow.nodes[cycle[0]]
    if len(cycle) == 1:
        message = f"node '{cycle[0]}' depends on itself"
    else:
        message = f"{len(cycle)} nodes depend on each other in a circle: {' -> '.join(shown)}"
    return Problem(
        code="cycle",
        message=message,
        place=entry.place,
        node=cycle[0],
        got=" -> ".join(path),
        hint="remove one of these links",
    )


def _named_outputs(draft: _Draft, nodes: Mapping[str, DraftNode]) -> dict[str, NamedLink]:
    outputs: dict[str, NamedLink] = {}
    for name, ref in draft.workflow.outputs.items():
        place = draft.workflow.output_places.get(name, Place(draft.workflow.file))
        if ref.name not in draft.workflow.nodes:
            draft.problems.append(_unknown_reference(draft, ref).at(place))
        elif ref.name in nodes:
            result = output_of(ref, nodes[ref.name].spec)
            if isinstance(result, Problem):
                draft.problems.append(result.at(place))
            else:
                outputs[name] = NamedLink(ref.name, result, str(ref))
    return outputs


def _unused(draft: _Draft, nodes: Mapping[str, DraftNode], outputs: Mapping[str, NamedLink]) -> Iterable[Problem]:
    for name, param in draft.workflow.params.items():
        if name not in draft.used:
            yield Problem(
                code="unused_param",
                message=f"parameter '{name}' is not used",
                place=param.place,
                hint=f"use it as ${name}, or remove it",
                severity="warning",
            )
    if not outputs and not any(node.spec.output_node for node in nodes.values()) and len(nodes) == len(draft.workflow.nodes):
        yield Problem(
            code="no_outputs",
            message="the workflow has no output node, so running it produces nothing",
            place=Place(draft.workflow.file, 1 if draft.workflow.file else None),
            hint="add a SaveImage or PreviewImage node, or run it with --only NODE",
            severity="warning",
        )


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """By place, stably; the same mistake at the same place is told once."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (p.place.file or "", p.place.line or 0, p.place.column or 0)))


def _assemble(
    workflow: Workflow,
    params: Mapping[str, Scalar],
    nodes: Mapping[str, DraftNode],
    order: list[str],
    outputs: Mapping[str, NamedLink],
) -> Graph:
    index = {name: i for i, name in enumerate(order)}
    graph_nodes = tuple(
        GraphNode(
            id=name,
            spec=nodes[name].spec,
            values=nodes[name].values,
            links={key: Link(index[link.name], link.output) for key, link in nodes[name].links.items()},
            entry=nodes[name].entry,
        )
        for name in order
    )
    named = {name: Link(index[link.name], link.output) for name, link in outputs.items()}
    return Graph(graph_nodes, MappingProxyType(index), MappingProxyType(named), MappingProxyType(dict(params)), workflow)

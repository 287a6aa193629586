"""Workflow + registry → a checked graph, or all of its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from types import MappingProxyType
from typing import cast

from nodegraph.context import Roots
from nodegraph.errors import Place, Problem
from nodegraph.graph import complaints
from nodegraph.graph.axes import MAX_POSITIONS, Axis, has_sweeps, positioned, read_axes, swept_inputs
from nodegraph.graph.cells import Variants, expand
from nodegraph.graph.complaints import Hints, placed
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.draft import DraftNode, NamedLink
from nodegraph.graph.link_types import check_link_types
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.graph.look_ahead import look_ahead
from nodegraph.graph.model import Checked, Graph, GraphNode, Link
from nodegraph.graph.order import topological_order
from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Scalar, Slot, Template, Value, Workflow
from nodegraph.workflow.params import resolve_params
from nodegraph.workflow.parts import BROKEN, inline_parts, is_part
from nodegraph.workflow.sweeps import first_values, lift_parts, without_names

MISSING = object()  # what is left of a value that had a problem of its own
MAX_DEPTH = 64


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
    overrides = overrides or {}
    swept = has_sweeps(workflow.nodes.values(), workflow.sweep)
    earlier: Sequence[Problem] = ()
    if swept:
        workflow, earlier = lift_parts(without_names(workflow, overrides))
        required = {name: value for name, value in first_values(workflow).items() if workflow.params[name].required}
        overrides = {**required, **overrides}
    params, problems = resolve_params(workflow, overrides)
    flat, part_problems = inline_parts(workflow)
    swept = swept or (flat is not workflow and has_sweeps(flat.nodes.values(), None))  # a part has sweeps of its own
    workflow = flat
    hints = Hints(workflow, registry)
    problems = [*earlier, *problems, *part_problems]
    draft = _Draft(workflow, registry, params, ChoiceLists(roots or Roots()), hints, problems)
    axes: list[Axis] = []
    variants: dict[str, Variants] = {}
    if swept:
        axes, sweep_problems = read_axes(hints, lambda value: _shown(draft, value))
        draft.problems += sweep_problems
        drafted = _draft_swept(draft, axes, variants)
    else:
        drafted = {name: _draft_node(draft, entry) for name, entry in workflow.nodes.items()}
    nodes = {name: node for name, node in drafted.items() if node is not None}
    links = {name: [link.name for link in node.links.values()] for name, node in nodes.items()}
    order = topological_order(links)
    rest: set[str] = set()  # on a cycle, or behind one
    if len(order) < len(nodes):
        rest = set(nodes).difference(order)
        draft.problems += [complaints.cycle(workflow, names) for names in find_cycles(links, rest)]
    draft.problems += check_link_types(nodes, [*order, *(name for name in nodes if name in rest)])
    if len(order) == len(nodes):
        draft.problems += look_ahead(nodes, order, draft.choices.roots)
    outputs = _named_outputs(draft, nodes)
    draft.problems += _unused(draft, nodes, outputs)
    problems = _sorted(draft.problems)
    if any(problem.severity == "error" for problem in problems):
        return Checked(None, problems)
    if axes or any(node.spec.collecting for node in nodes.values()):
        expanded = expand(order, nodes, axes, variants, outputs)
        if isinstance(expanded, Problem):
            return Checked(None, (*problems, expanded))
        return Checked(Graph(expanded[0], _index(expanded[0]), expanded[1], _frozen(params), workflow), problems)
    return Checked(_assemble(workflow, params, nodes, order, outputs), problems)


@dataclass(slots=True)
class _Draft:
    workflow: Workflow
    registry: Registry
    params: Mapping[str, Scalar]
    choices: ChoiceLists
    hints: Hints
    problems: list[Problem]
    used: set[str] = field(default_factory=set[str])


def _draft_node(draft: _Draft, entry: NodeEntry) -> DraftNode | None:
    spec = draft.registry.specs.get(entry.uses)
    if spec is None:
        if entry.uses and not is_part(entry.uses):  # an empty one, or a part still here, has its problem already
            draft.problems.append(complaints.unknown_node(draft.hints, entry))
        for value in entry.inputs.values():
            _note_params(draft, value)
        return None
    values: dict[str, object] = {}
    links: dict[str, NamedLink] = {}
    inputs, given = spec.inputs_by_name, entry.inputs
    for name, value in given.items():
        input_spec = inputs.get(name)
        if input_spec is None:
            _note_params(draft, value)
            draft.problems.append(complaints.unknown_input(draft.hints, entry, spec, name))
        elif type(value) is Ref or type(value) is Slot:
            link = _draft_reference(draft, entry, input_spec, value, values)
            if link is not None:
                links[name] = link
        else:
            _draft_value(draft, entry, input_spec, value, values)
    if len(values) + len(links) < len(inputs):
        for name, input_spec in inputs.items():
            if name in given or name in entry.key_places:
                continue
            if input_spec.required:
                draft.problems.append(complaints.missing_input(draft.hints, entry, spec, input_spec))
            else:
                values[name] = input_spec.default
    return DraftNode(entry, spec, values, links)


def _draft_swept(draft: _Draft, axes: Sequence[Axis], variants: dict[str, Variants]) -> dict[str, DraftNode | None]:
    """All nodes at the first position of every axis; those of the other positions go into `variants`.

    A node varies along the axes that name one of its inputs, or a parameter which it is seen to use.
    """
    by_node: dict[str, list[int]] = {}
    by_param: dict[str, int] = {}
    for number, axis in enumerate(axes):
        for target in axis.targets:
            if target.node is None:
                by_param[target.name] = number
            elif number not in by_node.setdefault(target.node, []):
                by_node[target.node].append(number)
    usual, used = draft.params, draft.used | by_param.keys()
    first = _params_at(usual, axes, dict.fromkeys(by_param.values(), 0))
    named = swept_inputs(draft.workflow)
    drafted: dict[str, DraftNode | None] = {}
    for name, entry in draft.workflow.nodes.items():
        mine = by_node.get(name, [])
        if name in named:
            entry = replace(entry, key_places=MappingProxyType({**named[name], **entry.key_places}))
        draft.params, draft.used = first, set[str]()
        node = drafted[name] = _draft_node(draft, positioned(entry, axes, dict.fromkeys(mine, 0)))
        own = tuple(sorted({*mine, *(by_param[param] for param in draft.used & by_param.keys())}))
        if own and node is not None:
            variants[name] = Variants(own, _at_all_positions(draft, entry, node, axes, own, usual))
        used |= draft.used
        for value in entry.inputs.values():  # also what a sweep stands in for
            draft.used = used
            _note_params(draft, value)
    draft.params, draft.used = usual, used
    return drafted


def _at_all_positions(
    draft: _Draft,
    entry: NodeEntry,
    first: DraftNode,
    axes: Sequence[Axis],
    own: tuple[int, ...],
    params: Mapping[str, Scalar],
) -> dict[tuple[int, ...], DraftNode]:
    """The node at every combination of positions of its own axes; `first` is the one at the first position."""
    found = {(0,) * len(own): first}
    combinations = prod([len(axes[number].rows) for number in own])
    if combinations > MAX_POSITIONS:
        message = f"'{entry.id}' is swept over {combinations:,} combinations; {MAX_POSITIONS:,} are allowed"
        place = axes[own[0]].place
        draft.problems.append(Problem("too_large", message, place, entry.id, hint="sweep over fewer values"))
        return found
    for positions in product(*[range(len(axes[number].rows)) for number in own]):
        if positions not in found:
            at = dict(zip(own, positions, strict=True))
            draft.params = _params_at(params, axes, at)
            node = _draft_node(draft, positioned(entry, axes, at))
            assert node is not None
            found[positions] = node
    return found


def _params_at(params: Mapping[str, Scalar], axes: Sequence[Axis], at: Mapping[int, int]) -> Mapping[str, Scalar]:
    """The parameters at a position (axis number → position) of the axes that vary them."""
    changed = dict(params)
    for number, position in at.items():
        for target, value in zip(axes[number].targets, axes[number].rows[position], strict=True):
            if target.node is None:
                changed[target.name] = cast(Scalar, value)
    return changed


def _shown(draft: _Draft, value: Value) -> object:
    """A value of a sweep with its parameters filled in, as far as that can be done; problems are told elsewhere."""
    if isinstance(value, Ref):
        return draft.params.get(value.name, value)
    if isinstance(value, Template) and all(isinstance(part, str) or part.name in draft.params for part in value.parts):
        return "".join([part if isinstance(part, str) else _text(draft.params[part.name]) for part in value.parts])
    return value


def _draft_reference(
    draft: _Draft, entry: NodeEntry, spec: InputSpec, value: Ref | Slot, values: dict[str, object]
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


def _draft_value(draft: _Draft, entry: NodeEntry, spec: InputSpec, value: Value, values: dict[str, object]) -> None:
    kind = type(value)
    if not (kind is int or kind is str or kind is float or kind is bool):
        if value is BROKEN:
            return
        filled = _filled(draft, entry, spec.name, value, 0)
        if filled is MISSING:
            return
        value = cast(Value, filled)
    if spec.collects:
        checked = [check_literal(spec, item, draft.choices) for item in (value if type(value) is tuple else (value,))]
        values[spec.name] = tuple([item for item, _ in checked])
        draft.problems += [placed(problem, entry, spec.name) for _, problem in checked if problem is not None]
        return
    values[spec.name], problem = check_literal(spec, value, draft.choices)
    if problem is not None:
        draft.problems.append(placed(problem, entry, spec.name))


def _filled(draft: _Draft, entry: NodeEntry, input_name: str, value: Value, depth: int) -> object:
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


def _fill_text(draft: _Draft, entry: NodeEntry, input_name: str, template: Template) -> object:
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
            problem = complaints.unknown_template_name(draft.hints, part)
            draft.problems.append(placed(problem, entry, input_name))
    return "".join(pieces) if complete else MISSING


def _text(value: Scalar) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _note_params(draft: _Draft, value: Value) -> None:
    """Parameters in a value that is not looked at count as used."""
    if isinstance(value, Ref):
        draft.used.add(value.name)
    elif isinstance(value, Template):
        draft.used.update(part.name for part in value.parts if isinstance(part, Ref))


def _named_outputs(draft: _Draft, nodes: Mapping[str, DraftNode]) -> dict[str, NamedLink]:
    outputs: dict[str, NamedLink] = {}
    for name, ref in draft.workflow.outputs.items():
        place = draft.workflow.output_places.get(name, Place(draft.workflow.file))
        if ref.name in draft.workflow.params:
            draft.used.add(ref.name)
            problem = Problem("bad_reference", f"the output '{name}' must be a node, and '{ref.name}' is a parameter")
            draft.problems.append(problem.at(place))
        elif ref.name not in draft.workflow.nodes:
            draft.problems.append(complaints.unknown_reference(draft.hints, ref).at(place))
        elif ref.name in nodes:
            result = output_of(ref, nodes[ref.name].spec)
            if isinstance(result, Problem):
                draft.problems.append(result.at(place))
            else:
                outputs[name] = NamedLink(ref.name, result, ref)
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
    if (
        not draft.workflow.outputs
        and not any(node.spec.output_node for node in nodes.values())
        and len(nodes) == len(draft.workflow.nodes)
    ):
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
    graph_nodes = tuple([_numbered(name, nodes[name], index) for name in order])
    named = {name: Link(index[link.name], link.output) for name, link in outputs.items()}
    return Graph(graph_nodes, MappingProxyType(index), MappingProxyType(named), _frozen(params), workflow)


def _index(nodes: Sequence[GraphNode]) -> Mapping[str, int]:
    return MappingProxyType({node.id: i for i, node in enumerate(nodes)})


def _frozen(params: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    return MappingProxyType(dict(params))


def _numbered(name: str, node: DraftNode, index: Mapping[str, int]) -> GraphNode:
    links = {key: Link(index[source], output) for key, (source, output, _) in node.links.items()}
    return GraphNode(name, node.spec, node.values, links, node.entry)

"""Workflow + registry → a checked graph, or all of its problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from nodegraph.context import Roots
from nodegraph.errors import Place, Problem
from nodegraph.graph import complaints
from nodegraph.graph.axes import Axis, has_sweeps, read_axes
from nodegraph.graph.cells import Variants, expand
from nodegraph.graph.complaints import Hints, identified
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.draft import DraftNode, NamedLink
from nodegraph.graph.drafting import Draft, draft_node, note_silent, output_of, shown_value
from nodegraph.graph.link_types import check_link_types
from nodegraph.graph.literals import ChoiceLists
from nodegraph.graph.look_ahead import look_ahead
from nodegraph.graph.model import Checked, Graph, GraphNode, Link
from nodegraph.graph.modes import settle_modes
from nodegraph.graph.order import topological_order
from nodegraph.graph.pruning import without_absent
from nodegraph.graph.sweeping import draft_swept
from nodegraph.graph.validation import own_checks
from nodegraph.registry import Registry
from nodegraph.workflow.document import Scalar, Workflow
from nodegraph.workflow.params import resolve_params
from nodegraph.workflow.parts import inline_parts
from nodegraph.workflow.sweeps import first_values, lift_parts, without_names


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
    workflow, mode_problems = settle_modes(flat, registry)
    hints = Hints(workflow, registry)
    problems = [*earlier, *problems, *part_problems, *mode_problems]
    draft = Draft(workflow, registry, params, ChoiceLists(roots or Roots()), hints, problems)
    axes: list[Axis] = []
    variants: dict[str, Variants] = {}
    if swept:
        axes, sweep_problems = read_axes(hints, lambda value: shown_value(draft, value))
        draft.problems += sweep_problems
        drafted = draft_swept(draft, axes, variants)
    else:
        drafted = {name: draft_node(draft, entry) for name, entry in workflow.nodes.items()}
    nodes = {name: node for name, node in drafted.items() if node is not None}
    links = {name: [link.name for link in (*node.links.values(), *node.when)] for name, node in nodes.items()}
    order = topological_order(links)
    rest: set[str] = set()  # on a cycle, or behind one
    if len(order) < len(nodes):
        rest = set(nodes).difference(order)
        draft.problems += [complaints.cycle(workflow, names) for names in find_cycles(links, rest)]
    draft.problems += check_link_types(nodes, [*order, *(name for name in nodes if name in rest)])
    draft.problems += own_checks(nodes)
    if len(order) == len(nodes):
        draft.problems += look_ahead(nodes, order, draft.choices.roots)
    outputs = _named_outputs(draft, nodes)
    if workflow is not flat:
        note_silent(draft, flat)
    draft.problems += _unused(draft, nodes, outputs)
    entries = draft.workflow.nodes
    named = [identified(p, entries[p.node]) if p.node is not None and p.node in entries else p for p in draft.problems]
    problems = _sorted(named)
    if any(problem.severity == "error" for problem in problems):
        return Checked(None, problems)
    if axes or any(node.spec.collecting for node in nodes.values()):
        expanded = expand(order, nodes, axes, variants, outputs)
        if isinstance(expanded, Problem):
            return Checked(None, (*problems, expanded))
        graph = Graph(expanded[0], _index(expanded[0]), expanded[1], _frozen(params), flat)
    else:
        graph = _assemble(flat, params, nodes, order, outputs)
    return Checked(without_absent(graph), problems)


def _named_outputs(draft: Draft, nodes: Mapping[str, DraftNode]) -> dict[str, NamedLink]:
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


def _unused(draft: Draft, nodes: Mapping[str, DraftNode], outputs: Mapping[str, NamedLink]) -> Iterable[Problem]:
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
    when = tuple([Link(index[link.name], link.output) for link in node.when])
    return GraphNode(name, node.spec, node.values, links, node.entry, when, node.absent)

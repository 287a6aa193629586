"""ComfyUI's editor format (what "Save" writes, versions 0.4 and 1.0) as a Workflow.

Reroutes, primitives, notes and subgraphs are things of the editor: links lead past reroutes, primitives become
parameters, notes are kept beside the graph, and the nodes of subgraphs stand where the subgraphs were used, under the
ids that ComfyUI gives them (`57:3`). Nodes of unknown types are kept, with what the file says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from nodegraph.errors import Place
from nodegraph.spec import NodeSpec
from nodegraph.workflow.api_format import literal
from nodegraph.workflow.document import Group, Look, NodeEntry, Note, Param, Point, Slot, Value, Wanted, Workflow
from nodegraph.workflow.tree import UNREADABLE, Located, Report
from nodegraph.workflow.ui_links import EDITOR_ONLY, NOTES, Links, Primitive
from nodegraph.workflow.ui_looks import mapping, points_into, text
from nodegraph.workflow.ui_primitives import Fed, params_of
from nodegraph.workflow.ui_reader import UiNode, read_ui
from nodegraph.workflow.ui_subgraphs import Scope, expand, input_link, scope_names
from nodegraph.workflow.ui_widgets import widget_values

Specs = Mapping[str, NodeSpec]


@dataclass(slots=True)
class _Reading:
    specs: Specs
    links: Links
    report: Report
    nodes: dict[str, NodeEntry] = field(default_factory=dict[str, NodeEntry])
    layout: dict[str, Point] = field(default_factory=dict[str, Point])
    looks: dict[str, Look] = field(default_factory=dict[str, Look])
    routes: dict[tuple[str, str], tuple[Point, ...]] = field(default_factory=dict[tuple[str, str], tuple[Point, ...]])
    primitives: dict[tuple[str, str], tuple[Primitive, list[Fed]]] = field(
        default_factory=dict[tuple[str, str], tuple[Primitive, list[Fed]]]
    )
    notes: list[Note] = field(default_factory=list[Note])
    groups: list[Group] = field(default_factory=list[Group])


def build_ui_workflow(root: Located, report: Report, specs: Callable[[], Specs]) -> Workflow:
    """The workflow that a file of ComfyUI's editor describes; `specs` gives the node types that are known."""
    graph, definitions = read_ui(root, report)
    known = specs()
    reading = _Reading(known, Links(known, report), report)
    for scope in expand(graph, definitions, report):
        read_scope(reading, scope)
    params = settle_primitives(reading)
    return Workflow(
        nodes=MappingProxyType(reading.nodes),
        params=MappingProxyType(params),
        layout=MappingProxyType(reading.layout),
        file=report.source.file,
        text=report.source.text,
        groups=tuple(reading.groups),
        notes=tuple(reading.notes),
        looks=MappingProxyType(reading.looks),
        routes=MappingProxyType(reading.routes),
    )


def read_scope(reading: _Reading, scope: Scope) -> None:
    """The nodes, notes and groups of one canvas."""
    for node in scope.graph.nodes.values():
        at = scope.at(node)
        if node.type in NOTES:
            reading.notes.append(read_note(node, at))
        if node.type in EDITOR_ONLY or node.id in scope.children:
            continue
        entry = read_entry(reading, scope, node)
        reading.nodes[entry.id] = entry
        if at is not None:
            reading.layout[entry.id] = at
        if node.look != Look():
            reading.looks[entry.id] = node.look
    left, top = scope.offset
    for group in scope.graph.groups:
        x, y, width, height = group.bounds
        reading.groups.append(replace(group, bounds=(x + left, y + top, width, height)))


def read_note(node: UiNode, at: tuple[float, float] | None) -> Note:
    """A text on the canvas."""
    values = node.widgets.value if node.widgets is not None else None
    first = values[0].value if isinstance(values, list) and values else None
    written = first if isinstance(first, str) else text(node.properties, "text") or ""
    title = node.title or ""
    shown = "" if title in ("Note", "Markdown Note", node.type) else title
    return Note(written, shown, at or (0, 0), node.size, node.look.colour)


def read_entry(reading: _Reading, scope: Scope, node: UiNode) -> NodeEntry:
    """One node with what is linked to it and what its widgets say."""
    id_ = scope.prefix + node.id
    spec = reading.specs.get(node.type)
    where = f" of the subgraph {scope_names(scope)}" if scope.definition is not None else ""
    widgets = widget_values(node, spec, node.label + where, reading.report)
    for (inner, name), value in scope.widgets.items():
        if inner == node.id and (spec is None or name in spec.inputs_by_name):
            widgets[name] = value
    given: dict[str, Value] = {}
    places: dict[str, Place] = {}
    silent: set[str] = set()  # a primitive may turn out to have no value; the default is taken then
    for name, value in widgets.items():
        places[name] = reading.report.at(value)
        plain = literal(value)
        if plain is not UNREADABLE:
            given[name] = plain
    for number, listed in enumerate(node.inputs):
        source = reading.links.feeding(scope, node, number)
        if source is None:
            continue
        name = listed.widget or listed.name
        places[name] = node.place
        if isinstance(source, Primitive):
            silent.add(name)
            fed = Fed(id_, name, spec.inputs_by_name.get(name) if spec is not None else None)
            reading.primitives.setdefault(source.key, (source, []))[1].append(fed)
            given.pop(name, None)
        elif isinstance(source, Slot):
            given[name] = source
            link = input_link(scope.graph, node, number)
            if link is not None and (points := points_into(scope, link)):
                reading.routes[id_, name] = points
        else:
            places[name] = reading.report.at(source)
            plain = literal(source)
            if plain is not UNREADABLE:
                given[name] = plain
    return NodeEntry(
        id=id_,
        uses=node.type,
        inputs=MappingProxyType(in_order(given, spec)),
        title=custom_title(node, spec),
        place=node.place,
        uses_place=node.type_place,
        places=MappingProxyType(places),
        key_places=MappingProxyType({name: place for name, place in places.items() if name not in silent}),
        mode=scope.mode(node),
        pack=pack_of(node, spec),
        wanted=wanted_of(node),
    )


def in_order(given: Mapping[str, Value], spec: NodeSpec | None) -> dict[str, Value]:
    """Inputs in the order of the type, those that it does not know last."""
    if spec is None:
        return dict(given)
    known = {name: given[name] for name in spec.inputs_by_name if name in given}
    return known if len(known) == len(given) else {**known, **given}


def custom_title(node: UiNode, spec: NodeSpec | None) -> str | None:
    """The title that somebody gave the node."""
    usual = {node.type, spec.display_name if spec is not None else "", text(node.properties, "Node name for S&R") or ""}
    return node.title if node.title and node.title not in usual else None


def pack_of(node: UiNode, spec: NodeSpec | None) -> str | None:
    """The pack that an unknown type comes from, as far as the file says: `name@version`."""
    name = text(node.properties, "cnr_id") or text(node.properties, "aux_id")
    if spec is not None or name is None:
        return None
    version = text(node.properties, "ver")
    return f"{name}@{version}" if version else name


def wanted_of(node: UiNode) -> tuple[Wanted, ...]:
    """The model files that the node says it needs."""
    entry = node.properties.get("models")
    listed = entry.value if entry is not None and isinstance(entry.value, list) else []
    members = [mapping(item) for item in listed]
    return tuple(
        [
            Wanted(name, text(keys, "directory") or "", text(keys, "url") or "")
            for keys in members
            if (name := text(keys, "name"))
        ]
    )


def settle_primitives(reading: _Reading) -> dict[str, Param]:
    """The parameters that primitives become, put where they feed something."""
    found = params_of(list(reading.primitives.values()), reading.nodes, reading.report)
    changed: dict[str, dict[str, Value]] = {}
    for fed, value in found.values:
        changed.setdefault(fed.node, {})[fed.input] = value
    for id_, values in changed.items():
        entry = reading.nodes[id_]
        spec = reading.specs.get(entry.uses)
        reading.nodes[id_] = replace(entry, inputs=MappingProxyType(in_order({**entry.inputs, **values}, spec)))
    return found.params

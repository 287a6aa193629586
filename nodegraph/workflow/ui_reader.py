"""What ComfyUI's editor saves, as plain data with places: nodes, links, groups, notes and subgraphs of one file.

Source of the format: the JSON schemas of versions 0.4 and 1.0 that ComfyUI's documentation publishes
(docs.comfy.org/specs/workflow_json), and files. Nothing is resolved here; see `ui_format` for what becomes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from nodegraph.errors import Place, shorten
from nodegraph.workflow.document import Group, Look, Point
from nodegraph.workflow.texts import api_id_fault
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of
from nodegraph.workflow.ui_link_reader import UiLink, name_of, read_links
from nodegraph.workflow.ui_looks import GROUP_COLOUR, colour_in, mapping, numbers_of, pair, read_bends, read_look, text

VERSIONS: Final = (0.4, 1)
#: Ids of the nodes in a subgraph that stand for its inputs and outputs.
INPUT_ID: Final = "-10"
OUTPUT_ID: Final = "-20"


@dataclass(frozen=True, slots=True)
class UiInput:
    """An input as a node lists it: by name, with the id of the link that arrives there and the widget behind it.

    `listed`: the node says whether a link arrives (`link` may be null); otherwise only the list of links knows.
    """

    name: str
    type: str
    link: str | None
    listed: bool
    widget: str | None


@dataclass(frozen=True, slots=True)
class UiNode:
    """A node as the editor saves it. `outputs` are their types."""

    id: str
    type: str
    title: str | None
    mode: int
    inputs: tuple[UiInput, ...]
    outputs: tuple[tuple[str, str], ...]
    widgets: Located | None
    properties: Mapping[str, Located]
    at: tuple[float, float] | None
    size: tuple[float, float]
    place: Place
    type_place: Place
    look: Look

    @property
    def label(self) -> str:
        """The node in messages: id and title."""
        return f"{shorten(self.id)} ({shorten(self.title or self.type)[1:-1]})"


@dataclass(slots=True)
class UiGraph:
    """A whole canvas. `by_target` has links by node and number of the input, `bends` the points that a link passes."""

    nodes: dict[str, UiNode] = field(default_factory=dict[str, UiNode])
    links: dict[str, UiLink] = field(default_factory=dict[str, UiLink])
    by_target: dict[tuple[str, int], UiLink] = field(default_factory=dict[tuple[str, int], UiLink])
    groups: list[Group] = field(default_factory=list[Group])
    bends: dict[str, tuple[Point, ...]] = field(default_factory=dict[str, tuple[Point, ...]])


@dataclass(frozen=True, slots=True)
class Definition:
    """A subgraph: what nodes of its type stand for. `inputs` and `outputs` are names with types."""

    id: str
    name: str
    graph: UiGraph
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    input_id: str = INPUT_ID
    output_id: str = OUTPUT_ID


def is_ui_format(root: Located) -> bool:
    """Whether a document is what ComfyUI's editor saves: a list of nodes, and links."""
    entries = root.value
    if not isinstance(entries, dict) or "nodegraph" in entries or "nodes" not in entries:
        return False
    return isinstance(entries["nodes"].value, list)


def read_ui(root: Located, report: Report) -> tuple[UiGraph, dict[str, Definition]]:
    """The canvas and the subgraphs of a file, with every mistake in it reported."""
    keys = mapping(root)
    check_version(keys, report)
    definitions: dict[str, Definition] = {}
    for entry in items(keys.get("definitions"), "subgraphs", report):
        definition = read_definition(entry, report)
        if definition is None:
            continue
        if definition.id in definitions:
            message = f"the subgraph {shorten(definition.name)} has the id of another one, {shorten(definition.id)}"
            report.add("duplicate_key", message, report.at(entry), hint="remove one of the two")
            continue
        definitions[definition.id] = definition
    return read_graph(keys, report), definitions


def check_version(keys: Mapping[str, Located], report: Report) -> None:
    """Warn of versions that are not known; the file is read as well as can be."""
    version = keys.get("version")
    if version is None or version.value is UNREADABLE or version.value in VERSIONS:
        return
    shown = shorten(version.value) if not isinstance(version.value, list | dict) else kind_of(version.value)
    message = f"this nodegraph reads ComfyUI's editor files of the versions 0.4 and 1.0; this one says {shown}"
    hint = "what looks familiar is read; check the result"
    place = report.at(version)
    report.add("unsupported_version", message, place, got=shown, expected="0.4 or 1", hint=hint, severity="warning")


def read_definition(entry: Located, report: Report) -> Definition | None:
    """A subgraph."""
    keys = mapping(entry)
    id_ = text(keys, "id")
    if not id_:
        report.add("wrong_kind", "a subgraph is a mapping with an 'id' and 'nodes'", report.at(entry))
        return None
    name = text(keys, "name") or id_
    ends = [name_of(mapping(keys.get(key)).get("id")) for key in ("inputNode", "outputNode")]
    graph = read_graph(keys, report, inside=(ends[0] or INPUT_ID, ends[1] or OUTPUT_ID), where=name)
    inputs, outputs = (slots(keys.get(key)) for key in ("inputs", "outputs"))
    return Definition(id_, name, graph, inputs, outputs, ends[0] or INPUT_ID, ends[1] or OUTPUT_ID)


def slots(entry: Located | None) -> tuple[tuple[str, str], ...]:
    """Names and types of a list of inputs or outputs."""
    listed = entry.value if entry is not None and isinstance(entry.value, list) else []
    members = [mapping(item) for item in listed]
    return tuple([(text(keys, "name") or "", text(keys, "type") or "*") for keys in members])


def read_graph(
    keys: Mapping[str, Located], report: Report, *, inside: tuple[str, str] | None = None, where: str = ""
) -> UiGraph:
    """The nodes, links and groups of a canvas; `inside` are the ids of a subgraph's ends."""
    graph = UiGraph()
    listed = keys.get("nodes")
    entries = listed.value if listed is not None and isinstance(listed.value, list) else []
    if len(entries) > report.limits.nodes:
        message = f"the workflow has {len(entries):,} nodes; {report.limits.nodes:,} are allowed"
        report.add("too_large", message, report.at_key(listed or Located(None, 0, 0)))
        entries = []
    for entry in entries:
        node = read_node(entry, report, where)
        if node is None:
            continue
        if node.id in graph.nodes:
            message = f"the node {node.label} has the id of another one, {graph.nodes[node.id].label}"
            report.add("name_taken", message, node.place, node=node.id, hint="give one of them another id")
            continue
        graph.nodes[node.id] = node
    read_links(keys.get("links"), graph, report, inside)
    graph.groups.extend(read_groups(keys.get("groups")))
    graph.bends = read_bends(keys)
    return graph


def read_node(entry: Located, report: Report, where: str) -> UiNode | None:
    """One node; None, with a problem told, if it cannot be made out."""
    place = report.at(entry)
    keys = entry.value
    inside = f" of the subgraph {shorten(where)}" if where else ""
    if not isinstance(keys, dict):
        if keys is not UNREADABLE:
            report.add("wrong_kind", f"a node{inside} is a mapping with 'id' and 'type', not {kind_of(keys)}", place)
        return None
    id_ = name_of(keys.get("id"))
    type_ = text(keys, "type")
    if id_ is None or api_id_fault(id_):
        fault = f": {api_id_fault(id_)}" if id_ else ", but its 'id' is neither a number nor a text"
        report.add("bad_name", f"a node{inside} ({shorten(type_ or '?')[1:-1]}) cannot be called so{fault}", place)
        return None
    title = text(keys, "title")
    given = keys.get("type")
    if not type_:
        code = "missing_key" if given is None else "wrong_kind"
        message = f"the node {shorten(id_)} ({shorten(title or '?')[1:-1]}){inside} does not say its type"
        report.add(code, message, report.at(given) if given is not None else place, node=id_)
    mode = keys.get("mode")
    node = UiNode(
        id=id_,
        type=type_ or "",
        title=title,
        mode=mode.value if mode is not None and type(mode.value) is int else 0,
        inputs=read_inputs(keys.get("inputs")),
        outputs=slots(keys.get("outputs")),
        widgets=keys.get("widgets_values"),
        properties=mapping(keys.get("properties")),
        at=pair(keys.get("pos")),
        size=pair(keys.get("size")) or (0, 0),
        place=place,
        type_place=report.at(given) if given is not None else place,
        look=read_look(keys),
    )
    for key in ("inputs", "outputs"):
        part = keys.get(key)
        if part is not None and part.value is not None and not isinstance(part.value, list):
            message = f"'{key}' of the node {node.label}{inside} is a list, not {kind_of(part.value)}"
            report.add("wrong_kind", message, report.at(part), node=id_)
    return node


def read_inputs(entry: Located | None) -> tuple[UiInput, ...]:
    """The inputs that a node lists."""
    found: list[UiInput] = []
    for item in entry.value if entry is not None and isinstance(entry.value, list) else ():
        keys = mapping(item)
        widget = keys.get("widget")
        name = text(keys, "name") or ""
        found.append(
            UiInput(
                name,
                text(keys, "type") or "*",
                name_of(keys.get("link")),
                "link" in keys,
                None if widget is None or widget.value is None else text(mapping(widget), "name") or name,
            )
        )
    return tuple(found)


def read_groups(entry: Located | None) -> Iterable[Group]:
    """The titled frames; what cannot be made out is left out, since it never matters."""
    for item in entry.value if entry is not None and isinstance(entry.value, list) else ():
        keys = mapping(item)
        numbers = numbers_of(keys.get("bounding"))
        if len(numbers) == 4:
            bounds = (numbers[0], numbers[1], numbers[2], numbers[3])
            colour = colour_in(keys, "color")
            yield Group(text(keys, "title") or "", bounds, "" if colour == GROUP_COLOUR else colour)


def items(entry: Located | None, key: str, report: Report) -> list[Located]:
    """The items of the list below a key of a mapping."""
    found = mapping(entry).get(key)
    if found is None or found.value is None or found.value is UNREADABLE:
        return []
    if isinstance(found.value, list):
        return found.value
    report.add("wrong_kind", f"'{key}' is a list, not {kind_of(found.value)}", report.at(found))
    return []

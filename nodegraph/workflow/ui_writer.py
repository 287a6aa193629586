"""Workflows in ComfyUI's editor format, version 0.4: what "Open" takes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nodegraph.errors import Problem
from nodegraph.spec import Choices, InputSpec, NodeSpec
from nodegraph.workflow.api_writer import UNKNOWN, Filling
from nodegraph.workflow.document import Mode, NodeEntry, Ref, Scalar, Value, Workflow
from nodegraph.workflow.naming import plain_name, snake
from nodegraph.workflow.ui_looks import GROUP_COLOUR, bends_data, write_look
from nodegraph.workflow.ui_placing import sizes_and_places
from nodegraph.workflow.ui_widgets import is_upload

Specs = Mapping[str, NodeSpec]
Json = dict[str, Any]

MODES: Final[Mapping[Mode, int]] = {"run": 0, "muted": 2, "bypassed": 4}
LARGEST_ID: Final = 2**31
#: Node types that give a plain value, for inputs that only links reach.
VALUE_NODES: Final[Mapping[type, str]] = {
    bool: "PrimitiveBoolean",
    int: "PrimitiveInt",
    float: "PrimitiveFloat",
    str: "PrimitiveString",
}
WIRE_TYPES: Final[Mapping[type, str]] = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
OPTIONAL_SHAPE: Final = 7


@dataclass(slots=True)
class _Canvas:
    """The file in the making."""

    filling: Filling
    ids: dict[str, int]
    nodes: list[Json] = field(default_factory=list[Json])
    links: list[list[object]] = field(default_factory=list[list[object]])
    outputs: dict[int, list[Json]] = field(default_factory=dict[int, list[Json]])
    primitives: dict[object, int] = field(default_factory=dict[object, int])
    next_id: int = 1
    foreign: dict[str, dict[str | None, int]] = field(default_factory=dict[str, dict[str | None, int]])

    def new_id(self) -> int:
        """A number that no node has."""
        self.next_id += 1
        return self.next_id - 1


def ui_data(workflow: Workflow, specs: Specs, params: Mapping[str, Scalar]) -> tuple[Json, tuple[Problem, ...]]:
    """A workflow without sub-workflows and sweeps as the editor's file, and what that could not say."""
    ids = numbers(workflow)
    canvas = _Canvas(Filling(workflow, specs, params), ids, next_id=max(ids.values(), default=0) + 1)
    for name, entry in workflow.nodes.items():
        canvas.outputs[ids[name]] = outputs_of(specs.get(entry.uses))
    written = {name: write_node(canvas, entry) for name, entry in workflow.nodes.items()}
    canvas.nodes = [*written.values(), *canvas.nodes]
    sizes_and_places(workflow, written, canvas.nodes)
    for name, look in workflow.looks.items():
        if name in written:
            write_look(written[name], look)
    write_notes(canvas, workflow, written)
    for order, node in enumerate(canvas.nodes):
        node["order"] = order
        outputs = canvas.outputs.get(node["id"], [])
        node["outputs"] = outputs
    data: Json = {
        "last_node_id": max((node["id"] for node in canvas.nodes), default=0),
        "last_link_id": len(canvas.links),
        "nodes": canvas.nodes,
        "links": canvas.links,
        "groups": [
            {
                "title": group.title,
                "bounding": list(group.bounds),
                "color": group.colour or GROUP_COLOUR,
                "font_size": 24,
            }
            for group in workflow.groups
        ],
        "config": {},
        "extra": bends_data(workflow, ids, canvas.nodes, canvas.links),
        "version": 0.4,
    }
    return data, tuple(canvas.filling.problems)


def numbers(workflow: Workflow) -> dict[str, int]:
    """A number for each node: its own if its id is one."""
    own = {name: int(name) for name in workflow.nodes if name.isascii() and name.isdigit() and len(name) < 10}
    own = {name: number for name, number in own.items() if str(number) == name and 0 < number < LARGEST_ID}
    free = max(own.values(), default=0) + 1
    ids: dict[str, int] = {}
    for name in workflow.nodes:
        if name in own:
            ids[name] = own[name]
        else:
            ids[name] = free
            free += 1
    return ids


def outputs_of(spec: NodeSpec | None) -> list[Json]:
    """The outputs of a node, still without links; those of unknown types come with the links."""
    if spec is None:
        return []
    return [
        {"name": output.name, "type": output.type.wire, "links": [], "slot_index": number}
        for number, output in enumerate(spec.outputs)
    ]


def write_node(canvas: _Canvas, entry: NodeEntry) -> Json:
    """One node; its size, place and outputs come later."""
    spec = canvas.filling.specs.get(entry.uses)
    number = canvas.ids[entry.id]
    inputs: list[Json] = []
    values: list[object] = []
    node: Json = {
        "id": number,
        "type": entry.uses,
        "pos": [0, 0],
        "size": [0, 0],
        "flags": {},
        "order": 0,
        "mode": MODES[entry.mode],
        "inputs": inputs,
        "outputs": [],
        "properties": properties_of(entry),
        "widgets_values": values,
    }
    title = title_of(entry, spec)
    if title is not None:
        node["title"] = title
    if spec is None:
        write_foreign(canvas, entry, number, inputs, values)
    else:
        write_known(canvas, entry, spec, number, inputs, values)
    return node


def title_of(entry: NodeEntry, spec: NodeSpec | None) -> str | None:
    """The title of a node: its own, else the name that it has in the file unless that says no more than its type."""
    if entry.title:
        return entry.title
    stem = entry.id.rstrip("0123456789").rstrip("_")
    plain = {plain_name(snake(entry.uses)), plain_name(spec.display_name) if spec is not None else ""}
    return None if not stem or ":" in entry.id or stem in plain or entry.id in plain else entry.id


def properties_of(entry: NodeEntry) -> Json:
    """What the editor keeps beside a node's inputs."""
    properties: Json = {"Node name for S&R": entry.uses}
    if entry.pack:
        name, _, version = entry.pack.partition("@")
        properties["aux_id" if "/" in name else "cnr_id"] = name
        properties.update({"ver": version} if version else {})
    if entry.wanted:
        properties["models"] = [
            {"name": wanted.name, "url": wanted.url, "directory": wanted.folder} for wanted in entry.wanted
        ]
    return properties


def write_known(
    canvas: _Canvas, entry: NodeEntry, spec: NodeSpec, number: int, inputs: list[Json], values: list[object]
) -> None:
    """The inputs and widgets of a node whose type is known."""
    uploads = 0
    for given in spec.inputs:
        value = entry.inputs.get(given.name)
        socket: Json = {"name": given.name, "type": given.type.wire, "link": None}
        if given.is_widget:
            socket["widget"] = {"name": given.name}
            link = canvas.filling.link(entry, given.name, value)
            link_id = link_widget(canvas, value, link, given, number, len(inputs))
            if link_id is not None:
                inputs.append(socket | {"link": link_id})
            values += widget_values(canvas, None if link is not None else value, given)
            uploads += is_upload(given)
            continue
        if not given.required:
            socket["shape"] = OPTIONAL_SHAPE
        socket["link"] = link_socket(canvas, entry, given.name, value, number, len(inputs))
        inputs.append(socket)
    for name, value in entry.inputs.items():
        if name not in spec.inputs_by_name:
            link_id = link_socket(canvas, entry, name, value, number, len(inputs))
            inputs.append({"name": name, "type": "*", "link": link_id})
    values += ["image"] * uploads


def write_foreign(canvas: _Canvas, entry: NodeEntry, number: int, inputs: list[Json], values: list[object]) -> None:
    """The inputs of a node whose type is not known: links as they are, everything else as widgets."""
    for name, value in entry.inputs.items():
        link = canvas.filling.link(entry, name, value)
        if link is not None:
            link_id = add_link(canvas, link, number, len(inputs), "*")
            inputs.append({"name": name, "type": "*", "link": link_id})
            continue
        plain = canvas.filling.value(value)
        plain = None if plain is UNKNOWN else plain
        wire = WIRE_TYPES[type(plain)] if isinstance(plain, str | int | float | bool) else "*"
        inputs.append({"name": name, "type": wire, "widget": {"name": name}, "link": None})
        values.append(plain)


def widget_values(canvas: _Canvas, value: Value, given: InputSpec) -> list[object]:
    """The value of a widget, and what follows a seed."""
    plain = canvas.filling.value(value)
    if plain is None or plain is UNKNOWN:
        plain = fallback(given)
    if not given.control:
        return [plain]
    return [0, "randomize"] if plain == "random" else [plain, "fixed"]


def fallback(given: InputSpec) -> object:
    """What a widget shows where a link gives its value: the default, or anything that it can show."""
    if given.default is not None or not given.required:
        return given.default if isinstance(given.default, str | int | float | bool) else None
    if isinstance(given.choices, tuple) and given.choices:
        return given.choices[0]
    if isinstance(given.choices, Choices) or "STRING" in given.type.names:
        return ""
    if "BOOLEAN" in given.type.names:
        return False
    return max(0, int(given.range.min)) if given.range is not None else 0


def link_widget(
    canvas: _Canvas, value: Value, link: tuple[str, int] | None, given: InputSpec, number: int, slot: int
) -> int | None:
    """The link that arrives at a widget, from a node or from a primitive that stands for a parameter."""
    if link is not None:
        return add_link(canvas, link, number, slot, given.type.wire)
    if not isinstance(value, Ref):
        return None
    plain = canvas.filling.value(value)
    if not isinstance(plain, str | int | float | bool):
        return None
    # A primitive has the type of the first input that it feeds, so inputs of another type get one of their own.
    choices = given.choices if isinstance(given.choices, tuple) else id(given.choices)
    key = (value.name, given.type.names, choices if given.choices is not None else None)
    if key not in canvas.primitives:
        canvas.primitives[key] = add_primitive(canvas, value.name, given, plain)
    return add_link(canvas, canvas.primitives[key], number, slot, given.type.wire)


def add_primitive(canvas: _Canvas, name: str, given: InputSpec, value: str | int | float | bool) -> int:
    """A primitive for a parameter; its number."""
    number = canvas.new_id()
    wire = given.type.wire
    after = ["fixed"] if wire in ("INT", "FLOAT", "COMBO") else []
    if given.control and value == "random":
        value, after = 0, ["randomize"]
    canvas.outputs[number] = [
        {"name": wire, "type": wire, "links": [], "slot_index": 0, "widget": {"name": given.name}}
    ]
    canvas.nodes.append(
        editor_node(number, "PrimitiveNode", name, [value, *after], {"Run widget replace on values": False})
    )
    return number


def editor_node(number: int, type_: str, title: str | None, values: Sequence[object], properties: Json) -> Json:
    """A node without inputs."""
    node: Json = {
        "id": number,
        "type": type_,
        "pos": [0, 0],
        "size": [210, 82],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": properties,
        "widgets_values": list(values),
    }
    return node if title is None else {**node, "title": title}


def link_socket(canvas: _Canvas, entry: NodeEntry, name: str, value: Value, number: int, slot: int) -> int | None:
    """The link that arrives at an input without a widget; a plain value is put into a node of its own."""
    link = canvas.filling.link(entry, name, value)
    spec = canvas.filling.specs.get(entry.uses)
    given = spec.inputs_by_name.get(name) if spec is not None else None
    wire = given.type.wire if given is not None else "*"
    if link is not None:
        return add_link(canvas, link, number, slot, wire)
    plain = canvas.filling.value(value)
    if plain is None or plain is UNKNOWN:
        return None
    type_ = VALUE_NODES[type(plain)] if isinstance(plain, str | int | float | bool) else ""
    source = canvas.filling.specs.get(type_)
    if source is None:
        message = f"the input '{name}' of '{entry.id}' is a list or a mapping, and ComfyUI's editor has no such values"
        place = entry.places.get(name, entry.place)
        canvas.filling.problems.append(Problem("not_in_format", message, place, entry.id, name))
        return None
    title = value.name if isinstance(value, Ref) else None
    key = (title, type_, plain)
    if key not in canvas.primitives:
        own = canvas.primitives[key] = canvas.new_id()
        canvas.outputs[own] = outputs_of(source)
        after = ["fixed"] if source.inputs[0].control else []
        canvas.nodes.append(editor_node(own, type_, title, [plain, *after], {"Node name for S&R": type_}))
    return add_link(canvas, canvas.primitives[key], number, slot, wire)


def add_link(canvas: _Canvas, source: tuple[str, int] | int, number: int, slot: int, wire: str) -> int:
    """A link from an output, or from the only output of an added node; its id."""
    origin, output = (source, 0) if isinstance(source, int) else (canvas.ids[source[0]], source[1])
    listed = canvas.outputs[origin]
    while len(listed) <= output:  # only a node of an unknown type has too few
        listed.append({"name": f"output_{len(listed)}", "type": "*", "links": [], "slot_index": len(listed)})
    link_id = len(canvas.links) + 1
    listed[output]["links"].append(link_id)
    offered = str(listed[output]["type"])
    canvas.links.append([link_id, origin, output, number, slot, wire if offered == "*" else offered])
    return link_id


def write_notes(canvas: _Canvas, workflow: Workflow, written: Mapping[str, Json]) -> None:
    """The notes of the canvas, and those of nodes beside them."""
    for note in workflow.notes:
        node = editor_node(canvas.new_id(), "Note", note.title or None, [note.text], {})
        size = list(note.size) if all(note.size) else [300, 120]
        colour = {"color": note.colour, "bgcolor": note.colour} if note.colour else {}
        canvas.nodes.append(node | {"pos": list(note.at), "size": size} | colour)
    for name, entry in workflow.nodes.items():
        if entry.note:
            left, top = written[name]["pos"]
            node = editor_node(canvas.new_id(), "Note", name, [entry.note], {})
            canvas.nodes.append(node | {"pos": [left, top - 160], "size": [300, 120]})

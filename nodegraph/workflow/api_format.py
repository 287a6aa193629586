"""ComfyUI's API format, `{"3": {"class_type": …, "inputs": {…}, "_meta": {"title": …}}}`, as a Workflow.

Source of the format: the public interface of ComfyUI's server (`POST /prompt`). A link is `[node id, output
number]`, a list that is not one is `{"__value__": […]}`; texts are literal, there are no parameters.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from nodegraph.errors import Place, shorten
from nodegraph.workflow.document import NodeEntry, Slot, Value, Workflow
from nodegraph.workflow.texts import api_id_fault
from nodegraph.workflow.tree import UNREADABLE, Located, Report, Unreadable, kind_of


def is_api_format(root: Located) -> bool:
    """Whether a document is a prompt in API format: not our own, and an entry names its `class_type`."""
    entries = root.value
    if not isinstance(entries, dict) or "nodegraph" in entries or "nodes" in entries:
        return False
    return any(isinstance(entry.value, dict) and "class_type" in entry.value for entry in entries.values())


def build_api_workflow(root: Located, report: Report) -> Workflow:
    """The workflow that a prompt in API format describes."""
    entries = root.value if isinstance(root.value, dict) else {}
    if len(entries) > report.limits.nodes:
        message = f"the workflow has {len(entries):,} nodes; {report.limits.nodes:,} are allowed"
        report.add("too_large", message, report.at(root))
        entries = {}
    nodes = {name: read_api_node(name, entry, report) for name, entry in entries.items()}
    return Workflow(nodes=MappingProxyType(nodes), file=report.source.file, text=report.source.text)


def read_api_node(name: str, entry: Located, report: Report) -> NodeEntry:
    """One node; keys beside `class_type`, `inputs` and `_meta` carry nothing that is needed."""
    place = report.at_key(entry)
    if fault := api_id_fault(name):
        report.add("bad_name", f"a node cannot be called {shorten(name)}: {fault}", place)
    keys = entry.value
    if not isinstance(keys, dict):
        if keys is not UNREADABLE:
            shape = "a mapping with 'class_type' and 'inputs'"
            message = f"the node {shorten(name)} is {shape}, not {kind_of(keys)}"
            report.add("wrong_kind", message, report.at(entry), node=name)
        return NodeEntry(name, "", place=place, uses_place=place)
    class_type = keys.get("class_type")
    if class_type is None:
        message = f"the node {shorten(name)} has no 'class_type'"
        report.add("missing_key", message, place, node=name)
    elif not isinstance(class_type.value, str) and class_type.value is not UNREADABLE:
        message = f"'class_type' is a text, not {kind_of(class_type.value)}"
        report.add("wrong_kind", message, report.at(class_type), node=name)
    given = keys.get("inputs")
    members = given.value if given is not None and isinstance(given.value, dict) else {}
    if given is not None and not isinstance(given.value, dict) and given.value is not UNREADABLE:
        message = f"'inputs' is a mapping, not {kind_of(given.value)}"
        report.add("wrong_kind", message, report.at(given), node=name)
    inputs: dict[str, Value] = {}
    places: dict[str, Place] = {}
    key_places: dict[str, Place] = {}
    for key, member in members.items():
        places[key] = report.at(member)
        key_places[key] = report.at_key(member)
        value = read_api_value(member)
        if value is not UNREADABLE:
            inputs[key] = value
    uses = class_type.value if class_type is not None and isinstance(class_type.value, str) else ""
    return NodeEntry(
        id=name,
        uses=uses,
        inputs=MappingProxyType(inputs),
        title=read_title(keys.get("_meta")),
        place=place,
        uses_place=report.at(class_type) if class_type is not None else place,
        places=MappingProxyType(places),
        key_places=MappingProxyType(key_places),
    )


def read_api_value(given: Located) -> Value | Literal[Unreadable.UNREADABLE]:
    """An input's value: a link, a wrapped list, or a literal."""
    value = given.value
    if isinstance(value, list):
        if len(value) == 2:
            node, index = value[0].value, value[1].value
            if isinstance(node, str) and type(index) is int and index >= 0:
                return Slot(node, index)
        return literal(given)
    if isinstance(value, dict) and value.keys() == {"__value__"}:
        return literal(value["__value__"])
    return literal(given)


def literal(given: Located) -> Value | Literal[Unreadable.UNREADABLE]:
    """A value in which nothing is a link."""
    value = given.value
    if isinstance(value, list):
        items = [literal(item) for item in value]
        readable = tuple(item for item in items if item is not UNREADABLE)
        return readable if len(readable) == len(items) else UNREADABLE
    if isinstance(value, dict):
        pairs = {key: literal(item) for key, item in value.items()}
        members = {key: item for key, item in pairs.items() if item is not UNREADABLE}
        return MappingProxyType(members) if len(members) == len(pairs) else UNREADABLE
    return value


def read_title(meta: Located | None) -> str | None:
    """The title that an editor gave the node."""
    if meta is None or not isinstance(meta.value, dict):
        return None
    title = meta.value.get("title")
    return title.value if title is not None and isinstance(title.value, str) else None

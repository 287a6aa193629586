"""The links of ComfyUI's editor files: lists `[id, from, output, to, input, type]`, or mappings with the same facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nodegraph.errors import Place, shorten
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

if TYPE_CHECKING:
    from nodegraph.workflow.ui_reader import UiGraph

KEYS: Final = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
SHAPE: Final = "[id, from node, output, to node, input, type]"


@dataclass(frozen=True, slots=True)
class UiLink:
    """A link from an output of one node to an input of another, both by number."""

    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int
    type: str
    place: Place = field(compare=False)


def read_links(entry: Located | None, graph: UiGraph, report: Report, inside: tuple[str, str] | None) -> None:
    """Put the links into the graph, and report those that cannot be read or that lead nowhere.

    inside: the ids that stand for the inputs and outputs of a subgraph.
    """
    value = entry.value if entry is not None else None
    listed = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if entry is not None and value is not None and value is not UNREADABLE and not isinstance(value, list | dict):
        report.add("wrong_kind", f"'links' is a list, not {kind_of(value)}", report.at(entry))
    unreadable: set[str | None] = set()
    for item in listed:
        if item.value is None or item.value is UNREADABLE:  # null is left behind by a link that was deleted
            continue
        link = read_link(item, report)
        if isinstance(link, UiLink):
            put(link, graph, report)
        else:
            unreadable.add(link)
    used = check_inputs(graph, report, unreadable)
    for link in graph.links.values():
        check_ends(link, graph, report, inside or ("", ""), used=link.id in used)


def read_link(entry: Located, report: Report) -> UiLink | str | None:
    """A link; or, with its problem told, the id of one that cannot be made out, if it has any."""
    value = entry.value
    if isinstance(value, dict):
        given = [value.get(key) for key in KEYS]
        type_ = value.get("type")
    else:
        listed = value if isinstance(value, list) else []
        given = [*listed[:5], *[None] * (5 - len(listed))]
        type_ = listed[5] if len(listed) > 5 else None
    id_, origin, target = (name_of(given[number]) for number in (0, 1, 3))
    slots = [part.value if part is not None else None for part in (given[2], given[4])]
    origin_slot, target_slot = (slot if type(slot) is int else -1 for slot in slots)
    if id_ is None or origin is None or target is None or origin_slot < 0 or target_slot < 0:
        shown = f"link {shorten(id_)}" if id_ is not None else "a link"
        report.add("wrong_kind", f"{shown} cannot be read: it is {SHAPE}", report.at(entry), expected=SHAPE)
        return id_
    wire = type_.value if type_ is not None and isinstance(type_.value, str) else "*"
    return UiLink(id_, origin, origin_slot, target, target_slot, wire, report.at(entry))


def name_of(entry: Located | None) -> str | None:
    """An id as a text."""
    value = entry.value if entry is not None else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) and value != "" else None


def put(link: UiLink, graph: UiGraph, report: Report) -> None:
    """A link into its graph; of several with one id the first counts."""
    known = graph.links.get(link.id)
    if known is None:
        graph.links[link.id] = link
        graph.by_target.setdefault((link.target, link.target_slot), link)
    elif known != link:
        message = f"the link {shorten(link.id)} is given twice, from node {known.origin} and from node {link.origin}"
        report.add("duplicate_key", message, link.place, hint="remove one of the two")


def check_inputs(graph: UiGraph, report: Report, unreadable: set[str | None]) -> set[str]:
    """The ids of the links that inputs name; those that are not there are reported."""
    used: set[str] = set()
    for node in graph.nodes.values():
        for number, given in enumerate(node.inputs):
            if given.link is None:
                link = None if given.listed else graph.by_target.get((node.id, number))
                used.update([link.id] if link is not None else ())
            elif given.link in graph.links:
                used.add(given.link)
            elif given.link not in unreadable:
                message = f"the input {shorten(given.name)} of the node {node.label} names the link {given.link}"
                hint = "open and save the file in ComfyUI, or link the input again"
                message += ", which is not there"
                report.add("unknown_reference", message, node.place, node=node.id, input=given.name, hint=hint)
    return used


def check_ends(link: UiLink, graph: UiGraph, report: Report, inside: tuple[str, str], *, used: bool) -> None:
    """Report a link whose ends are not there: an error if an input counts on it, otherwise a warning."""
    origin, target = graph.nodes.get(link.origin), graph.nodes.get(link.target)
    severity = "error" if used or link.target == inside[1] else "warning"
    shown = f"link {link.id} from {origin.label if origin else link.origin}"
    shown += f" to {target.label if target else link.target}"
    node = link.target if target is not None else None
    if origin is None and link.origin != inside[0]:
        message = f"{shown}: there is no node {shorten(link.origin)}"
        report.add("unknown_reference", message, link.place, node=node, severity=severity)
    elif origin is not None and origin.outputs and link.origin_slot >= len(origin.outputs):
        message = f"{shown}: the node has {len(origin.outputs)} outputs, so none with number {link.origin_slot}"
        report.add("unknown_output", message, link.place, node=node or link.origin, severity=severity)
    if target is None and link.target != inside[1]:
        message = f"{shown}: there is no node {shorten(link.target)}"
        report.add("unknown_reference", message, link.place, node=link.origin, severity="warning")
    elif target is not None and not used:
        counted = len(target.inputs)
        reason = (
            f"the node has {counted} inputs, so none with number {link.target_slot}"
            if link.target_slot >= counted
            else f"the input {shorten(target.inputs[link.target_slot].name)} does not name it"
        )
        report.add("unknown_input", f"{shown}: {reason}", link.place, node=link.target, severity="warning")

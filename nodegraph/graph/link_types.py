"""Types along links: unions by name, generics bound node by node in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nodegraph.errors import Problem, listing
from nodegraph.graph.literals import article
from nodegraph.sockets.types import SocketType, accepts

if TYPE_CHECKING:
    from nodegraph.graph.build import DraftNode

LITERAL_TYPES = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}


def check_link_types(nodes: Mapping[str, DraftNode], order: Sequence[str]) -> list[Problem]:
    """All links whose output is not what the input takes. `order` is topological, so generics bind as data flows."""
    problems: list[Problem] = []
    given: dict[str, list[SocketType]] = {}
    for name in order:
        node = nodes[name]
        bound: dict[str, SocketType] = {}
        for input_name, link in node.links.items():
            wanted = node.spec.inputs_by_name[input_name].type
            source = given.get(link.name)
            if source is None:
                continue
            offered = source[link.output]
            if wanted.variable is not None and wanted.variable in bound:
                wanted = bound[wanted.variable]
            if not accepts(wanted, offered):
                problems.append(_mismatch(nodes, name, input_name, wanted, offered))
            elif wanted.variable is not None:
                bound[wanted.variable] = offered
        _bind_literals(node, bound)
        given[name] = [bound.get(output.type.variable or "", output.type) for output in node.spec.outputs]
    return problems


def _bind_literals(node: DraftNode, bound: dict[str, SocketType]) -> None:
    for name, value in node.values.items():
        variable = node.spec.inputs_by_name[name].type.variable
        if variable is not None and variable not in bound and type(value) in LITERAL_TYPES:
            bound[variable] = SocketType((LITERAL_TYPES[type(value)],))


def _mismatch(
    nodes: Mapping[str, DraftNode], name: str, input_name: str, wanted: SocketType, offered: SocketType
) -> Problem:
    node = nodes[name]
    link = node.links[input_name]
    fitting = _fitting(nodes, wanted, link.name, name)
    if fitting:
        hint = f"did you mean '{fitting[0]}'?" if len(fitting) == 1 else f"outputs that fit: {listing(fitting)}"
    else:
        hint = f"no output of this workflow gives {wanted}; add a node that does"
    return Problem(
        code="type_mismatch",
        message=f"input '{input_name}' wants {article(str(wanted))}, but {link.written} is {article(str(offered))}",
        place=node.entry.places.get(input_name, node.entry.place),
        node=name,
        input=input_name,
        got=str(offered),
        expected=str(wanted),
        hint=hint,
    )


def _fitting(nodes: Mapping[str, DraftNode], wanted: SocketType, near: str, exclude: str) -> list[str]:
    """Outputs of the wanted type: those of the node that was linked to, else all of the workflow's."""
    for names in ([near], [name for name in nodes if name != exclude]):
        found: list[str] = []
        for name in names:
            outputs = nodes[name].spec.outputs
            for output in outputs:
                if not output.type.is_any and accepts(wanted, output.type):
                    found.append(f"${name}" + (f".{output.name.lower()}" if len(outputs) > 1 else ""))
            if len(found) > 12:
                break
        if found:
            return found
    return []

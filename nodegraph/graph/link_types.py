"""Types along links: unions by name, generics bound node by node in topological order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from nodegraph.errors import Problem, listing
from nodegraph.graph.complaints import MAX_FITTING, reference
from nodegraph.graph.draft import DraftNode
from nodegraph.graph.literals import article
from nodegraph.sockets.types import SocketType, accepts

LITERAL_TYPES: Mapping[type, str] = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}


def check_link_types(nodes: Mapping[str, DraftNode], order: Sequence[str]) -> list[Problem]:
    """All links whose output is not what the input takes.

    `order` is topological, so generics bind as data flows; nodes of a cycle may follow, in any order.
    """
    problems: list[Problem] = []
    given: dict[str, Sequence[SocketType]] = {}
    fitting: dict[SocketType, list[str]] = {}
    for name in order:
        node = nodes[name]
        spec = node.spec
        bound: dict[str, SocketType] = {}
        for input_name, link in node.links.items():
            given_input = spec.input(input_name)
            if given_input is None or (spec.validation is not None and spec.validation.types):
                continue
            wanted = given_input.type
            source = given.get(link.name)
            offered = source[link.output] if source is not None else nodes[link.name].spec.outputs[link.output].type
            if wanted is offered and wanted.variable is None:
                continue
            if wanted.variable is not None and wanted.variable in bound:
                wanted = bound[wanted.variable]
            if not accepts(wanted, offered):
                near = _fitting(nodes, [link.name], wanted)
                if not near and wanted not in fitting:
                    fitting[wanted] = _fitting(nodes, nodes, wanted)
                problems.append(_mismatch(node, input_name, wanted, offered, near or fitting[wanted]))
            elif wanted.variable is not None:
                bound[wanted.variable] = offered
        if spec.is_generic:
            _bind_literals(node, bound)
            given[name] = [bound.get(output.type.variable or "", output.type) for output in spec.outputs]
        else:
            given[name] = spec.output_types
    return problems


def _bind_literals(node: DraftNode, bound: dict[str, SocketType]) -> None:
    for name, value in node.values.items():
        given_input = node.spec.inputs_by_name.get(name)
        variable = given_input.type.variable if given_input is not None else None
        if variable is not None and variable not in bound and type(value) in LITERAL_TYPES:
            bound[variable] = SocketType((LITERAL_TYPES[type(value)],))


def _mismatch(
    node: DraftNode, input_name: str, wanted: SocketType, offered: SocketType, fitting: Sequence[str]
) -> Problem:
    link, own = node.links[input_name], node.entry.id
    fitting = [written for written in fitting if written.partition(".")[0] != f"${own}"]
    if fitting:
        hint = f"did you mean '{fitting[0]}'?" if len(fitting) == 1 else f"outputs that fit: {listing(fitting)}"
    else:
        hint = f"no output of this workflow gives {wanted}; add a node that does"
    return Problem(
        code="type_mismatch",
        message=f"input '{input_name}' wants {article(str(wanted))}, but {link.written} is {article(str(offered))}",
        place=node.entry.places.get(input_name, node.entry.place),
        node=own,
        input=input_name,
        got=str(offered),
        expected=str(wanted),
        hint=hint,
    )


def _fitting(nodes: Mapping[str, DraftNode], among: Iterable[str], wanted: SocketType) -> list[str]:
    """Outputs of the wanted type, few enough to list."""
    found = (
        reference(name, nodes[name].spec, output.name)
        for name in among
        for output in nodes[name].spec.outputs
        if not output.type.is_any and accepts(wanted, output.type)
    )
    return list(islice(found, MAX_FITTING + 1))

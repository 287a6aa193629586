"""Nodes that a node adds while it runs, made part of a graph: names resolved, values and links checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from nodegraph.context import Roots
from nodegraph.errors import Problem, did_you_mean, shorten
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.graph.model import GraphNode, Link
from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Blocked, Call, Many, Out
from nodegraph.sockets.types import ANY, SocketType, accepts
from nodegraph.workflow.document import NodeEntry

MAX_PROBLEMS = 20
ANYTHING = SocketType((ANY,))
PRIMITIVES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})


def added_nodes(
    parent: GraphNode,
    calls: Mapping[str, Call],
    nodes: Sequence[GraphNode],
    number_of: Callable[[str], int | None],
    registry: Registry,
    roots: Roots,
) -> list[GraphNode] | list[Problem]:
    """The nodes that `parent` adds, in the order of `calls`, numbered from `len(nodes)`; or what is wrong with them.

    `nodes` is the graph so far and `number_of` finds a node in it. Links may lead to nodes of the graph and to others
    of the same expansion.
    """
    making = _Making(parent, nodes, ChoiceLists(roots), number_of)
    for name, call in calls.items():
        spec = registry.get(call.type)
        if name in making.numbers or number_of(name) is not None:
            making.object(name, "name_taken", f"there is a node '{shorten(name)}' already")
        if spec is None:
            making.object(
                name, "unknown_node", f"unknown node type {shorten(call.type)}", did_you_mean(call.type, registry.specs)
            )
        else:
            making.numbers[name] = len(nodes) + len(making.specs)
            making.specs.append(spec)
    if making.problems:
        return making.problems
    made = [making.node(name, call) for name, call in calls.items()]
    return making.problems or made


class _Making:
    """One expansion on its way into the graph."""

    def __init__(
        self,
        parent: GraphNode,
        nodes: Sequence[GraphNode],
        choices: ChoiceLists,
        number_of: Callable[[str], int | None],
    ) -> None:
        self.parent, self.nodes = parent, nodes
        self.choices, self.number_of = choices, number_of
        self.numbers: dict[str, int] = {}
        self.specs: list[NodeSpec] = []
        self.problems: list[Problem] = []

    def object(self, name: str, code: str, message: str, hint: str | None = None, input: str | None = None) -> None:
        """Note what is wrong with a node that is added."""
        if len(self.problems) < MAX_PROBLEMS:
            text = f"it adds a node '{shorten(name).strip(chr(39))}' that cannot run: {message}"
            hint = hint or f"this is a mistake in the node pack '{self.parent.spec.pack}'"
            self.problems.append(Problem(code, text, self.parent.entry.place, self.parent.id, input, hint=hint))

    def node(self, name: str, call: Call) -> GraphNode:
        """One node, as far as it can be made."""
        spec = self.specs[self.numbers[name] - len(self.nodes)]
        values: dict[str, object] = {}
        links: dict[str, Link] = {}
        for key, value in call.inputs.items():
            given = spec.input(key)
            if given is not None and not spec.checks_arrivals:
                given = replace(given, type=ANYTHING)  # whatever arrives is for the node to understand
            if given is None:
                if spec.checks_arrivals:
                    self.object(name, "unknown_input", f"{spec.name} has no input {shorten(key)}", input=key)
            elif isinstance(value, Out):
                link = self.link(name, key, given, value)
                if link is not None:
                    links[key] = link
            else:
                values[key] = self.value(name, given, value)
        for given in spec.inputs:
            if given.name not in values and given.name not in links:
                if given.required:
                    self.object(name, "missing_input", f"{spec.name} needs its input '{given.name}'", input=given.name)
                values[given.name] = given.default
        entry = NodeEntry(name, call.type, place=self.parent.entry.place)
        return GraphNode(name, spec, values, links, entry)

    def link(self, name: str, key: str, given: InputSpec, out: Out) -> Link | None:
        """The link that an `Out` stands for."""
        number = self.numbers.get(out.node)
        if number is None:
            number = self.number_of(out.node)
        if number is None:
            self.object(name, "unknown_reference", f"its input '{key}' links to '{shorten(out.node)}'", input=key)
            return None
        spec = self.specs[number - len(self.nodes)] if number >= len(self.nodes) else self.nodes[number].spec
        if not 0 <= out.output < len(spec.outputs):
            message = f"its input '{key}' links to output {out.output} of {spec.name}, which has {len(spec.outputs)}"
            self.object(name, "unknown_output", message, input=key)
            return None
        offered = spec.outputs[out.output].type
        if given.type.variable is None and offered.variable is None and not accepts(given.type, offered):
            message = f"its input '{key}' wants {given.type}, and is linked to {offered}"
            self.object(name, "type_mismatch", message, input=key)
        return Link(number, out.output)

    def value(self, name: str, given: InputSpec, value: object) -> object:
        """A value as the input takes it. Of what is no plain value, the node that made it has to answer."""
        if isinstance(value, dict):
            members = cast("dict[object, object]", value)
            return members["__value__"] if members.keys() == {"__value__"} else members
        steers = type(value) in (Blocked, Many)
        if steers or given.type.is_any or not PRIMITIVES.intersection(given.type.names):
            return value
        checked, problem = check_literal(given, value, self.choices)
        if problem is not None:
            self.object(name, problem.code, problem.message, problem.hint, given.name)
        return checked


def result_link(
    out: Out, nodes: Sequence[GraphNode], number_of: Callable[[str], int | None], parent: GraphNode
) -> Link | Problem:
    """The link that stands for a result of an expansion, or what is wrong with it."""
    number = number_of(out.node)
    if number is None:
        message = f"a result of its expansion is node '{shorten(out.node)}', which is not there"
        return Problem("unknown_reference", message, parent.entry.place, parent.id)
    outputs = nodes[number].spec.outputs
    if not 0 <= out.output < len(outputs):
        message = f"a result of its expansion is output {out.output} of '{shorten(out.node)}', which has {len(outputs)}"
        return Problem("unknown_output", message, parent.entry.place, parent.id)
    return Link(number, out.output)

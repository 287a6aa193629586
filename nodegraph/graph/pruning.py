"""Taking nodes out of a graph that are known not to run (`when: false`), with all that cannot do without them."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from nodegraph.graph.model import Graph, GraphNode, Link


def without_absent(graph: Graph) -> Graph:
    """The graph without its absent nodes. What takes from one at an optional input goes without; at a required one, or
    in order to know whether to run at all, it is absent too."""
    if not any(node.absent for node in graph.nodes):
        return graph
    nodes: list[GraphNode] = []
    number: dict[int, int] = {}  # of nodes that stay, before → after
    for i, node in enumerate(graph.nodes):
        kept = None if node.absent else _without_links(node, {link.node for link in _links(node)}.difference(number))
        if kept is not None:
            number[i] = len(nodes)
            links = {name: Link(number[link.node], link.output) for name, link in kept.links.items()}
            when = tuple([Link(number[link.node], link.output) for link in kept.when])
            nodes.append(replace(kept, links=links, when=when))
    outputs = {
        name: Link(number[link.node], link.output) for name, link in graph.outputs.items() if link.node in number
    }
    index = {node.id: i for i, node in enumerate(nodes)}
    return replace(graph, nodes=tuple(nodes), index=MappingProxyType(index), outputs=MappingProxyType(outputs))


def _links(node: GraphNode) -> tuple[Link, ...]:
    return (*node.links.values(), *node.when)


def _without_links(node: GraphNode, absent: set[int]) -> GraphNode | None:
    """The node without its links to absent ones; None if it cannot do without them."""
    if not absent:
        return node
    if any(link.node in absent for link in node.when):
        return None
    return without_inputs(node, [name for name, link in node.links.items() if link.node in absent])


def without_inputs(node: GraphNode, names: list[str]) -> GraphNode | None:
    """The node without links at some inputs, which take their defaults; None if one of them is required."""
    values = dict(node.values)
    for name in names:
        given = node.spec.input(name)
        if given is None or given.required:
            return None
        if name in node.spec.inputs_by_name:
            values[name] = given.default
    links = {name: link for name, link in node.links.items() if name not in names}
    return replace(node, values=values, links=links)

"""Whether two graphs are the same but for names: node types, values, and what is linked to what."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from nodegraph.graph.model import Graph, GraphNode

#: Nodes that give a plain value, which a format may need where others write the value itself.
PLAIN_NODES = frozenset(
    ("PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline", "PrimitiveBoolean")
)


def same_graph(one: Graph, other: Graph) -> bool:
    """Whether two graphs do the same."""
    return canonical(one) == canonical(other)


def canonical(graph: Graph) -> Counter[Any]:
    """Every node with all that it is made from, counted; names do not come into it."""
    shapes: list[Any] = []
    numbers: dict[Any, int] = {}
    for node in graph.nodes:  # sources come first
        shape = shape_of(node, shapes)
        # A number stands for a whole branch, so that shapes stay small.
        shapes.append(shape if is_plain(shape) else numbers.setdefault(shape, len(numbers)))
    names = {number: shape for shape, number in numbers.items()}
    return Counter(unfolded(shape, names) for shape in shapes if not is_plain(shape))


def is_plain(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 3 and shape[0] == "value"


def shape_of(node: GraphNode, before: list[Any]) -> Any:
    """A node's type, its values, and the shapes of what feeds it."""
    if node.spec.name in PLAIN_NODES and not node.links:
        value = node.values["value"]
        return ("value", type(value).__name__, repr(value))
    inputs: list[Any] = []
    for name in sorted({*node.values, *node.links}):
        if name in node.links:
            link = node.links[name]
            source = before[link.node]
            inputs.append((name, source if is_plain(source) else ("link", source, link.output)))
        elif node.values[name] is not None:
            value = node.values[name]
            inputs.append((name, ("value", type(value).__name__, repr(value))))
    return (node.spec.name, tuple(inputs))


def unfolded(shape: Any, names: dict[int, Any]) -> Any:
    """A shape whose branches are given by a digest that does not depend on the order of nodes."""
    known: dict[int, str] = {}

    def digest(number: int) -> str:
        if number not in known:
            type_, inputs = names[number]
            known[number] = hashlib.sha256(repr((type_, [told(part) for part in inputs])).encode()).hexdigest()
        return known[number]

    def told(part: Any) -> Any:
        name, value = part
        return (name, ("link", digest(value[1]), value[2]) if value[0] == "link" else value)

    return digest(shape)

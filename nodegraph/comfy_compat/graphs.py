"""More nodes than the workflow has: how packs write them down, and how they look at the graph of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

from nodegraph.comfy_compat.current import this_call
from nodegraph.context import GraphView

MAX_LOCAL_ID = 64  # longer ids within an expansion are shortened
SHOWN_OF_ID = 24


class ExecutionBlocker:
    """Stands where an output has no value: what depends on it does not run. message: told as a warning."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message


def is_link(value: object) -> bool:
    """Whether a value is a link, `[node id, output number]`."""
    if not isinstance(value, list):
        return False
    parts = cast("list[object]", value)
    return len(parts) == 2 and isinstance(parts[0], str) and type(parts[1]) in (int, float)


class Node:
    """A node of an expansion that is being written down."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, object]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs: dict[str, object] = dict(inputs)
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[object]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: object) -> None:
        """Give an input a value or a link; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> object:
        """What an input was given."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Show this node as another one of the workflow."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, object]:
        """The node in API format."""
        data: dict[str, object] = {"class_type": self.class_type, "inputs": dict(self.inputs)}
        return data if self.override_display_id is None else data | {"override_display_id": self.override_display_id}


class GraphBuilder:
    """Writes an expansion down. Without a prefix, ids begin with those of the node and of its call."""

    _outside: ClassVar[int] = 0

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """A prefix that no other expansion has, `NODE.CALL.GRAPH.`, and the same one every time."""
        call = this_call()
        node = root if root is not None else call.context.node if call is not None else "GRAPH"
        number = call_index if call_index is not None else call.context.call if call is not None else 0
        if graph_index is None:
            if call is not None:
                graph_index = call.next_graph()
            else:
                graph_index, cls._outside = cls._outside, cls._outside + 1
        return f"{node}.{number}.{graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """A new node, or the one that has this id already."""
        if id is None:
            id, self.id_gen = str(self.id_gen), self.id_gen + 1
        id = self._full(id)
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def _full(self, id: str) -> str:
        """An id behind the prefix. Loops name nodes after those of the round before, so a long one is shortened: else a
        thousand rounds would make ids of megabytes."""
        if len(id) > MAX_LOCAL_ID:
            id = f"{id[-SHOWN_OF_ID:]}~{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        return self.prefix + id

    def lookup_node(self, id: str) -> Node | None:
        """The node with an id, as it was given."""
        return self.nodes.get(self._full(id))

    def finalize(self) -> dict[str, dict[str, object]]:
        """All nodes in API format."""
        return {id: node.serialize() for id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: object) -> None:
        """Have whoever takes from an output take something else; None has them go without."""
        link = [self._full(node_id), index]
        for node in self.nodes.values():
            for name in [name for name, value in node.inputs.items() if is_link(value) and value == link]:
                node.set_input(name, new_value)

    def remove_node(self, id: str) -> None:
        """Take a node away."""
        self.nodes.pop(self._full(id), None)


def add_graph_prefix(
    graph: Mapping[str, Mapping[str, Any]], outputs: Collection[object], prefix: str
) -> tuple[dict[str, dict[str, Any]], tuple[object, ...]]:
    """An expansion and its results with `prefix` before all of its ids."""

    def moved(value: object) -> object:
        if is_link(value) and cast("list[Any]", value)[0] in graph:
            id, index = cast("list[Any]", value)
            return [prefix + id, index]
        return value

    nodes: dict[str, dict[str, Any]] = {}
    for id, node in graph.items():
        inputs = {name: moved(value) for name, value in node.get("inputs", {}).items()}
        nodes[prefix + id] = {**node, "inputs": inputs}
    return nodes, tuple(moved(value) for value in outputs)


class NodeNotFoundError(Exception):
    """Raised for an id that no node of the graph has."""


class DynamicPrompt:
    """The graph of a run as nodes see it, also with the nodes that others have added so far."""

    def __init__(self, view: GraphView | None, prompt: Mapping[str, Any] | None = None) -> None:
        self._view = view
        self.original_prompt: dict[str, Any] = dict(prompt or {})

    def get_node(self, node_id: str) -> dict[str, Any]:
        """A node in API format. Raises NodeNotFoundError."""
        found = self._find(node_id)
        if found is None:
            raise NodeNotFoundError(f"no node has the id {node_id!r}")
        return found

    def has_node(self, node_id: str) -> bool:
        """Whether there is such a node."""
        return self._find(node_id) is not None

    def all_node_ids(self) -> set[str]:
        """The ids of all nodes."""
        return set(self.original_prompt) if self._view is None else set(self._view.ids())

    def get_original_prompt(self) -> dict[str, Any]:
        """The workflow as it was given, in API format."""
        return self.original_prompt

    def get_parent_node_id(self, node_id: str) -> str | None:
        """The node that added this one, None for one of the workflow."""
        return None if self._view is None else self._view.parent(node_id)

    def get_display_node_id(self, node_id: str) -> str:
        """The node of the workflow that this one is shown as."""
        return node_id if self._view is None else self._view.display(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """The node of the workflow that this one comes from in the end."""
        parent = self.get_parent_node_id(node_id)
        while parent is not None:
            node_id, parent = parent, self.get_parent_node_id(parent)
        return node_id

    def _find(self, node_id: str) -> dict[str, Any] | None:
        found = self.original_prompt.get(node_id) if self._view is None else self._view.node(node_id)
        if found is None:
            return None
        return {**found, "inputs": dict(cast("Mapping[str, object]", found.get("inputs", {})))}

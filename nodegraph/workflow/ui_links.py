"""Links of ComfyUI's editor files followed to what really feeds an input, through reroutes, subgraphs and bypasses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from nodegraph.workflow.document import Slot
from nodegraph.workflow.tree import Located, Report
from nodegraph.workflow.ui_looks import REROUTE
from nodegraph.workflow.ui_reader import UiLink, UiNode
from nodegraph.workflow.ui_subgraphs import Scope, input_link, outside_input

PRIMITIVE: Final = "PrimitiveNode"
NOTES: Final = frozenset(("Note", "MarkdownNote"))
#: Types that exist in the editor only.
EDITOR_ONLY: Final = frozenset((REROUTE, PRIMITIVE, *NOTES))


@dataclass(frozen=True, slots=True)
class Primitive:
    """A node of the editor whose first widget feeds inputs."""

    scope: Scope
    node: UiNode

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: the prefix of its scope and its id."""
        return (self.scope.prefix, self.node.id)


#: What feeds an input: an output of a node, a primitive, a value that a subgraph is given; None: nothing.
Source = Slot | Primitive | Located | None
Key = tuple[str, str, int]  # prefix of the scope, node, output


class Links:
    """Follows links; what was followed once is remembered, so that long chains are walked once."""

    def __init__(self, known: Collection[str], report: Report) -> None:
        self.known = known
        self.report = report
        self.settled: dict[Key, Source] = {}

    def feeding(self, scope: Scope, node: UiNode, number: int) -> Source:
        """What feeds an input of a node."""
        link = input_link(scope.graph, node, number)
        return self.follow(scope, link) if link is not None else None

    def follow(self, scope: Scope, link: UiLink) -> Source:
        """Where a link comes from in the end."""
        way: list[Key] = []
        passed: set[Key] = set()
        here: Scope = scope
        source: Source = None
        while True:
            key = (here.prefix, link.origin, link.origin_slot)
            if key in self.settled:
                source = self.settled[key]
                break
            if key in passed:
                self.tell_cycle(way[way.index(key) :], link, here)
                break
            way.append(key)
            passed.add(key)
            step = self.step(here, link)
            if not isinstance(step, tuple):
                source = step
                break
            here, link = step
        self.settled.update(dict.fromkeys(way, source))
        return source

    def step(self, scope: Scope, link: UiLink) -> Source | tuple[Scope, UiLink]:
        """What a link comes from, or a link further up that it stands for."""
        definition = scope.definition
        if definition is not None and link.origin == definition.input_id and link.origin not in scope.graph.nodes:
            return self.outside(scope, link.origin_slot)
        node = scope.graph.nodes.get(link.origin)
        if node is None:
            return None
        if node.type == REROUTE:
            above = input_link(scope.graph, node, 0) if node.inputs else scope.graph.by_target.get((node.id, 0))
            return (scope, above) if above is not None else None
        if node.type == PRIMITIVE:
            return Primitive(scope, node)
        if node.type in NOTES:
            return None
        child = scope.children.get(node.id)
        if scope.mode(node) == "bypassed" and (child is not None or node.type not in self.known):
            above = through(scope, node, link)
            if above is not None:
                return scope, above
        if child is not None and child.definition is not None:
            inner = child.graph.by_target.get((child.definition.output_id, link.origin_slot))
            return (child, inner) if inner is not None else None
        return Slot(scope.prefix + node.id, link.origin_slot)

    def outside(self, scope: Scope, number: int) -> Source | tuple[Scope, UiLink]:
        """What the input `number` of a subgraph is given by the node that stands for it."""
        found = outside_input(scope, number)
        if found is not None and scope.parent is not None:
            above = input_link(scope.parent.graph, *found)
            if above is not None:
                return scope.parent, above
        return scope.inputs.get(number)

    def tell_cycle(self, keys: list[Key], link: UiLink, scope: Scope) -> None:
        """Report links that lead in a circle through nodes that pass on what they get."""
        ids = [f"{prefix}{node}" for prefix, node, _ in keys]
        chain = " -> ".join(reversed([*ids[:20], ids[0]]))
        node = scope.graph.nodes.get(link.origin)
        shown = f"{len(ids)} nodes that only pass on what they get feed each other in a circle: {chain}"
        place = node.place if node is not None else link.place
        self.report.add("cycle", shown, place, node=ids[0], got=chain, hint="remove one of these links")


def through(scope: Scope, node: UiNode, link: UiLink) -> UiLink | None:
    """The link that a bypassed node passes on to an output: that of the first input of the same type."""
    wanted = node.outputs[link.origin_slot][1] if link.origin_slot < len(node.outputs) else link.type
    fitting: UiLink | None = None
    for number, given in enumerate(node.inputs):
        above = input_link(scope.graph, node, number)
        if above is None:
            continue
        if given.type == wanted:
            return above
        if fitting is None and (given.type == "*" or wanted == "*"):
            fitting = above
    return fitting

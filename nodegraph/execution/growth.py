"""Nodes that add nodes: theirs are put on the board, and their own outputs are made of what those give.

A node that has grown waits for the nodes that its results come from, and for the output nodes that it added. What was
added is cached node by node; of the node itself only the digests of its results are worth keeping, since making it
again takes no more than adding nodes whose results are known. If output nodes were added, not even those are kept: they
have to be looked after in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from nodegraph.cache.records import Record
from nodegraph.context import Roots
from nodegraph.engines.outcome import output_digests
from nodegraph.engines.work import Worked
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.board import Board
from nodegraph.execution.states import DONE, FAILED, HIT, SKIPPED
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.expansion import added_nodes, result_link
from nodegraph.graph.model import GraphNode, Link
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Blocked, Many, Out


@dataclass(slots=True)
class Growth:
    """The nodes of a run that have added others: what they returned, with links where values are yet to be made."""

    board: Board
    registry: Registry
    roots: Roots
    growing: dict[int, tuple[Worked, tuple[int, ...]]] = field(
        default_factory=dict[int, "tuple[Worked, tuple[int, ...]]"]
    )
    saving: set[int] = field(default_factory=set[int])  # nodes below which something was saved

    def add(self, i: int, worked: Worked) -> tuple[range, list[int]]:
        """Add the nodes that node `i` wants; returns them, and those that it has to wait for. Raises ProblemError."""
        board, node = self.board, self.board.nodes[i]
        calls = worked.calls or {}
        made = added_nodes(node, calls, board.nodes, board.numbers().get, self.registry, self.roots)
        if made and isinstance(made[0], Problem):
            raise ProblemError(cast("list[Problem]", made))
        displays = {name: self._display(call.display) for name, call in calls.items() if call.display is not None}
        added = board.add(cast("list[GraphNode]", made), i, displays)
        values = tuple([self._linked(node, value) for value in worked.values])
        sources = tuple([link.node for value in values for link in _links(value)])
        for source in sources:
            board.uses[source] += 1
        outputs = [n for n in added if board.nodes[n].spec.output_node]
        if outputs:
            self._note_saving(i)
        self.growing[i] = (worked._replace(values=values), sources)
        return added, [*dict.fromkeys([*sources, *outputs])]

    def _display(self, id: str) -> str:
        """The node of the workflow that a node stands for, which may itself have been added."""
        number = self.board.numbers().get(id)
        return id if number is None else self.board.display(number)

    def _linked(self, node: GraphNode, value: object) -> object:
        """A result with numbers in the place of ids."""
        if isinstance(value, Out):
            link = result_link(value, self.board.nodes, self.board.numbers().get, node)
            if isinstance(link, Problem):
                raise ProblemError(link)
            return link
        if type(value) is Many:
            return Many(tuple([self._linked(node, item) for item in cast("Many[object]", value).items]))
        return value

    def _note_saving(self, i: int | None) -> None:
        while i is not None and i not in self.saving:
            self.saving.add(i)
            i = self.board.parents.get(i)

    def missing(self, i: int, blocked: set[int]) -> int | None:
        """A node without which node `i` has no results, since it failed."""
        state = self.board.state
        _, sources = self.growing[i]
        return next((s for s in sources if state[s] == FAILED or (state[s] == SKIPPED and s not in blocked)), None)

    def collect(self, i: int) -> Worked:
        """The results of node `i`, now that the nodes that they come from have run."""
        board = self.board
        worked, sources = self.growing.pop(i)
        values, digests = list[object](), list[bytes | None]()
        for value in worked.values:
            known = self._value(value)
            record = board.records[value.node] if isinstance(value, Link) else None
            values.append(known)
            digests.append(record.digests[value.output] if record is not None and isinstance(value, Link) else None)
        for source in sources:
            board.drop(source)
        if None in digests:
            made = output_digests(tuple(values), board.keys[i])
            digests = [known or fresh for known, fresh in zip(digests, made, strict=True)]
        record = Record(tuple(cast("list[bytes]", digests)), worked.record.seconds, worked.record.saved)
        return Worked(tuple(values), record)

    def _value(self, value: object) -> object:
        if isinstance(value, Link):
            values = self.board.values[value.node] if self.board.state[value.node] in (HIT, DONE) else None
            return Blocked() if values is None else values[value.output]
        if type(value) is Many:
            items: list[object] = []
            for item in cast("Many[object]", value).items:
                known = self._value(item)
                items += cast("Many[object]", known).items if type(known) is Many else (known,)
            return Many(tuple(items))
        return value

    def let_go(self, i: int) -> None:
        """Node `i` will have no results after all."""
        for source in self.growing.pop(i)[1]:
            self.board.drop(source)


def _links(value: object) -> Sequence[Link]:
    if isinstance(value, Link):
        return (value,)
    if type(value) is Many:
        return [link for item in cast("Many[object]", value).items for link in _links(item)]
    return ()


def stuck_in_circles(board: Board, growth: Growth, pending: Sequence[int]) -> list[tuple[int, Problem]]:
    """The nodes that made others wait for each other in a circle, each with what to say of it."""
    names = [board.nodes[i].id for i in pending]
    number = dict(zip(names, pending, strict=True))
    links: dict[str, list[str]] = {}
    for i, name in zip(pending, names, strict=True):
        grown = growth.growing[i][1] if i in growth.growing else ()
        sources = [*[source for _, source, _ in board.sources[i]], *grown, *[link.node for link in board.nodes[i].when]]
        links[name] = [board.nodes[s].id for s in dict.fromkeys(sources) if board.nodes[s].id in number]
    found: list[tuple[int, Problem]] = []
    for circle in find_cycles(links, set(names)):
        blamed = max((board.parents.get(number[name], -1) for name in circle), default=-1)
        if blamed < 0 or blamed not in growth.growing:
            blamed = next((number[name] for name in circle if number[name] in growth.growing), number[circle[0]])
        node = board.nodes[blamed]
        shown = [*circle, circle[0]] if len(circle) <= 20 else [*circle[:20], "…"]
        message = f"'{node.id}' ({node.spec.name}) added nodes that depend on each other in a circle: "
        problem = Problem(
            "cycle",
            message + " -> ".join(shown),
            node.entry.place,
            node.id,
            got=" -> ".join(shown),
            hint=f"this is a mistake in the node pack '{node.spec.pack}', or in how '{node.id}' is used",
        )
        found.append((blamed, problem))
    return found

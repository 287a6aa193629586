"""The graph of a run as nodes may look at it (`Context.graph`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nodegraph.execution.board import Board
from nodegraph.execution.provenance import api_node


class RunView:
    """Shows the nodes of a run, those that others have added so far too. See `GraphView`."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def node(self, id: str) -> Mapping[str, object] | None:
        number = self._board.numbers().get(id)
        if number is None:
            return None
        node = api_node(self._board.nodes[number], self._board.nodes)
        display = self._board.displays.get(number)
        return node if display is None else node | {"override_display_id": display}

    def ids(self) -> Collection[str]:
        return list(self._board.numbers())

    def parent(self, id: str) -> str | None:
        number = self._board.numbers().get(id)
        parent = self._board.parents.get(number) if number is not None else None
        return None if parent is None else self._board.nodes[parent].id

    def display(self, id: str) -> str:
        number = self._board.numbers().get(id)
        return id if number is None else self._board.display(number)

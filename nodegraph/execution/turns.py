"""Whether a node's turn has come, where that is not plain: its `when` decides, or what it takes from does not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nodegraph.errors import Problem
from nodegraph.execution.board import Board
from nodegraph.execution.stages import gates_hold
from nodegraph.execution.states import FAILED, OFF, SKIPPED
from nodegraph.graph.pruning import without_inputs


class Turn(NamedTuple):
    """What is to be done with a node whose sources are settled. run: it may run now. off: it is not to run. bad: a node
    that failed or was skipped, so that it is undecided whether this one should. problem: it cannot be decided.
    otherwise it now waits for `needs`."""

    run: bool = False
    off: bool = False
    bad: int | None = None
    problem: Problem | None = None
    needs: Sequence[int] = ()


def turn_of(board: Board, i: int) -> Turn:
    """What is to be done with node `i`; it goes without optional inputs whose nodes do not run."""
    if i in board.gated:
        return _pass_gate(board, i)
    off = _off_inputs(board, i)
    if not off:
        return Turn(run=True)
    changed = without_inputs(board.nodes[i], off)
    if changed is None:
        return Turn(off=True)
    before = board.sources[i]
    for _, source, _ in before:
        if board.state[source] == OFF:
            board.drop(source)
    board.replace(i, changed, board.keyer.material_of(changed))
    kept = {each[0] for each in before}
    board.sources[i] = tuple([each for each in board.keyer.sources(changed) if each[0] in kept])
    return Turn(run=True)


def _pass_gate(board: Board, i: int) -> Turn:
    """The nodes are settled that decide whether this one runs."""
    node, state = board.nodes[i], board.state
    bad = next((link.node for link in node.when if state[link.node] in (FAILED, SKIPPED)), None)
    if bad is not None:
        return Turn(bad=bad)
    try:
        holds = gates_hold(node, state, board.records)
    except TypeError as error:
        message = f"'{node.id}' ({node.spec.name}): {error}"
        return Turn(problem=Problem("type_mismatch", message, node.entry.when_place, node.id, "when"))
    board.gated.discard(i)
    off = _off_inputs(board, i)
    changed = without_inputs(node, off) if holds and off else node
    if not holds or changed is None:
        return Turn(off=True)
    board.replace(i, changed, board.keyer.material_of(changed))
    return Turn(needs=[source for _, source, _ in board.sources[i]])


def _off_inputs(board: Board, i: int) -> list[str]:
    return [name for name, link in board.nodes[i].links.items() if board.state[link.node] == OFF]

"""What would come after a node: the nodes that need nothing else, or only what needs the same models.

They travel to a worker together, so that a chain costs one message each way, and models are loaded once. Nothing is
decided by this: the run visits each of them in its turn, and lets go of those that prove to be known, or not wanted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from nodegraph.engines.contract import Ahead, Part, recipes_in, travels
from nodegraph.execution.board import Board
from nodegraph.execution.states import DONE, HIT, TODO

LONGEST = 16  # nodes that are told ahead at most


def ident_of(board: Board, i: int) -> Hashable:
    """What tells a node of a run from all others, also those of other runs."""
    return (board.run, i)


def ahead_of(board: Board, i: int) -> tuple[Ahead, ...]:
    """The nodes that would come after node `i`, in an order in which each has what it needs from those before it."""
    if board.unusual or not _is_plain(board, i):
        return ()
    chain, models = [i], set(recipes_in(_known(board, i)))
    while len(chain) <= LONGEST:
        more = _next(board, chain, models)
        if not more:
            break
        chain += more
        for each in more:
            models.update(recipes_in(_known(board, each)))
    return tuple([_ahead(board, each, chain) for each in chain[1:]])


def _next(board: Board, chain: list[int], models: set[str]) -> list[int]:
    """The first node that takes what the chain gives last, with whatever else it needs that can come along before."""
    for dependant in board.dependants.get(chain[-1], ()):
        if dependant in chain or not _may_follow(board, dependant, models):
            continue
        missing = [s for s in dict.fromkeys(s for _, s, _ in board.sources[dependant]) if s not in chain]
        beside = [source for source in missing if not _is_settled(board, source)]
        if all(_may_come_along(board, each, models) for each in beside):
            return [*beside, dependant]
    return []


def _is_settled(board: Board, i: int) -> bool:
    return board.state[i] in (DONE, HIT) and board.values[i] is not None


def _is_plain(board: Board, i: int) -> bool:
    """Whether nothing of a node has to be decided while it runs."""
    node = board.nodes[i]
    return travels(node) and not node.when and i not in board.again and i not in board.grown


def _may_follow(board: Board, i: int, models: set[str]) -> bool:
    """Whether a node may come after others: it needs no models but theirs, if they need some, and what arrives need not
    be looked at."""
    node = board.nodes[i]
    spec = node.spec
    if board.state[i] != TODO or not _is_plain(board, i) or spec.collecting:
        return False
    if spec.checks_arrivals and not (spec.bounded_inputs | spec.float_inputs).isdisjoint(node.links):
        return False
    return not models or models.issuperset(recipes_in(_known(board, i)))


def _may_come_along(board: Board, i: int, models: set[str]) -> bool:
    """Whether a node, ready but not begun, is better done with others: it needs models that they need too."""
    if board.state[i] != TODO or board.waiting[i] or i not in board.ready or not _may_follow(board, i, models):
        return False
    return bool(recipes_in(_known(board, i)))


def _known(board: Board, i: int) -> dict[str, object]:
    """A node's arguments as far as they are known."""
    node = board.nodes[i]
    found = dict(node.values)
    for name, link in node.links.items():
        values = board.values[link.node]
        if values is not None and board.state[link.node] in (DONE, HIT):
            found[name] = values[link.output]
    return found


def _ahead(board: Board, i: int, chain: list[int]) -> Ahead:
    node, here = board.nodes[i], set(chain)
    links: Mapping[str, tuple[Hashable, int]] = {
        name: (ident_of(board, link.node), link.output) for name, link in node.links.items() if link.node in here
    }
    return Ahead(ident_of(board, i), i, node, _known(board, i), links, *_key(board, i, here))


def _key(board: Board, i: int, here: set[int]) -> tuple[bytes | None, tuple[Part, ...]]:
    """What a node's key will be made of."""
    prefix, parts = board.prefixes[i], list[Part]()
    for frame, source, output in board.sources[i]:
        record = board.records[source]
        if source in here:
            parts.append(Part(frame, (ident_of(board, source), output)))
        elif record is not None:
            parts.append(Part(frame, record.digests[output]))
        else:
            return None, ()
    return prefix, tuple(parts)

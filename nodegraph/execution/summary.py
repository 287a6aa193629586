"""A run that is over, summed up: for whoever started it, and for the store's statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from nodegraph.cache.records import Tally
from nodegraph.execution.board import Board
from nodegraph.execution.events import Status
from nodegraph.execution.forecast import Forecast
from nodegraph.execution.ledger import Ledger
from nodegraph.execution.result import RunResult, Trace
from nodegraph.execution.states import DONE, HIT, SKIPPED
from nodegraph.sockets.flow import Many


def tallies(board: Board, ledger: Ledger) -> dict[str, Tally]:
    """What a run says of each node type."""
    counted: dict[str, list[float]] = {}
    nodes, hits, runs = board.nodes, set(ledger.counts[HIT]), set(ledger.counts[DONE])
    for i in board.order():
        node, record = nodes[i], board.records[i]
        if record is not None and (node.id in hits or node.id in runs):
            tally = counted.setdefault(node.spec.name, [0, 0, 0.0])
            tally[node.id not in hits] += 1
            tally[2] += record.seconds if node.id in hits else 0.0
    return {name: Tally(int(hits), int(runs), saved) for name, (hits, runs, saved) in counted.items()}


def result_of(
    board: Board,
    ledger: Ledger,
    status: Status,
    seconds: float,
    want: Collection[int],
    forecast: Forecast,
    foretold: bytes,
    sizes: Mapping[int, int],
) -> RunResult:
    """How a run went."""
    nodes, size = board.nodes, len(board.plan.graph.nodes)
    values = {nodes[i].id: tuple(map(_plain, values)) for i in want if (values := board.values[i]) is not None}
    saved = {
        nodes[i].id: record.saved
        for i in board.order()
        if (record := board.records[i]) is not None and record.saved is not None
    }
    reused = set(ledger.counts[HIT])
    outputs = {
        name: values[nodes[link.node].id][link.output]
        for name, link in board.plan.graph.outputs.items()
        if nodes[link.node].id in values
    }
    trace = Trace(
        board.plan,
        foretold,
        bytes(board.state[:size]),
        board.keys[:size],
        board.records[:size],
        forecast.lost,
        frozenset([i for i in board.plan.order if nodes[i].id in reused]),
        sizes,
    )
    ran, hit, skipped = (tuple(ledger.counts[state]) for state in (DONE, HIT, SKIPPED))
    return RunResult(status, values, saved, tuple(ledger.problems), ran, hit, skipped, seconds, outputs, trace)


def _plain(value: object) -> object:
    """A value as callers know it: several items are a list."""
    return list(cast("Many[object]", value).items) if type(value) is Many else value

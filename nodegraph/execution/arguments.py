"""What a node is called with: its values, and what has arrived by its links, as the node takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from nodegraph.context import Context, Roots
from nodegraph.engines.mapping import Arguments, needs_spreading, spread
from nodegraph.engines.outcome import check_arrivals
from nodegraph.engines.work import Job
from nodegraph.execution.board import Board
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.flow import Blocked, Lazy, Many


def plain_arguments(board: Board, node: GraphNode) -> Arguments:
    """Values and what arrives by links, where nothing about it is unusual."""
    arguments = dict(node.values)
    for name, link in node.links.items():
        values = board.values[link.node]
        assert values is not None
        arguments[name] = values[link.output]
    return arguments


def arguments_of(board: Board, i: int) -> Arguments | Blocked:
    """The same where links may be lazy, or to arrive as themselves, or bring no value at all: then the node is not to
    run, and this says why."""
    node = board.nodes[i]
    spec, arguments, active = node.spec, dict(node.values), board.active_inputs(i)
    if i in board.parents:  # which may have been handed what its parent got
        blocked = next((value for value in arguments.values() if type(value) is Blocked), None)
        if blocked is not None:
            return blocked
    for name, link in node.links.items():
        values = board.values[link.node] if name in active else None
        value = values[link.output] if values is not None else None
        if name in spec.raw_inputs:
            value = [board.nodes[link.node].id, link.output]
        elif type(value) is Blocked:
            return value
        arguments[name] = value
    if spec.ask is None:
        for name in spec.lazy_inputs:
            late = name in node.links and name not in active
            arguments[name] = Lazy[object].later(name) if late else _lazily(arguments[name])
    return arguments


def _lazily(value: object) -> object:
    """A value as a lazy input has it; of several items, each. An input that was left out stays None."""
    if type(value) is Many:
        return Many(tuple([Lazy(item) for item in cast("Many[object]", value).items]))
    return None if value is None else Lazy(value)


def job_of(board: Board, i: int, arguments: Arguments, roots: Roots, context: Callable[[], Context]) -> Job:
    """What a node is to do. `context` makes the node's context, for those that take one. Raises ProblemError for values
    that the node does not take."""
    node = board.nodes[i]
    spec = node.spec
    calls: list[Arguments | None] = [arguments]
    several = False
    if (board.unusual or spec.any_list) and needs_spreading(spec, arguments):
        calls, several = spread(spec, arguments, spec.raw_inputs)
    if node.links and spec.checks_arrivals and (spec.bounded_inputs or spec.float_inputs):
        for each in calls:
            if each is not None:
                check_arrivals(node, each, roots)
    if spec.context_name is not None:
        door = context()
        for each in calls:
            if each is not None:
                each[spec.context_name] = door
    late = frozenset[str]()
    if spec.ask is not None:
        late = spec.lazy_inputs.intersection(node.links).difference(board.active_inputs(i))
    return Job(node, calls, several, late)

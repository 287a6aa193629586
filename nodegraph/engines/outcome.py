"""From what a node returned, or raised, to what the executor keeps of it."""

from __future__ import annotations

import hashlib
import os
import traceback
from dataclasses import replace
from typing import cast

from nodegraph.context import Roots
from nodegraph.engines.kinds import wrong_kinds
from nodegraph.engines.memory import OutOfMemory, is_out_of_memory
from nodegraph.errors import Place, Problem, ProblemError, shorten
from nodegraph.graph.complaints import identified
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.codecs import Undigestible, digest
from nodegraph.sockets.flow import Blocked, Expansion, Many, Out, Outcome
from nodegraph.sockets.values import Saved


class Reported(Exception):
    """A node's failure elsewhere, as it was told: the problem, without its place, and the traceback."""

    def __init__(self, problem: Problem, details: str = "") -> None:
        super().__init__(problem.message)
        self.problem, self.details = problem, details


def outcome_of(node: GraphNode, result: object) -> Outcome:
    """What a node returned, as a value for each output (`Many` where it declares several items) and whatever else came
    of it. Raises ProblemError if it did not keep its declaration."""
    outputs = node.spec.outputs
    if isinstance(result, Outcome):
        found = result
    elif isinstance(result, Expansion):
        more = cast("Expansion[object]", result)
        found = Outcome(more.results, None, more.calls, more.complete_ids)
    elif isinstance(result, Blocked):
        found = Outcome((result,) * len(outputs))
    elif not outputs:
        if result is not None and not isinstance(result, Saved):
            raise ProblemError(_wrong_output(node, "nothing (or Saved)", result))
        found = Outcome((), result)
    elif not node.spec.several:
        found = Outcome((result,))
    else:
        if not isinstance(result, tuple):
            raise ProblemError(_wrong_output(node, f"{len(outputs)} values", result))
        found = Outcome(cast("tuple[object, ...]", result))
    if len(found.values) != len(outputs):
        got = found.values if isinstance(result, Outcome | Expansion) else cast(object, result)
        raise ProblemError(_wrong_output(node, f"{len(outputs)} value{'s' * (len(outputs) != 1)}", got))
    if any(output.is_list for output in outputs):
        values = [
            _items(node, output.name, value) if output.is_list else value
            for output, value in zip(outputs, found.values, strict=True)
        ]
        found = replace(found, values=tuple(values))
    if problems := wrong_kinds(node, found.values):
        raise ProblemError(problems)
    return found


def _items(node: GraphNode, output: str, value: object) -> object:
    """The items of an output that gives several."""
    if isinstance(value, Many | Out | Blocked):
        return cast(object, value)
    if isinstance(value, list | tuple):
        return Many(tuple(cast("list[object]", value)))
    raise ProblemError(_wrong_output(node, f"a list for its output '{output}'", value))


def _wrong_output(node: GraphNode, expected: str, result: object) -> Problem:
    return Problem(
        code="wrong_output",
        message=f"{node.spec.name} returned {shorten(result)} where it declares {expected}",
        got=shorten(result),
        expected=expected,
        hint=f"this is a mistake in the node pack '{node.spec.pack}'",
    )


def output_digests(values: tuple[object, ...], key: bytes | None) -> tuple[bytes, ...]:
    """The digest of each output; of one without a digest of its own, that of the action that made it."""
    digests: list[bytes] = []
    for i, value in enumerate(values):
        try:
            digests.append(digest(value))
        except Undigestible:
            origin = key if key is not None else os.urandom(32)
            digests.append(hashlib.sha256(b"output %d of " % i + origin).digest())
    return tuple(digests)


def check_arrivals(node: GraphNode, arguments: dict[str, object], roots: Roots) -> None:
    """Check numbers and choices that came by link against their bounds; whole numbers become decimal where those are
    wanted, in place. Raises ProblemError."""
    spec, problems = node.spec, list[Problem]()
    for name in node.links:
        if name in spec.bounded_inputs or (type(arguments[name]) is int and name in spec.float_inputs):
            arguments[name], problem = check_literal(spec.inputs_by_name[name], arguments[name], ChoiceLists(roots))
            if problem is not None:
                problems.append(replace(problem, place=node.entry.places.get(name, Place())))
    if problems:
        raise ProblemError(problems)


def problem_of(node: GraphNode, error: BaseException) -> Problem:
    """A failure as a Problem at the node's place in its file."""
    return identified(_problem_of(node, error), node.entry)


def _problem_of(node: GraphNode, error: BaseException) -> Problem:
    if isinstance(error, Reported):
        return replace(error.problem, node=node.id, place=_input_place(node, error.problem.input))
    if isinstance(error, ProblemError):
        first = error.problems[0]
        place = first.place if first.place != Place() else _input_place(node, first.input)
        return replace(first, node=node.id, place=place, message=f"'{node.id}' ({node.spec.name}): {first.message}")
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if is_out_of_memory(error):
        return Problem(
            code="out_of_memory",
            message=f"'{node.id}' ({node.spec.name}) ran out of memory{_estimate(error)}",
            place=node.entry.place,
            node=node.id,
            got=shorten(str(error), limit=200),
            hint="make the picture or the batch smaller, or use --dtype fp16 or bf16",
        )
    return Problem(
        code="node_failed",
        message=f"'{node.id}' ({node.spec.name}) failed: {reason}",
        place=node.entry.place,
        node=node.id,
        got=reason,
        hint="run with -v for the traceback",
    )


def _input_place(node: GraphNode, name: str | None) -> Place:
    return node.entry.places.get(name or "", node.entry.place)


def _estimate(error: BaseException) -> str:
    """What is known of how much memory it would have taken."""
    if not isinstance(error, OutOfMemory) or error.asked is None:
        return ""
    models = f", beside {_size(error.models)} of models in use" if error.models else ""
    return f": it asked for {_size(error.asked)} more{models}"


def _size(count: int) -> str:
    unit, name = next(((2**power, name) for power, name in ((30, "GiB"), (20, "MiB")) if count >= 2**power), (1, "B"))
    return f"{count / unit:,.1f} {name}" if unit > 1 else f"{count} bytes"


def traceback_of(error: BaseException) -> str:
    """The traceback of a node's failure, without the executor's own frames."""
    if isinstance(error, Reported):
        return error.details
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _is_ours(file: str) -> bool:
    return "nodegraph/execution" in file or "nodegraph/engines" in file

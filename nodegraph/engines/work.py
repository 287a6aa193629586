"""One node's work, wherever it is done: the call, its context while it runs, and what is kept of the outcome."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from nodegraph.cache.records import Record
from nodegraph.context import Context, ModelPool
from nodegraph.engines.mapping import joined, with_full_ids
from nodegraph.engines.memory import OutOfMemory, is_out_of_memory, letting_go, make_room
from nodegraph.engines.outcome import outcome_of, output_digests
from nodegraph.graph.awaiting import settled
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.flow import Call, Needed, Outcome
from nodegraph.sockets.values import SavedFile


class Worked(NamedTuple):
    """What came of a node's work: its outputs, and the record to keep of them.

    asks: lazy inputs that it needs first; then there is nothing else. calls: more nodes to run, of which outputs may be
    made (`Out`); then neither outputs nor record are final, and nothing has been kept.
    """

    values: tuple[object, ...]
    record: Record
    asks: tuple[str, ...] = ()
    calls: Mapping[str, Call] | None = None


class Job(NamedTuple):
    """A node that is to work, with the arguments of each call (None: a call that is blocked). several: results are
    several items, one from each call. lazy: its lazy inputs that have not been computed."""

    node: GraphNode
    calls: Sequence[dict[str, object] | None]
    several: bool = False
    lazy: frozenset[str] = frozenset()


def work(job: Job, key: bytes | None, keep: Callable[[Worked], None], pool: ModelPool) -> Worked:
    """Run a node's function where it is called, and digest and keep what it gives there too: large tensors take their
    time.

    When memory runs out, models in `pool` that nobody uses make room and the node is tried once more. If that is not
    enough, OutOfMemory is raised, and what the node used is dropped from the pool too.
    """
    began = time.perf_counter()
    node, outcomes = job.node, list[Outcome | None]()
    try:
        if job.lazy and node.spec.ask is not None and (asks := _asks(job, map(settled, _asked(job)))):
            return asks
        for number, arguments in enumerate(job.calls):
            with letting_go(pool), _holding_models(node, arguments or {}, number):
                result = _run(node, arguments, pool) if arguments is not None else None
            outcomes.append(outcome_of(node, result) if arguments is not None else None)
    except Needed as needed:
        return Worked((), Record(()), (needed.name,))
    except SystemExit as error:
        raise _left(error) from error
    with letting_go(pool):
        return _worked(job, outcomes, key, time.perf_counter() - began, keep)


async def work_async(job: Job, key: bytes | None, keep: Callable[[Worked], None], pool: ModelPool) -> Worked:
    """The same for an `async` node, all calls at once. It is not tried again: others may have been told already what it
    did."""
    began = time.perf_counter()
    node = job.node

    async def call(number: int, arguments: dict[str, object] | None) -> Outcome | None:
        if arguments is None:
            return None
        with letting_go(pool), _holding_models(node, arguments, number):
            return outcome_of(node, await node.spec.function(**arguments))

    try:
        if job.lazy and node.spec.ask is not None:
            answers = [await cast("Awaitable[object]", a) if inspect.isawaitable(a) else a for a in _asked(job)]
            if asks := _asks(job, answers):
                return asks
        if len(job.calls) == 1:
            outcomes = [await call(0, job.calls[0])]
        else:
            outcomes = await asyncio.gather(*[call(i, arguments) for i, arguments in enumerate(job.calls)])
    except Needed as needed:
        return Worked((), Record(()), (needed.name,))
    except SystemExit as error:  # it would end the event loop
        raise _left(error) from error
    with letting_go(pool):
        return _worked(job, outcomes, key, time.perf_counter() - began, keep)


def _asked(job: Job) -> Iterator[object]:
    """What a node type says that it needs, for each call."""
    spec = job.node.spec
    assert spec.ask is not None
    for arguments in job.calls:
        if arguments is not None:
            yield spec.ask({name: value for name, value in arguments.items() if name != spec.context_name})


def _asks(job: Job, answers: Iterable[object]) -> Worked | None:
    """The lazy inputs that are needed and not there, if there are any."""
    names: dict[str, None] = {}
    for answer in answers:
        if isinstance(answer, str):
            names[answer] = None
        elif isinstance(answer, list | tuple | set):
            names.update(dict.fromkeys([name for name in cast("list[object]", answer) if isinstance(name, str)]))
    missing = tuple([name for name in names if name in job.lazy])
    return Worked((), Record(()), missing) if missing else None


def _run(node: GraphNode, arguments: dict[str, object], pool: ModelPool) -> object:
    try:
        return node.spec.function(**arguments)
    except Needed:
        raise
    except BaseException as error:
        if not is_out_of_memory(error):
            raise
        # What has no outputs saves files, some of which may be there already.
        if not node.spec.outputs or not pool.drop_idle():
            raise OutOfMemory(error, pool.used) from error
    make_room(pool)  # outside the handler, so that what the failed attempt held is free by now
    try:
        return node.spec.function(**arguments)
    except BaseException as error:
        if is_out_of_memory(error):
            raise OutOfMemory(error, pool.used) from error
        raise


@contextmanager
def _holding_models(node: GraphNode, arguments: dict[str, object], call: int) -> Generator[None]:
    """While a node works, what it got from the pool of models stays there."""
    name = node.spec.context_name
    context = arguments.get(name) if name is not None else None
    if name is None or not isinstance(context, Context):
        yield
        return
    with context.pool.lease() as lease:
        arguments[name] = replace(context, pool=lease, call=call)
        yield


def _left(error: SystemExit) -> RuntimeError:
    return RuntimeError(f"the node tried to leave the program (SystemExit: {error.code!r})")


def _worked(
    job: Job, outcomes: Sequence[Outcome | None], key: bytes | None, seconds: float, keep: Callable[[Worked], None]
) -> Worked:
    node, first = job.node, outcomes[0] if outcomes else None
    growing = any(outcome is not None and outcome.calls is not None for outcome in outcomes)
    if growing:
        outcomes = [
            with_full_ids(outcome, f"{node.id}.{number}.0.") if outcome is not None else None
            for number, outcome in enumerate(outcomes)
        ]
        first = outcomes[0]
    whole = joined(node.spec, outcomes) if job.several or first is None else first
    saved = whole.saved
    if saved is not None and saved.files:
        saved = replace(saved, files=tuple(_with_digest(file) for file in saved.files))
    if growing:
        calls: dict[str, Call] = {}
        for outcome in outcomes:
            calls |= (outcome.calls if outcome is not None else None) or {}
        return Worked(whole.values, Record((), seconds, saved), (), calls)
    worked = Worked(whole.values, Record(output_digests(whole.values, key), seconds, saved))
    keep(worked)
    return worked


def _with_digest(file: SavedFile) -> SavedFile:
    """A saved file with the digest of what it holds."""
    try:
        with Path(file.path).open("rb") as opened:
            return replace(file, digest=hashlib.file_digest(opened, "sha256").hexdigest())
    except OSError:
        return file

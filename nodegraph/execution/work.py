"""One node's work, wherever it is done: the call, its context while it runs, and what is kept of the outcome."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.records import Record
from nodegraph.context import CancelToken, Context, ModelPool
from nodegraph.execution import events
from nodegraph.execution.memory import OutOfMemory, is_out_of_memory, letting_go, make_room
from nodegraph.execution.outcome import output_digests, outputs_of
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.values import SavedFile

if TYPE_CHECKING:
    import PIL.Image


class Worked(NamedTuple):
    """What came of a node's work: its outputs, and the record to keep of them."""

    values: tuple[object, ...]
    record: Record


def work(
    node: GraphNode,
    arguments: dict[str, object],
    key: bytes | None,
    keep: Callable[[Worked], None],
    pool: ModelPool,
) -> Worked:
    """Run a node's function where it is called, and digest and keep what it gives there too: large tensors take their
    time.

    When memory runs out, models in `pool` that nobody uses make room and the node is tried once more. If that is not
    enough, OutOfMemory is raised, and what the node used is dropped from the pool too.
    """
    began = time.perf_counter()
    try:
        with letting_go(pool), _holding_models(node, arguments):
            result = _run(node, arguments, pool)
    except SystemExit as error:
        raise _left(error) from error
    with letting_go(pool):
        return _worked(node, result, key, time.perf_counter() - began, keep)


async def work_async(
    node: GraphNode,
    arguments: dict[str, object],
    key: bytes | None,
    keep: Callable[[Worked], None],
    pool: ModelPool,
) -> Worked:
    """The same for an `async` node, which is not tried again: others may have been told already what it did."""
    began = time.perf_counter()
    try:
        with letting_go(pool), _holding_models(node, arguments):
            result = await node.spec.function(**arguments)
    except SystemExit as error:  # it would end the event loop
        raise _left(error) from error
    with letting_go(pool):
        return _worked(node, result, key, time.perf_counter() - began, keep)


def _run(node: GraphNode, arguments: dict[str, object], pool: ModelPool) -> object:
    try:
        return node.spec.function(**arguments)
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
def _holding_models(node: GraphNode, arguments: dict[str, object]) -> Generator[None]:
    """While a node works, what it got from the pool of models stays there."""
    name = node.spec.context_name
    context = arguments[name] if name is not None else None
    if name is None or not isinstance(context, Context):
        yield
        return
    with context.pool.lease() as lease:
        arguments[name] = replace(context, pool=lease)
        yield


def _left(error: SystemExit) -> RuntimeError:
    return RuntimeError(f"the node tried to leave the program (SystemExit: {error.code!r})")


def _worked(
    node: GraphNode, result: object, key: bytes | None, seconds: float, keep: Callable[[Worked], None]
) -> Worked:
    values, saved = outputs_of(node, result)
    if saved is not None and saved.files:
        saved = replace(saved, files=tuple(_with_digest(file) for file in saved.files))
    worked = Worked(values, Record(output_digests(values, key), seconds, saved))
    keep(worked)
    return worked


def _with_digest(file: SavedFile) -> SavedFile:
    """A saved file with the digest of what it holds."""
    try:
        with Path(file.path).open("rb") as opened:
            return replace(file, digest=hashlib.file_digest(opened, "sha256").hexdigest())
    except OSError:
        return file


def context_of(
    base: Context,
    name: str,
    token: CancelToken,
    tell: Callable[[events.Event], None],
    checkpoints: Checkpoints | None = None,
    key: bytes | None = None,
) -> Context:
    """The context of the node `name`: the run's, with what the node says turned into events.

    With `checkpoints` and an action `key` the node may go on from where an interrupted run of it stopped.
    """

    def progress(value: float, total: float) -> None:
        tell(events.Progress(name, value, total))

    def preview(image: PIL.Image.Image) -> None:
        tell(events.Preview(name, image))

    def warn(message: str) -> None:
        tell(events.Warned(name, message))

    return replace(
        base,
        node=name,
        token=token,
        on_progress=progress,
        on_preview=preview if base.previews else None,
        warn=warn,
        checkpoint=base.checkpoint if checkpoints is None or key is None else checkpoints.of(key, warn),
    )

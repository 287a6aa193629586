"""One node's work, wherever it is done: the call, its context while it runs, and what is kept of the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nodegraph.cache.memory import Record
from nodegraph.context import CancelToken, Context
from nodegraph.execution import events
from nodegraph.execution.outcome import output_digests, outputs_of
from nodegraph.graph.model import GraphNode

if TYPE_CHECKING:
    import PIL.Image


class Worked(NamedTuple):
    """What came of a node's work: its outputs, and the record to keep of them."""

    values: tuple[object, ...]
    record: Record


def work(node: GraphNode, arguments: dict[str, object], key: bytes | None) -> Worked:
    """Run a node's function where it is called, and digest what it gives there too: large tensors take their time."""
    began = time.perf_counter()
    try:
        result = node.spec.function(**arguments)
    except SystemExit as error:
        raise _left(error) from error
    return _worked(node, result, key, time.perf_counter() - began)


async def work_async(node: GraphNode, arguments: dict[str, object], key: bytes | None) -> Worked:
    """The same for an `async` node."""
    began = time.perf_counter()
    try:
        result = await node.spec.function(**arguments)
    except SystemExit as error:  # it would end the event loop
        raise _left(error) from error
    return _worked(node, result, key, time.perf_counter() - began)


def _left(error: SystemExit) -> RuntimeError:
    return RuntimeError(f"the node tried to leave the program (SystemExit: {error.code!r})")


def _worked(node: GraphNode, result: object, key: bytes | None, seconds: float) -> Worked:
    values, saved = outputs_of(node, result)
    return Worked(values, Record(output_digests(values, key), seconds, saved))


def context_of(base: Context, name: str, token: CancelToken, tell: Callable[[events.Event], None]) -> Context:
    """The context of the node `name`: the run's, with what the node says turned into events."""

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
    )

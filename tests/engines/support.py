"""Engines of all kinds for tests, and graphs of the pack in errands_pack.py to run on them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.records import ResultStore
from nodegraph.context import CancelToken, Context
from nodegraph.engines.contract import Buffer, Engine, Message
from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.processes import Processes
from nodegraph.engines.remote import RemoteEngine
from nodegraph.execution.events import Event
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.execution.result import RunResult
from nodegraph.graph.build import check
from nodegraph.graph.model import Graph
from nodegraph.registry import Registry, load_registry
from nodegraph.workflow.document import NodeEntry
from tests.toys import workflow

PACK = Path(__file__).with_name("errands_pack.py")
SETUP = Setup(device="cpu", nodes=(str(PACK),), near=True, threads=1)


@cache
def registry() -> Registry:
    """All node types: nodegraph's own, and those of the pack."""
    return load_registry([PACK])


class Counted(Processes):
    """Processes that count what is sent."""

    def __init__(self, setups: Sequence[Setup]) -> None:
        super().__init__(setups)
        self.sent: list[tuple[str, list[str]]] = []

    def send(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        if data["say"] == "run":
            steps: Sequence[Mapping[str, object]] = data["steps"]  # type: ignore[assignment]
            self.sent.append((lane, [str(step["node"]) for step in steps]))
        super().send(lane, data, buffers)


def local() -> Engine:
    return LocalEngine()


def processes(count: int = 2, *, grace: float = 10.0, checkpoints: Path | None = None) -> RemoteEngine:
    transport = Counted([SETUP] * count)
    return RemoteEngine(transport, lambda: hello_of(SETUP, registry()), grace=grace, checkpoints=checkpoints)


def ray() -> Engine:
    """Workers in a Ray cluster; skips the test where Ray is not installed."""
    from tests.engines.ray_support import ray_engine

    return ray_engine()


#: How to make an engine of each kind; workers have the node types of `registry`.
ENGINES: dict[str, Callable[[], Engine]] = {"local": local, "processes": processes, "ray": ray}


@dataclass(slots=True)
class Ran:
    """A run, with what was told of it."""

    result: RunResult
    events: list[Event] = field(default_factory=list[Event])


def graph_of(*entries: NodeEntry) -> Graph:
    """The graph of some nodes."""
    checked = check(workflow(*entries), registry())
    assert checked.graph is not None, [problem.describe() for problem in checked.problems]
    return checked.graph


def run(
    engine: Engine,
    graph: Graph,
    *,
    store: ResultStore | None = None,
    want: Sequence[str] | None = None,
    only: Sequence[str] = (),
    token: CancelToken | None = None,
    on_event: Callable[[Event], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Ran:
    """Plan and run a graph."""
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if on_event is not None:
            on_event(event)

    todo = plan(graph, only=only or list(graph.index))
    result = asyncio.run(
        execute(
            todo,
            store=store if store is not None else MemoryStore(),
            engine=engine,
            context=Context(device="cpu"),
            on_event=listen,
            token=token,
            want=[graph.index[name] for name in want] if want is not None else todo.targets,
            registry=registry(),
            checkpoints=checkpoints,
        )
    )
    return Ran(result, events)


def pipe(folder: Path, name: str) -> str:
    """A named pipe, and one for the way back."""
    path = folder / name
    os.mkfifo(path)
    os.mkfifo(f"{path}.back")
    return str(path)

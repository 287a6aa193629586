"""A session: the registry, results, live models and settings that several runs share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from nodegraph.cache.keys import environment_class
from nodegraph.cache.memory import MemoryStore, ResultStore
from nodegraph.cache.pool import LivePool
from nodegraph.context import CancelToken, Context, Provenance, Roots
from nodegraph.engines.local import Engine, LocalEngine
from nodegraph.errors import ProblemError
from nodegraph.execution.events import Listener
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan, unknown_target
from nodegraph.execution.provenance import provenance_of
from nodegraph.execution.result import RunResult
from nodegraph.files import FileDigests
from nodegraph.graph.build import check
from nodegraph.graph.model import Checked, Graph
from nodegraph.registry import Registry, load_registry
from nodegraph.resources import models_folder
from nodegraph.workflow.document import Workflow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs: folders, device and number format, and whether results are reused."""

    output: Path = Path("output")
    inputs: tuple[Path, ...] = (Path("input"),)
    models: tuple[Path, ...] = (Path("models"),)
    temp: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    previews: bool = False
    reuse: bool = True

    def roots(self, workflow: Workflow | None) -> Roots:
        """The file roots of a run: inputs are also looked for beside the workflow, models in the shipped folder."""
        beside = (Path(workflow.file).parent,) if workflow is not None and workflow.file else ()
        inputs = tuple(dict.fromkeys((*self.inputs, *beside)))
        models = tuple(dict.fromkeys((*self.models, models_folder())))
        return Roots(inputs, self.output, self.temp or self.output / "temp", models)


@dataclass(slots=True)
class Session:
    """Runs workflows one after another, keeping results and models between them.

    with Session() as session:
        session.run(workflow, params={"seed": 1})
        session.run(workflow, params={"seed": 2})  # encodes no prompt again
    """

    settings: Settings = field(default_factory=Settings)
    registry: Registry = field(default_factory=load_registry)
    store: ResultStore = field(default_factory=MemoryStore)
    pool: LivePool = field(default_factory=LivePool)
    engine: Engine = field(default_factory=LocalEngine)
    files: FileDigests = field(default_factory=FileDigests)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engine's threads and let go of models."""
        self.engine.close()
        self.pool.clear()

    def check(self, workflow: Workflow, params: Mapping[str, object] | None = None) -> Checked:
        """Check a workflow against this session's nodes and folders."""
        return check(workflow, self.registry, roots=self.settings.roots(workflow), overrides=params)

    def graph(self, workflow: Workflow | Graph, params: Mapping[str, object] | None = None) -> Graph:
        """The checked graph of a workflow; raises ProblemError with all its errors."""
        if isinstance(workflow, Graph):
            return workflow
        checked = self.check(workflow, params)
        if checked.graph is None:
            raise ProblemError(checked.errors)
        return checked.graph

    async def run_async(
        self,
        workflow: Workflow | Graph,
        params: Mapping[str, object] | None = None,
        *,
        only: Sequence[str] = (),
        want: Collection[str] | None = None,
        on_event: Listener | None = None,
        token: CancelToken | None = None,
    ) -> RunResult:
        """Check and run a workflow. See `run`."""
        graph = self.graph(workflow, params)
        settings = self.settings
        roots = settings.roots(graph.workflow)
        device, dtype = settings.device, settings.dtype
        todo = plan(
            graph,
            only=only,
            environment=environment_class(device, dtype),
            roots=roots,
            files=self.files,
            reuse=settings.reuse,
        )
        wanted = _numbers(graph, want) if want is not None else todo.targets
        tells = any(graph.nodes[i].spec.context_name is not None for i in todo.order)
        context = Context(
            roots=roots,
            device=device,
            dtype=dtype,
            pool=self.pool,
            provenance=provenance_of(graph, roots) if tells else Provenance(),
            digest_file=self.files.digest,
            previews=settings.previews,
        )
        return await execute(
            todo,
            store=self.store,
            engine=self.engine,
            context=context,
            on_event=on_event,
            token=token,
            want=wanted,
        )

    def run(
        self,
        workflow: Workflow | Graph,
        params: Mapping[str, object] | None = None,
        *,
        only: Sequence[str] = (),
        want: Collection[str] | None = None,
        on_event: Listener | None = None,
        token: CancelToken | None = None,
    ) -> RunResult:
        """Check and run a workflow, and wait for it.

        only: run these nodes instead of the output nodes. want: nodes whose values the result is to hold (default:
        the targets). Raises ProblemError, before anything runs, for a workflow with errors; a node that fails while
        running is told in the result. May also be called where an event loop runs (a notebook).
        """
        token = token or CancelToken()
        return _run_anywhere(
            lambda: self.run_async(workflow, params, only=only, want=want, on_event=on_event, token=token), token
        )


def _numbers(graph: Graph, names: Collection[str]) -> list[int]:
    unknown = [name for name in names if name not in graph.index]
    if unknown:
        raise ProblemError(unknown_target(graph, name) for name in unknown)
    return [graph.index[name] for name in names]


def _run_anywhere(make: Callable[[], Coroutine[object, object, T]], token: CancelToken) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(asyncio.run(make()))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="nodegraph-run")
    thread.start()
    try:
        thread.join()
    except BaseException:  # Ctrl-C in a notebook
        token.cancel()
        thread.join()
        raise
    if failure:
        raise failure[0]
    return result[0]

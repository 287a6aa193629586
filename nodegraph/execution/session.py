"""A session: the registry, results, live models and settings that several runs share."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from nodegraph.cache.address import address_of
from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.disk import DiskStore
from nodegraph.cache.index import Index
from nodegraph.cache.journal import Journal, Seen
from nodegraph.cache.keys import environment_class
from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.pool import LivePool
from nodegraph.cache.records import ResultStore
from nodegraph.cache.remote import Remote
from nodegraph.cache.shared import SharedStore
from nodegraph.context import CancelToken, Context, Provenance
from nodegraph.engines.contract import Engine
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.engine import open_engine
from nodegraph.execution.events import Listener
from nodegraph.execution.executor import execute
from nodegraph.execution.explain import Explained, explain, fields_of
from nodegraph.execution.forecast import Forecast, forecast
from nodegraph.execution.manifest import keep_manifest, manifest_of, new_run_id
from nodegraph.execution.plan import Plan, plan, unknown_target
from nodegraph.execution.provenance import provenance_of, source_of
from nodegraph.execution.result import RunResult, Trace
from nodegraph.execution.settings import Settings
from nodegraph.execution.states import DONE, HIT, TODO
from nodegraph.files import FileDigests
from nodegraph.graph.build import check
from nodegraph.graph.cells import numbers_of
from nodegraph.graph.model import Checked, Graph
from nodegraph.graph.seeds import RANDOM, with_random_seeds
from nodegraph.registry import Registry, load_registry
from nodegraph.workflow.document import Workflow

T = TypeVar("T")
CHECKPOINT_AGE = 7 * 24 * 3600.0  # seconds after which nobody comes back for an interrupted run


@dataclass(slots=True)
class Session:
    """Runs workflows one after another, keeping models between them, and results also beyond.

    with Session() as session:
        session.run(workflow, params={"seed": 1})
        session.run(workflow, params={"seed": 2})  # encodes no prompt again
    """

    settings: Settings = field(default_factory=Settings)
    registry: Registry = field(default=cast(Registry, None))
    store: ResultStore = field(default=cast(ResultStore, None))
    pool: LivePool = field(default=cast(LivePool, None))
    engine: Engine = field(default=cast(Engine, None))
    files: FileDigests = field(default=cast(FileDigests, None))
    journal: Journal = field(default=cast(Journal, None))
    checkpoints: Checkpoints | None = None
    notices: deque[str] = field(default_factory=deque[str], init=False)

    def __post_init__(self) -> None:
        """Make what was not given, as the settings say."""
        if self.settings.devices:
            self.settings = replace(self.settings, device=self.settings.devices[0])
        self.registry = self.registry or registry_for(self.settings)
        self.store = self.store or open_store(self.settings, self.notices.append)
        self.pool = self.pool or LivePool(self.settings.model_memory)
        self.journal = self.journal or Journal(_index_of(self.store))
        self.checkpoints = self.checkpoints or _checkpoints_of(self.store, self.notices.append)
        self.files = self.files or FileDigests(self.store if isinstance(self.store, DiskStore) else None)
        self.engine = self.engine or open_engine(self.settings, self.registry, self.files, self.checkpoints)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engine's threads and workers, let go of models, and close the store."""
        self.engine.close()
        self.pool.clear()
        if isinstance(self.store, DiskStore):
            self.store.close()

    def check(self, workflow: Workflow, params: Mapping[str, object] | None = None) -> Checked:
        """Check a workflow against this session's nodes and folders."""
        workflow = with_random_seeds(workflow, self.registry)
        return check(workflow, self.registry, roots=self.settings.roots(workflow), overrides=params)

    def graph(self, workflow: Workflow | Graph, params: Mapping[str, object] | None = None) -> Graph:
        """The checked graph of a workflow; raises ProblemError with all its errors."""
        if isinstance(workflow, Graph):
            return workflow
        anew = [name for name, value in (params or {}).items() if value == RANDOM]
        workflow = with_random_seeds(workflow, self.registry, again=anew)
        drawn = {name for name in anew if name in workflow.params and workflow.params[name].type == "INT"}
        params = {name: value for name, value in (params or {}).items() if name not in drawn}
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
        editor: str | None = None,
        watched: Callable[[], bool] = lambda: True,
        later: Callable[[Callable[[], object]], None] | None = None,
    ) -> RunResult:
        """Check and run a workflow. See `run`. editor: the file of ComfyUI's editor that pictures are to carry.
        watched: whether anybody looks at previews just now. later: takes what is left to be recorded of the run, to be
        called after that of the run before; the result then has no manifest.
        """
        graph, todo, wanted = self._plan(workflow, params, only, want)
        roots, run = self.settings.roots(graph.workflow), new_run_id()
        tells = any(graph.nodes[i].spec.context_name is not None for i in todo.order)
        origin = provenance_of(graph, roots, run) if tells else Provenance()
        context = Context(
            roots=roots,
            device=self.settings.device,
            dtype=self.settings.dtype,
            vae_dtype=self.settings.vae_dtype,
            pool=self.pool,
            provenance=replace(origin, editor=editor),
            digest_file=self.files.digest,
            previews=self.settings.previews,
            watched=watched,
        )
        result = await execute(
            todo,
            store=self.store,
            engine=self.engine,
            context=context,
            on_event=on_event,
            token=token,
            want=wanted,
            files=self.files,
            notices=self.notices,
            checkpoints=self.checkpoints,
            registry=self.registry,
        )
        if later is not None:
            later(lambda: self._recorded(run, result, only))
            return result
        return self._recorded(run, result, only)

    def _plan(
        self,
        workflow: Workflow | Graph,
        params: Mapping[str, object] | None,
        only: Sequence[str],
        want: Collection[str] | None,
    ) -> tuple[Graph, Plan, Sequence[int]]:
        """The graph of a workflow, the plan of a run, and the numbers of the nodes whose values are asked for."""
        graph, settings = self.graph(workflow, params), self.settings
        todo = plan(
            graph,
            only=only,
            environment=environment_class(settings.device, settings.dtype, settings.vae_dtype),
            roots=settings.roots(graph.workflow),
            files=self.files,
            cache=settings.cache,
        )
        return graph, todo, _numbers(graph, want) if want is not None else todo.targets

    def explain(
        self,
        workflow: Workflow | Graph,
        params: Mapping[str, object] | None = None,
        *,
        only: Sequence[str] = (),
        want: Collection[str] | None = None,
    ) -> tuple[Explained, ...]:
        """Say of each node that `run` would ask for, in order, whether it would run and why; runs nothing.

        Raises ProblemError for a workflow with errors.
        """
        graph, todo, wanted = self._plan(workflow, params, only, want)
        roots = self.settings.roots(graph.workflow)
        foretold = forecast(todo, self.store, roots=roots, files=self.files, want=wanted)
        return explain(todo, foretold, self.journal.last(scope_of(graph)))

    def _recorded(self, run: str, result: RunResult, only: Sequence[str]) -> RunResult:
        """Note what the nodes were like, and write the manifest."""
        trace = result.trace
        if trace is None:
            return result
        scope = scope_of(trace.plan.graph)
        foretold = Forecast(bytearray(trace.foretold), list(trace.keys), list(trace.records), dict(trace.lost))
        ran = any(state == TODO for state in trace.foretold)
        explained = explain(trace.plan, foretold, self.journal.last(scope)) if ran else ()
        self.journal.note(scope, _changed(trace, self.journal.last(scope)))
        manifest = manifest_of(run, result, trace, explained, _text_of(trace.plan.graph), only)
        if isinstance(self.store, DiskStore) and self.store.index is not None:
            try:
                keep_manifest(manifest, self.store.folder / "runs")
            except OSError as error:
                self.notices.append(f"the record of this run cannot be kept ({error.strerror or error})")
        return replace(result, manifest=manifest)

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


def _text_of(graph: Graph) -> str:
    """The workflow as a text: its author's where there is one (the manifest has the parameters beside it)."""
    text = graph.workflow.text if graph.workflow is not None else None
    return text if text is not None else source_of(graph) or ""


def scope_of(graph: Graph) -> str:
    """What a workflow is remembered by: its file, or that it has none."""
    file = graph.workflow.path if graph.workflow is not None else None
    return str(Path(file).absolute()) if file is not None and not file.startswith("<") else file or "-"


def _changed(trace: Trace, last: Mapping[str, Seen]) -> dict[str, Seen]:
    """The nodes that are there now and were another action last time."""
    nodes, changed = trace.plan.graph.nodes, dict[str, Seen]()
    for i in trace.plan.order:
        if trace.states[i] in (HIT, DONE):
            name, key = nodes[i].id, trace.keys[i]
            before = last.get(name)
            if before is None or before.key != key:
                fields = fields_of(trace.plan, i, trace.records)
                changed[name] = Seen(key, json.dumps(fields, ensure_ascii=False, separators=(",", ":")))
    return changed


def registry_for(settings: Settings, folders: Sequence[Path] = ()) -> Registry:
    """The node types of installed packs, of those in `folders`, and of the packs for ComfyUI that the settings name."""
    return load_registry(
        folders, custom_nodes=settings.custom_nodes, allow_packs=settings.allow_packs, roots=settings.roots(None)
    )


def open_store(settings: Settings, warn: Callable[[str], None]) -> ResultStore:
    """The store that the settings ask for; `warn` is told what keeps results from outliving the process."""
    remote = remote_of(settings, warn)
    if settings.cache_dir is None:
        if remote is not None:
            warn(f"the remote cache {remote.address} is not used: results are kept in memory only")
        return MemoryStore(settings.cache_memory)
    options: dict[str, Any] = {
        "memory": settings.cache_memory,
        "budget": settings.cache_size,
        "free": settings.free_space,
        "warn": warn,
    }
    if remote is None:
        return DiskStore(settings.cache_dir, **options)
    return SharedStore(settings.cache_dir, remote, **options)


def remote_of(settings: Settings, warn: Callable[[str], None]) -> Remote | None:
    """The remote cache that the settings ask for. Raises ProblemError for an address that is none."""
    if settings.remote_cache is None:
        return None
    try:
        address = address_of(settings.remote_cache)
    except ValueError as error:
        raise ProblemError([Problem("bad_value", f"the remote cache cannot be used: {error}")]) from error
    return Remote(address, mode=settings.remote_cache_mode, timeout=settings.remote_cache_timeout, warn=warn)


def _index_of(store: ResultStore) -> Callable[[], Index | None]:
    return (lambda: store.index) if isinstance(store, DiskStore) else lambda: None


def _checkpoints_of(store: ResultStore, warn: Callable[[str], None]) -> Checkpoints | None:
    """Where long nodes note how far they got: beside the results, if those outlive the process."""
    if not isinstance(store, DiskStore) or store.index is None:
        return None
    checkpoints = Checkpoints(store.folder / "checkpoints", warn=warn)
    checkpoints.sweep(CHECKPOINT_AGE)
    return checkpoints


def _numbers(graph: Graph, names: Collection[str]) -> list[int]:
    unknown = [name for name in names if not numbers_of(graph, name)]
    if unknown:
        raise ProblemError(unknown_target(graph, name) for name in unknown)
    return [i for name in names for i in numbers_of(graph, name)]


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

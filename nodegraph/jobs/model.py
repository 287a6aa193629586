"""Jobs as data: what somebody asks for, what has become of it, and what happens meanwhile. Nothing here runs anything.

The states of a job:

    queued → running → done | failed | cancelled
    running → interrupted    its worker died, or the server did, more often than the job may be tried
    running → queued         the same, and it may be tried again; what finished is cached, so only the rest runs
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
OPEN: Final[tuple[State, ...]] = ("queued", "running")
FINAL: Final[tuple[State, ...]] = ("done", "failed", "cancelled", "interrupted")

#: JSON data, such as `json.loads` gives.
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    text: the workflow, in any format that `load_text` reads. file: what it is called in messages; sub-workflows are
    found beside it. folder: where `file` counts from, which sub-workflows may not leave. only: nodes to run instead of
    the output nodes. extra: what a client wants to be kept with the job (ComfyUI's `extra_data`). client: who asked, so
    that events find the way back; user: whose job it is (`default`: that of whoever `client` is). number: the place in
    the queue of the user's jobs where it differs from the order of arrival (lower runs first). front: before the user's
    other ones. priority: higher runs first; among users whose jobs have the same, the turn goes round.
    """

    text: str
    file: str | None = None
    folder: str | None = None
    params: Json = field(default_factory=dict[str, object])
    only: tuple[str, ...] = ()
    priority: int = 0
    front: bool = False
    number: float | None = None
    client: str = ""
    user: str = "default"
    extra: Json = field(default_factory=dict[str, object])
    id: str | None = None
    batch: str | None = None
    max_attempts: int = 2
    cache: Literal["auto", "memory", "off", "refresh"] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a job ended.

    outputs: node → {"files": [{filename, subfolder, type, digest, width, height, path}], "shown": {…}}, for nodes of
    the workflow and those that were added. problems: as `Problem.to_json` gives them. nodes: node → {type, display,
    parent, state, seconds}, of all that was asked for. error: why there is no more than this, such as "SIGSEGV".
    prompt: the workflow that ran, in API format.
    """

    outputs: Json = field(default_factory=dict[str, object])
    problems: Sequence[Json] = ()
    executed: Sequence[str] = ()
    cached: Sequence[str] = ()
    skipped: Sequence[str] = ()
    seconds: float = 0.0
    nodes: Json = field(default_factory=dict[str, object])
    error: str | None = None
    prompt: Json | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Times are seconds since 1970. number: its place among those of its user and priority."""

    id: str
    state: State
    request: Request
    number: float
    created: float
    attempts: int = 0
    started: float | None = None
    finished: float | None = None
    result: Result | None = None
    device: str | None = None


Kind = Literal[
    "job_queued",  # {number}
    "job_started",  # {device, attempt}
    "planned",  # {nodes, cached}
    "started",  # {node, type}
    "progress",  # {node, value, total}
    "cached",  # {node, type, files?, shown?}; files as in Result.outputs
    "finished",  # {node, type, seconds, files?, shown?}
    "failed",  # {node, type, problem, traceback}
    "skipped",  # {node, type, because, reason}
    "expanded",  # {node, type, added: [{node, type, display}]}
    "warning",  # {node, message}
    "job_finished",  # {state, seconds, executed, cached, failed, skipped, error?}
    "job_requeued",  # {reason}: its worker died, and it will be tried again
    "job_removed",  # {}: deleted from the queue or the history
    "queue",  # {queued, running, paused}: something about the queue changed; job is ""
    "worker",  # {device, state, pid}: a worker came up or went down; job is ""
]


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened. seq: rises by one from event to event of the whole service, also over restarts, so that
    whoever was away can ask for what came after the last one seen."""

    seq: int
    job: str
    kind: Kind
    at: float
    data: Json
    client: str = ""


@dataclass(frozen=True, slots=True)
class PreviewEvent:
    """What a node shows while it works, as a JPEG of at most 512 pixels. It has no number and is never repeated."""

    job: str
    node: str
    display: str
    parent: str | None
    image: bytes
    width: int
    height: int
    client: str = ""


class Subscription(Protocol):
    """Events as they come, for one reader. A slow reader costs a bounded amount of memory: its previews go first, of
    progress only the newest of each node is kept, and everything else always arrives, in order."""

    def __aiter__(self) -> AsyncIterator[JobEvent | PreviewEvent]: ...

    def close(self) -> None:
        """End it; iterating ends too."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process."""

    device: str
    state: Literal["starting", "ready", "busy", "stopping", "dead"]
    pid: int | None = None
    job: str | None = None
    memory: int = 0
    models: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of a request found: all problems, whether it can run, and the ids of the nodes that something is
    wanted from. nodes: id → type, of the graph if there is one, else of the document."""

    problems: Sequence[Json]
    runnable: bool
    outputs: Sequence[str] = ()
    nodes: Mapping[str, str] = field(default_factory=dict[str, str])


class JobService(Protocol):
    """The queue, its history and its workers, behind one door. Called from one event loop; methods that are not `async`
    answer within a millisecond or two."""

    async def start(self) -> None:
        """Open the store, take up jobs that a dead server left, and spawn the workers. Does not wait for them."""
        ...

    async def stop(self, grace: float = 10.0) -> None:
        """Let workers end their step and go; what did not end is queued again for the next start."""
        ...

    def submit(self, request: Request) -> Job:
        """Queue a job; it is on disk when this returns. Raises ProblemError if the queue is full or the id is taken."""
        ...

    def get(self, id: str) -> Job | None: ...

    def jobs(
        self,
        states: Collection[State] = (),
        *,
        offset: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
        user: str | None = None,
    ) -> list[Job]:
        """Jobs of these states (none given: all). Open ones come in the order in which they will run, others by time of
        ending."""
        ...

    def count(self, states: Collection[State] = (), *, user: str | None = None) -> int: ...

    def cancel(self, ids: Collection[str]) -> int:
        """Cancel queued and running jobs; returns how many it concerns."""
        ...

    def cancel_running(self) -> int:
        """Cancel whatever runs."""
        ...

    def delete(self, ids: Collection[str]) -> int:
        """Take jobs out of the queue or the history; running ones are cancelled first and stay in the history."""
        ...

    def clear(self, states: Collection[State]) -> int:
        """Delete all jobs of these states."""
        ...

    def move(
        self, id: str, *, front: bool = False, before: str | None = None, priority: int | None = None
    ) -> Job | None:
        """Put a queued job elsewhere among those of its user. front: before all of them; before: another
        job, if that is another user's as far as the turns allow; priority: among those of another priority."""
        ...

    def retry(self, id: str) -> Job | None:
        """Queue an ended job anew, under a new id."""
        ...

    def pause(self) -> None:
        """Begin no more jobs."""
        ...

    def resume(self) -> None: ...

    @property
    def paused(self) -> bool: ...

    def subscribe(
        self, *, after: int | None = None, job: str | None = None, previews: bool = False, limit: int = 1000
    ) -> Subscription:
        """Events from now on, or all that came after number `after` as far as they are kept (those of open jobs and of
        the last ended ones are). job: only of this one."""
        ...

    async def check(self, request: Request) -> CheckReport:
        """Check a workflow as a run would, without queueing anything."""
        ...

    async def explain(self, request: Request) -> Sequence[Json]:
        """For each node whether it would run, and why (`Explained.to_json`). Raises ProblemError."""
        ...

    async def convert(self, request: Request, to: str, *, picture: bool = False) -> Json:
        """The request's workflow as `yaml`, `json`, `api` or `ui`: {"text", "nodes", "problems", "missing"}. picture:
        the request's text is those of a picture by their keys, as JSON. Raises ProblemError."""
        ...

    async def sweep(
        self,
        request: Request,
        over: Mapping[str, str | Sequence[str | int | float | bool]],
        *,
        zipped: bool = False,
        grid: bool = True,
    ) -> Json:
        """The request's workflow swept over values by parameter or `node.input`, with sheets of its pictures:
        {"text", "params", "sheets"}. Raises ProblemError."""
        ...

    async def catalogue(self) -> Json:
        """All node types: {"nodes": name → facts as `nodegraph nodes --json` gives them, "object_info": name → the
        shape that ComfyUI's clients know, "broken": […], "web": pack → folder, "digest": changes if anything does}."""
        ...

    async def free(self, *, models: bool = False, memory: bool = False) -> None:
        """Let go of loaded models, and of results kept in memory."""
        ...

    def workers(self) -> Sequence[WorkerInfo]: ...

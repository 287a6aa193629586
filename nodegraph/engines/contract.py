"""What engines are to everybody else: errands, who takes them, and the workers of those that are not in this process.

The driver plans, looks up and keeps; an `Engine` only does what is missing. An `Errand` is one heavy node's work. It
can be done where it is (`here`), or be told to a worker elsewhere (`wire`) that does the same (`runner`). `remote` is
the engine that has such workers; how they are started and reached is a `Transport`, which knows nothing of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from nodegraph.context import Context
from nodegraph.engines.work import Job, Worked, work
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.handles import Handle
from nodegraph.sockets.steering import Guider

if TYPE_CHECKING:
    import numpy

#: Bytes that travel beside a message; large ones are numpy views (one-dimensional, uint8) of tensors, never copies.
Buffer: TypeAlias = "bytes | bytearray | memoryview | numpy.ndarray[tuple[int], numpy.dtype[numpy.uint8]]"
#: A message without its buffers: JSON data.
Message: TypeAlias = Mapping[str, object]


class Part(NamedTuple):
    """A piece of an action key that is not known yet: a framed input name, and the digest that arrives there, or the
    node of the same call and the output that it will come from."""

    frame: bytes
    digest: bytes | tuple[Hashable, int]


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """A node that will be next when those before it are done, told beforehand so that all travel as one call.

    ident: as of the errand that it becomes, if it comes to that. number: of the node, in its run. values: its arguments
    as far as they are known. links: those that nodes of the same call will give, by input: the node's ident and the
    number of its output. prefix, parts: what its key will be made of.
    """

    ident: Hashable
    number: int
    node: GraphNode
    values: Mapping[str, object]
    links: Mapping[str, tuple[Hashable, int]]
    prefix: bytes | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """One heavy node's work.

    ident: tells it from all others of the engine. key: of its action; keep: keeps what comes of it, in whatever thread
    that is. context: the node's own, which says how events are told, where files lie, and that the run was cancelled.
    resumes: whether it may go on from where an interrupted run stopped. ahead: what would come after it.
    """

    ident: Hashable
    job: Job
    key: bytes | None
    keep: Callable[[Worked], None]
    context: Context
    resumes: bool = False
    ahead: tuple[Ahead, ...] = ()

    def here(self) -> Worked:
        """Do it in this process, now."""
        return work(self.job, self.key, self.keep, self.context.pool)


class Engine(Protocol):
    """Does errands away from the event loop."""

    @property
    def width(self) -> int:
        """How many errands it does at once."""
        ...

    @property
    def chains(self) -> bool:
        """Whether it is of use to tell what would come after an errand."""
        ...

    def submit(self, errand: Errand) -> Future[Worked]:
        """Start an errand as soon as there is room for it. One that was told ahead, and has begun or is done, goes on
        from there. The future raises what the node raised, or a ProblemError."""
        ...

    def forget(self, idents: Sequence[Hashable]) -> None:
        """What was told ahead is not going to be asked for."""
        ...

    def close(self) -> None:
        """Let go of threads and workers; work under way is finished first, as far as it is done here."""
        ...


# --- workers elsewhere


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker says of itself when it is there.

    version: nodegraph's. environment: the class of environments that give the same numbers. packs: a digest of each
    node pack's code. memory, free: bytes on its device for models, 0 if that is not known. resources: whatever else
    it has, by name. host: tells machines apart.
    """

    device: str
    version: str
    environment: str
    packs: Mapping[str, str] = field(default_factory=dict[str, str])
    pid: int = 0
    host: str = ""
    memory: int = 0
    free: int = 0
    resources: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Lane:
    """A way to one worker, which does one call at a time. `name` stays the same when its worker is started again."""

    name: str
    hello: Hello


class Listener(Protocol):
    """Who is told what comes back. Methods may be called from any thread, for one lane in order; they return soon."""

    def message(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        """A worker says something. Buffers stay as they are for as long as somebody holds them."""
        ...

    def died(self, lane: str, reason: str, *, returns: bool) -> None:
        """A worker is gone that had said hello, and what it was at with it; or one in its place, before it could.
        returns: another one is being started."""
        ...

    def returned(self, lane: str, hello: Hello) -> None:
        """A worker is there (again), with nothing to do: also one of a new lane."""
        ...


class Transport(Protocol):
    """Starts workers and carries messages to them and back. Each worker has a `runner.Runner`.

    near: workers run on this machine, see the same files under the same names, and cost little to reach. reopens: where
    no workers could be had, there may be some later; `open` may then be called again.
    """

    @property
    def near(self) -> bool: ...

    @property
    def reopens(self) -> bool: ...

    @property
    def width(self) -> int:
        """How many workers there are, or are going to be."""
        ...

    def open(self, listener: Listener) -> Sequence[Lane]:
        """Start the workers, and wait for their hellos. Raises ProblemError if none can be had."""
        ...

    def send(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        """Have a worker do a call (`data["call"]` is its number), or whatever else `runner` understands. May take as
        long as the buffers take. What cannot be sent any more is told by `died`, and never raised."""
        ...

    def cancel(self, lane: str, call: int) -> None:
        """Ask a worker to stop a call at its next step."""
        ...

    def kill(self, lane: str) -> None:
        """End a worker at once; `died` is told, and another one started in its place."""
        ...

    def close(self) -> None:
        """End all workers. Nothing is told any more."""
        ...


# --- who goes where

#: Names of socket types whose values can travel.
TRAVELLING = frozenset(
    {
        "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "IMAGE", "MASK", "LATENT", "CONDITIONING", "SIGMAS",
        "MODEL", "CLIP", "VAE", "CONTROL_NET", "CLIP_VISION", "CLIP_VISION_OUTPUT", "STYLE_MODEL", "GLIGEN",
        "IPADAPTER", "UPSCALE_MODEL", "SAMPLER", "NOISE", "LATENT_OPERATION", "GUIDER",
    }
)  # fmt: skip


def travels(node: GraphNode) -> bool:
    """Whether a node's work may be done elsewhere.

    What stays: light and `async` nodes; what decides how the graph goes on (lazy and raw inputs, more nodes, several
    items); what saves files, whose folder is the driver's; what reads files by name, such as loaders, which make
    recipes of them; what was not written for nodegraph and may depend on the process it is in; and what gives values
    that only its own process knows.
    """
    spec, outputs = node.spec, node.spec.outputs
    if spec.light or spec.is_async or spec.output_node or spec.expands:
        return False
    if spec.lazy_inputs or spec.raw_inputs or spec.file_inputs or spec.takes_lists or spec.ask is not None:
        return False
    if spec.source is not None or spec.open or spec.keyed_by or not spec.pack:
        return False
    known = [TRAVELLING.issuperset(output.type.names) and not output.is_list for output in outputs]
    return bool(known) and all(known)


def recipes_in(arguments: Mapping[str, object]) -> dict[str, Handle]:
    """The models that a node is called with, by the file or folder that they are in: those of one file go together."""
    found: dict[str, Handle] = {}
    for value in arguments.values():
        handle = value.model if isinstance(value, Guider) else value
        while isinstance(handle, Handle):
            found.setdefault(handle.path or handle.content, handle)
            handle = getattr(handle, "second", None)
    return found

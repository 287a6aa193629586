"""What a remote engine knows of its errands: each as an entry, and the calls that they travel in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.context import Cancelled
from nodegraph.engines.contract import Buffer, Errand, Message, recipes_in
from nodegraph.engines.messages import Step, call_message, facts_of, read_preview, steps_of
from nodegraph.engines.placement import Needs
from nodegraph.engines.work import Worked
from nodegraph.errors import Problem, ProblemError
from nodegraph.files import FileDigests
from nodegraph.sockets.handles import Handle


@dataclass(slots=True, eq=False)
class Entry:
    """A node's work. errand, future: once it was asked for, and not only told ahead; until then what is said of it is
    kept in `said`. worked, error: what came of it before it was asked for. tries: how often a worker died over it;
    lost: what is to be said of that, if nobody had asked for it then."""

    step: Step
    errand: Errand | None = None
    future: Future[Worked] | None = None
    worked: Worked | None = None
    error: BaseException | None = None
    tries: int = 0
    lost: str = ""
    said: dict[str, tuple[Message, Sequence[Buffer]]] = field(
        default_factory=dict[str, tuple[Message, Sequence[Buffer]]]
    )

    @property
    def settled(self) -> bool:
        """Whether it is known what came of it."""
        return self.worked is not None or self.error is not None

    def ask(self, errand: Errand) -> Future[Worked]:
        """It is asked for now: what was said of it is passed on."""
        self.future = Future()
        if self.settled:
            self.future.set_running_or_notify_cancel()
        self.errand = errand
        said, self.said = self.said, {}
        for data, buffers in said.values():
            self.hear(data, buffers)
        return self.future

    def hear(self, data: Message, buffers: Sequence[Buffer]) -> None:
        """Pass on what the node says, or keep the newest of each kind."""
        if self.errand is None:
            kind = str(data["say"])
            self.said[kind if kind != "warning" else f"warning {data['message']}"] = (data, buffers)
            return
        context = self.errand.context
        match data["say"]:
            case "progress" if context.on_progress is not None:
                context.on_progress(_number(data["value"]), _number(data["total"]))
            case "preview" if context.on_preview is not None and context.previews:
                context.on_preview(read_preview(data, buffers))
            case "warning":
                context.warn(str(data["message"]))
            case _:
                pass

    def finish(self) -> None:
        """Tell whoever asked what came of it, after it was kept. To be called without a lock: both take their time."""
        errand, future = self.errand, self.future
        if errand is None or future is None or future.done():
            return
        try:
            if self.worked is not None:
                errand.keep(self.worked)
                future.set_result(self.worked)
            else:
                future.set_exception(self.error or Cancelled())
        except BaseException as error:
            if not future.done():
                future.set_exception(error)


@dataclass(slots=True, eq=False)
class Call:
    """Entries that travel together, in the order of steps. done: what has come of steps, for those that are sent again.
    user: whose turn it is. again: it was sent before. ticket: of its place in the line."""

    number: int
    entries: list[Entry]
    needs: Needs
    done: dict[Hashable, Worked] = field(default_factory=dict[Hashable, Worked])
    again: bool = False
    ticket: int = 0
    lane: str | None = None
    cancelled: bool = False
    watched: bool = True
    undo: Callable[[], object] = lambda: None

    @property
    def lead(self) -> Errand:
        """The errand that stands for all: they are of one run."""
        return next(entry.errand for entry in self.entries if entry.errand is not None)

    @property
    def user(self) -> str:
        """Whose turn it is: runs take turns."""
        return f"{id(self.lead.context.token):x}"

    @property
    def open(self) -> list[Entry]:
        """The entries of which it is not known what came of them."""
        return [entry for entry in self.entries if not entry.settled]

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it, or may yet."""
        return any(entry.errand is not None for entry in self.open)


def entries_of(errand: Errand) -> list[Entry]:
    """An errand and what would come after it."""
    return [Entry(step) for step in steps_of(errand)]


def needs_of(entries: Sequence[Entry]) -> Needs:
    """What a worker has to have for some entries."""
    recipes: dict[str, Handle] = {}
    for entry in entries:
        for arguments in entry.step.calls:
            recipes |= recipes_in(arguments or {})
    return Needs({name: size_of_model(handle.path) for name, handle in recipes.items()})


def size_of_model(path: str) -> int:
    """About how many bytes a model takes on a device, at the least: files hold more than one network, often in twice
    the bytes that a graphics card computes in."""
    try:
        home = Path(path)
        files = [each for each in home.rglob("*") if each.is_file()] if home.is_dir() else [home]
        return sum(file.stat().st_size for file in files) // 2 if path else 0
    except OSError:
        return 0


def message_of(
    call: Call, files: FileDigests, checkpoints: tuple[str, float] | None
) -> tuple[Message, Sequence[Buffer]]:
    """A call as it travels. Raises Unstorable."""
    steps = [entry.step for entry in call.entries]
    facts = facts_of(call.lead.context, checkpoints)._replace(
        files=[known for name in call.needs.recipes for known in files.known(Path(name))]
    )
    mentions = [mentions_of(step, call.lead, files) for step in steps]
    return call_message(call.number, steps, facts, call.done, mentions)


def mentions_of(step: Step, errand: Errand, files: FileDigests) -> Mapping[str, Sequence[str]]:
    """The digests of the files that a step's texts call by name, by input."""
    found: dict[str, list[str]] = {}
    for name, mentions in step.node.spec.mentioning.items():
        paths = [
            path
            for arguments in step.calls
            if isinstance(text := (arguments or {}).get(name), str)
            for path in mentions.find(text, errand.context.roots)
        ]
        try:
            found[name] = [files.digest(path) for path in paths]
        except OSError:
            found[name] = ["gone"]
    return found


def copy(source: Future[Worked], target: Future[Worked]) -> None:
    """Have what comes of one future come of another."""

    def settled(done: Future[Worked]) -> None:
        error = Cancelled() if done.cancelled() else done.exception()
        if error is not None:
            target.set_exception(error)
        else:
            target.set_result(done.result())

    source.add_done_callback(settled)


def gave_up(entry: Entry, reason: str) -> ProblemError:
    """A node over which worker after worker died."""
    node = entry.step.node
    return ProblemError(
        Problem(
            "worker_died",
            f"each of {entry.tries} workers ended while this ran; the last one: {reason}",
            node=node.id,
            got=reason,
            hint="the machine may have run out of memory" if reason == "SIGKILL" else None,
        )
    )


def no_worker_left(reason: str) -> ProblemError:
    """Nobody is there to do anything."""
    return ProblemError(Problem("no_worker", f"there is no worker left: {reason}", got=reason))


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0

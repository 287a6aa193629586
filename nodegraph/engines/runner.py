"""A worker's side: calls in, what becomes of them out. How messages come and go is the transport's business.

A runner has node types, loaded models and files of its own. It does one call at a time, in whatever thread `run` is
called in; `control` may be called from any other one meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.keys import action_key
from nodegraph.cache.pool import LivePool
from nodegraph.context import Cancelled, CancelToken, Context, Roots
from nodegraph.engines.contract import Buffer, Hello, Message
from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.locating import Locator
from nodegraph.engines.messages import (
    Call,
    Told,
    failure_message,
    outcome_message,
    preview_message,
    read_call,
)
from nodegraph.engines.wire import From
from nodegraph.engines.work import Job, Worked, work
from nodegraph.errors import Problem, ProblemError
from nodegraph.files import FileDigests, FileState
from nodegraph.graph.model import GraphNode
from nodegraph.registry import Registry, load_registry
from nodegraph.sockets.flow import Blocked, Many
from nodegraph.sockets.packing import BadFile, Unstorable
from nodegraph.spec import NodeSpec
from nodegraph.workflow.document import NodeEntry

#: Takes a message and its buffers to the driver; from any thread.
Say = Callable[[Message, Sequence[Buffer]], None]


class Runner:
    """Does calls. `registry` is for tests: otherwise it is that of installed packs and of those in the setup."""

    def __init__(self, setup: Setup, registry: Registry | None = None) -> None:
        self.setup = setup
        self.registry = registry or load_registry([Path(folder) for folder in setup.nodes])
        self.pool = LivePool(setup.model_memory)
        self.memos = _Memos()
        self.files = FileDigests(self.memos)
        self.locator = Locator(self.files, near=setup.near)
        self._lock = threading.Lock()
        self._current: tuple[int, CancelToken] | None = None
        self._early: set[int] = set()  # calls that were cancelled before they came
        self._watched = True

    def hello(self) -> Hello:
        """What this worker says of itself."""
        free, memory = _device_memory(self.setup.device)
        return hello_of(self.setup, self.registry, memory=memory, free=free)

    def control(self, data: Mapping[str, Any]) -> None:
        """Something to be heeded at once: `cancel` a call, `watch` (whether anybody looks at previews)."""
        match data["say"]:
            case "cancel":
                with self._lock:
                    current = self._current
                    if current is None or current[0] != data["call"]:
                        self._early.add(data["call"])
                        return
                current[1].cancel()
            case "watch":
                self._watched = bool(data["on"])
            case _:
                pass

    def run(self, data: Mapping[str, Any], buffers: Sequence[Buffer], say: Say) -> None:
        """Do a call. Whatever happens is told; what `say` raises ends the call."""
        number = int(data["call"])
        token = CancelToken()
        with self._lock:
            self._current = (number, token)
            if number in self._early:
                self._early.discard(number)
                token.cancel()
        try:
            self._steps(number, data, buffers, say, token)
        finally:
            with self._lock:
                self._current = None
            say({"say": "ended", "call": number, "models": self.pool.used}, ())

    def _steps(
        self, number: int, data: Mapping[str, Any], buffers: Sequence[Buffer], say: Say, token: CancelToken
    ) -> None:
        try:
            call = read_call(data, buffers)
        except BadFile as error:
            say({**_refused(Problem("worker_differs", str(error))), "call": number, "step": 0}, ())
            return
        self.memos.learn(call.facts.files)
        self._watched = call.facts.previews
        done: list[Worked] = []
        for i, told in enumerate(call.steps):
            worked = self._step(call, i, told, done, say, token)
            if worked is None:
                return
            done.append(worked)

    def _step(
        self, call: Call, i: int, told: Told, done: Sequence[Worked], say: Say, token: CancelToken
    ) -> Worked | None:
        """Do one step and tell what became of it; None if nothing that follows can be done."""
        spec = self.registry.get(told.type)
        if spec is None or spec.version != told.version or spec.source_digest != told.source:
            say({**_refused(_other_node(told, spec)), "call": call.number, "step": i}, ())
            return None
        node = GraphNode(told.node, spec, {}, {}, NodeEntry(told.node, told.type))
        try:
            if any(_is_unusual(given, done) for given in told.calls if given is not None):
                return None  # the driver decides what that means
            calls = [None if given is None else _filled(given, done) for given in told.calls]
            roots = self._roots(call.facts.roots)
            self._check_mentions(told, spec, calls, roots)
            given = [None if each is None else self.locator.located(each, roots) for each in calls]
            context = self._context(call, i, told, done, roots, say, token)
            context.check_cancelled()
            jobs = [self._with_context(cast("dict[str, object] | None", each), spec, context) for each in given]
            worked = work(Job(node, jobs, told.several), None, lambda worked: None, self.pool)
            message, buffers = outcome_message(call.number, i, worked)
            if worked.asks or worked.calls is not None:
                raise Unstorable("it asks for more")
        except Unstorable:
            say({"say": "home", "call": call.number, "step": i}, ())
            return None
        except (Exception, Cancelled) as error:
            say(failure_message(call.number, i, node, error), ())
            return None
        say(message, buffers)
        return worked

    def _with_context(
        self, arguments: dict[str, object] | None, spec: NodeSpec, context: Context
    ) -> dict[str, object] | None:
        if arguments is None or spec.context_name is None:
            return arguments
        return {**arguments, spec.context_name: context}

    def _roots(self, roots: Roots) -> Roots:
        """The driver's folders, with this worker's own models if it has some."""
        setup = self.setup
        if setup.near or not (setup.models or setup.extra_models):
            return roots if setup.near or setup.allow_pickle else replace(roots, allow_pickle=False)
        return replace(
            roots,
            models=tuple(map(Path, setup.models)),
            extra_models=tuple([(kind, Path(path)) for kind, path in setup.extra_models]),
            allow_pickle=roots.allow_pickle and setup.allow_pickle,
        )

    def _check_mentions(
        self, told: Told, spec: NodeSpec, calls: Sequence[Mapping[str, object] | None], roots: Roots
    ) -> None:
        """Texts may call files by name, which have to be the driver's. Raises ProblemError."""
        for name, wanted in told.mentions.items():
            mentions, found = spec.mentioning.get(name), list[str]()
            for arguments in calls:
                text = (arguments or {}).get(name)
                if mentions is not None and isinstance(text, str):
                    with contextlib.suppress(OSError):
                        found += [self.files.digest(path) for path in mentions.find(text, roots)]
            if found != list(wanted):
                raise ProblemError(
                    Problem(
                        "model_missing",
                        "the text calls files that the worker does not have, or that hold something else there",
                        input=name,
                        hint="copy them into the same folder of models there",
                    )
                )

    def _context(
        self,
        call: Call,
        i: int,
        told: Told,
        done: Sequence[Worked],
        roots: Roots,
        say: Say,
        token: CancelToken,
    ) -> Context:
        number, facts = call.number, call.facts
        base: dict[str, object] = {"call": number, "step": i}

        def warn(message: str) -> None:
            say({**base, "say": "warning", "message": message}, ())

        context = Context(
            node=told.node,
            roots=roots,
            device=self.setup.device,
            dtype=facts.dtype,
            vae_dtype=facts.vae_dtype,
            pool=self.pool,
            digest_file=self.files.digest,
            previews=True,
            watched=lambda: self._watched,
            token=token,
            on_progress=lambda value, total: say({**base, "say": "progress", "value": value, "total": total}, ()),
            on_preview=lambda image: say(*preview_message(number, i, image)),
            warn=warn,
        )
        key = _key(told, done)
        if not told.resumes or key is None or facts.checkpoints is None:
            return context
        folder, seconds = facts.checkpoints
        return replace(context, checkpoint=Checkpoints(Path(folder), seconds, warn=warn).of(key, warn))


class _Memos:
    """What the driver knows of files: digests by path and state."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[FileState, str]] = {}

    def learn(self, files: Sequence[tuple[str, Sequence[int], str]]) -> None:
        """Take note of what the driver tells."""
        for path, state, digest in files:
            self.known[path] = (FileState(*state), digest)

    def recall(self, path: str) -> tuple[FileState, str] | None:
        return self.known.get(path)

    def remember(self, path: str, state: FileState, digest: str) -> None:
        self.known[path] = (state, digest)


def _filled(arguments: Mapping[str, object], done: Sequence[Worked]) -> dict[str, object]:
    """Arguments with what earlier steps gave."""
    return {
        name: done[value.step].values[value.output] if isinstance(value, From) else value
        for name, value in arguments.items()
    }


def _is_unusual(arguments: Mapping[str, object], done: Sequence[Worked]) -> bool:
    """Whether an earlier step gave several items for one, or none."""
    given = [value for value in arguments.values() if isinstance(value, From)]
    return any(type(done[value.step].values[value.output]) in (Many, Blocked) for value in given)


def _key(told: Told, done: Sequence[Worked]) -> bytes | None:
    """The action key of a step."""
    if told.key is not None or told.prefix is None:
        return told.key
    links = [
        (frame, part if isinstance(part, bytes) else done[part[0]].record.digests[part[1]])
        for frame, part in told.parts
    ]
    return action_key(told.prefix, links)


def _other_node(told: Told, spec: NodeSpec | None) -> Problem:
    how = "does not have this node type" if spec is None else "has another version of this node type"
    message = f"'{told.node}' ({told.type}): the worker {how}"
    return Problem("worker_differs", message, hint="install the same node packs on both")


def _refused(problem: Problem) -> dict[str, object]:
    return {"say": "failed", "cancelled": False, "problem": problem.to_json(), "details": ""}


def _device_memory(device: str) -> tuple[int, int]:
    """Free bytes and all bytes of a graphics card; 0 for what has no bound of its own. Imports torch if it is one."""
    if not device.startswith("cuda"):
        return 0, 0
    try:
        import torch

        free, total = torch.cuda.mem_get_info(device)
    except (ImportError, RuntimeError, AssertionError):
        return 0, 0
    return int(free), int(total)


def share_threads(setup: Setup) -> None:
    """Have libraries that this process has not imported use as many threads as the setup says."""
    if setup.threads is not None and "torch" not in sys.modules:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(setup.threads)

"""From what happens to a job to the messages that ComfyUI's clients know, in their order.

A `Run` is what is known of one job that runs. `Run.take` notes an event and gives the messages that tell it; `Run.now`
gives those that tell a client that comes late how things stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final, cast

from nodegraph.jobs.model import JobEvent, Json
from nodegraph.server.comfy.shapes import failed, interrupted, milliseconds, output_of

Data = dict[str, object]

#: How many nodes one message tells the state of; some clients take no more than a mebibyte at once.
MOST_NODES: Final = 500
#: Messages before which states of nodes may be told that came after them.
PASSED: Final = ("executing", "progress", "executed")


@dataclass(frozen=True, slots=True)
class Message:
    """One message. nodes: of a `progress_state`, which may be joined with the one after it."""

    type: str
    data: Data
    nodes: Mapping[str, Data] | None = None


@dataclass(slots=True)
class Run:
    """One job that runs: what its nodes are shown as, which of them runs, and how far."""

    job: str
    display: dict[str, str] = field(default_factory=dict[str, str])
    parents: dict[str, str] = field(default_factory=dict[str, str])
    running: dict[str, tuple[str, float, float]] = field(default_factory=dict[str, tuple[str, float, float]])
    executed: list[str] = field(default_factory=list[str])
    cached: list[str] | None = None  # until they are told, with what they show
    held: list[Message] = field(default_factory=list[Message])
    failure: Json | None = None
    started: bool = False

    def copy(self) -> Run:
        """This, to be changed by somebody else."""
        return deepcopy(self)

    def take(self, event: JobEvent) -> Iterator[Message]:
        """Note an event; the messages that tell it."""
        if self.cached is not None and event.kind not in ("cached", "planned", "expanded"):
            yield from self._told_cached(event.at)
        teller = _TELLERS.get(event.kind)
        if teller is not None:
            yield from teller(self, event)

    def now(self) -> Iterator[Message]:
        """How things stand: what runs, how far it is."""
        if not self.running:
            return
        for node, (_, value, total) in self.running.items():
            yield self._state(node, "running", value, total)
        yield self._executing(next(reversed(self.running)))

    def begin(self, event: JobEvent) -> Iterator[Message]:
        self.started = True
        self.running.clear()
        self.executed.clear()
        self.failure = None
        yield Message("execution_start", {"prompt_id": self.job, "timestamp": milliseconds(event.at)})

    def plan(self, event: JobEvent) -> Iterator[Message]:
        self.cached = []
        yield from ()

    def _told_cached(self, at: float) -> Iterator[Message]:
        told: Data = {"nodes": self.cached or [], "prompt_id": self.job, "timestamp": milliseconds(at)}
        held, self.held, self.cached = self.held, [], None
        yield Message("execution_cached", told)
        yield from held

    def node_cached(self, event: JobEvent) -> Iterator[Message]:
        node = str(event.data["node"])
        self.executed.append(node)
        if self.cached is not None:
            self.cached.append(node)
            self.held += self._shown(node, event.data)
        else:
            yield from self._shown(node, event.data)

    def node_started(self, event: JobEvent) -> Iterator[Message]:
        node = str(event.data["node"])
        self.running[node] = (str(event.data.get("type", "")), 0, 1)
        yield self._state(node, "running", 0, 1)
        yield self._executing(node)

    def node_progressed(self, event: JobEvent) -> Iterator[Message]:
        node = str(event.data["node"])
        value, total = _plain(event.data.get("value")), _plain(event.data.get("total"))
        before = self.running.get(node, ("", None, None))
        self.running[node] = (before[0], value, total)
        if self.running[node] != before:
            yield self._state(node, "running", value, total)
        yield Message("progress", {"value": value, "max": total, "prompt_id": self.job, "node": node})

    def node_finished(self, event: JobEvent) -> Iterator[Message]:
        node = str(event.data["node"])
        _, _, total = self.running.pop(node, ("", 0, 1))
        self.executed.append(node)
        yield self._state(node, "finished", total, total)
        yield from self._shown(node, event.data)

    def node_failed(self, event: JobEvent) -> Iterator[Message]:
        node = str(event.data["node"])
        _, value, total = self.running.pop(node, ("", 0, 1))
        if self.failure is None:
            self.failure = event.data
        yield self._state(node, "error", value, total)

    def expanded(self, event: JobEvent) -> Iterator[Message]:
        parent = str(event.data["node"])
        for added in cast("Sequence[Json]", event.data.get("added") or ()):
            node = str(added["node"])
            self.display[node] = str(added.get("display") or node)
            self.parents[node] = parent
        yield from ()

    def end(self, event: JobEvent) -> Iterator[Message]:
        at, state = milliseconds(event.at), event.data.get("state")
        if not self.started:
            return
        current = next(((node, facts[0]) for node, facts in reversed(self.running.items())), None)
        if state == "done":
            yield Message("execution_success", {"prompt_id": self.job, "timestamp": at})
        elif state == "cancelled":
            yield Message("execution_interrupted", interrupted(self.job, self.executed, current, at))
        else:
            yield Message("execution_error", self._error(event, current) | {"timestamp": at})

    def _error(self, event: JobEvent, current: tuple[str, str] | None) -> Data:
        if self.failure is not None:
            problem = cast(Json, self.failure.get("problem") or {})
            message, kind = str(problem.get("message", "")), str(problem.get("code", "node_failed"))
            trace = str(self.failure.get("traceback") or "")
            data = failed(self.job, str(self.failure["node"]), self.failure.get("type"), message, kind, trace)
        else:
            node, type_ = current or (None, None)
            told = event.data.get("error") or event.data.get("state")
            data = failed(self.job, node, type_, str(told), str(event.data.get("state")))
        return data | {"executed": list(self.executed)}

    def _shown(self, node: str, data: Json) -> Iterator[Message]:
        output = output_of(data)
        if output:
            shown: Data = {"node": node, "display_node": self.display.get(node, node), "output": output}
            shown["prompt_id"] = self.job
            yield Message("executed", shown)

    def _executing(self, node: str) -> Message:
        shown = self.display.get(node, node)
        return Message("executing", {"node": node, "display_node": shown, "prompt_id": self.job})

    def _state(self, node: str, state: str, value: float, total: float) -> Message:
        facts: Data = {
            "value": value,
            "max": total,
            "state": state,
            "node_id": node,
            "prompt_id": self.job,
            "display_node_id": self.display.get(node, node),
            "parent_node_id": self.parents.get(node),
            "real_node_id": node,
        }
        return Message("progress_state", {"prompt_id": self.job}, {node: facts})


def joined(messages: Sequence[Message]) -> Iterator[Message]:
    """The same in fewer messages: of states of nodes that follow each other, with nothing but news of other nodes in
    between, only the newest of each node is told. What else there is stays, in order."""
    states: dict[str, Data] = {}
    rest: list[Message] = []
    job: object = None
    for message in messages:
        passed = message.nodes is not None or message.type in PASSED
        if not passed or message.data.get("prompt_id") != job or len(states) >= MOST_NODES:
            yield from _told(job, states, rest)
            job, states, rest = message.data.get("prompt_id"), {}, []
        if message.nodes is not None:
            states.update(message.nodes)
        elif passed:
            rest.append(message)
        else:
            yield message
    yield from _told(job, states, rest)


def _told(job: object, states: Mapping[str, Data], rest: Sequence[Message]) -> Iterator[Message]:
    if states:
        yield Message("progress_state", {"prompt_id": job, "nodes": dict(states)})
    yield from rest


def _plain(number: object) -> float:
    """A number of steps, whole if it is."""
    value = number if isinstance(number, int | float) and math.isfinite(number) else 0
    return int(value) if value == int(value) else value


_TELLERS: Final = {
    "job_started": Run.begin,
    "planned": Run.plan,
    "cached": Run.node_cached,
    "started": Run.node_started,
    "progress": Run.node_progressed,
    "finished": Run.node_finished,
    "failed": Run.node_failed,
    "expanded": Run.expanded,
    "job_finished": Run.end,
}

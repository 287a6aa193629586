"""What happens during a run, as data. Terminals, files and browsers all show the same events.

Events of one node come in order: started, progress and preview any number of times, then finished or failed. A node
that is cached or skipped has that one event. Every run begins with `Planned` and ends with `RunFinished`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nodegraph.errors import Problem
from nodegraph.sockets.values import Saved

if TYPE_CHECKING:
    import PIL.Image

Status = Literal["done", "failed", "cancelled"]
SkipReason = Literal["failed", "cancelled", "blocked", "off"]


@dataclass(frozen=True, slots=True)
class Planned:
    """The run is known: how many nodes it asks for, and how many of them are there already."""

    nodes: int
    cached: int

    def to_json(self) -> dict[str, object]:
        return {"event": "planned", "nodes": self.nodes, "cached": self.cached}


@dataclass(frozen=True, slots=True)
class Started:
    """A node begins to run."""

    node: str
    type: str

    def to_json(self) -> dict[str, object]:
        return {"event": "started", "node": self.node, "type": self.type}


@dataclass(frozen=True, slots=True)
class Progress:
    """A node is `value` of `total` steps far."""

    node: str
    value: float
    total: float

    def to_json(self) -> dict[str, object]:
        return {"event": "progress", "node": self.node, "value": self.value, "total": self.total}


@dataclass(frozen=True, slots=True)
class Preview:
    """A node shows what it is making."""

    node: str
    image: PIL.Image.Image

    def to_json(self) -> dict[str, object]:
        """The size only: pictures travel by other ways than JSON."""
        return {"event": "preview", "node": self.node, "width": self.image.width, "height": self.image.height}


@dataclass(frozen=True, slots=True)
class Finished:
    """A node has run."""

    node: str
    type: str
    seconds: float
    saved: Saved | None = None

    def to_json(self) -> dict[str, object]:
        data: dict[str, object] = {"event": "finished", "node": self.node, "type": self.type}
        return data | {"seconds": round(self.seconds, 6)} | _files(self.saved)


@dataclass(frozen=True, slots=True)
class Cached:
    """A node need not run: its result is known."""

    node: str
    type: str
    saved: Saved | None = None

    def to_json(self) -> dict[str, object]:
        return {"event": "cached", "node": self.node, "type": self.type} | _files(self.saved)


@dataclass(frozen=True, slots=True)
class Failed:
    """A node failed. `details` is the traceback, for its author."""

    node: str
    type: str
    problem: Problem
    details: str = ""

    def to_json(self) -> dict[str, object]:
        data: dict[str, object] = {"event": "failed", "node": self.node, "type": self.type}
        return data | {"problem": self.problem.to_json(), "traceback": self.details}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A node did not run: the node `because` failed, the run was cancelled, no value came for it (blocked), or its
    `when` does not hold (off)."""

    node: str
    type: str
    because: str | None
    reason: SkipReason = "failed"

    def to_json(self) -> dict[str, object]:
        data: dict[str, object] = {"event": "skipped", "node": self.node, "type": self.type}
        return data | {"because": self.because, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Expanded:
    """A node has added others: their ids, types, and the nodes of the workflow that they are shown as."""

    node: str
    type: str
    added: tuple[tuple[str, str, str], ...]

    def to_json(self) -> dict[str, object]:
        added = [{"node": node, "type": type_, "display": display} for node, type_, display in self.added]
        return {"event": "expanded", "node": self.node, "type": self.type, "added": added}


@dataclass(frozen=True, slots=True)
class Warned:
    """A node, or with no name nodegraph itself, has something to say that is not an error."""

    node: str
    message: str

    def to_json(self) -> dict[str, object]:
        return {"event": "warning", "node": self.node, "message": self.message}


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over, and how it went, in numbers of nodes."""

    status: Status
    seconds: float
    executed: int
    cached: int
    failed: int
    skipped: int

    def to_json(self) -> dict[str, object]:
        counts = {
            "executed": self.executed,
            "cached": self.cached,
            "failed": self.failed,
            "skipped": self.skipped,
        }
        return {"event": "run_finished", "status": self.status, "seconds": round(self.seconds, 6), **counts}


Event = Planned | Started | Progress | Preview | Finished | Cached | Failed | Skipped | Expanded | Warned | RunFinished
Listener = Callable[[Event], None]


def _files(saved: Saved | None) -> dict[str, object]:
    if saved is None:
        return {}
    shown: dict[str, object] = {"shown": dict(saved.shown)} if saved.shown else {}
    return {"files": [file.path for file in saved.files], **shown}

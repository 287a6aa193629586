"""How a run went, for whoever started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nodegraph.errors import Problem
from nodegraph.execution.events import Status
from nodegraph.sockets.values import Saved


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run went.

    `values` holds the outputs of the nodes asked for (by id, then output number), `outputs` the workflow's named
    outputs, `saved` what output nodes wrote, `problems` the failures, in the order in which they happened.
    """

    status: Status
    values: dict[str, tuple[object, ...]] = field(default_factory=dict[str, tuple[object, ...]])
    saved: dict[str, Saved] = field(default_factory=dict[str, Saved])
    problems: tuple[Problem, ...] = ()
    executed: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0
    outputs: Mapping[str, object] = field(default_factory=dict[str, object])

    def __getitem__(self, node: str) -> object:
        """The value of a node's only output, or the tuple of its outputs; KeyError if the run was not to keep it."""
        values = self.values[node]
        return values[0] if len(values) == 1 else values

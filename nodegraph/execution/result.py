"""How a run went, for whoever started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nodegraph.cache.records import Record
from nodegraph.errors import Problem
from nodegraph.execution.events import Status
from nodegraph.execution.plan import Plan
from nodegraph.sockets.values import Saved

if TYPE_CHECKING:
    from nodegraph.execution.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Trace:
    """A run by node number, for whoever wants to record or compare it: what was foretold (`HIT`, `TODO`), what became
    of it, the keys and records, why known results were not enough (see `forecast`), which nodes' results were reused,
    and the bytes of what nodes made."""

    plan: Plan
    foretold: bytes
    states: bytes
    keys: Sequence[bytes | None]
    records: Sequence[Record | None]
    lost: Mapping[int, str]
    reused: frozenset[int]
    sizes: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run went.

    `values` holds the outputs of the nodes asked for (by id, then output number; a list where an output gave several
    items), `outputs` the workflow's named
    outputs, `saved` what output nodes wrote, `problems` the failures, in the order in which they happened.
    """

    status: Status
    values: dict[str, tuple[object, ...]] = field(default_factory=dict[str, tuple[object, ...]], repr=False)
    saved: dict[str, Saved] = field(default_factory=dict[str, Saved])
    problems: tuple[Problem, ...] = ()
    executed: tuple[str, ...] = field(default=(), repr=False)  # asyncio makes the repr of every result
    cached: tuple[str, ...] = field(default=(), repr=False)
    skipped: tuple[str, ...] = field(default=(), repr=False)
    seconds: float = 0.0
    outputs: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    trace: Trace | None = field(default=None, repr=False)
    manifest: Manifest | None = field(default=None, repr=False)

    def __getitem__(self, node: str) -> object:
        """The value of a node's only output, or the tuple of its outputs; KeyError if the run was not to keep it."""
        values = self.values[node]
        return values[0] if len(values) == 1 else values

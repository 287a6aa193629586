"""Verification: run again what a manifest records, with nothing reused, and compare what every node gives."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from nodegraph.cache.keys import environment_class
from nodegraph.cache.memory import MemoryStore
from nodegraph.context import CancelToken
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.events import Listener
from nodegraph.execution.manifest import Manifest
from nodegraph.execution.result import RunResult, Trace
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.graph.model import Graph
from nodegraph.registry import Registry
from nodegraph.sockets.codecs import as_tensor
from nodegraph.workflow.read import load_text

EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Difference:
    """The first node, in the order in which they run, whose output is another one than recorded.

    `action_differs`: it is not even the same action (its code, a file or the environment changed). `largest` is the
    largest absolute difference between the numbers of the recorded output and the new one, where both are at hand.
    """

    node: str
    type: str
    output: int
    action_differs: bool
    largest: float | None = None
    recorded_shape: tuple[int, ...] | None = None
    shape: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a verification went: the nodes compared, the first difference if there is one, and versions that differ."""

    compared: int
    difference: Difference | None
    versions: Mapping[str, tuple[str | None, str | None]]
    problems: tuple[Problem, ...] = ()

    @property
    def same(self) -> bool:
        return self.difference is None and not self.problems

    def to_json(self) -> dict[str, object]:
        return {
            "same": self.same,
            "compared": self.compared,
            "difference": self.difference.to_json() if self.difference is not None else None,
            "versions": {name: list(pair) for name, pair in self.versions.items()},
            "problems": [problem.to_json() for problem in self.problems],
        }


def verify(
    manifest: Manifest,
    settings: Settings,
    registry: Registry,
    *,
    recorded: Callable[[bytes], tuple[object, ...] | None] = lambda key: None,
    on_event: Listener | None = None,
    token: CancelToken | None = None,
) -> Verdict:
    """Run a manifest's workflow again, reusing nothing and saving to a temporary folder, and compare.

    `recorded` gives the values that a result was kept with, by action key. Raises ProblemError if the workflow cannot
    run any more.
    """
    with tempfile.TemporaryDirectory(prefix="nodegraph-verify-") as folder:
        aside = replace(settings, output=Path(folder), temp=Path(folder) / "temp", cache_dir=None, cache="auto")
        store = MemoryStore(settings.cache_memory)
        with Session(aside, registry, store=store) as session:
            graph = graph_of(manifest, session)
            only = [name for name in manifest.only if name in graph.index]
            result = session.run(graph, only=only, want=(), on_event=on_event, token=token)
    versions = _versions(manifest, result)
    trace = result.trace
    if trace is None or result.problems:
        return Verdict(0, None, versions, result.problems)
    environment = environment_class(settings.device, settings.dtype, settings.vae_dtype).decode()
    found = _first(manifest, trace)
    if found is None:
        return Verdict(_compared(manifest, trace), None, versions)
    i, output = found
    node, key = trace.plan.graph.nodes[i], trace.keys[i]
    before = manifest.nodes[node.id].get("key")
    difference = Difference(node.id, node.spec.name, output, key is not None and before != key.hex())
    if manifest.environment != environment:
        versions = {**versions, "environment": (manifest.environment, environment)}
    old = recorded(bytes.fromhex(before)) if isinstance(before, str) else None
    new = store.values(key) if key is not None else None
    if old is not None and new is not None and output < min(len(old), len(new)):
        difference = _measured(difference, old[output], new[output])
    return Verdict(_compared(manifest, trace), difference, versions)


def graph_of(manifest: Manifest, session: Session) -> Graph:
    """The graph of a manifest's workflow. Raises ProblemError."""
    loaded = load_text(manifest.workflow, file=manifest.file)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if loaded.workflow is None or errors:
        raise ProblemError(errors or loaded.problems)
    params = {name: value for name, value in manifest.params.items() if name in loaded.workflow.params}
    return session.graph(loaded.workflow, params)


def _first(manifest: Manifest, trace: Trace) -> tuple[int, int] | None:
    """The first node with another output than recorded, and the number of that output."""
    for i, recorded, new in _pairs(manifest, trace):
        for number, digest in enumerate(new):
            if number >= len(recorded) or recorded[number] != digest:
                return i, number
    return None


def _pairs(manifest: Manifest, trace: Trace) -> list[tuple[int, Sequence[str], Sequence[str]]]:
    pairs: list[tuple[int, Sequence[str], Sequence[str]]] = []
    for i in trace.plan.order:
        node, record = trace.plan.graph.nodes[i], trace.records[i]
        recorded = manifest.nodes.get(node.id, {}).get("outputs")
        if record is not None and isinstance(recorded, list) and node.spec.deterministic:
            pairs.append((i, cast("list[str]", recorded), [digest.hex() for digest in record.digests]))
    return pairs


def _compared(manifest: Manifest, trace: Trace) -> int:
    return len(_pairs(manifest, trace))


def _versions(manifest: Manifest, result: RunResult) -> dict[str, tuple[str | None, str | None]]:
    now: Mapping[str, str] = result.manifest.versions if result.manifest is not None else EMPTY
    names = sorted({*manifest.versions, *now})
    return {
        name: (manifest.versions.get(name), now.get(name))
        for name in names
        if manifest.versions.get(name) != now.get(name)
    }


def _measured(difference: Difference, old: object, new: object) -> Difference:
    """The difference with how large it is, the largest over all tensors in two values of the same build."""
    largest: float | None = None
    stack: list[tuple[object, object]] = [(old, new)]
    while stack:
        a, b = stack.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            members = cast("dict[object, object]", b)
            stack += [(value, members.get(name)) for name, value in cast("dict[object, object]", a).items()]
        elif isinstance(a, list | tuple) and isinstance(b, list | tuple):
            stack += list(zip(cast("list[object]", a), cast("list[object]", b), strict=False))
        elif isinstance(a, int | float) and isinstance(b, int | float):
            largest = max(largest or 0.0, abs(float(a) - float(b)))
        elif (x := as_tensor(cast(object, a))) is not None and (y := as_tensor(b)) is not None:
            if x.shape != y.shape:
                return replace(difference, recorded_shape=tuple(x.shape), shape=tuple(y.shape))
            delta = cast(Any, x.double() - y.double()).abs()
            largest = max(largest or 0.0, float(delta.max()) if delta.numel() else 0.0)
    return replace(difference, largest=largest)

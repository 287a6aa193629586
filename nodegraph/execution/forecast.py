"""The forecast: what a run will reuse and what it will have to do, found without running or reading any value.

The executor starts from it and `explain` shows it, so what is foretold is what happens.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodegraph.cache.keys import action_key
from nodegraph.cache.records import Record, ResultStore
from nodegraph.context import Roots
from nodegraph.execution.plan import Plan
from nodegraph.files import FileDigests
from nodegraph.sockets.values import Saved, SavedFile

UNUSED, HIT, TODO, DONE, FAILED, SKIPPED = range(6)


@dataclass(slots=True)
class Forecast:
    """By node number: what will be (HIT, TODO, or UNUSED for nodes that the run does not ask for), the action's key and
    record as far as they can be known, and for nodes to run whose record is known, why that is not enough."""

    state: bytearray
    keys: list[bytes | None]
    records: list[Record | None]
    lost: dict[int, str] = field(default_factory=dict[int, str])

    @classmethod
    def empty(cls, size: int) -> Forecast:
        """Nothing is known of `size` nodes."""
        return cls(bytearray(size), [None] * size, [None] * size)

    def hits(self) -> list[int]:
        """The nodes that will not run."""
        return [i for i, state in enumerate(self.state) if state == HIT]


def forecast(
    plan: Plan, store: ResultStore, *, roots: Roots, files: FileDigests, want: Collection[int] = ()
) -> Forecast:
    """Look up every node of the plan. `want` names nodes whose values are asked for."""
    seen = Forecast.empty(len(plan.graph.nodes))
    _look_up(seen, plan, store, roots, files)
    _follow_needs(seen, plan, store, want)
    return seen


def _look_up(seen: Forecast, plan: Plan, store: ResultStore, roots: Roots, files: FileDigests) -> None:
    state, keys, records = seen.state, seen.keys, seen.records
    prefixes, sources, fresh, record_of = plan.prefixes, plan.sources, plan.fresh, store.record
    for i in plan.order:
        state[i] = TODO
        prefix = prefixes[i]
        if prefix is None:
            continue
        links: list[tuple[bytes, bytes]] = []
        for name, source, output in sources[i]:
            known = records[source]
            if known is None:
                break
            links.append((name, known.digests[output]))
        else:
            keys[i] = key = action_key(prefix, links)
            if i in fresh:
                continue
            record = record_of(key)
            if record is None:
                continue
            if record.saved is not None:
                saved = usable_files(record.saved, store, roots, files)
                if saved is None:
                    seen.lost[i] = "output"
                    records[i] = record
                    continue
                record = replace(record, saved=saved)
            records[i] = record
            state[i] = HIT


def _follow_needs(seen: Forecast, plan: Plan, store: ResultStore, want: Collection[int]) -> None:
    """Known results whose values are needed but are not there have to be made again, and so on up the graph."""
    nodes, state = plan.graph.nodes, seen.state
    stack = [i for i in plan.order if state[i] == TODO]
    checked = bytearray(len(nodes))

    def look(i: int) -> None:
        if state[i] != HIT or checked[i]:
            return
        checked[i] = 1
        key = seen.keys[i]
        assert key is not None
        why = store.absent(key)
        if why is not None:
            seen.lost[i] = why
            state[i] = TODO
            stack.append(i)

    for i in want:
        look(i)
    while stack:
        for link in nodes[stack.pop()].links.values():
            look(link.node)


def usable_files(saved: Saved, store: ResultStore, roots: Roots, files: FileDigests) -> Saved | None:
    """What a node saved, at its place below this run's folders; None if a file there is another one, or is not there
    and cannot be written again."""
    targets: list[SavedFile] = []
    for file in saved.files:
        target = target_of(file, roots)
        if target is None:
            return None
        try:
            there = not file.digest or files.digest(target) == file.digest
        except FileNotFoundError:
            there = bool(file.digest) and store.has_file(file)
        except OSError:
            there = False
        if not there or (not file.digest and not target.is_file()):
            return None
        targets.append(file if file.path == str(target) else replace(file, path=str(target)))
    return saved if tuple(targets) == saved.files else replace(saved, files=tuple(targets))


def target_of(file: SavedFile, roots: Roots) -> Path | None:
    """Where a saved file belongs in this run; None if its name would lead outside the folder it belongs to."""
    root = {"output": roots.output, "temp": roots.temp}.get(file.type)
    if root is None:
        return Path(file.path)
    parts = (*filter(None, file.subfolder.split("/")), file.filename)
    plain = all(part not in ("", ".", "..") and not set("/\\\0") & set(part) for part in parts)
    target = root.joinpath(*parts)
    try:
        return target if plain and target.resolve().is_relative_to(root.resolve()) else None
    except OSError:
        return None

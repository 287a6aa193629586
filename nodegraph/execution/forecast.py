"""The forecast: what a run will reuse and what it will have to do, found without running or reading any value.

The executor starts from it and `explain` shows it, so what is foretold is what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodegraph.cache.records import Record, ResultStore
from nodegraph.context import Roots
from nodegraph.execution.keying import Material, Source
from nodegraph.execution.plan import Plan
from nodegraph.execution.reaching import look_elsewhere
from nodegraph.execution.stages import asked_for, gates_hold, key_of, strict_sources, with_sources
from nodegraph.execution.states import HIT, OFF, TODO, UNUSED
from nodegraph.files import FileDigests
from nodegraph.graph.model import GraphNode
from nodegraph.graph.pruning import without_inputs
from nodegraph.sockets.values import Saved, SavedFile


@dataclass(slots=True)
class Forecast:
    """By node number: what will be (HIT, TODO, OFF for nodes that `when:` keeps from running, or UNUSED for those that
    the run does not ask for), the action's key and record as far as they can be known, and for nodes to run whose
    record is known, why that is not enough. `distant`: nodes whose results come from a store elsewhere.

    Of graphs with lazy inputs or `when:`, also: `idle`, what will be with nodes that may yet be asked for; `active`,
    the links that nodes are known to need; `changed`, nodes that go without some inputs, with their keys' material;
    and `passed`, nodes whose `when` is known to hold.
    """

    state: bytearray
    keys: list[bytes | None]
    records: list[Record | None]
    lost: dict[int, str] = field(default_factory=dict[int, str])
    distant: set[int] = field(default_factory=set[int])
    idle: dict[int, int] = field(default_factory=dict[int, int])
    active: dict[int, tuple[Source, ...]] = field(default_factory=dict[int, "tuple[Source, ...]"])
    changed: dict[int, tuple[GraphNode, Material]] = field(default_factory=dict[int, "tuple[GraphNode, Material]"])
    passed: set[int] = field(default_factory=set[int])

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
    look_elsewhere(plan, store)
    _look_up(seen, plan, store, roots, files)
    if plan.staged:
        _leave_idle(seen, plan, want)
    _follow_needs(seen, plan, store, want)
    return seen


def _look_up(seen: Forecast, plan: Plan, store: ResultStore, roots: Roots, files: FileDigests) -> None:
    state, keys, records = seen.state, seen.keys, seen.records
    prefixes, sources, fresh, staged = plan.prefixes, plan.sources, plan.fresh, plan.staged

    def look(i: int, key: bytes) -> bool:
        """Whether the result of node `i` is known."""
        keys[i] = key
        record = store.record(key) if i not in fresh else None
        if record is None:
            return False
        if record.saved is not None:
            saved = usable_files(record.saved, store, roots, files)
            if saved is None:
                seen.lost[i] = "output"
                records[i] = record
                return False
            record = replace(record, saved=saved)
        records[i] = record
        state[i] = HIT
        if store.is_distant(key):
            seen.distant.add(i)
        return True

    for i in plan.order:
        state[i] = TODO
        if staged:
            _look_up_staged(seen, plan, store, i, look)
        elif (prefix := prefixes[i]) is not None and (key := key_of(prefix, sources[i], records)) is not None:
            look(i, key)


def _look_up_staged(seen: Forecast, plan: Plan, store: ResultStore, i: int, look: Callable[[int, bytes], bool]) -> None:
    """The same where it depends on other nodes whether a node runs, or which of its inputs it needs."""
    node = plan.graph.nodes[i]
    if node.when:
        try:
            holds = gates_hold(node, seen.state, seen.records)
        except TypeError:  # the run will tell
            return
        if holds is None:
            return
        if not holds:
            seen.state[i] = OFF
            return
        seen.passed.add(i)
    off = [name for name, link in node.links.items() if seen.state[link.node] == OFF]
    prefix = plan.prefixes[i]
    if off:
        changed = without_inputs(node, off)
        if changed is None:
            seen.state[i] = OFF
            return
        node, material = changed, plan.keyer.material_of(changed)
        seen.changed[i] = (node, material)
        prefix = material.prefix
    links = seen.active[i] = strict_sources(plan.keyer, node)
    while prefix is not None and (key := key_of(prefix, links, seen.records)) is not None:
        if look(i, key):
            return
        names = asked_for(store, key)
        if not names:
            return
        links = seen.active[i] = with_sources(plan.keyer, node, links, names)


def _leave_idle(seen: Forecast, plan: Plan, want: Collection[int]) -> None:
    """Nodes that nobody asks for so far, since only lazy inputs or nodes that may not run take from them, are idle."""
    nodes, asked = plan.graph.nodes, bytearray(len(seen.state))
    stack = [*plan.targets, *want]
    while stack:
        i = stack.pop()
        if asked[i]:
            continue
        asked[i] = 1
        stack += [link.node for link in nodes[i].when]
        if seen.state[i] != OFF and (not nodes[i].when or i in seen.passed):
            stack += [source for _, source, _ in seen.active[i]]
    for i in plan.order:
        if not asked[i]:
            seen.idle[i] = seen.state[i]
            seen.state[i] = UNUSED


def _follow_needs(seen: Forecast, plan: Plan, store: ResultStore, want: Collection[int]) -> None:
    """Known results whose values are needed but are not there have to be made again, and so on up the graph."""
    state, active, sources = seen.state, seen.active, plan.sources
    stack = [i for i in plan.order if state[i] == TODO]
    checked = bytearray(len(state))

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
        i = stack.pop()
        for _, source, _ in active.get(i, ()) if plan.staged else sources[i]:
            look(source)


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

"""Asking a store elsewhere what it knows of a plan: in waves, since a node has a key when what it takes is known."""

from __future__ import annotations

from collections.abc import Iterator

from nodegraph.cache.records import Record, ResultStore
from nodegraph.execution.plan import Plan
from nodegraph.execution.stages import key_of


def look_elsewhere(plan: Plan, store: ResultStore) -> None:
    """Have the store learn what it can of the plan's nodes; each wave asks for all that can be asked for at once."""
    if not store.reaches_out():
        return
    records: list[Record | None] = [None] * len(plan.graph.nodes)
    waves = _Waves(plan)
    ready = waves.first()
    while ready:
        asked: dict[int, bytes] = {}
        while ready:
            i = ready.pop()
            prefix = plan.prefixes[i]
            key = key_of(prefix, plan.sources[i], records) if prefix is not None else None
            if key is None:
                continue
            records[i] = store.record(key)
            if records[i] is None:
                asked[i] = key
            else:
                ready += waves.after(i)
        if asked:
            store.look_up(set(asked.values()))
        for i, key in asked.items():
            records[i] = store.record(key)
            if records[i] is not None:
                ready += waves.after(i)


class _Waves:
    """Which nodes can be asked for once others are known."""

    def __init__(self, plan: Plan) -> None:
        self._waits: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        for i in plan.order:
            if i in plan.fresh or _is_lazy(plan, i):
                continue
            needs = {source for _, source, _ in plan.sources[i]}
            self._waits[i] = len(needs)
            for source in needs:
                self._children.setdefault(source, []).append(i)

    def first(self) -> list[int]:
        """The nodes that wait for no others."""
        return [i for i, waits in self._waits.items() if waits == 0]

    def after(self, i: int) -> Iterator[int]:
        """The nodes that waited for the last of theirs, which is node `i`."""
        for child in self._children.get(i, ()):
            self._waits[child] -= 1
            if self._waits[child] == 0:
                yield child


def _is_lazy(plan: Plan, i: int) -> bool:
    """Whether only the node can say which of its inputs are in its key."""
    node = plan.graph.nodes[i]
    return i in plan.staged and not node.spec.lazy_inputs.isdisjoint(node.links)

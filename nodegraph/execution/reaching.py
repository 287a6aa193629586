"""Asking a store elsewhere what it knows of a plan: in waves, since a node has a key when what it takes is known."""

from __future__ import annotations

from nodegraph.cache.records import Record, ResultStore
from nodegraph.execution.plan import Plan
from nodegraph.execution.stages import key_of


def look_elsewhere(plan: Plan, store: ResultStore) -> None:
    """Have the store learn what it can of the plan's nodes; each wave asks for all that can be asked for at once."""
    if not store.reaches_out():
        return
    records: list[Record | None] = [None] * len(plan.graph.nodes)
    left = [i for i in plan.order if i not in plan.fresh and not _is_lazy(plan, i)]
    while left:
        asked: dict[int, bytes] = {}
        waiting: list[int] = []
        for i in left:
            prefix = plan.prefixes[i]
            key = key_of(prefix, plan.sources[i], records) if prefix is not None else None
            if key is None:
                waiting.append(i)
                continue
            records[i] = store.record(key)
            if records[i] is None:
                asked[i] = key
        store.look_up(set(asked.values()))
        for i, key in asked.items():
            records[i] = store.record(key)
        left = waiting if any(records[i] is not None for i in asked) else []


def _is_lazy(plan: Plan, i: int) -> bool:
    """Whether only the node can say which of its inputs are in its key."""
    node = plan.graph.nodes[i]
    return i in plan.staged and not node.spec.lazy_inputs.isdisjoint(node.links)

"""Topological order on plain adjacency lists, without recursion."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping, Sequence


def topological_order(links: Mapping[str, Sequence[str]]) -> list[str]:
    """Names so that each comes after all it links to; ties keep the order of `links`. Names on or behind a cycle are
    left out. Links to names that are not keys are ignored. Linear time (Kahn, 1962)."""
    waiting: dict[str, int] = {}
    dependants: dict[str, list[str]] = {name: [] for name in links}
    for name, sources in links.items():
        known = [source for source in sources if source in dependants]
        waiting[name] = len(known)
        for source in known:
            dependants[source].append(name)
    ready = deque(name for name, count in waiting.items() if count == 0)
    order: list[str] = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for dependant in dependants[name]:
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                ready.append(dependant)
    return order


def mentioned_order(links: Mapping[str, Sequence[str]]) -> list[str]:
    """The same, but of all names that may come next the one that `links` mentions first does."""
    names = list(links)
    rank = {name: i for i, name in enumerate(names)}
    waiting = dict.fromkeys(names, 0)
    dependants: dict[str, list[str]] = {name: [] for name in names}
    for name, sources in links.items():
        for source in sources:
            if source in dependants:
                waiting[name] += 1
                dependants[source].append(name)
    ready = [rank[name] for name, count in waiting.items() if count == 0]
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for dependant in dependants[name]:
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                heapq.heappush(ready, rank[dependant])
    return order

"""Cycles, each with its whole path, without recursion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

MAX_CYCLES = 20


def find_cycles(links: Mapping[str, Sequence[str]], among: set[str]) -> list[list[str]]:
    """One cycle for each knot of nodes that depend on each other, as names in the order of the data's flow.

    `links` maps a name to the names it takes from; only names in `among` are looked at. A knot is a strongly
    connected component; of its cycles the shortest through its first-mentioned name is told, begun at that name.
    At most MAX_CYCLES are given, in the order in which `links` mentions them. Linear time.
    """
    mention = {name: i for i, name in enumerate(links)}
    firsts = [(min(knot, key=mention.__getitem__), knot) for knot in _knots(links, among)]
    firsts.sort(key=lambda pair: mention[pair[0]])
    return [_shortest_cycle(links, first, knot) for first, knot in islice(firsts, MAX_CYCLES)]


def _knots(links: Mapping[str, Sequence[str]], among: set[str]) -> Iterator[set[str]]:
    """The strongly connected components that hold a cycle (Tarjan, 1972, with a stack of our own)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    is_open: set[str] = set()
    for start in links:
        if start not in among or start in number:
            continue
        walk: list[tuple[str, Iterator[str]]] = []
        following: str | None = start
        while following is not None or walk:
            if following is not None:
                number[following] = low[following] = len(number)
                open_.append(following)
                is_open.add(following)
                walk.append((following, iter(links[following])))
            name, sources = walk[-1]
            following = None
            for source in sources:
                if source not in among:
                    continue
                if source not in number:
                    following = source
                    break
                if source in is_open:
                    low[name] = min(low[name], number[source])
            if following is not None:
                continue
            walk.pop()
            if walk:
                low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
            if low[name] == number[name]:
                knot = _close(open_, name)
                is_open -= knot
                if len(knot) > 1 or name in links[name]:
                    yield knot


def _close(open_: list[str], name: str) -> set[str]:
    """Take the names down to `name` off the stack."""
    knot: set[str] = set()
    while name not in knot:
        knot.add(open_.pop())
    return knot


def _shortest_cycle(links: Mapping[str, Sequence[str]], first: str, knot: set[str]) -> list[str]:
    """The shortest cycle through `first`, by breadth: back along the links until `first` is met again."""
    towards: dict[str, str] = {}  # a name → the next one towards `first` as data flows
    queue = deque([first])
    while queue:
        name = queue.popleft()
        for source in links[name]:
            if source in knot and source not in towards:
                towards[source] = name
                queue.append(source)
        if first in towards:
            break
    cycle = [first]
    while (name := towards[cycle[-1]]) != first:
        cycle.append(name)
    return cycle

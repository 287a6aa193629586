"""Cycles, each with its whole path, without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

MAX_CYCLES = 20


def find_cycles(links: Mapping[str, Sequence[str]], among: set[str]) -> list[list[str]]:
    """One cycle for each knot of nodes that depend on each other, as names in the order of the data's flow.

    `links` maps a name to the names it takes from; only names in `among` are looked at. At most MAX_CYCLES are given.
    The search walks back from node to node; a name met a second time on one walk closes a cycle.
    """
    done: set[str] = set()
    cycles: list[list[str]] = []
    for start in links:
        if start not in among or start in done:
            continue
        path = [start]
        position = {start: 0}
        walkers = [_sources(links, start, among)]
        while walkers and len(cycles) < MAX_CYCLES:
            source = next(walkers[-1], None)
            if source is None:
                walkers.pop()
                finished = path.pop()
                del position[finished]
                done.add(finished)
            elif source in position:
                cycles.append(_rotated(path[position[source] :][::-1], links))
                done.update(path)  # one cycle per knot: the rest of this walk tells nothing new
                break
            elif source not in done:
                position[source] = len(path)
                path.append(source)
                walkers.append(_sources(links, source, among))
    return cycles


def _sources(links: Mapping[str, Sequence[str]], name: str, among: set[str]) -> Iterator[str]:
    return (source for source in links[name] if source in among)


def _rotated(cycle: list[str], links: Mapping[str, Sequence[str]]) -> list[str]:
    """The cycle begun at the name that the file mentions first."""
    members = set(cycle)
    first = cycle.index(next(name for name in links if name in members))
    return cycle[first:] + cycle[:first]

"""Matching nodes that were renamed and changed at once: those that are alike in type, inputs and neighbours.

Neighbours of matched nodes are looked at, and open nodes that share something rare, but never all pairs, so that the
time grows about as the number of links does. The most alike are matched first; where two matches would be equally
good, neither is made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from nodegraph.workflow.diff_outline import Given, Outline
from nodegraph.workflow.diff_pairing import Pairing, Side, Use, in_order

THRESHOLD: Final = 0.5  # the part of inputs and links that two nodes must share at least
UNSURE: Final = 0.5  # what a link counts whose ends are of the same type, but open themselves
FEW: Final = 64  # as many pairs are looked at one by one
ROUNDS: Final = 8

Pair = tuple[str, str]


@dataclass(slots=True)
class Search:
    """Candidates, the best first. `alike` has how alike each old and new node is to those it was compared with."""

    pairing: Pairing
    heap: list[tuple[float, int, int, str, str]] = field(default_factory=list[tuple[float, int, int, str, str]])
    alike: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    alike_new: defaultdict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    offers: Counter[Pair] = field(default_factory=Counter[Pair])
    rank: dict[str, int] = field(default_factory=dict[str, int])
    rank_new: dict[str, int] = field(default_factory=dict[str, int])


def match_alike(pairing: Pairing) -> bool:
    """Match open nodes that are alike; whether there were any."""
    open_old, open_new = pairing.open_old(), pairing.open_new()
    search = Search(pairing)
    search.rank = {name: i for i, name in enumerate(open_old)}
    search.rank_new = {name: i for i, name in enumerate(open_new)}
    found = bool(open_old and open_new) and settle(search, border(pairing, open_old))
    for _ in range(ROUNDS):
        open_old, open_new = pairing.open_old(), pairing.open_new()
        if not open_old or not open_new:
            break
        search.offers.clear()
        for old, new in islands(pairing, open_old, open_new):
            offer(search, old, new)
        if not settle(search, border(pairing, open_old)):
            break
        found = True
    return found


def border(pairing: Pairing, open_old: Iterable[str]) -> list[Pair]:
    """The matched pairs next to open nodes."""
    names: dict[str, None] = {}
    for name in open_old:
        names.update((use.node, None) for use in pairing.old.users[name])
        for given in pairing.old.nodes[name].content.values():
            names.update(dict.fromkeys(given.targets))
    return [(name, pairing.forward[name]) for name in in_order(names) if name in pairing.forward]


def settle(search: Search, pairs: list[Pair]) -> bool:
    """Match the best candidates, one after the other, with those that come up on the way; whether there were any."""
    pairing, found = search.pairing, False
    while pairs or search.heap:
        while pairs:
            for old, new in neighbours(pairing, *pairs.pop()):
                offer(search, old, new)
        if not search.heap:
            break
        negative, _, _, old, new = heappop(search.heap)
        if pairing.are_open(old, new) and -negative == search.alike[old][new] and is_best(search, old, new):
            pairing.pair(old, new)
            pairs.append((old, new))
            found = True
    return found


def offer(search: Search, old: str, new: str) -> None:
    """Take a pair for a candidate if it is alike enough."""
    pairing = search.pairing
    if not pairing.are_open(old, new) or pairing.old.nodes[old].uses != pairing.new.nodes[new].uses:
        return
    search.offers[old, new] += 1
    times = search.offers[old, new]
    if times & (times - 1):  # compared anew each time that twice as much speaks for it
        return
    likeness = likeness_of(pairing, old, new)
    if likeness >= THRESHOLD:
        search.alike[old][new] = search.alike_new[new][old] = likeness
        heappush(search.heap, (-likeness, search.rank[old], search.rank_new[new], old, new))


def is_best(search: Search, old: str, new: str) -> bool:
    """Whether neither of the two is as much like another open node."""
    pairing, likeness = search.pairing, search.alike[old][new]
    rivals = [other for other, value in search.alike[old].items() if other != new and value >= likeness]
    rivals_old = [other for other, value in search.alike_new[new].items() if other != old and value >= likeness]
    return not any(other not in pairing.backward for other in rivals) and not any(
        other not in pairing.forward for other in rivals_old
    )


def likeness_of(pairing: Pairing, old: str, new: str) -> float:
    """How much of their inputs and users two nodes of one type share, 0 … 1.

    That one of them has more users says nothing against it: users come and go without the node being touched.
    """
    before, after = pairing.old.nodes[old].content, pairing.new.nodes[new].content
    users, others = pairing.old.users[old], pairing.new.users[new]
    few, many = sorted((len(users), len(others)))
    shared = sum(agreement(pairing, given, after[name]) for name, given in before.items() if name in after)
    if len(users) == few:
        sure = sum(pairing.target(use, of_old=True) == new for use in users)
    else:
        sure = sum(pairing.target(use, of_old=False) == old for use in others)
    links = float(sure)
    if many <= max(FEW, 4 * few):  # a hub is not gone through anew for each small node it is compared with
        unsure = kinds(pairing.old, pairing.forward, users) & kinds(pairing.new, pairing.backward, others)
        links += UNSURE * unsure.total()
    total = len(before.keys() | after.keys()) + few
    return (shared + links) / total if total else 1.0


def agreement(pairing: Pairing, given: Given, other: Given) -> float:
    """How sure it is that two inputs are given the same, 0 … 1."""
    if given.shape != other.shape:
        return 0.0
    sureness = 1.0
    for old, new in zip(given.targets, other.targets, strict=True):
        if pairing.are_open(old, new) and pairing.old.nodes[old].uses == pairing.new.nodes[new].uses:
            sureness = UNSURE
        elif pairing.forward.get(old) != new:
            return 0.0
    return sureness


def kinds(side: Side, known: Iterable[str], users: Iterable[Use]) -> Counter[Hashable]:
    """What kinds of open nodes use a node, and how."""
    return Counter(kind_of(side, use) for use in users if use.node not in known)


def kind_of(side: Side, use: Use) -> Hashable:
    """A use without the name of the node."""
    node = side.nodes[use.node]
    return (node.uses, use.input, use.position, node.content[use.input].shape)


def neighbours(pairing: Pairing, old: str, new: str) -> Iterator[Pair]:
    """Open nodes that are likely the same, since these two are: what feeds the same input, what they feed alike."""
    after = pairing.new.nodes[new].content
    for name, given in pairing.old.nodes[old].content.items():
        if name in after and len(given.targets) == len(after[name].targets):
            yield from zip(given.targets, after[name].targets, strict=True)
    users = [use for use in pairing.old.users[old] if use.node not in pairing.forward]
    others = [use for use in pairing.new.users[new] if use.node not in pairing.backward]
    groups, other_groups = grouped(pairing.old, users), grouped(pairing.new, others)
    for key, group in groups.items():
        yield from likely_pairs(pairing, group, other_groups.get(key, []))


def grouped(side: Side, users: Iterable[Use]) -> dict[Hashable, list[str]]:
    """The nodes that use another, by how they do."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for use in users:
        groups[side.nodes[use.node].uses, use.input, use.position].append(use.node)
    return groups


def likely_pairs(pairing: Pairing, olds: list[str], news: list[str]) -> Iterator[Pair]:
    """All pairs if they are few, otherwise those that look the same and have no double."""
    if len(olds) * len(news) <= FEW:
        yield from ((old, new) for old in olds for new in news)
        return
    by_look: defaultdict[Hashable, list[str]] = defaultdict(list)
    by_look_new: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in olds:
        by_look[look(pairing.old, pairing.old.nodes[name])].append(name)
    for name in news:
        by_look_new[look(pairing.new, pairing.new.nodes[name])].append(name)
    yield from lonely_pairs(by_look, by_look_new)


def look(side: Side, node: Outline) -> Hashable:
    """A node as it looks from close by: its inputs, and of what feeds them only the type."""
    return (
        node.uses,
        frozenset(
            (name, given.shape, *(side.nodes[target].uses for target in given.targets))
            for name, given in node.content.items()
        ),
    )


def lonely_pairs(olds: dict[Hashable, list[str]], news: dict[Hashable, list[str]]) -> Iterator[Pair]:
    """The pairs that have a key for themselves."""
    for key, group in olds.items():
        if len(group) == 1 and len(news.get(key, ())) == 1:
            yield group[0], news[key][0]


def islands(pairing: Pairing, open_old: list[str], open_new: list[str]) -> Iterator[Pair]:
    """Open nodes that may be the same, wherever they are: few of one type, or with something rare in common."""
    yield from lonely_pairs(by_surroundings(pairing.old, open_old), by_surroundings(pairing.new, open_new))
    identity = {name: name for name in pairing.forward}
    by_type, by_type_new = by_types(pairing.old, open_old), by_types(pairing.new, open_new)
    for uses, group in by_type.items():
        yield from likely_pairs(pairing, group, by_type_new.get(uses, []))
    yield from lonely_pairs(
        by_features(pairing.old, open_old, identity), by_features(pairing.new, open_new, pairing.backward)
    )


def by_surroundings(side: Side, names: Iterable[str]) -> dict[Hashable, list[str]]:
    """Nodes by the types of what they are made from and what uses them: the ends of a chain stand out."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in names:
        node = side.nodes[name]
        sources = [(key, tuple(side.nodes[t].uses for t in given.targets)) for key, given in node.content.items()]
        users = Counter((side.nodes[use.node].uses, use.input) for use in side.users[name])
        linked = frozenset(source for source in sources if source[1])
        groups[node.uses, linked, frozenset(users.items())].append(name)
    return groups


def by_types(side: Side, names: Iterable[str]) -> dict[str, list[str]]:
    """Nodes by type."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[side.nodes[name].uses].append(name)
    return groups


def by_features(side: Side, names: Iterable[str], known: dict[str, str]) -> dict[Hashable, list[str]]:
    """Nodes by each value that they are given and each matched node (by its old name) that feeds them or uses them."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in names:
        node = side.nodes[name]
        for key, given in node.content.items():
            if all(target in known for target in given.targets):
                groups[node.uses, key, given.shape, *(known[target] for target in given.targets)].append(name)
        for use in side.users[name]:
            if use.node in known:
                groups[node.uses, "used by", known[use.node], use.input, use.position].append(name)
    return groups

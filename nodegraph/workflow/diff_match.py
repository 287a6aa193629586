"""Which node of one workflow is which node of the other, when some have new names.

Nodes of the same name and type are the same. Then come nodes of the same content: type and inputs, where links are
compared through what is matched already. A node that kept its name but not its type is next. What is still open is
matched by likeness (see `diff_likeness`). The order of the files has no influence. Nothing recurses: graphs are deep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, NamedTuple

from nodegraph.workflow.diff_likeness import match_alike
from nodegraph.workflow.diff_outline import Outline
from nodegraph.workflow.diff_pairing import Pairing, Side, natural, side_of

Number = Callable[[Hashable], int]

ROUNDS: Final = 4


def match(old: Mapping[str, Outline], new: Mapping[str, Outline]) -> Mapping[str, str]:
    """The nodes that are in both workflows: old id → new id. The other way round it is the same pairs."""
    same = {name: name for name, node in old.items() if name in new and new[name].uses == node.uses}
    if len(same) == len(old) or len(same) == len(new):
        return same
    open_old, open_new = (sorted((name, nodes[name].uses) for name in nodes.keys() - same) for nodes in (old, new))
    # Always the same one comes first, since where several matches are equally good, what was met first decides.
    if open_old < open_new:
        return match_rest(old, new, same)
    return {before: after for after, before in match_rest(new, old, same).items()}


def match_rest(old: Mapping[str, Outline], new: Mapping[str, Outline], same: Mapping[str, str]) -> Mapping[str, str]:
    """The nodes of `same`, and those with other names or types."""
    pairing = Pairing(side_of(old), side_of(new), dict(same), dict(same))
    match_content(pairing)
    for name in pairing.open_old():
        if name in new and name not in pairing.backward:
            pairing.pair(name, name)
    for _ in range(ROUNDS):
        if not match_alike(pairing):
            break
        match_content(pairing)  # what is made from nodes that were just matched may now be equal
    return pairing.forward


class Fingerprints(NamedTuple):
    """Of each open node a number for its content with all that it is made from, one for all that it is used for too,
    one for its content and how it is used next, and how far it is from the last node that uses it."""

    content: Mapping[str, int]
    purpose: Mapping[str, int]
    role: Mapping[str, int]
    height: Mapping[str, int]


def match_content(pairing: Pairing) -> None:
    """Match open nodes of equal content. Of several equal ones those with equal purpose go together."""
    numbers: dict[Hashable, int] = {}

    def number(key: Hashable) -> int:
        return numbers.setdefault(key, len(numbers) + 1)

    open_old, open_new = pairing.open_old(), pairing.open_new()
    identity = {name: name for name in pairing.forward}
    old = fingerprints(pairing.old, open_old, identity, number)
    new = fingerprints(pairing.new, open_new, pairing.backward, number)
    # From the last nodes to the first, since a match decides those of all that it is made from.
    last_first = sorted(open_old, key=lambda name: (old.height[name], natural(name)))
    for name in last_first:
        for use in pairing.old.users[name]:
            partner = pairing.target(use, of_old=True)
            if partner is not None and pairing.are_open(name, partner) and old.content[name] == new.content[partner]:
                pair_all(pairing, name, partner, old.content, new.content)
    for key_of in ((old.purpose, new.purpose), (old.role, new.role), (old.content, new.content)):
        waiting: defaultdict[int, list[str]] = defaultdict(list)
        for name in reversed(open_new):
            waiting[key_of[1][name]].append(name)
        for name in last_first:
            candidates = waiting.get(key_of[0][name], [])
            while candidates and candidates[-1] in pairing.backward:
                candidates.pop()
            if candidates and name not in pairing.forward:
                pair_all(pairing, name, candidates.pop(), old.content, new.content)


def pair_all(pairing: Pairing, old: str, new: str, olds: Mapping[str, int], news: Mapping[str, int]) -> None:
    """Match two nodes of equal content, and with them what they are made from."""
    pairing.pair(old, new)
    stack = [(old, new)]
    while stack:
        old, new = stack.pop()
        others = pairing.new.nodes[new].content
        for name, given in pairing.old.nodes[old].content.items():
            for source, other in zip(given.targets, others[name].targets, strict=True):
                if pairing.are_open(source, other) and olds[source] == news[other]:
                    pairing.pair(source, other)
                    stack.append((source, other))


def fingerprints(side: Side, names: Iterable[str], known: Mapping[str, str], number: Number) -> Fingerprints:
    """The fingerprints of the open nodes `names`; `known` tells what the others are called in the old workflow.

    Nodes that run in a circle, or are made from such, know of their open sources only the type.
    """
    order = sources_first(side, names)
    content: dict[str, int] = {}
    for name in order:
        node = side.nodes[name]

        def source(target: str) -> Hashable:
            return known.get(target) or content.get(target) or ("circle", side.nodes[target].uses)

        inputs = ((key, given.shape, *map(source, given.targets)) for key, given in node.content.items())
        content[name] = number(("content", node.uses, frozenset(inputs)))
    purpose: dict[str, int] = {}
    role: dict[str, int] = {}
    height: dict[str, int] = {}
    for name in reversed(order):
        users = side.users[name]
        uses = [number((known.get(use.node) or purpose.get(use.node, -1), use.input, use.position)) for use in users]
        purpose[name] = number(("purpose", content[name], *sorted(uses)))
        roles = [number((side.nodes[use.node].uses, use.input, use.position)) for use in users]
        role[name] = number(("role", content[name], *sorted(roles)))
        height[name] = 1 + max((height.get(use.node, -1) for use in users), default=-1)
    return Fingerprints(content, purpose, role, height)


def sources_first(side: Side, names: Iterable[str]) -> list[str]:
    """The open nodes `names`, each behind those it is made from; those that run in a circle come last."""
    waits = dict.fromkeys(names, 0)
    for name in waits:
        targets = {target for given in side.nodes[name].content.values() for target in given.targets}
        waits[name] = sum(target in waits for target in targets)
    order = [name for name, count in waits.items() if count == 0]
    for name in order:  # grows while it is walked
        for user in {use.node for use in side.users[name]} & waits.keys():
            waits[user] -= 1
            if waits[user] == 0:
                order.append(user)
    ready = set(order)
    return [*order, *(name for name in waits if name not in ready)]

"""What is known, while two workflows are compared, of which node of the one is which node of the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nodegraph.workflow.diff_outline import Outline

DIGITS = re.compile(r"([0-9]{1,18})")


class Use(NamedTuple):
    """A link, seen from its source: the node and the input it feeds, and its position in that input."""

    node: str
    input: str
    position: int


@dataclass(frozen=True, slots=True)
class Side:
    """The nodes of one workflow, by id, and by whom each is used."""

    nodes: Mapping[str, Outline]
    users: Mapping[str, list[Use]]


def side_of(nodes: Mapping[str, Outline]) -> Side:
    """A workflow's nodes with their users."""
    users: dict[str, list[Use]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for input_name, given in node.content.items():
            for position, target in enumerate(given.targets):
                users[target].append(Use(name, input_name, position))
    return Side(nodes, users)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Pairs found so far: `forward` from old ids to new ones, `backward` the other way."""

    old: Side
    new: Side
    forward: dict[str, str]
    backward: dict[str, str]

    def pair(self, old: str, new: str) -> None:
        """Note that two nodes are the same."""
        self.forward[old] = new
        self.backward[new] = old

    def are_open(self, old: str, new: str) -> bool:
        """Whether neither of two nodes has a partner yet."""
        return old not in self.forward and new not in self.backward

    def open_old(self) -> list[str]:
        """The old nodes without a partner, in an order that does not depend on the file's."""
        return in_order(name for name in self.old.nodes if name not in self.forward)

    def open_new(self) -> list[str]:
        """The new nodes without a partner."""
        return in_order(name for name in self.new.nodes if name not in self.backward)

    def target(self, use: Use, *, of_old: bool) -> str | None:
        """The node that feeds, in the other workflow, what `use` names in this one."""
        partner = (self.forward if of_old else self.backward).get(use.node)
        if partner is None:
            return None
        given = (self.new if of_old else self.old).nodes[partner].content.get(use.input)
        return given.targets[use.position] if given is not None and use.position < len(given.targets) else None


def in_order(names: Iterable[str]) -> list[str]:
    """Names as people sort them: `node9` before `node10`."""
    return sorted(names, key=natural)


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key: runs of digits count as numbers."""
    parts = DIGITS.split(name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name

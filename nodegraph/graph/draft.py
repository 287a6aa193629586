"""A workflow on its way to a graph: inputs are resolved, nodes are still known by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nodegraph.node import NodeSpec
from nodegraph.workflow.document import NodeEntry, Ref, Slot


class NamedLink(NamedTuple):
    """A link by name: the output `output` of the node `name`, which the file writes as `value`."""

    name: str
    output: int
    value: Ref | Slot

    @property
    def written(self) -> str:
        return str(self.value) if isinstance(self.value, Ref) else f"${self.name}.{self.output}"


@dataclass(slots=True)
class DraftNode:
    """A node whose inputs are resolved but whose links are not checked for type yet.

    `when`: the outputs that all have to be true for it to run. absent: it is known already that it will not.
    """

    entry: NodeEntry
    spec: NodeSpec
    values: dict[str, object]
    links: dict[str, NamedLink]
    when: tuple[NamedLink, ...] = ()
    absent: bool = False

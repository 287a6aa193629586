"""What differs between two workflows, as immutable data and as JSON."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from nodegraph.workflow.write import Data


class Absent(enum.Enum):
    """Stands for the value of what is not there."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Change:
    """A value before and after, as a workflow file would have it; absent where there is none.

    `implied`: which of the two is not in its file, being what is taken when nothing is written.
    """

    name: str
    old: Data | Absent = ABSENT
    new: Data | Absent = ABSENT
    implied: Literal["old", "new"] | None = None

    def to_json(self) -> dict[str, object]:
        """The change as JSON data; what is absent is left out."""
        pairs = (("name", self.name), ("old", self.old), ("new", self.new))
        data: dict[str, object] = {key: value for key, value in pairs if value is not ABSENT}
        return data if self.implied is None else data | {"implied": self.implied}


@dataclass(frozen=True, slots=True)
class Single:
    """A node that only one of the workflows has: its id, its type, its inputs, and keys such as title and cache."""

    id: str
    uses: str
    inputs: Mapping[str, Data]
    keys: Mapping[str, Data]

    def to_json(self) -> dict[str, object]:
        """The node as JSON data."""
        return {"id": self.id, "uses": self.uses, "with": dict(self.inputs), "keys": dict(self.keys)}


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node that both workflows have, under one name or two. `keys` are title, note, cache and the like."""

    old: str
    new: str
    old_uses: str
    new_uses: str
    inputs: tuple[Change, ...] = ()
    keys: tuple[Change, ...] = ()

    @property
    def is_renamed(self) -> bool:
        return self.old != self.new

    @property
    def is_changed(self) -> bool:
        """Whether anything but the name differs."""
        return self.old_uses != self.new_uses or bool(self.inputs or self.keys)

    def to_json(self) -> dict[str, object]:
        """The change as JSON data."""
        data: dict[str, object] = {"old": self.old, "new": self.new, "uses": self.new_uses}
        if self.old_uses != self.new_uses:
            data["uses"] = {"old": self.old_uses, "new": self.new_uses}
        data["inputs"] = [change.to_json() for change in self.inputs]
        data["keys"] = [change.to_json() for change in self.keys]
        return data


@dataclass(frozen=True, slots=True)
class ParamChange:
    """A parameter that both workflows have, with what differs in its declaration."""

    name: str
    keys: tuple[Change, ...]

    def to_json(self) -> dict[str, object]:
        """The change as JSON data."""
        return {"name": self.name, "keys": [change.to_json() for change in self.keys]}


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between two workflows; false when nothing does.

    `keys` are those of the whole workflow, such as its name. A parameter or output that only one workflow has is a
    change whose other side is absent. Removed and changed parts come in the order of the old file, added ones in that
    of the new.
    """

    keys: tuple[Change, ...] = ()
    params: tuple[Change, ...] = ()
    params_changed: tuple[ParamChange, ...] = ()
    added: tuple[Single, ...] = ()
    removed: tuple[Single, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    outputs: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, spec.name) for spec in dataclasses.fields(self))

    @property
    def renamed(self) -> Mapping[str, str]:
        """The nodes with a new name: old id → new id."""
        return {node.old: node.new for node in self.nodes if node.is_renamed}

    @property
    def changed(self) -> tuple[NodeChange, ...]:
        """The nodes in which more than the name differs."""
        return tuple(node for node in self.nodes if node.is_changed)

    def to_json(self) -> dict[str, object]:
        """The difference as JSON data."""
        return {
            "same": not self,
            "keys": [change.to_json() for change in self.keys],
            "params": {
                "added": [change.to_json() for change in self.params if change.old is ABSENT],
                "removed": [change.to_json() for change in self.params if change.new is ABSENT],
                "changed": [change.to_json() for change in self.params_changed],
            },
            "nodes": {
                "added": [node.to_json() for node in self.added],
                "removed": [node.to_json() for node in self.removed],
                "renamed": [{"old": old, "new": new} for old, new in self.renamed.items()],
                "changed": [node.to_json() for node in self.changed],
            },
            "outputs": [change.to_json() for change in self.outputs],
        }

"""What came of a pack: its node types, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.errors import Place, Problem
from nodegraph.spec import NodeSpec

DETAILS_HINT = "run 'nodegraph nodes --broken' for the details"


@dataclass(frozen=True, slots=True)
class BrokenPack:
    """A pack that could not be used: its name, where it lies, why, and the end of its traceback.

    node: only this node type of the pack is left out. hint: what can be done about it.
    """

    name: str
    origin: str
    reason: str
    details: str = ""
    node: str = ""
    hint: str = ""

    def problem(self) -> Problem:
        """The pack as a warning that can be listed with others."""
        who = f"node '{self.node}' of the pack '{self.name}'" if self.node else f"node pack '{self.name}'"
        return Problem(
            code="broken_pack",
            message=f"{who} is left out: {self.reason}",
            place=Place(self.origin),
            hint=self.hint or DETAILS_HINT,
            severity="warning",
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a pack gave: its node types, those of them that cannot be used, and its folder of files for the browser.

    partly: where some of its names are taken, the others are kept all the same.
    """

    specs: Sequence[NodeSpec]
    broken: tuple[BrokenPack, ...] = ()
    web: Path | None = None
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A pack that can be read: importing it is what `read` does, and that may do anything at all."""

    name: str
    origin: str
    read: Callable[[], Found]

"""What is known of finished actions, and what every store of results does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from nodegraph.sockets.values import Saved, SavedFile


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished action: the digest of each output, what it cost, and the files it wrote."""

    digests: tuple[bytes, ...]
    seconds: float = 0.0
    saved: Saved | None = None


class Tally(NamedTuple):
    """Of one node type, in one run: how often results were there, how often it ran, and the seconds saved."""

    hits: int
    runs: int
    saved: float


class ResultStore(Protocol):
    """Results by action key. A record (the digests of a node's outputs) is small and is kept; values are large and may
    be gone when asked for, in which case the node runs again.

    Methods may be called from several threads, and none of them fails for want of space, rights or sound files: what
    cannot be kept is not there later, and that is all.
    """

    def record(self, key: bytes) -> Record | None:
        """The record of an action, or None if it never finished (or was forgotten)."""
        ...

    def absent(self, key: bytes, *, memory_counts: bool = True) -> str | None:
        """Why the values of an action are not there, None if they seem to be: unstorable (models), cheap, full
        (there was no space), evicted, missing (the file is gone), remote (in a cache elsewhere that is not in use) or
        unknown. Reads no values."""
        ...

    def values(self, key: bytes) -> tuple[object, ...] | None:
        """The outputs of an action, or None if they are not kept (any more)."""
        ...

    def put(
        self,
        key: bytes,
        record: Record,
        values: tuple[object, ...],
        *,
        node_type: str = "",
        to_disk: bool = True,
        at_once: bool = False,
        rebuild: float | None = None,
    ) -> None:
        """Remember a finished action.

        at_once: other processes are to see it now. rebuild: the seconds it would take to make the values again,
        with what they are made of; values that are cheaper to make than to read are not written to disk.
        """
        ...

    def reaches_out(self) -> bool:
        """A plan begins: whether there is a store elsewhere that `look_up` and `seek` would ask."""
        ...

    def look_up(self, keys: Collection[bytes]) -> None:
        """Learn what a store elsewhere knows of these actions, as far as it answers in time."""
        ...

    def seek(self, key: bytes, then: Callable[[], object]) -> float | None:
        """The same for one action and its values, without waiting: `then` is called, in another thread, when there is
        an answer. Returns for how many seconds that is worth waiting for; None if there is nothing to wait for."""
        ...

    def is_distant(self, key: bytes) -> bool:
        """Whether what is known of an action came from elsewhere, or its values still are there."""
        ...

    def has_file(self, file: SavedFile) -> bool:
        """Whether a copy of a file that a node saved is kept."""
        ...

    def restore(self, file: SavedFile, target: Path) -> bool:
        """Write the kept copy of a saved file to `target`, which must not exist; False if that cannot be done."""
        ...

    def claim(self, key: bytes) -> bool:
        """Say that this process works on an action; False if another run or living process does so already."""
        ...

    def release(self, key: bytes) -> None:
        """This process works on the action no longer."""
        ...

    def begin(self, keys: Collection[bytes] = ()) -> None:
        """A run begins that uses these results; they are not evicted before it ends."""
        ...

    def end(self, tallies: Mapping[str, Tally]) -> None:
        """A run is over; have everything told so far where other processes see it."""
        ...


class Alone:
    """The part of a store that has no other one elsewhere to ask."""

    def reaches_out(self) -> bool:
        return False

    def look_up(self, keys: Collection[bytes]) -> None:
        pass

    def seek(self, key: bytes, then: Callable[[], object]) -> float | None:
        return None

    def is_distant(self, key: bytes) -> bool:
        return False

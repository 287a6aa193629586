"""Known results during a run: their values fetched, and the files they saved written again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nodegraph.cache.records import Record, ResultStore
from nodegraph.context import Roots
from nodegraph.execution.board import Board
from nodegraph.execution.forecast import Forecast, usable_files
from nodegraph.execution.states import HIT, TODO
from nodegraph.files import FileDigests


class Reuse:
    """What the store knows of the nodes on a board."""

    def __init__(self, board: Board, store: ResultStore, roots: Roots, files: FileDigests) -> None:
        self._board, self._store, self._roots, self._files = board, store, roots, files

    def restore_files(self, found: Forecast) -> None:
        """Write files again that were saved once and are gone; a node whose files cannot be had so runs again."""
        board = self._board
        for i in board.plan.order:
            record = board.records[i]
            if board.state[i] == HIT and record is not None and record.saved is not None and not self._restore(record):
                board.state[i] = TODO
                found.lost[i] = "output"

    def fetch_needed(self, found: Forecast, want: frozenset[int]) -> None:
        """Fetch the known values that nodes to run will need; what proves to be gone is made again."""
        board = self._board
        state, values, sources = board.state, board.values, board.sources

        def fetched(i: int) -> bool:
            if self.fetch(i):
                return True
            state[i] = TODO
            found.lost.setdefault(i, "missing")
            return False

        stack = [i for i in board.plan.order if state[i] == TODO]
        stack += [i for i in want if state[i] == HIT and not fetched(i)]
        while stack:
            for _, source, _ in sources[stack.pop()]:
                if state[source] == HIT and values[source] is None and not fetched(source):
                    stack.append(source)

    def fetch(self, i: int) -> bool:
        """Get the values of a node whose result is known; False if they are gone."""
        key = self._board.keys[i]
        values = self._store.values(key) if key is not None else None
        if values is None:
            return False
        self._board.have(i, values)
        return True

    def record(self, key: bytes) -> Record | None:
        """The record of an action whose saved files are there, or have just been written again."""
        record = self._store.record(key)
        if record is None or record.saved is None:
            return record
        saved = usable_files(record.saved, self._store, self._roots, self._files)
        record = replace(record, saved=saved)
        return record if saved is not None and self._restore(record) else None

    def _restore(self, record: Record) -> bool:
        assert record.saved is not None
        for file in record.saved.files:
            path = Path(file.path)
            if not path.exists() and not self._store.restore(file, path) and not path.is_file():
                return False
        return True

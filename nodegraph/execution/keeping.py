"""What is kept of a node's work, and what it would cost to do it again."""

from __future__ import annotations

from nodegraph.cache.records import ResultStore
from nodegraph.engines.work import Worked
from nodegraph.execution.board import Board
from nodegraph.files import FileDigests
from nodegraph.sockets.codecs import size_of


class Keeper:
    """Puts the results of one run into the store. `keep` is called where a node ran, in whatever thread that is."""

    def __init__(self, board: Board, store: ResultStore, files: FileDigests) -> None:
        self._board, self._store, self._files = board, store, files
        self.sizes: dict[int, int] = {}  # bytes of what nodes made
        self._costs: dict[int, float] = {}  # seconds to make values again, of nodes whose values are not on disk

    def keep(self, i: int, worked: Worked) -> None:
        """Keep what node `i` made, unless a file that it read has changed: its key says what that held before."""
        board = self._board
        key, node = board.keys[i], board.nodes[i]
        self.sizes[i] = sum([size_of(value) for value in worked.values])
        if key is None or (i in board.read_files and self._files_changed(i)):
            return
        light, record, values = node.spec.light, worked.record, worked.values
        to_disk = i not in board.in_memory
        if light:
            self._store.put(key, record, values, node_type=node.spec.name, to_disk=to_disk)
            return
        cost = record.seconds + sum([self._cost(source) for _, source, _ in board.sources[i]])
        self._store.put(key, record, values, node_type=node.spec.name, to_disk=to_disk, at_once=True, rebuild=cost)
        self._costs[i] = 0.0 if self._store.absent(key, memory_counts=False) is None else cost

    def keep_grown(self, i: int, worked: Worked) -> None:
        """Keep what became of node `i`, which had others make its results: it is as quick to add them again, so values
        are kept in memory only."""
        board = self._board
        key, node, record = board.keys[i], board.nodes[i], worked.record
        self.sizes[i] = sum([size_of(value) for value in worked.values])
        if key is not None and not (i in board.read_files and self._files_changed(i)):
            to_disk = i not in board.in_memory
            self._store.put(key, record, worked.values, node_type=node.spec.name, to_disk=to_disk, rebuild=0.0)
            self._costs[i] = record.seconds

    def _cost(self, i: int) -> float:
        """Seconds to make a node's values again: none if they are on disk."""
        if i in self._costs or self._board.nodes[i].spec.light:
            return self._costs.get(i, 0.0)
        key, record = self._board.keys[i], self._board.records[i]
        if record is None or (key is not None and self._store.absent(key, memory_counts=False) is None):
            return 0.0
        return record.seconds

    def _files_changed(self, i: int) -> bool:
        try:
            return any(self._files.digest(path) != digest for path, digest in self._board.read_files[i].values())
        except OSError:
            return True

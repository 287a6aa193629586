"""What is kept of a node's work, and what it would cost to do it again."""

from __future__ import annotations

from collections.abc import Sequence

from nodegraph.cache.records import Record, ResultStore
from nodegraph.execution.plan import Plan
from nodegraph.execution.work import Worked
from nodegraph.files import FileDigests
from nodegraph.sockets.codecs import size_of


class Keeper:
    """Puts the results of one run into the store. `keep` is called where a node ran, in whatever thread that is."""

    def __init__(
        self,
        plan: Plan,
        store: ResultStore,
        files: FileDigests,
        keys: Sequence[bytes | None],
        records: Sequence[Record | None],
    ) -> None:
        self._plan, self._store, self._files, self._keys, self._records = plan, store, files, keys, records
        self.sizes: dict[int, int] = {}  # bytes of what nodes made
        self._costs: dict[int, float] = {}  # seconds to make values again, of nodes whose values are not on disk

    def keep(self, i: int, worked: Worked) -> None:
        """Keep what node `i` made, unless a file that it read has changed: its key says what that held before."""
        key, node = self._keys[i], self._plan.graph.nodes[i]
        self.sizes[i] = sum([size_of(value) for value in worked.values])
        if key is None or (i in self._plan.read_files and self._files_changed(i)):
            return
        light, record, values = node.spec.light, worked.record, worked.values
        to_disk = i not in self._plan.in_memory
        if light:
            self._store.put(key, record, values, node_type=node.spec.name, to_disk=to_disk)
            return
        cost = record.seconds + sum([self._cost(source) for _, source, _ in self._plan.sources[i]])
        self._store.put(key, record, values, node_type=node.spec.name, to_disk=to_disk, at_once=True, rebuild=cost)
        self._costs[i] = 0.0 if self._store.absent(key, memory_counts=False) is None else cost

    def _cost(self, i: int) -> float:
        """Seconds to make a node's values again: none if they are on disk."""
        if i in self._costs or self._plan.graph.nodes[i].spec.light:
            return self._costs.get(i, 0.0)
        key, record = self._keys[i], self._records[i]
        if record is None or (key is not None and self._store.absent(key, memory_counts=False) is None):
            return 0.0
        return record.seconds

    def _files_changed(self, i: int) -> bool:
        try:
            return any(self._files.digest(path) != digest for path, digest in self._plan.read_files[i].values())
        except OSError:
            return True

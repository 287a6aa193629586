"""The live pool: loaded models by key, within a byte budget, least recently used ones dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")
DEFAULT_BUDGET = 8 << 30


class LivePool:
    """Objects that are costly to load and large to keep. Safe to use from several threads.

    An object larger than the whole budget is still returned, and kept alone: a model must fit somewhere to be used.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self.used = 0
        self._lock = threading.RLock()
        self._entries: OrderedDict[str, tuple[object, int]] = OrderedDict()

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], int]) -> T:
        """The object under `key`, loaded by `load` if it is not there; `size` gives its bytes."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return cast(T, entry[0])
            value = load()
            self._entries[key] = (value, size(value))
            self.used += self._entries[key][1]
            while self.used > self.budget and len(self._entries) > 1:
                _, (_, freed) = self._entries.popitem(last=False)
                self.used -= freed
            return value

    def clear(self) -> None:
        """Drop everything that nothing else holds."""
        with self._lock:
            self._entries.clear()
            self.used = 0

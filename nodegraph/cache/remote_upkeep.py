"""Looking after a remote cache: what it holds, and what is so old that it can go."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import NamedTuple

from nodegraph.cache.objects import FOLDERS, FolderObjects, Objects
from nodegraph.cache.remote import Remote


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """A remote cache in numbers; None where they could not be had within its time-out."""

    address: str
    mode: str
    results: int | None = None
    objects: int | None = None
    bytes: int | None = None

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class RemoteFreed(NamedTuple):
    """What was deleted."""

    bytes: int
    results: int
    objects: int


def remote_info(remote: Remote) -> RemoteInfo:
    """Where a remote cache is, and what it holds, as far as that can be counted in time."""
    numbers = remote.ask(_count, None)
    return RemoteInfo(str(remote.address), remote.mode, *(numbers or ()))


def collect_remote(objects: Objects, age: float) -> RemoteFreed:
    """Delete what was written more than `age` seconds ago. Raises whatever the cache raises.

    What is known of actions goes first. What then still speaks of values that are gone, is a miss and is made again.
    """
    before, freed, results, count = time.time() - age, 0, 0, 0
    for folder in FOLDERS:
        for found in list(objects.listed(folder)):
            if found.time < before:
                objects.remove(found.name)
                freed, count, results = freed + found.bytes, count + 1, results + (folder == FOLDERS[0])
    if isinstance(objects, FolderObjects):
        objects.sweep()
    return RemoteFreed(freed, results, count)


def _count(objects: Objects) -> tuple[int, int, int]:
    results = count = size = 0
    for folder in FOLDERS:
        for found in objects.listed(folder):
            results, count, size = results + (folder == FOLDERS[0]), count + 1, size + found.bytes
    return results, count, size

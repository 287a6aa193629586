"""Looking after a store: what it holds, whether that is sound, and what can go."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, cast

from nodegraph.cache.disk import DiskStore
from nodegraph.cache.index import Index
from nodegraph.cache.rows import record_of
from nodegraph.sockets.codecs import Undigestible, digest
from nodegraph.sockets.packing import BadFile, from_bytes

FORGOTTEN_SECONDS = 180 * 24 * 3600.0  # a record without values that nobody asked for so long is dropped
YOUNG_SECONDS = 3600.0  # a blob may lie there a moment before its row is written


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """What results of one node type take and save. `saved` is in seconds."""

    type: str
    results: int
    bytes: int
    hits: int
    runs: int
    saved: float


@dataclass(frozen=True, slots=True)
class Info:
    """A store in numbers; `bytes` counts values and copies of saved files."""

    folder: str
    budget: int
    results: int
    bytes: int
    index_bytes: int
    copies: int
    copied_bytes: int
    types: tuple[TypeInfo, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class Verified(NamedTuple):
    """How many stored values were read, and how many of them were not what had been written."""

    sound: int
    damaged: int


class Freed(NamedTuple):
    """What was dropped."""

    bytes: int
    results: int
    files: int


def info(store: DiskStore) -> Info:
    """Sizes, hit rates, and what each node type holds, the largest first."""
    index = _index(store)
    held: dict[str, tuple[int, int]] = {
        name: (results, size)
        for name, results, size in index.read(
            "SELECT type, COUNT(*), TOTAL(bytes + COALESCE(LENGTH(value), 0)) FROM action GROUP BY type"
        )
    }
    rates: dict[str, tuple[int, int, float]] = {
        name: (hits, runs, saved) for name, hits, runs, saved in index.read("SELECT type, hits, runs, saved FROM tally")
    }
    types = [
        TypeInfo(name, results, int(size), *rates.get(name, (0, 0, 0.0)))
        for name in {*held, *rates}
        for results, size in [held.get(name, (0, 0))]
    ]
    copies, copied = index.read("SELECT COUNT(*), TOTAL(bytes) FROM file")[0]
    return Info(
        str(store.folder),
        store.budget,
        sum(each.results for each in types),
        sum(each.bytes for each in types) + int(copied),
        sum(path.stat().st_size for path in store.folder.glob("index.db*")),
        copies,
        int(copied),
        tuple(sorted(types, key=lambda each: (-each.bytes, each.type))),
    )


def verify(store: DiskStore) -> Verified:
    """Read every stored value and compare it with its digest; what differs or is missing is dropped."""
    index, sound, damaged = _index(store), 0, 0
    for (key,) in index.read("SELECT key FROM action WHERE bytes > 0 OR value IS NOT NULL"):
        if _is_sound(store, key):
            sound += 1
        else:
            damaged += 1
    return Verified(sound, damaged)


def collect(store: DiskStore) -> Freed:
    """Drop what is beyond the budget, what no row speaks of, and what nobody asked for in half a year."""
    index, blobs = _index(store), store.blobs
    assert blobs is not None
    excess = store.used() - store.budget
    freed = store.evict(excess) if excess > 0 else 0
    old = index.read(
        "SELECT COUNT(*) FROM action WHERE bytes = 0 AND value IS NULL AND used < ?", (time.time() - FORGOTTEN_SECONDS,)
    )[0][0]
    index.write("DELETE FROM action WHERE bytes = 0 AND value IS NULL AND used < ?", (time.time() - FORGOTTEN_SECONDS,))
    files = blobs.sweep()
    known = {key for (key,) in index.read("SELECT key FROM action WHERE bytes > 0")}
    kept = {name for (name,) in index.read("SELECT digest FROM file")}
    orphans = [blobs.path(key) for key in blobs.keys() if key not in known]  # noqa: SIM118 (not a mapping)
    orphans += [blobs.copy_path(name) for name in blobs.copies() if name not in kept]
    gone = [(path,) for (path,) in index.read("SELECT path FROM memo") if not Path(path).exists()]
    index.write_many("DELETE FROM memo WHERE path = ?", gone)
    for path in [*orphans, *(store.folder / "broken").iterdir()]:
        size = _drop(path, young=path.parent.name == "broken")
        freed, files = freed + size, files + (size > 0)
    return Freed(freed, old, files)


def clear(store: DiskStore) -> Freed:
    """Drop all results, and what is remembered of files and runs."""
    index, blobs = _index(store), store.blobs
    assert blobs is not None
    freed = int(store.used())
    results = index.read("SELECT COUNT(*) FROM action")[0][0]
    with index.transaction():
        for table in ("action", "file", "memo", "seen", "tally"):
            index.write(f"DELETE FROM {table}")
    files = 0
    folders = [store.folder / name for name in ("blobs", "files", "broken", "checkpoints", "runs")]
    for path in [path for folder in folders for path in folder.rglob("*") if path.is_file()]:
        path.unlink(missing_ok=True)
        files += 1
    index.write("VACUUM")
    store.memory.clear()
    return Freed(freed, results, files)


def _is_sound(store: DiskStore, key: bytes) -> bool:
    """Whether the values of an action are what was written; if not, they are dropped."""
    row = _index(store).action(key)
    if row is None or store.blobs is None:
        return True  # dropped meanwhile
    try:
        values = from_bytes(row.value) if row.value is not None else store.blobs.read(key, row.bytes)[0]
        found = tuple(digest(value) for value in cast("tuple[object, ...]", values))
        if found == record_of(row).digests:
            return True
    except (BadFile, OSError, Undigestible, TypeError):
        pass
    if store.blobs.size(key) is not None:
        store.blobs.quarantine(store.blobs.path(key))
    store.forget(key)
    return False


def _drop(path: Path, *, young: bool) -> int:
    """Delete a left-over file, unless it may be so new that its row is still to come; returns its bytes."""
    try:
        status = path.stat()
        if not young and abs(time.time() - status.st_mtime) < YOUNG_SECONDS:
            return 0
        path.unlink()
    except OSError:
        return 0
    return status.st_size


def _index(store: DiskStore) -> Index:
    index = store.index
    if index is None:
        raise ValueError("the store works in memory only")
    return index

"""What the tests of the persistent store share: keys, records, and ways to reach into a store's folder."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch

from nodegraph.cache.disk import DiskStore
from nodegraph.cache.records import Record
from nodegraph.sockets.codecs import Undigestible, digest

SECONDS = 60.0  # what a result took to make, if nothing else is said: worth keeping


def key_of(name: object) -> bytes:
    return hashlib.sha256(repr(name).encode()).digest()


def record_for(*values: object, seconds: float = SECONDS) -> Record:
    """The record of an action that gave these values; those without a digest get that of a key, as in a run."""
    digests: list[bytes] = []
    for value in values:
        try:
            digests.append(digest(value))
        except Undigestible:
            digests.append(key_of("made by"))
    return Record(tuple(digests), seconds)


def noise(seed: int = 0, kilobytes: int = 64) -> torch.Tensor:
    """A tensor that a seed decides, too large for a row of the index."""
    return torch.rand(kilobytes * 256, generator=torch.Generator().manual_seed(seed))


def put(store: DiskStore, name: object, *values: object, seconds: float = SECONDS) -> bytes:
    """Store values under a key made of `name`, at once for all processes."""
    key = key_of(name)
    store.put(key, record_for(*values, seconds=seconds), values, node_type="Toy", at_once=True)
    return key


class Opened:
    """A store opened anew, as another process would, and what it warned of."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.warnings: list[str] = []
        self.store = DiskStore(folder, **({"free": 0} | settings), warn=self.warnings.append)


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Opened]:
    found = Opened(folder, **settings)
    try:
        yield found
    finally:
        found.store.close()


def same(left: object, right: object) -> bool:
    return digest(left) == digest(right)


def blob_of(folder: Path, key: bytes) -> Path:
    (path,) = (folder / "v1" / "blobs").glob(f"??/{key.hex()}*")
    return path


def index_of(folder: Path) -> Path:
    return folder / "v1" / "index.db"


def sql(folder: Path, statement: str, *arguments: object) -> list[Any]:
    """Do something to the index behind the store's back."""
    with closing(sqlite3.connect(index_of(folder), isolation_level=None)) as database:
        return database.execute(statement, arguments).fetchall()


def integrity(folder: Path) -> str:
    return sql(folder, "PRAGMA integrity_check")[0][0]


def left_over(folder: Path) -> list[Path]:
    return list((folder / "v1" / "partial").iterdir())

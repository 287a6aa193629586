"""Records as columns of the index, and back."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from nodegraph.cache.index import Row
from nodegraph.cache.records import Record
from nodegraph.sockets.packing import BadFile, Unstorable, pack, unpack
from nodegraph.sockets.values import Saved, SavedFile

DIGEST_BYTES = 32
SEAL_BYTES = 16


class Place(NamedTuple):
    """Where the values of an action are: in `value`, in a blob of `bytes` bytes with a stamp, or nowhere because."""

    value: bytes | None = None
    bytes: int = 0
    stamp: str | None = None
    absent: str | None = None


def row_of(key: bytes, node_type: str, record: Record, saved: str | None, place: Place, time: float) -> Row:
    """The row of an action that has just finished. `saved` is what `saved_text` says of its files."""
    digests = b"".join(record.digests)
    return Row(
        key, node_type, digests, record.seconds, saved, *place, created=time, used=time, seal=_seal(key, digests, saved)
    )


def where_values_are(row: Row) -> int | str:
    """The bytes of an action's blob, 0 if its values are in the row itself, or why they are nowhere."""
    if row.value is not None:
        return 0
    return row.bytes or row.absent or "unknown"


def _seal(key: bytes, digests: bytes, saved: str | None) -> bytes:
    """Guards what a run relies on although it reads no values: a row with the digests of another one would have later
    nodes take the results of other inputs for theirs."""
    told = b"%d:%d:" % (len(key), len(digests)) + key + digests + (saved or "").encode()
    return hashlib.sha256(told).digest()[:SEAL_BYTES]


def saved_text(saved: Saved) -> str:
    """What a node saved and showed, as JSON. Raises Unstorable if it shows what no JSON can hold."""
    structure, tensors = pack(dict(saved.shown) if saved.shown is not None else None)
    if tensors:
        raise Unstorable("a node shows tensors")
    files = [[f.path, f.filename, f.subfolder, f.type, f.width, f.height, f.digest] for f in saved.files]
    return json.dumps({"files": files, "shown": structure}, separators=(",", ":"))


def record_of(row: Row) -> Record:
    """The record in a row. Raises BadFile if it is damaged."""
    data, saved = row.digests, row.saved
    try:
        if len(data) % DIGEST_BYTES or row.seal != _seal(row.key, data, saved):
            raise BadFile("a row of the index is damaged")
        seconds = float(row.seconds)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadFile("a row of the index is damaged") from error
    digests = tuple([data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)])
    return Record(digests, seconds, _saved_of(saved) if saved is not None else None)


def _saved_of(text: str) -> Saved:
    try:
        data: dict[str, Any] = json.loads(text)
        shown = unpack(data["shown"], {})
        files = tuple(SavedFile(*_file(fields)) for fields in data["files"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadFile("a row of the index is damaged") from error
    return Saved(files, shown if isinstance(shown, dict) else None)  # pyright: ignore[reportUnknownArgumentType]


def _file(fields: list[Any]) -> tuple[str, str, str, str, int, int, str]:
    path, filename, subfolder, kind, width, height, digest = fields
    texts = (path, filename, subfolder, kind, digest)
    if not all(isinstance(text, str) for text in texts) or not isinstance(width, int) or not isinstance(height, int):
        raise BadFile("a row of the index is damaged")
    return path, filename, subfolder, kind, width, height, digest

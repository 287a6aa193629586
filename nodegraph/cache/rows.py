"""Records as columns of the index, and back."""

from __future__ import annotations

import json
from typing import Any

from nodegraph.cache.index import Row
from nodegraph.cache.records import Record
from nodegraph.sockets.packing import BadFile, Unstorable, pack, unpack
from nodegraph.sockets.values import Saved, SavedFile

DIGEST_BYTES = 32


def joined_digests(record: Record) -> bytes:
    """The digests of all outputs, one after the other."""
    return b"".join(record.digests)


def saved_text(saved: Saved) -> str:
    """What a node saved and showed, as JSON. Raises Unstorable if it shows what no JSON can hold."""
    structure, tensors = pack(dict(saved.shown) if saved.shown is not None else None)
    if tensors:
        raise Unstorable("a node shows tensors")
    files = [[f.path, f.filename, f.subfolder, f.type, f.width, f.height, f.digest] for f in saved.files]
    return json.dumps({"files": files, "shown": structure}, separators=(",", ":"))


def record_of(row: Row) -> Record:
    """The record in a row. Raises BadFile if it is damaged."""
    data = row.digests
    if len(data) % DIGEST_BYTES:
        raise BadFile("a row of the index is damaged")
    digests = tuple([data[i : i + DIGEST_BYTES] for i in range(0, len(data), DIGEST_BYTES)])
    return Record(digests, row.seconds, _saved_of(row.saved) if row.saved is not None else None)


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

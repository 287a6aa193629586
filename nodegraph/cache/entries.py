"""What a remote cache knows of an action, as JSON with a seal, and the names of objects.

    {"nodegraph": 1, "key": …, "type": …, "digests": […], "seconds": …, "saved": …, "value": …, "blob": …, "absent": …,
     "seal": the sha256 of all the rest}

`value` has small values in base64, `blob` the digest and the bytes of an object with larger ones; a result with neither
says in `absent` why. Whoever may write to the cache may write any of this, so nothing of it is taken for more than
data: names of files stay below the folders for output, and are those of pictures, texts and the like.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, cast

from nodegraph.cache.index import Row
from nodegraph.cache.records import Record
from nodegraph.cache.rows import DIGEST_BYTES, Place, record_of, row_of
from nodegraph.sockets.packing import BadFile

VERSION: Final = 1
MOST_BYTES: Final = 1 << 20  # of a record
MOST_INLINE: Final = 16 << 10
MOST_SECONDS: Final = 1e9
MOST_NAME: Final = 200
LASTING: Final = ("unstorable", "cheap")  # why values are not kept, on any machine
FILE_TYPES: Final = ("output", "temp")
#: How files may end that come from elsewhere: pictures, sound, films, texts and tensors; no pages, no programs.
_MEDIA: Final = re.compile(
    r"\.(a?png|jpe?g|webp|gif|bmp|tiff?|avif|exr|hdr|mp4|webm|mkv|mov|wav|flac|mp3|ogg|opus|glb|ply"
    r"|txt|json|csv|srt|latent|safetensors)"
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """An object with values: the sha256 of its bytes, and how many they are."""

    digest: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An action of a remote cache: a row as the index has it, and where its values are."""

    row: Row
    blob: Blob | None
    files: tuple[str, ...]  # digests of the files that it saved


def action_name(key: bytes) -> str:
    """The object that says what is known of an action."""
    name = key.hex()
    return f"actions/{name[:2]}/{name}.json"


def blob_name(digest: str) -> str:
    """The object with values, by the digest of its bytes."""
    return f"blobs/{digest[:2]}/{digest}.safetensors"


def file_name(digest: str) -> str:
    """The object with a saved file, by the digest of its bytes."""
    return f"files/{digest[:2]}/{digest}"


def entry_text(row: Row, blob: Blob | None) -> bytes | None:
    """An action as a remote cache keeps it; None for one that is of no use, or none of the business, of others."""
    if blob is None and row.value is None and row.absent not in LASTING:
        return None
    saved = None
    if row.saved is not None:
        saved = _saved_to_share(row.saved)
        if saved is None:
            return None
    data: dict[str, object] = {
        "nodegraph": VERSION,
        "key": row.key.hex(),
        "type": row.type,
        "digests": [row.digests[i : i + DIGEST_BYTES].hex() for i in range(0, len(row.digests), DIGEST_BYTES)],
        "seconds": row.seconds,
        "saved": saved,
        "value": base64.b64encode(row.value).decode() if row.value is not None else None,
        "blob": {"digest": blob.digest, "bytes": blob.bytes} if blob is not None else None,
        "absent": row.absent if blob is None and row.value is None else None,
    }
    data["seal"] = _seal(data)
    text = json.dumps(data, separators=(",", ":")).encode()
    return text if len(text) <= MOST_BYTES else None


def entry_of(key: bytes, text: bytes, time: float) -> Entry:
    """The action that a remote cache knows under `key`. Raises BadFile for anything else."""
    try:
        data: dict[str, Any] = json.loads(text)
        seal = data.pop("seal")
        if data["nodegraph"] != VERSION or data["key"] != key.hex() or seal != _seal(data):
            raise BadFile("its seal does not fit")
        place, blob = _place_of(data)
        files = _files_of(data["saved"])
        digests = tuple([bytes.fromhex(_hex(digest)) for digest in data["digests"]])
        seconds = float(data["seconds"])
        record = Record(digests, seconds if 0 <= seconds < MOST_SECONDS else 0.0)
        row = row_of(key, str(data["type"])[:MOST_NAME], record, data["saved"], place, time)
        record_of(row)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadFile(str(error) if isinstance(error, BadFile) else "it is no record of an action") from error
    return Entry(row, blob, files)


def files_of(saved: str | None) -> tuple[str, ...]:
    """The digests of the files that a node saved, none if others are not to have them."""
    return _files_of(_saved_to_share(saved) if saved is not None else None)


def _place_of(data: dict[str, Any]) -> tuple[Place, Blob | None]:
    if data["value"] is not None:
        value = base64.b64decode(data["value"], validate=True)
        if len(value) > MOST_INLINE:
            raise BadFile("it is too large")
        return Place(value=value), None
    if data["blob"] is not None:
        size = data["blob"]["bytes"]
        if type(size) is not int or not 0 < size < 1 << 50:
            raise BadFile("it is no record of an action")
        return Place(absent="remote"), Blob(_hex(data["blob"]["digest"]), size)
    if data["absent"] not in LASTING:
        raise BadFile("it is no record of an action")
    return Place(absent=data["absent"]), None


def _files_of(saved: str | None) -> tuple[str, ...]:
    """The digests of files in a text that was written for others. Raises BadFile for files that may not be there."""
    if saved is None:
        return ()
    digests: list[str] = []
    for file in cast("list[list[Any]]", json.loads(saved)["files"]):
        _, name, _, kind, _, _, digest = file
        if kind not in FILE_TYPES or not _MEDIA.fullmatch(PurePosixPath(name).suffix.lower()):
            raise BadFile("it names a file that no picture or text is")
        digests.append(_hex(digest))
    return tuple(digests)


def _saved_to_share(saved: str) -> str | None:
    """What a node saved, without this machine's folders; None if that is not for others."""
    data = json.loads(saved)
    data["files"] = [["", *file[1:]] for file in data["files"]]
    text = json.dumps(data, separators=(",", ":"))
    try:
        _files_of(text)
    except BadFile:
        return None
    return text


def _hex(digest: object) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise BadFile("it names no digest")
    return digest


def _seal(data: dict[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""What remote caches say of actions: read back as it was written, and never taken for more than data."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.address import address_of, without_secrets
from nodegraph.cache.entries import Blob, Entry, entry_of, entry_text
from nodegraph.cache.records import Record
from nodegraph.cache.rows import Place, record_of, row_of, saved_text
from nodegraph.sockets.packing import BadFile
from nodegraph.sockets.values import Saved, SavedFile

KEY = hashlib.sha256(b"key").digest()
DIGEST = hashlib.sha256(b"content").hexdigest()
digests = st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple)


def text_of(place: Place, saved: Saved | None = None, blob: Blob | None = None, **record: Any) -> bytes | None:
    known = Record(**({"digests": (b"d" * 32,), "seconds": 1.5, "saved": saved} | record))
    return entry_text(row_of(KEY, "Toy", known, saved_text(saved) if saved else None, place, 0.0), blob)


def picture(name: str = "a.png", kind: str = "output", digest: str = DIGEST, folder: str = "x") -> Saved:
    return Saved((SavedFile("/home/somebody/output/x/a.png", name, folder, kind, 3, 4, digest),))


def sealed(text: bytes, change: dict[str, Any]) -> bytes:
    """A record as somebody writes it who knows how they are sealed."""
    data = {**json.loads(text), **change}
    del data["seal"]
    plain = json.dumps(data, separators=(",", ":"), sort_keys=True)
    return json.dumps({**data, "seal": hashlib.sha256(plain.encode()).hexdigest()}).encode()


@given(digests, st.floats(0, 1e8), st.sampled_from(["value", "blob", "unstorable", "cheap"]), st.binary(max_size=99))
def test_a_record_comes_back_as_it_was(digests: tuple[bytes, ...], seconds: float, kind: str, value: bytes):
    place = {"value": Place(value=value), "blob": Place(bytes=9, stamp="s")}.get(kind, Place(absent=kind))
    blob = Blob(DIGEST, 9) if kind == "blob" else None
    text = text_of(place, blob=blob, digests=digests, seconds=seconds)
    assert text is not None
    found = entry_of(KEY, text, 0.0)
    assert (found.blob, found.row.type, found.row.value) == (blob, "Toy", value if kind == "value" else None)
    assert found.row.absent == {"value": None, "blob": "remote"}.get(kind, kind)
    assert record_of(found.row) == Record(digests, seconds)


@given(st.data())
def test_a_record_with_another_byte_is_refused_or_says_the_same(data: st.DataObject):
    text = text_of(Place(bytes=9), picture(), Blob(DIGEST, 9))
    assert text is not None
    at, byte = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 255))
    try:
        found = entry_of(KEY, text[:at] + bytes([byte]) + text[at + 1 :], 0.0)
    except BadFile:
        return
    assert found == entry_of(KEY, text, 0.0)


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(repr).map(str.encode)
)
def test_anything_else_is_refused(text: bytes):
    with pytest.raises(BadFile):
        entry_of(KEY, text, 0.0)


def test_a_record_of_another_action_is_refused():
    text = text_of(Place(value=b"jnull"))
    assert text is not None
    with pytest.raises(BadFile, match="seal"):
        entry_of(hashlib.sha256(b"another").digest(), text, 0.0)


def test_saved_files_are_shared_without_the_folders_of_this_machine():
    text = text_of(Place(value=b"jnull"), picture())
    assert text is not None
    assert b"somebody" not in text
    found = entry_of(KEY, text, 0.0)
    assert found.files == (DIGEST,)
    saved = record_of(found.row).saved
    assert saved is not None
    assert (saved.files[0].filename, saved.files[0].subfolder, saved.files[0].width) == ("a.png", "x", 3)


@pytest.mark.parametrize(
    "saved",
    [
        picture(kind="input"),
        picture(kind=""),
        picture(name="a.py"),
        picture(name="a.html"),
        picture(name="authorized_keys"),
        picture(digest="../../../../etc/passwd"),
        picture(digest=""),
    ],
)
def test_files_that_others_are_not_to_have_are_neither_sent_nor_taken(saved: Saved):
    assert text_of(Place(value=b"jnull"), saved) is None
    harmless = text_of(Place(value=b"jnull"), picture())
    assert harmless is not None
    with pytest.raises(BadFile):
        entry_of(KEY, sealed(harmless, {"saved": saved_text(saved)}), 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"blob": {"digest": "../../secret", "bytes": 9}},
        {"blob": {"digest": DIGEST, "bytes": -1}},
        {"blob": {"digest": DIGEST, "bytes": 1 << 60}},
        {"blob": {"digest": DIGEST, "bytes": True}},
        {"digests": ["00"]},
        {"digests": "no"},
        {"blob": None, "value": "A" * 40_000},
        {"blob": None, "absent": "remote"},
        {"seconds": "soon"},
        {"nodegraph": 2},
    ],
)
def test_records_that_somebody_made_up_are_refused(change: dict[str, Any]):
    text = text_of(Place(bytes=9), None, Blob(DIGEST, 9))
    assert text is not None
    assert isinstance(entry_of(KEY, sealed(text, {}), 0.0), Entry)
    with pytest.raises(BadFile):
        entry_of(KEY, sealed(text, change), 0.0)


def test_results_that_had_no_room_here_are_not_told_of():
    assert text_of(Place(absent="full")) is None
    assert text_of(Place(absent="evicted")) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("file:///nfs/team", "file:///nfs/team"),
        ("file:///with%20space", "file:///with space"),
        ("memory://", "memory://"),
        ("memory://a/b/", "memory://a/b"),
    ],
)
def test_addresses(text: str, shown: str):
    assert str(address_of(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/nfs/team",
        "file://nfs/team",
        "http://x/y",
        "s3://",
        "s3://A_B/x",
        "simplecache::s3://bucket/x",
        "memory:///\x00",
        "s3://key:hush@bucket/x",
        "file://key:hush@host/x",
        "s3://bucket/x?key=hush",
    ],
)
def test_what_is_no_address_is_refused_in_words_that_repeat_none_of_it(text: str):
    with pytest.raises(ValueError, match=r"\w") as caught:
        address_of(text)
    assert "hush" not in str(caught.value)


def test_names_and_passwords_are_left_out_of_what_is_told():
    told = without_secrets("Could not connect to http://key:hush@host:1/x and s3://key:hush@bucket")
    assert told == "Could not connect to http://…@host:1/x and s3://…@bucket"
    assert without_secrets(str(Path("/a@b//c"))) == "/a@b/c"

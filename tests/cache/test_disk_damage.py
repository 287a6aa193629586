"""Whatever happens to a store's files: a miss and a warning, never a wrong value and never an exception."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from nodegraph.sockets.packing import write_values
from tests.cache.support import blob_of, index_of, integrity, key_of, noise, opened, put, record_for, same, sql

LARGE = 5 << 10  # kilobytes: digested only when the file was touched


def stored(folder: Path, *names: object, kilobytes: int = 64) -> list[bytes]:
    with opened(folder) as first:
        return [put(first.store, name, noise(i, kilobytes)) for i, name in enumerate(names)]


def truncated(blob: Path) -> None:
    os.truncate(blob, blob.stat().st_size // 2)


def emptied(blob: Path) -> None:
    os.truncate(blob, 0)


def longer(blob: Path) -> None:
    blob.write_bytes(blob.read_bytes() + b"\0")


def flipped(blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[-100] ^= 1
    blob.write_bytes(data)


def no_header(blob: Path) -> None:
    blob.write_bytes(b"\xff" * blob.stat().st_size)


def fifo(blob: Path) -> None:
    blob.unlink()
    os.mkfifo(blob)


def folder(blob: Path) -> None:
    blob.unlink()
    blob.mkdir()
    (blob / "x").touch()


def link(blob: Path) -> None:
    blob.rename(blob.parent / "real")
    blob.symlink_to("real")


def removed(blob: Path) -> None:
    blob.unlink()


def pickled(blob: Path) -> None:
    torch.save(noise(7), blob)


def of_others(blob: Path) -> None:
    save_file({"0": noise(7)}, blob, {"key": "?"})


def another_shape(blob: Path) -> None:
    write_again(blob, noise(0).view(-1, 2))


def another_format(blob: Path) -> None:
    write_again(blob, noise(0).view(torch.int32))


def another_value(blob: Path) -> None:
    write_again(blob, noise(1))


def write_again(blob: Path, tensor: torch.Tensor) -> None:
    """A file as the store writes it, under the same key and, if it can be, of the same size."""
    write_values(blob, (tensor,), {"key": blob.stem})


DAMAGES = (
    truncated, emptied, longer, flipped, no_header, fifo, folder, link, removed, pickled, of_others, another_shape,
    another_format, another_value,
)  # fmt: skip


@pytest.mark.parametrize("kilobytes", [64, LARGE])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_blob_is_missed_once_and_then_replaced(
    tmp_path: Path, damage: Callable[[Path], None], kilobytes: int
):
    (key,) = stored(tmp_path, "a", kilobytes=kilobytes)
    damage(blob_of(tmp_path, key))
    if damage is of_others or damage is another_value:  # the row fits it, too
        sql(tmp_path, "UPDATE action SET bytes = ?", blob_of(tmp_path, key).stat().st_size)
    with opened(tmp_path) as again:
        assert again.store.values(key) is None
        assert again.store.values(key) is None
        assert again.store.absent(key) in ("missing", "unknown")
        assert len(again.warnings) == 1
        put(again.store, "a", noise(0, kilobytes))
    with opened(tmp_path) as again:
        values = again.store.values(key)
        assert values is not None and same(values[0], noise(0, kilobytes))
        assert again.warnings == []


@pytest.mark.parametrize("kilobytes", [64, LARGE])
def test_two_blobs_that_were_exchanged_are_missed(tmp_path: Path, kilobytes: int):
    keys = stored(tmp_path, "a", "b", kilobytes=kilobytes)
    first, second = (blob_of(tmp_path, key) for key in keys)
    first.rename(tmp_path / "x")
    second.rename(first)
    (tmp_path / "x").rename(second)
    with opened(tmp_path) as again:
        assert [again.store.values(key) for key in keys] == [None, None]
        assert len(again.warnings) == 1


def test_of_many_damaged_results_one_warning_tells(tmp_path: Path):
    keys = stored(tmp_path, *range(30))
    for key in keys:
        flipped(blob_of(tmp_path, key))
    with opened(tmp_path) as again:
        assert [again.store.values(key) for key in keys] == [None] * 30
        assert len(again.warnings) == 1
    assert len(list((tmp_path / "v1" / "broken").iterdir())) <= 20


def test_a_blob_damaged_while_the_store_is_open_is_missed(tmp_path: Path):
    with opened(tmp_path, memory=0) as first:
        key = put(first.store, "a", noise())
        assert first.store.values(key) is not None
        flipped(blob_of(tmp_path, key))
        assert first.store.values(key) is None
        assert len(first.warnings) == 1


def test_a_blob_cut_short_after_it_was_read_does_no_harm(tmp_path: Path):
    (key,) = stored(tmp_path, "a", kilobytes=1024)
    with opened(tmp_path) as again:
        values = again.store.values(key)
        assert values is not None
        emptied(blob_of(tmp_path, key))
        assert same(values[0], noise(0, 1024))


@settings(max_examples=40)
@given(st.data())
def test_a_blob_with_any_damage_gives_the_right_value_or_none(tmp_path_factory: pytest.TempPathFactory, data):
    folder = tmp_path_factory.mktemp("store")
    value = ([noise(0, 8), {"strength": 0.5}],)
    with opened(folder) as first:
        key = put(first.store, "a", value)
    blob = blob_of(folder, key)
    whole = bytearray(blob.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, 400) | st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    blob.write_bytes(whole)
    with opened(folder) as again:
        found = again.store.values(key)
        assert found is None or same(found[0], value)


ROW_DAMAGES = {
    "digests of another value": ("UPDATE action SET digests = ?", record_for(5).digests[0]),
    "digests of no length": ("UPDATE action SET digests = ?", b"12345"),
    "digests that are text": ("UPDATE action SET digests = ?", "x" * 32),
    "no seal": ("UPDATE action SET seal = ?", b""),
    "another type": ("UPDATE action SET seconds = ?", "long"),
    "saved": ("UPDATE action SET saved = ?", '{"files": [], "shown": null}'),
    "bytes that are text": ("UPDATE action SET bytes = ?", "many"),
    "another value": ("UPDATE action SET value = ?, bytes = 0", b"j" + b'{"t":[1]}'),
    "no value at all": ("UPDATE action SET value = ?, bytes = 0", b""),
}


@pytest.mark.parametrize("name", ROW_DAMAGES)
@pytest.mark.parametrize("ask_record", [True, False])
def test_a_damaged_row_is_missed(tmp_path: Path, name: str, ask_record: bool):
    (key,) = stored(tmp_path, "a")
    sql(tmp_path, *ROW_DAMAGES[name])
    with opened(tmp_path) as again:
        if ask_record:
            assert again.store.record(key) in (None, record_for(noise()))
            again.store.absent(key)
        assert again.store.values(key) is None
        assert len(again.warnings) <= 1
        again.store.begin([key])
        again.store.evict(1)
        put(again.store, "a", noise())
        again.store.end({})
    with opened(tmp_path) as again:
        assert again.store.record(key) == record_for(noise())


def test_rows_that_were_exchanged_are_missed(tmp_path: Path):
    """They tell later nodes what they depend on, although nobody looks at the values."""
    first, second = stored(tmp_path, "a", "b")
    sql(tmp_path, "UPDATE action SET digests = (SELECT digests FROM action WHERE key = ?) WHERE key = ?", second, first)
    with opened(tmp_path) as again:
        assert again.store.record(first) is None
        assert again.store.record(second) is not None


def no_database(index: Path) -> None:
    index.write_bytes(b"not a database, certainly" * 400)


def cut(index: Path) -> None:
    os.truncate(index, index.stat().st_size // 2)


def zeros(index: Path) -> None:
    data = bytearray(index.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    index.write_bytes(data)


def none_left(index: Path) -> None:
    os.truncate(index, 0)


def other_tables(index: Path) -> None:
    database = sqlite3.connect(index)
    database.executescript("DROP TABLE action; CREATE TABLE action(key BLOB PRIMARY KEY, pickle BLOB)")
    database.close()


@pytest.mark.parametrize("damage", [no_database, cut, zeros, none_left, other_tables], ids=lambda each: each.__name__)
def test_a_damaged_index_is_begun_anew(tmp_path: Path, damage: Callable[[Path], None]):
    keys = stored(tmp_path, *range(40), kilobytes=5)
    damage(index_of(tmp_path))
    with opened(tmp_path) as again:
        for i, key in enumerate(keys):
            values = again.store.values(key)
            assert values is None or same(values[0], noise(i, 5))
        key = put(again.store, "new", noise(3))
        assert len(again.warnings) <= 1
    with opened(tmp_path) as again:
        assert again.store.values(key) is not None
        assert again.warnings == []
    assert integrity(tmp_path) == "ok"


@pytest.mark.parametrize("damage", [no_database, cut, zeros, none_left], ids=lambda each: each.__name__)
def test_an_index_damaged_while_it_is_open_does_no_harm(tmp_path: Path, damage: Callable[[Path], None]):
    keys = stored(tmp_path, *range(40), kilobytes=5)
    with opened(tmp_path, memory=0) as first:
        damage(index_of(tmp_path))
        for i, key in enumerate(keys):
            values = first.store.values(key)
            assert values is None or same(values[0], noise(i, 5))
        for i in range(10):
            put(first.store, ("new", i), noise(i))
        assert len(first.warnings) <= 1
    with opened(tmp_path) as again:
        for i in range(10):
            values = again.store.values(key_of(("new", i)))
            assert values is None or same(values[0], noise(i))


def test_an_index_of_a_newer_version_is_left_alone(tmp_path: Path):
    (key,) = stored(tmp_path, "a")
    sql(tmp_path, "PRAGMA user_version = 99")
    before = {path.name: path.read_bytes() for path in index_of(tmp_path).parent.glob("index*")}
    with opened(tmp_path) as again:
        assert again.store.values(key) is None
        other = put(again.store, "b", noise())
        assert again.store.values(other) is not None  # in memory
        assert len(again.warnings) == 1
        assert "newer version" in again.warnings[0] and "--cache-dir" in again.warnings[0]
    assert {path.name: path.read_bytes() for path in index_of(tmp_path).parent.glob("index*")} == before
    sql(tmp_path, "PRAGMA user_version = 1")
    with opened(tmp_path) as again:
        assert again.store.values(key) is not None


def test_a_folder_that_is_a_link_is_not_used(tmp_path: Path):
    stored(tmp_path / "cache", "a")
    blobs = tmp_path / "cache" / "v1" / "blobs"
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.glob("elsewhere/*/*"))
    with opened(tmp_path / "cache") as again:
        key = put(again.store, "b", noise())
        assert again.store.values(key) is not None
        assert len(again.warnings) == 1
    assert sorted(tmp_path.glob("elsewhere/*/*")) == before


def test_odd_things_in_the_folder_do_no_harm(tmp_path: Path):
    (key,) = stored(tmp_path, "a")
    partial = tmp_path / "v1" / "partial"
    for name in ("x", "a-b-c", f"{'9' * 40}-x", "²-x", "-".join(["0", "1", "2"])):
        (partial / name).write_text("")
    (partial / "folder").mkdir()
    (partial / "link").symlink_to("nowhere")
    (tmp_path / "v1" / "blobs" / "no").mkdir()
    (tmp_path / "v1" / "blobs" / "no" / "key.safetensors").touch()
    with opened(tmp_path) as again:
        assert again.store.values(key) is not None
        assert again.warnings == []


def test_a_folder_deleted_while_it_is_in_use_is_made_again(tmp_path: Path):
    with opened(tmp_path / "cache", memory=0) as first:
        key = put(first.store, "a", noise())
        shutil.rmtree(tmp_path / "cache")
        assert first.store.values(key) is None
        first.store.begin([key])
        put(first.store, "a", noise())
        assert first.store.values(key) is not None
        shutil.rmtree(tmp_path / "cache")
        put(first.store, "b", noise(1))
        first.store.end({})
        assert len(first.warnings) <= 1
    with opened(tmp_path / "cache") as again:
        assert again.store.values(key) is None
        assert again.store.values(key_of("b")) is not None


@pytest.mark.parametrize("where", ["", "v1", "v1/index.db", "v1/blobs", "v1/partial"])
def test_something_else_in_the_place_of_a_folder_is_told(tmp_path: Path, where: str):
    place = tmp_path / "cache" / where
    place.parent.mkdir(parents=True, exist_ok=True)
    if where == "v1/index.db":
        place.mkdir()
    else:
        place.write_text("mine")
    with opened(tmp_path / "cache") as first:
        key = put(first.store, "a", noise())
        assert first.store.values(key) is not None
        assert first.store.claim(key)
        first.store.begin([key])
        first.store.end({})
        assert len(first.warnings) == 1
        assert str(tmp_path / "cache") in first.warnings[0]
    assert place.is_dir() or place.read_text() == "mine"

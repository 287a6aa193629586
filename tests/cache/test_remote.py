"""Results that machines share: found, fetched, checked, and written by whoever makes them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import pytest

from nodegraph.cache.remote import READERS, WRITERS
from nodegraph.cache.remote_upkeep import collect_remote, remote_info
from nodegraph.cache.upkeep import info
from tests.cache.remote_support import Stuck, machine, names, objects, spoil
from tests.cache.support import key_of, noise, opened, put, same
from tests.cli.support import ROOT

Change: TypeAlias = Callable[[bytes], bytes]


def test_another_machine_has_what_one_made(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        large, small = put(a.store, "large", noise(1)), put(a.store, "small", 7, seconds=1.0)
        assert a.warnings == []
    with machine(tmp_path / "b", address) as b:
        assert b.store.record(large) is None  # nobody has asked yet
        b.learn(large, small, key_of("unknown"))
        record = b.store.record(large)
        assert record is not None
        assert (record.seconds, b.store.absent(large), b.store.is_distant(large)) == (60.0, None, True)
        assert b.store.record(key_of("unknown")) is None
        assert b.store.used() == 0  # nothing is fetched before it is needed
        values = b.store.values(large)
        assert values is not None
        assert same(values[0], noise(1))
        assert b.store.values(small) == (7,)
        assert b.warnings == []


def test_what_was_fetched_lies_in_the_local_store_and_counts_there(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
    with machine(tmp_path / "b", address) as b:
        assert b.values(key) is not None
        assert info(b.store).bytes == b.store.used() > noise(1).nbytes
    with opened(tmp_path / "b") as later:  # without the remote cache
        values = later.store.values(key)
        assert values is not None
        assert same(values[0], noise(1))


def test_values_that_had_to_make_room_come_back_from_the_remote_cache(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
    with machine(tmp_path / "a", address) as a:
        assert a.store.evict(1) > 0
        a.learn()
        assert a.store.record(key) is not None
        assert a.store.absent(key) is None
        assert a.store.values(key) is not None


def test_without_the_remote_cache_its_values_are_not_there(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
    with machine(tmp_path / "b", address) as b:
        b.learn(key)
    with opened(tmp_path / "b") as later:
        assert later.store.record(key) is not None
        assert (later.store.absent(key), later.store.values(key)) == ("remote", None)


DAMAGE: list[tuple[str, Change]] = [
    ("blobs", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    ("blobs", lambda data: data[:100]),
    ("blobs", lambda data: data + b"more"),
    ("blobs", lambda data: b""),
    ("actions", lambda data: data.replace(b'"seconds":60', b'"seconds":61')),
    ("actions", lambda data: data[:-20]),
    ("actions", lambda data: b""),
    ("actions", lambda data: b"[1]"),
    ("actions", lambda data: b"x" * (2 << 20)),
]


@pytest.mark.parametrize(("folder", "change"), DAMAGE)
def test_a_damaged_object_is_a_miss_told_once_and_replaced_by_who_makes_it_anew(
    folder: str, change: Change, shared_folder: str, tmp_path: Path
):
    is_a_miss_and_replaced(shared_folder, folder, change, tmp_path)


@pytest.mark.parametrize("number", [0, 3, 6])
def test_a_damaged_object_is_a_miss_in_a_bucket_too(number: int, address: str, tmp_path: Path):
    is_a_miss_and_replaced(address, *DAMAGE[number], tmp_path)


def is_a_miss_and_replaced(address: str, folder: str, change: Change, tmp_path: Path) -> None:
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
    spoil(address, folder, change)
    with machine(tmp_path / "reader", address, mode="read") as reader:
        assert reader.values(key) is None
        assert reader.values(key) is None
        assert [warning.count("is damaged") for warning in reader.warnings] == [1]
        put(reader.store, "large", noise(1))
    with machine(tmp_path / "b", address) as b:
        assert b.values(key) is None  # which the reader left as it was
        put(b.store, "large", noise(1))
    with machine(tmp_path / "c", address) as c:
        values = c.values(key)
        assert values is not None
        assert same(values[0], noise(1))
        assert c.warnings == []


def test_values_that_are_gone_are_a_miss(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
    for name in names(address, "blobs"):
        objects(address).remove(name)
    with machine(tmp_path / "b", address) as b:
        b.learn(key)
        assert b.store.values(key) is None
        assert b.store.absent(key) == "missing"
        put(b.store, "large", noise(1))
    with machine(tmp_path / "c", address) as c:
        assert c.values(key) is not None


def test_of_two_machines_that_make_the_same_action_the_first_counts(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a, machine(tmp_path / "b", address) as b:
        key = put(a.store, "same", noise(1))
        a.store.remote.drain()
        put(b.store, "same", noise(2))  # as another kind of processor might
        b.store.remote.drain()
        assert a.warnings + b.warnings == []
        own = b.values(key)
        assert own is not None
        assert same(own[0], noise(2))
    with machine(tmp_path / "c", address) as c:
        values = c.values(key)
        assert values is not None
        assert same(values[0], noise(1))
        assert c.warnings == []


def test_a_reader_writes_nothing(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address, mode="read") as a:
        put(a.store, "large", noise(1))
    assert names(address) == []


def test_a_read_only_folder_is_told_of_once_and_still_read(shared_folder: str, tmp_path: Path):
    with machine(tmp_path / "a", shared_folder) as a:
        key = put(a.store, "large", noise(1))

    class ReadOnly:
        def __init__(self, *_: object) -> None:
            self.real = objects(shared_folder)

        def __getattr__(self, name: str) -> object:
            if name == "write":
                raise PermissionError(13, "Permission denied")
            return getattr(self.real, name)

    with machine(tmp_path / "b", shared_folder, opened=ReadOnly) as b:
        for i in range(5):
            put(b.store, i, noise(i))
        b.store.remote.drain()
        assert [warning.count("read only") for warning in b.warnings] == [1]
        assert b.values(key) is not None


def test_a_cache_that_does_not_answer_is_told_of_once_and_left_alone(tmp_path: Path):
    stuck = Stuck()
    with machine(tmp_path / "a", "file:///nowhere", opened=stuck, timeout=0.1) as a:
        a.learn(*[key_of(i) for i in range(1000)])
        assert stuck.asked <= READERS
        a.learn(key_of("another"))
        key = put(a.store, "large", noise(1))
        assert a.store.values(key) is not None
        assert stuck.asked <= READERS
        assert [warning.count("does not answer (not within 0.1 s)") for warning in a.warnings] == [1]
    stuck.go.set()


def test_an_answer_that_is_awaited_in_a_run_comes_too_late_for_the_next_question(tmp_path: Path):
    stuck = Stuck()
    with machine(tmp_path / "a", "file:///nowhere", opened=stuck, timeout=0.1) as a:
        assert a.store.reaches_out()
        seconds = a.store.seek(key_of("a"), lambda: None)
        assert seconds is not None
        assert seconds <= 0.1
        assert a.store.seek(key_of("a"), lambda: None) is None  # asked already
        stuck.go.wait(0.15)  # longer than the time-out, with no answer
        assert a.store.seek(key_of("b"), lambda: None) is None
        assert len(a.warnings) == 1
    stuck.go.set()


def test_writing_that_hangs_is_waited_for_no_longer_than_the_time_out(tmp_path: Path):
    stuck = Stuck()
    with machine(tmp_path / "a", "file:///nowhere", opened=stuck, timeout=0.1) as a:
        for i in range(20):
            put(a.store, i, noise(i, kilobytes=16))
    assert ["could not be written" in warning for warning in a.warnings] == [True]
    assert stuck.asked <= WRITERS
    stuck.go.set()


def test_machines_that_write_the_same_at_the_same_time_do_not_disturb_each_other(address: str, tmp_path: Path):
    begin = threading.Barrier(3)

    def make(name: str) -> list[str]:
        with machine(tmp_path / name, address) as each:
            begin.wait()
            for i in range(12):
                put(each.store, i, noise(i, kilobytes=16))
        return each.warnings

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(make, ["a", "b", "c"])) == [[], [], []]
    assert [len(names(address, folder)) for folder in ("actions", "blobs")] == [12, 12]
    with machine(tmp_path / "d", address) as d:
        d.learn(*[key_of(i) for i in range(12)])
        for i in range(12):
            values = d.store.values(key_of(i))
            assert values is not None
            assert same(values[0], noise(i, kilobytes=16))
        assert d.warnings == []


def test_a_run_may_wait_again_after_the_run_before(shared_folder: str, tmp_path: Path):
    with machine(tmp_path / "a", shared_folder, timeout=5.0) as a:
        assert a.store.reaches_out()
        a.store.remote.gained(-5.0)  # a run has waited so long
        assert not a.store.remote.answers
        assert a.store.reaches_out()
        assert a.warnings == []


def test_buckets_that_are_not_there_or_not_reached_are_told_of_once(tmp_path: Path, buckets: Callable[[], str]):
    buckets()
    with machine(tmp_path / "a", "s3://no-such-bucket/x") as a:
        a.learn(key_of(1))
        put(a.store, "large", noise(1))
    assert [warning.count("there is no such bucket") for warning in a.warnings] == [1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with machine(tmp_path / "b", "s3://team/x") as b:
            b.learn(key_of(1), key_of(2))
            put(b.store, "large", noise(1))
    assert [warning.count("Could not connect") for warning in b.warnings] == [1]


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from nodegraph.cache.objects import FolderObjects
from tests.cache.remote_support import Machine
from tests.cache.support import noise, put

class Killer(FolderObjects):
    def write(self, name, data, *, replace):
        if name.startswith({at!r}):
            if {half!r}:
                (self.root / "partial").mkdir(parents=True)
                (self.root / "partial" / "half").write_bytes(data.read_bytes()[:1000])
            os.kill(os.getpid(), 9)
        super().write(name, data, replace=replace)

a = Machine(Path({folder!r}), {address!r}, opened=lambda address, timeout: Killer(Path(address.path) / "nodegraph-1"))
put(a.store, "large", noise(1))
a.store.close()
"""


@pytest.mark.parametrize(("at", "half"), [("blobs", True), ("actions", False)])
def test_a_machine_that_dies_while_it_writes_leaves_no_action_without_its_values(
    at: str, half: bool, shared_folder: str, tmp_path: Path
):
    text = KILLED.format(root=str(ROOT), at=at, half=half, folder=str(tmp_path / "a"), address=shared_folder)
    done = subprocess.run([sys.executable, "-c", text], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert names(shared_folder, "actions") == []
    assert len(names(shared_folder, "blobs")) == (at == "actions")
    with machine(tmp_path / "b", shared_folder) as b:
        assert b.values(key_of("large")) is None
        put(b.store, "large", noise(1))
    with machine(tmp_path / "c", shared_folder) as c:
        assert c.values(key_of("large")) is not None
        assert b.warnings + c.warnings == []


def test_what_is_old_is_deleted_and_the_rest_is_counted(address: str, tmp_path: Path):
    with machine(tmp_path / "a", address) as a:
        key = put(a.store, "large", noise(1))
        put(a.store, "small", 1)
    with machine(tmp_path / "b", address) as b:
        found = remote_info(b.store.remote)
        assert (found.address, found.results, found.objects) == (address, 2, 3)
        assert found.bytes is not None
        assert found.bytes > noise(1).nbytes
        assert collect_remote(objects(address), 3600.0) == (0, 0, 0)
        assert collect_remote(objects(address), -3600.0) == (found.bytes, 2, 3)
        assert names(address) == []
        assert b.values(key) is None

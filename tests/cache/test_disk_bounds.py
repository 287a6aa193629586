"""A store keeps to its budget, leaves the disk some room, and survives one that is full or may not be written to."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.disk import DiskStore
from nodegraph.cache.eviction import HALF_LIFE, Candidate, victims, worth
from nodegraph.cache.owners import this_owner
from nodegraph.cache.records import Record
from nodegraph.sockets import Saved, SavedFile
from tests.cache.support import blob_of, index_of, key_of, noise, opened, put, record_for, same, sql
from tests.cli.support import environment

KB = 1024


def blob_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for name in ("blobs", "files") for path in (folder / "v1" / name).glob("*/*"))


def left(folder: Path) -> set[bytes]:
    return {bytes.fromhex(path.stem) for path in (folder / "v1" / "blobs").glob("*/*")}


def aged(folder: Path, key: bytes, seconds: float) -> None:
    sql(folder, "UPDATE action SET used = ? WHERE key = ?", time.time() - seconds, key)


candidates = st.builds(
    Candidate, st.binary(min_size=1, max_size=4), st.integers(1, 10**9), st.floats(0, 1e5), st.floats(0, 2e9)
)


@given(st.lists(candidates, max_size=20), st.integers(-5, 10**10))
def test_the_victims_are_worth_least_and_no_more_than_it_takes(found: list[Candidate], excess: int):
    chosen = victims(found, excess, 1e9)
    spared = list(found)
    for each in chosen:
        spared.remove(each)
    assert all(worth(each, 1e9) <= worth(other, 1e9) for each in chosen for other in spared)
    assert sum(each.bytes for each in chosen) >= excess or not spared
    assert sum(each.bytes for each in chosen[:-1]) < max(1, excess)


def test_worth_is_seconds_saved_per_byte_halved_every_week():
    now = 1e9
    value = Candidate(b"a", 1000, 10, now)
    assert worth(value, now) == pytest.approx(10.001 / 1000)
    assert worth(value._replace(bytes=2000), now) == pytest.approx(worth(value, now) / 2)
    assert worth(value, now + HALF_LIFE) == pytest.approx(worth(value, now) / 2)
    assert worth(value._replace(used=now + 9e9), now) == worth(value, now)  # the clock was set back


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(5, 90), st.integers(1, 100)), max_size=12), st.integers(0, 300))
def test_the_files_never_exceed_the_budget(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[int, int]], budget: int
):
    folder = tmp_path_factory.mktemp("store")
    with opened(folder, budget=budget * KB, memory=0) as each:
        for i, (kilobytes, seconds) in enumerate(puts):
            put(each.store, i, noise(i, kilobytes), seconds=seconds)
            assert blob_bytes(folder) <= budget * KB
            assert each.store.used() == blob_bytes(folder)
        for i, (kilobytes, _) in enumerate(puts):
            values = each.store.values(key_of(i))
            assert values is None or same(values[0], noise(i, kilobytes))
        assert each.warnings == []


def test_what_saves_least_goes_first(tmp_path: Path):
    with opened(tmp_path, budget=350 * KB, memory=0) as each:
        dear, cheap, old = (
            put(each.store, name, noise(0, 100), seconds=s) for name, s in [("d", 90), ("c", 9), ("o", 99)]
        )
        aged(tmp_path, old, 5 * HALF_LIFE)
        put(each.store, "new", noise(1, 100))
        assert left(tmp_path) == {dear, cheap, key_of("new")}
        assert each.store.absent(old) == "evicted"
        assert each.store.record(old) is not None
        put(each.store, "newer", noise(2, 100))
        assert left(tmp_path) == {dear, key_of("new"), key_of("newer")}


def test_what_runs_need_stays(tmp_path: Path):
    with opened(tmp_path, budget=350 * KB, memory=0) as first, opened(tmp_path, budget=350 * KB) as second:
        keys = [put(first.store, i, noise(i, 100), seconds=1) for i in range(3)]
        for key in keys:
            aged(tmp_path, key, 100)
            assert second.store.record(key) is not None
        second.store.begin(keys[:2])
        put(first.store, "new", noise(4, 100))
        assert left(tmp_path) == {*keys[:2], key_of("new")}
        put(first.store, "newer", noise(5, 100))  # nothing is left that could go
        assert left(tmp_path) == {*keys[:2], key_of("new")}
        assert first.store.absent(key_of("newer"), memory_counts=False) == "full"
        assert len(first.warnings) == 1
        second.store.end({})
        put(first.store, "newest", noise(6, 100))
        assert key_of("newest") in left(tmp_path)


def test_a_run_that_ends_does_not_unpin_what_another_one_needs(tmp_path: Path):
    with opened(tmp_path, memory=0) as each:
        key = put(each.store, "a", noise())
        aged(tmp_path, key, 100)
        each.store.begin([key])
        each.store.begin([])
        each.store.end({})
        assert each.store.evict(1) == 0
        each.store.end({})
        assert each.store.evict(1) > 0


def test_the_dead_need_nothing(tmp_path: Path):
    with opened(tmp_path) as each:
        put(each.store, "a", noise())
        host, _, started, *_ = this_owner().split()
        for beat, owner in [(time.time(), f"{host} {2**22 + 1} {started} x"), (time.time() - 1000, "elsewhere 1 2 x"),
                            (time.time() + 1000, "elsewhere 1 3 x")]:  # fmt: skip
            sql(tmp_path, "INSERT INTO run VALUES (?, 0, ?)", owner, beat)
        assert each.store.evict(1) > 0
        assert sql(tmp_path, "SELECT * FROM run") == []
        put(each.store, "a", noise())
        sql(tmp_path, "INSERT INTO run VALUES ('elsewhere 1 2 x', 0, ?)", time.time())
        assert each.store.evict(1) == 0  # it lives on another machine


def test_after_the_clock_was_set_back_things_can_go(tmp_path: Path):
    with opened(tmp_path) as each:
        key = put(each.store, "a", noise())
        aged(tmp_path, key, -1e6)
        each.store.begin()
        assert each.store.evict(1) > 0
        each.store.end({})


def test_what_is_used_is_younger_again(tmp_path: Path):
    with opened(tmp_path) as each:
        key = put(each.store, "a", noise())
    aged(tmp_path, key, 1000)
    with opened(tmp_path) as each:
        assert each.store.record(key) is not None
        each.store.begin([key])
        each.store.end({})
    ((used,),) = sql(tmp_path, "SELECT used FROM action")
    assert abs(used - time.time()) < 500


def test_copies_of_saved_files_count_and_go_too(tmp_path: Path):
    with opened(tmp_path / "cache", budget=250 * KB) as each:
        for i in range(5):
            picture = tmp_path / f"{i}.png"
            picture.write_bytes(bytes([i]) * 100 * KB)
            digest = hashlib.sha256(picture.read_bytes()).hexdigest()
            saved = Saved((SavedFile(str(picture), picture.name, "", "output", digest=digest),))
            each.store.put(key_of(i), Record((), 1, saved), (), at_once=True)
            assert blob_bytes(tmp_path / "cache") <= 250 * KB
            assert each.store.has_file(saved.files[0])
        assert each.warnings == []


def test_the_index_does_not_grow_for_ever(tmp_path: Path):
    text = "x" * 4000
    record = record_for(text)
    with opened(tmp_path, budget=1 << 20) as each:
        blob = put(each.store, "blob", noise(0, 9))
        for turn in range(9):
            each.store.begin()
            for i in range(500):
                each.store.put(key_of((turn, i)), record, (text,))
            each.store.end({})
    assert index_of(tmp_path).stat().st_size < 12 << 20  # of 18 MB that were put, and what comes with them
    with opened(tmp_path) as again:
        assert again.store.values(key_of((8, 499))) == (text,)
        assert again.store.record(key_of((0, 0))) is None
        assert again.store.values(blob) is not None


def test_some_of_the_disk_stays_free(tmp_path: Path):
    with opened(tmp_path, memory=0, free=1 << 60) as each:
        key = put(each.store, "a", noise())
        small = put(each.store, "b", 5)
        assert each.store.values(key) is None
        assert each.store.absent(key, memory_counts=False) == "full"
        assert each.store.values(small) == (5,)
        assert len(each.warnings) == 1


def test_threads_share_a_store(tmp_path: Path):
    begin = threading.Barrier(6)
    failures: list[BaseException] = []
    with opened(tmp_path, budget=900 * KB, memory=200 * KB) as each:

        def work(mine: int) -> None:
            try:
                begin.wait()
                for i in range(12):
                    each.store.begin([key_of(i)])
                    put(each.store, (mine, i), noise(i, 20))
                    put(each.store, i, f"{i}")
                    values = each.store.values(key_of((mine, i)))
                    assert values is None or same(values[0], noise(i, 20))
                    assert each.store.values(key_of(i)) == (f"{i}",)
                    each.store.end({})
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert blob_bytes(tmp_path) <= 900 * KB
        assert sql(tmp_path, "SELECT * FROM run") == []
    beats = [thread for thread in threading.enumerate() if thread.name == "nodegraph-beat"]
    for thread in beats:
        thread.join(60)
    assert not any(thread.is_alive() for thread in beats)


def test_an_action_has_one_owner_in_a_process_too(tmp_path: Path):
    with opened(tmp_path) as each, opened(tmp_path) as other:
        assert each.store.claim(key_of("a"))
        assert not each.store.claim(key_of("a"))
        assert not other.store.claim(key_of("a"))
        other.store.release(key_of("a"))  # not its own
        assert not other.store.claim(key_of("a"))
        each.store.release(key_of("a"))
        assert other.store.claim(key_of("a"))
        other.store.release(key_of("a"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, or as much as can be had of one: files that may not grow beyond 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode == 0:
        yield place
        subprocess.run(["umount", "-l", str(place)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300 * KB, hard))
    yield place
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_the_cache_and_nothing_else(small_disk: Path):
    with opened(small_disk / "cache", memory=0) as each:
        for i in range(60):
            put(each.store, i, noise(i, 90))
            put(each.store, ("large", i), noise(i, 400))
            put(each.store, ("small", i), f"{i} " * 1000)
        assert 1 <= len(each.warnings) <= 2
        check_sound(each.store)
        assert list((small_disk / "cache" / "v1" / "partial").iterdir()) == []
    with opened(small_disk / "cache", memory=0) as again:
        check_sound(again.store)


def test_a_disk_that_others_filled_costs_the_cache_and_nothing_else(small_disk: Path):
    with opened(small_disk / "cache", memory=0) as each:
        put(each.store, "before", noise(0, 90))
        try:
            for i in range(9):
                (small_disk / f"others-{i}").write_bytes(bytes(250 * KB))
        except OSError:
            pass
        for i in range(20):
            put(each.store, i, noise(i, 400))
            put(each.store, ("small", i), f"{i} " * 1000)
            each.store.begin([key_of("before")])
            each.store.end({})
        assert len(each.warnings) <= 2
        check_sound(each.store)


def check_sound(store: DiskStore) -> None:
    """What it gives is right."""
    for i in range(60):
        for name, value in ((i, noise(i, 90)), (("large", i), noise(i, 400)), (("small", i), f"{i} " * 1000)):
            found = store.values(key_of(name))
            assert found is None or same(found[0], value) or store.record(key_of(name)) == record_for(found[0])


READ_ONLY = """
import os, sys
from pathlib import Path
from nodegraph.cache.disk import DiskStore
from nodegraph.cache.records import Record
from nodegraph.sockets.codecs import digest
if os.getuid() == 0:
    os.setuid(65534)
told = []
store = DiskStore(Path(sys.argv[1]), free=0, warn=told.append)
text = "x" * 9999
for i in range(9):
    key = digest(i)
    store.put(key, Record((digest(text),), 1.0), (text,), at_once=True)
    store.begin([key])
    assert store.values(key) == (text,)
    assert store.claim(key)
    store.release(key)
    store.end({})
print(len(told), told[0])
"""


def test_a_folder_that_may_not_be_written_to_is_told_once():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        with opened(folder / "old") as first:
            key = put(first.store, "a", noise())
            blob = blob_of(folder / "old", key)
        before = blob.read_bytes(), index_of(folder / "old").read_bytes()
        paths = [folder, *folder.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        for place in ("new", "old"):
            command = [sys.executable, "-c", READ_ONLY, str(folder / place)]
            done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"1 the cache in {folder / place}")
        assert (blob.read_bytes(), index_of(folder / "old").read_bytes()) == before
        if os.getuid() != 0:
            for path in paths:
                path.chmod(0o755)

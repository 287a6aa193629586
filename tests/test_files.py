"""Digests of files: by content, remembered only where nothing can have changed unseen."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.files import FileDigests, FileState
from tests.cache.support import opened, sql

OLD = 1_600_000_000  # long ago, in seconds


class Memos:
    """A place for memos that counts what it is asked."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[FileState, str]] = {}

    def recall(self, path: str) -> tuple[FileState, str] | None:
        return self.known.get(path)

    def remember(self, path: str, state: FileState, digest: str) -> None:
        self.known[path] = (state, digest)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wrong(memos: Memos) -> Memos:
    """The same memos, but of digests that can be told from true ones."""
    memos.known = {path: (state, "remembered") for path, (state, _) in memos.known.items()}
    return memos


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file that nobody has touched for more than two seconds: this project's own, which is as good as any."""
    source = Path(__file__).parents[1] / "LICENSE"
    folder = tmp_path_factory.mktemp("settled")

    def link(name: str) -> Path:
        path = folder / name
        path.symlink_to(source)
        return path

    return link


def test_the_digest_is_that_of_the_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"one")
    assert FileDigests().digest(tmp_path / "a") == sha256(b"one")
    with pytest.raises(OSError, match="nothing"):
        FileDigests().digest(tmp_path / "nothing")


def test_a_file_that_rests_is_read_once(settled: Callable[[str], Path]):
    memos = Memos()
    path = settled("once")
    true = FileDigests(memos).digest(path)
    assert true == sha256(path.read_bytes())
    assert list(memos.known) == [str(path.resolve())]  # by its real name
    assert FileDigests(wrong(memos)).digest(path) == "remembered"


@pytest.mark.parametrize("part", range(4))
def test_size_times_and_inode_all_count(settled: Callable[[str], Path], part: int):
    memos = Memos()
    path = settled(f"part {part}")
    FileDigests(memos).digest(path)
    ((name, (state, _)),) = memos.known.items()
    changed = list(state)
    changed[part] += 1
    memos.known[name] = (FileState(*changed), "remembered")
    assert FileDigests(memos).digest(path) == sha256(path.read_bytes())


def test_a_fresh_file_is_read_again_each_time(tmp_path: Path):
    memos = Memos()
    files = FileDigests(memos)
    path = tmp_path / "a"
    for text in (b"one", b"two", b"six"):  # all of one size, and perhaps within one tick of the clock
        path.write_bytes(text)
        os.utime(path, ns=(OLD * 10**9, OLD * 10**9))
        assert files.digest(path) == sha256(text)
    assert memos.known == {}


def test_a_file_replaced_under_the_same_name_size_and_time_is_noticed(tmp_path: Path):
    path, other = tmp_path / "model", tmp_path / "new"
    path.write_bytes(b"a" * 1000)
    os.utime(path, ns=(OLD * 10**9, OLD * 10**9))
    memos = Memos()
    memos.remember(str(path.resolve()), state_of(path), sha256(b"a" * 1000))  # as if it had rested
    other.write_bytes(b"b" * 1000)
    os.utime(other, ns=(OLD * 10**9, OLD * 10**9))
    other.replace(path)
    assert path.stat().st_mtime == OLD
    assert FileDigests(memos).digest(path) == sha256(b"b" * 1000)


def test_a_file_changed_in_place_whose_time_was_set_back_is_noticed(tmp_path: Path):
    path = tmp_path / "model"
    path.write_bytes(b"a" * 1000)
    os.utime(path, ns=(OLD * 10**9, OLD * 10**9))
    memos = Memos()
    memos.remember(str(path.resolve()), state_of(path), sha256(b"a" * 1000))
    inode, before = path.stat().st_ino, path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:  # until the clock of the file system has ticked
        with path.open("r+b") as file:
            file.write(b"b" * 1000)
        os.utime(path, ns=(OLD * 10**9, OLD * 10**9))
    assert path.stat().st_ino == inode
    assert FileDigests(memos).digest(path) == sha256(b"b" * 1000)


def test_a_file_of_the_future_is_read_each_time(tmp_path: Path):
    """The clock was set back, or the file comes from a machine whose clock is ahead."""
    memos = Memos()
    path = tmp_path / "a"
    path.write_bytes(b"one")
    ahead = time.time_ns() + 10**15
    os.utime(path, ns=(ahead, ahead))
    files = FileDigests(memos)
    assert files.digest(path) == sha256(b"one")
    path.write_bytes(b"two")
    os.utime(path, ns=(ahead, ahead))
    assert files.digest(path) == sha256(b"two")
    assert memos.known == {}


def test_other_processes_remember_through_the_store(settled: Callable[[str], Path], tmp_path: Path):
    path = settled("shared")
    with opened(tmp_path) as first:
        FileDigests(first.store).digest(path)
    sql(tmp_path, "UPDATE memo SET digest = 'remembered'")
    with opened(tmp_path) as again:
        assert FileDigests(again.store).digest(path) == "remembered"
    sql(tmp_path, "UPDATE memo SET mtime_ns = mtime_ns + 1")
    with opened(tmp_path) as again:
        assert FileDigests(again.store).digest(path) == sha256(path.read_bytes())
        assert FileDigests(again.store).digest(path) == sha256(path.read_bytes())
    assert sql(tmp_path, "SELECT digest FROM memo") == [(sha256(path.read_bytes()),)]


def test_what_the_store_cannot_hold_is_not_remembered(tmp_path: Path):
    """Names that are no Unicode, and file systems with inodes of more than 63 bits."""
    with opened(tmp_path) as each:
        for name, state in (("\udcff", FileState(1, 2, 3, 4)), ("a", FileState(1, 2, 3, 1 << 64))):
            for _ in range(9):
                each.store.remember(name, state, "0")
                assert each.store.recall(name) is None
        each.store.remember("b", FileState(1, 2, 3, 4), "0")
        assert each.store.recall("b") == (FileState(1, 2, 3, 4), "0")
        assert each.warnings == []


def test_a_name_that_is_no_text_is_digested(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"\xff\xfe")
    path.write_bytes(b"one")
    with opened(tmp_path / "cache") as each:
        assert FileDigests(each.store).digest(path) == sha256(b"one")
        assert each.warnings == []


def state_of(path: Path) -> FileState:
    status = path.stat()
    return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

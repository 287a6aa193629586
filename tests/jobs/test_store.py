"""The queue as a file: its order, what it forgets, who owns a job, and files of other versions."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import ProblemError
from nodegraph.jobs.model import JobEvent, Request, Result
from nodegraph.jobs.retention import Limits
from nodegraph.jobs.schema import SCHEMA, open_file
from nodegraph.jobs.store import JobStore
from tests.helpers import problem

PLENTY = Limits(100_000, 1 << 30, 10_000, 1 << 30, 200_000, 1 << 28)


def store_in(folder: Path, **limits: int) -> JobStore:
    from dataclasses import replace

    return JobStore(folder / "jobs.sqlite", replace(PLENTY, **limits))


def test_a_job_comes_back_as_it_was_asked_for(tmp_path: Path):
    asked = Request(
        "nodegraph: 1",
        file="a.yaml",
        params={"seed": 2**64 - 1, "prompt": "é\ud800"[:1]},
        only=("a", "b"),
        priority=3,
        client="me",
        user="somebody",
        extra={"extra_pnginfo": {"workflow": {"nodes": []}}},
        batch="first",
        max_attempts=5,
        cache="refresh",
    )
    id_ = store_in(tmp_path).submit(asked).id
    again = store_in(tmp_path).get(id_)
    assert again is not None
    assert again.request == asked
    assert again.state == "queued"


def test_a_result_comes_back_as_it_was(tmp_path: Path):
    store = store_in(tmp_path)
    store.submit(Request("text", id="a"))
    store.claim("me", "cpu")
    result = Result(
        {"save": {"files": [], "shown": {"text": "x" * 10_000}}}, executed=("a",), seconds=1.5, error="SIGSEGV"
    )
    assert store.finish("a", "me", "interrupted", result)
    job = store.get("a")
    assert job is not None
    assert (job.state, job.result, job.device, job.attempts) == ("interrupted", result, "cpu", 1)


def test_only_its_owner_ends_a_job(tmp_path: Path):
    store = store_in(tmp_path)
    for name in ("a", "b"):
        store.submit(Request("text", id=name))
    first, second = store.claim("one"), store.claim("two")
    assert first is not None and second is not None
    assert (first.id, second.id, store.claim("three")) == ("a", "b", None)
    assert not store.finish("a", "two", "done", None)
    assert not store.give_back("a", "two")
    assert store.finish("a", "one", "done", None)
    assert not store.finish("a", "one", "failed", None)  # it is no longer anybody's
    assert [job.id for job in store.jobs(("running",))] == ["b"]


def test_a_job_that_is_given_back_keeps_its_place(tmp_path: Path):
    store = store_in(tmp_path)
    for name in ("a", "b"):
        store.submit(Request("text", id=name))
    store.claim("me")
    assert store.give_back("a", "me")
    again = store.claim("me")
    assert again is not None
    assert (again.id, again.attempts) == ("a", 2)
    store.give_back("a", "me", count=False)
    again = store.claim("me")
    assert again is not None and again.attempts == 2


def test_a_taken_id_and_a_full_queue_are_refused(tmp_path: Path):
    store = store_in(tmp_path, queue_length=2, queue_bytes=100)
    store.submit(Request("text", id="a"))
    assert problem(lambda: store.submit(Request("text", id="a"))).code == "job_exists"
    assert problem(lambda: store.submit(Request("x" * 200))).code == "queue_full"
    store.submit(Request("text"))
    assert problem(lambda: store.submit(Request("text"))).code == "queue_full"
    store.claim("me")
    store.submit(Request("text"))  # there is room again


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.none() | st.sampled_from([-1.5, 0.0, 3.0]), st.booleans()), max_size=12)
)
@settings(max_examples=30)
def test_jobs_run_in_the_order_in_which_they_are_listed(asked: list[tuple[int, float | None, bool]]):
    store = JobStore(Path(":memory:"), PLENTY)
    for i, (priority, number, front) in enumerate(asked):
        store.submit(Request("text", id=str(i), priority=priority, number=number, front=front))
    listed = store.jobs(("queued",))
    keys = [(-job.request.priority, job.number) for job in listed]
    assert keys == sorted(keys)
    claimed = [job.id for _ in asked if (job := store.claim("me")) is not None]
    assert claimed == [job.id for job in listed]
    store.close()


MOVES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7) | st.just("front")), max_size=40)


@given(MOVES)
@settings(max_examples=50)
def test_moving_jobs_does_to_the_queue_what_it_does_to_a_list(moves: list[tuple[int, int | str]]):
    store = JobStore(Path(":memory:"), PLENTY)
    expected = [str(i) for i in range(8)]
    for name in expected:
        store.submit(Request("text", id=name, number=1.0 if name in "345" else None))
    expected = [job.id for job in store.jobs()]
    for what, where in moves:
        name = str(what)
        if where == "front":
            store.move(name, front=True)
            expected = [name, *(other for other in expected if other != name)]
        elif where != what:
            assert store.move(name, before=str(where)) is not None
            expected.remove(name)
            expected.insert(expected.index(str(where)), name)
        assert [job.id for job in store.jobs()] == expected
    store.close()


def test_a_place_is_found_however_often_it_is_halved(tmp_path: Path):
    store = store_in(tmp_path)
    for name in ("a", "b", "c", "d"):
        store.submit(Request("text", id=name))
    for i in range(200):
        store.move("bc"[i % 2], before="d")
    assert [job.id for job in store.jobs()] == ["a", "b", "c", "d"]


def test_of_ended_jobs_the_newest_are_remembered(tmp_path: Path):
    store = store_in(tmp_path, history_length=3)
    for i in range(8):
        store.submit(Request("text", id=str(i)))
        store.claim("me")
        store.keep_events([JobEvent(i + 1, str(i), "planned", 0.0, {})])
        store.finish(str(i), "me", "done", Result())
    store.submit(Request("text", id="open"))
    assert [job.id for job in store.jobs()] == ["open", "5", "6", "7"]
    assert [job.id for job in store.jobs(("done",), newest_first=True, limit=2)] == ["7", "6"]
    assert [event.job for event in store.events(0)] == ["5", "6", "7"]


def test_the_history_is_bounded_in_bytes(tmp_path: Path):
    import random

    store = store_in(tmp_path, history_length=1_000, history_bytes=100_000)
    store.limits = store.limits.__class__(100, 1 << 30, 100, 100_000, 100, 1 << 20)
    noise = random.Random(1)
    for i in range(20):
        store.submit(Request("text", id=str(i)))
        store.claim("me")
        store.finish(str(i), "me", "done", Result({"x": {"shown": noise.randbytes(10_000).hex()}}))
    assert 5 <= store.count(("done",)) <= 10
    assert store.get("19") is not None


def test_events_of_open_jobs_outlive_those_of_ended_ones(tmp_path: Path):
    store = store_in(tmp_path, event_count=100)
    for name in ("open", "ended"):
        store.submit(Request("text", id=name, priority=int(name == "ended")))
    store.claim("me")
    store.finish("ended", "me", "done", None)
    for i in range(0, 300, 10):
        job = "open" if i < 20 else "ended"
        store.keep_events([JobEvent(i + j + 1, job, "warning", 0.0, {}) for j in range(10)])
    kept = store.events(0, limit=1_000)
    assert len(kept) <= 105
    assert [event.seq for event in kept if event.job == "open"] == list(range(1, 21))
    assert kept[-1].seq == 300


@pytest.mark.parametrize("odd", ["\ud800", "", "a\0b", "é" * 1_000, "'; DROP TABLE job; --"])
def test_odd_names_find_nothing_and_break_nothing(tmp_path: Path, odd: str):
    store = store_in(tmp_path)
    store.submit(Request("text", id="a"))
    assert store.get(odd) is None
    assert store.move(odd, front=True) is None
    assert store.move("a", before=odd, priority=5) is None
    assert (store.delete([odd]), store.cancel_queued([odd]), store.mark_cancelled([odd])) == ([], [], [])
    assert store.jobs(user=odd) == []
    assert store.events(0, odd) == []
    kept = store.get("a")
    assert kept is not None and kept.request.priority == 0


@pytest.mark.parametrize("odd", ["\ud800", "", "a\0b", "x" * 10_000])
def test_jobs_cannot_be_called_anything(tmp_path: Path, odd: str):
    store = store_in(tmp_path)
    if odd:
        assert problem(lambda: store.submit(Request("text", id=odd))).code == "bad_name"
    else:
        assert store.submit(Request("text", id=odd)).id  # none is given


def test_numbers_beyond_what_sqlite_knows_are_bounded(tmp_path: Path):
    store = store_in(tmp_path)
    store.submit(Request("text", id="last", priority=-(10**30)))
    store.submit(Request("text", id="first", priority=10**30, max_attempts=10**30))
    assert [job.id for job in store.jobs(limit=10**30)] == ["first", "last"]
    assert store.jobs(offset=10**30) == []
    assert problem(lambda: store.submit(Request("text", number=float("nan")))).code == "bad_number"
    assert problem(lambda: store.submit(Request("\ud800"))).code == "bad_encoding"
    assert store.count() == 2


def test_ten_thousand_jobs_are_listed_and_cancelled(tmp_path: Path):
    store = store_in(tmp_path)
    with store.changing():
        store.connection.executemany(
            "INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes) "
            "VALUES (?, 'queued', 0, ?, 'default', '', 2, ?, 10)",
            [(str(i), float(i), time.time()) for i in range(10_000)],
        )
        store.execute("INSERT INTO asked SELECT n, ?, '{}' FROM job", ("x" * 1_000,))
    listed = store.jobs(("queued",))
    assert [job.id for job in listed[:3]] == ["0", "1", "2"]
    assert len(store.cancel_queued([job.id for job in listed])) == 10_000
    assert store.count(("cancelled",)) == 10_000
    assert len(store.jobs(("cancelled",), offset=9_990, limit=100)) == 10


def test_an_older_file_is_brought_up_to_date_beside_its_backup(tmp_path: Path):
    path = tmp_path / "jobs.sqlite"
    store = JobStore(path, PLENTY)
    store.submit(Request("text", id="a"))
    store.close()

    def add_column(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE job ADD COLUMN colour TEXT")

    opened = open_file(path, schema=SCHEMA + 1, migrations={SCHEMA: add_column})
    assert opened.execute("SELECT id, colour FROM job").fetchall() == [("a", None)]
    opened.close()
    backup = sqlite3.connect(tmp_path / f"jobs.sqlite.v{SCHEMA}.bak")
    assert backup.execute("SELECT id FROM job").fetchall() == [("a",)]
    backup.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path):
    path = tmp_path / "jobs.sqlite"
    store_in(tmp_path).close()

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE job")
        connection.execute("nonsense")

    with pytest.raises(ProblemError, match="cannot be used"):
        open_file(path, schema=SCHEMA + 1, migrations={SCHEMA: fail})
    assert JobStore(path, PLENTY).count() == 0


def test_files_of_a_newer_version_and_of_others_are_refused(tmp_path: Path):
    path = tmp_path / "jobs.sqlite"
    store_in(tmp_path).close()
    changed = sqlite3.connect(path)
    changed.execute("PRAGMA user_version=99")
    changed.close()
    told = problem(lambda: store_in(tmp_path))
    assert told.code == "jobs_unusable"
    assert "newer version" in told.message
    path.unlink()
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    assert problem(lambda: store_in(tmp_path)).code == "jobs_unusable"
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs(x)")
    other.commit()
    other.close()
    assert "another program" in problem(lambda: store_in(tmp_path)).message

"""Whose job is next: the turn goes round, whatever is queued, moved, cancelled or interrupted meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.jobs.model import Request
from nodegraph.jobs.schema import open_file
from nodegraph.jobs.store import JobStore
from tests.jobs.test_store import PLENTY, store_in


def queue(store: JobStore, *jobs: str, **more: Any) -> None:
    """Queue jobs whose names begin with whose they are."""
    for job in jobs:
        store.submit(Request("text", id=job, user=job[0], **more))


def listed(store: JobStore) -> list[str]:
    return [job.id for job in store.jobs(("queued",))]


def run(store: JobStore, count: int = 100) -> list[str]:
    """Claim up to `count` jobs and end them."""
    claimed: list[str] = []
    while len(claimed) < count and (job := store.claim("me")) is not None:
        store.finish(job.id, "me", "done", None)
        claimed.append(job.id)
    return claimed


def test_users_take_turns_and_ones_own_jobs_stay_in_order(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, "a1", "a2", "a3", "b1", "c1", "c2")
    assert listed(store) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert [job.id for job in store.jobs(("queued",), newest_first=True)] == listed(store)[::-1]
    assert [job.id for job in store.jobs(("queued",), user="c")] == ["c1", "c2"]
    assert [job.id for job in store.jobs(("queued",), offset=1, limit=3)] == ["b1", "c1", "a2"]
    assert run(store) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_who_comes_late_waits_for_one_job_of_each_and_not_for_the_one_just_served(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, *(f"a{i}" for i in range(10)), *(f"b{i}" for i in range(10)))
    assert run(store, 3) == ["a0", "b0", "a1"]
    queue(store, "late")
    assert listed(store)[:3] == ["b1", "late", "a2"]
    assert run(store, 3) == ["b1", "late", "a2"]


def test_no_crowd_of_newcomers_keeps_anybody_from_a_turn(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, "a1", "a2")
    assert run(store, 1) == ["a1"]
    began: list[str] = []
    for letter in "bcdefg":
        queue(store, f"{letter}1")
        began += run(store, 1)
    assert began.index("a2") == 1


def test_priority_comes_before_turns(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, "a1", "a2", "b1")
    queue(store, "a3", "a4", priority=1)
    assert run(store, 3) == ["a3", "a4", "a1"]
    store.move("a2", priority=5)
    assert run(store) == ["a2", "b1"]


def test_front_and_moving_change_the_order_of_ones_own_jobs_only(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, "a1", "a2", "b1", "b2", "b3")
    queue(store, "b4", front=True)
    assert listed(store) == ["a1", "b4", "a2", "b1", "b2", "b3"]
    store.move("b3", front=True)
    assert listed(store) == ["a1", "b3", "a2", "b4", "b1", "b2"]
    store.move("b2", before="b4")
    assert listed(store) == ["a1", "b3", "a2", "b2", "b4", "b1"]
    store.move("b1", before="a2")  # it takes the place of the last of b's before that
    assert listed(store) == ["a1", "b1", "a2", "b3", "b2", "b4"]
    store.move("b4", before="a1")  # none of b's comes before that: it is the first of them
    assert listed(store) == ["a1", "b4", "a2", "b1", "b3", "b2"]
    assert run(store) == ["a1", "b4", "a2", "b1", "b3", "b2"]


def test_without_a_name_clients_take_turns(tmp_path: Path):
    store = store_in(tmp_path)
    for id_, client in (("1", "x"), ("2", "x"), ("3", "y"), ("4", ""), ("5", "")):
        store.submit(Request("text", id=id_, client=client))
    store.submit(Request("text", id="6", client="x", user="somebody"))
    assert listed(store) == ["1", "3", "4", "6", "2", "5"]


def test_an_interrupted_job_is_next_also_after_a_restart(tmp_path: Path):
    store = store_in(tmp_path)
    queue(store, "a1", "a2", "b1", "b2", "c1")
    for _ in range(2):
        store.claim("me")
    store.close()
    store = store_in(tmp_path)
    assert listed(store) == ["c1", "a2", "b2"]
    assert store.give_back("a1", None)
    assert listed(store) == ["a1", "c1", "b2", "a2"]
    assert run(store, 2) == ["a1", "c1"]


def test_jobs_queued_by_an_older_version_take_turns_too(tmp_path: Path):
    path = tmp_path / "jobs.sqlite"
    older = sqlite3.connect(path)
    older.executescript((Path(__file__).parent / "data" / "jobs.v1.sql").read_text())
    older.close()
    store = store_in(tmp_path)
    assert listed(store) == ["a1", "b1", "a2"]
    queue(store, "b2")
    assert run(store) == ["a1", "b1", "a2", "b2"]
    store.close()
    assert {row[0] for row in _names(path)} == {row[0] for row in _names(tmp_path / "new.sqlite")}


def _names(path: Path) -> list[tuple[str]]:
    connection = open_file(path)
    rows = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    return rows


USERS = "abc"
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from(USERS), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("claim"), st.integers(0, 9), st.just(0), st.just(False)),
        st.tuples(st.just("back"), st.integers(0, 9), st.just(0), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0), st.booleans()),
        st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 9), st.booleans()),
    ),
    max_size=30,
)


@given(CHANGES)
@settings(max_examples=100)
def test_the_queue_is_shown_in_the_order_in_which_it_runs_and_nobody_has_two_turns_in_a_round(changes: list[Any]):
    store = JobStore(Path(":memory:"), PLENTY)
    what: Any
    for number, (change, what, more, flag) in enumerate(changes):
        names = [job.id for job in store.jobs(("queued", "running"))]
        name = names[what % len(names)] if change != "submit" and names else "none"
        if change == "submit":
            store.submit(Request("text", id=f"{what}{number}", user=what, priority=more, front=flag))
        elif change == "claim":
            expected = listed(store)[:1]
            job = store.claim("me")
            assert ([job.id] if job is not None else []) == expected
        elif change == "back":
            if store.give_back(name, "me", count=flag):
                mine = [job for job in store.jobs(("queued",)) if job.request.priority == _of(store, name)]
                assert mine[0].request.user == name[0]
        elif change == "cancel":
            store.cancel_queued([name]) if flag else store.delete([name])
        else:
            store.move(name, front=flag, before=None if flag else names[more % len(names)] if names else None)
    order = listed(store)
    priorities = [_of(store, name) for name in order]
    assert priorities == sorted(priorities, reverse=True)
    for priority in (0, 1):
        left = [name[0] for name in order if _of(store, name) == priority]
        while left:  # in each round everybody who is left has one turn
            present = set(left)
            assert set(left[: len(present)]) == present
            left = left[len(present) :]
    assert run(store) == order
    assert store.execute("SELECT count(*) FROM turn").fetchone() == (0,)
    store.close()


def _of(store: JobStore, name: str) -> int:
    job = store.get(name)
    assert job is not None
    return job.request.priority

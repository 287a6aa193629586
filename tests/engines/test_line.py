"""Who is next: turns, models that are loaded, and nobody passed over for long."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.engines.line import Line
from nodegraph.engines.placement import Fleet, Needs, Unsatisfiable, Worker

SIZES = {"a": 4, "b": 6, "c": 10}


def needs_of(*names: str) -> Needs:
    return Needs({name: SIZES[name] for name in names})


def line_of(workers: int, vram: int | None = None, **options: int) -> Line[str]:
    return Line(Fleet([Worker(f"w{i}", "cuda:0", vram) for i in range(workers)], loading=1.0), **options)


def work(line: Line[str], count: int = 1000) -> list[str]:
    """Have errands done one after another, on workers that are free at once again."""
    done: list[str] = []
    while len(done) < count and (found := line.next()) is not None:
        line.fleet.take(found.go, found.needs)
        line.fleet.release(found.go.worker)
        done.append(found.item)
    return done


def test_users_take_turns_and_newcomers_come_after_all_but_the_one_just_served():
    line = line_of(1)
    for item in ("a1", "a2", "a3", "b1", "b2"):
        line.add(item, Needs(), user=item[0])
    assert work(line, 2) == ["a1", "b1"]
    line.add("c1", Needs(), user="c")
    line.add("urgent", Needs(), user="a", priority=1)
    assert work(line) == ["urgent", "a2", "c1", "b2", "a3"]
    assert len(line) == 0


def test_a_worker_goes_on_with_the_model_that_it_holds():
    line = line_of(1, 12)
    for i, name in enumerate("abcabcabc"):
        line.add(f"{name}{i}", needs_of(name), user=f"user {i}")
    assert "".join(item[0] for item in work(line)) == "aaabbbccc"


def test_nobody_is_passed_over_more_often_than_is_allowed():
    line = line_of(1, 12, passes=3)
    line.add("a", needs_of("a"), user="first")
    assert work(line) == ["a"]
    line.add("c", needs_of("c"), user="patient")
    for i in range(8):
        line.add(f"a{i}", needs_of("a"), user=f"user {i}")
    assert work(line).index("c") == 3


def test_what_is_cancelled_while_it_waits_is_not_done():
    line = line_of(1)
    tickets = [line.add(item, Needs(), user="me") for item in ("1", "2", "3")]
    assert line.remove(tickets[1])
    assert not line.remove(tickets[1])
    assert work(line) == ["1", "3"]
    assert not line.remove(tickets[0])


def test_what_no_worker_could_take_is_refused_at_once():
    line = line_of(2, 8)
    with pytest.raises(Unsatisfiable):
        line.add("c", needs_of("c"))
    assert len(line) == 0


def test_one_waits_for_the_worker_with_the_model_and_others_have_theirs_loaded():
    line = line_of(2, 12)
    for item in ("first", "second", "third"):
        line.add(item, needs_of("c"), user=item)
    started = line.next(0.0)
    assert started is not None
    line.fleet.take(started.go, started.needs, until=6.0)
    found = line.next(0.0)  # the second waits for that worker: 6 s, where loading takes 10; the third would wait for 12
    assert found is not None and (found.item, found.go.loads) == ("third", ("c",))
    line.fleet.take(found.go, found.needs, until=20.0)
    assert line.next(1.0) is None  # no worker is free
    line.fleet.release(started.go.worker)
    found = line.next(6.0)
    assert found is not None and (found.item, found.go.loads, found.since) == ("second", (), 0.0)


def test_all_wait_for_a_worker_that_is_soon_free():
    line = line_of(2, 12)
    for item in ("first", "second", "third"):
        line.add(item, needs_of("c"))
    started = line.next(0.0)
    assert started is not None
    line.fleet.take(started.go, started.needs, until=4.0)
    assert line.next(0.0) is None
    assert line.until == 4.0
    line.fleet.release(started.go.worker)
    for item in ("second", "third"):
        found = line.next(4.0)
        assert found is not None and (found.item, found.go.loads) == (item, ())
        line.fleet.take(found.go, found.needs, until=8.0)
        line.fleet.release(found.go.worker)


def test_it_tells_when_to_ask_again():
    line = line_of(2, 12)
    line.add("first", needs_of("c"))
    line.add("second", needs_of("c"))
    started = line.next(0.0)
    assert started is not None and line.until == math.inf
    line.fleet.take(started.go, started.needs, until=5.0)
    assert line.next(0.0) is None
    assert line.until == 5.0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("xyz"), st.sets(st.sampled_from("abc")), st.integers(0, 1)),
        st.tuples(st.just("next"), st.just(""), st.just(set[str]()), st.integers(1, 9)),
        st.tuples(st.just("done"), st.just(""), st.just(set[str]()), st.integers(0, 3)),
        st.tuples(st.just("drop"), st.just(""), st.just(set[str]()), st.integers(0, 9)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=150)
def test_everything_is_done_once_in_its_order_by_workers_with_room(steps: list[Any], workers: int, passes: int):
    line = line_of(workers, 20, passes=passes)
    waiting: dict[str, int] = {}
    busy: list[str] = []
    done: Counter[str] = Counter()
    clock = 0.0

    def go(seconds: float) -> bool:
        found = line.next(clock)
        if found is None:
            return False
        del waiting[found.item]
        done[found.item] += 1
        assert found.go.worker not in busy
        busy.append(found.go.worker)
        line.fleet.take(found.go, found.needs, clock + seconds)
        assert sum(line.fleet.held(found.go.worker).values()) <= 20
        return True

    total = 0
    for what, user, names, number in steps:
        if what == "add":
            total += 1
            waiting[f"{user}{total}"] = line.add(f"{user}{total}", needs_of(*names), user=user, priority=number)
        elif what == "next":
            go(float(number))
        elif what == "done" and busy:
            line.fleet.release(busy.pop(number % len(busy)))
        elif what == "drop" and waiting:
            assert line.remove(waiting.pop(sorted(waiting)[number % len(waiting)]))
            total -= 1
        assert len(line) == len(waiting)
    while waiting:
        for worker in busy:
            line.fleet.release(worker)
        busy.clear()
        clock += 100.0
        assert go(1.0)  # with all workers free, something can always be done
    assert set(done.values()) <= {1}
    assert sum(done.values()) == total

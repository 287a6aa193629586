"""The pool of models: loads once, keeps to its budget, counts shared weights once, and never drops what is in use."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.pool import Lease, LivePool


class Loads:
    """Counts what is loaded."""

    def __init__(self, pool: LivePool | Lease) -> None:
        self.pool = pool
        self.loaded: list[str] = []

    def get(self, key: str, size: int = 10) -> str:
        return self.pool.get(key, lambda: self.loaded.append(key) or key.upper(), lambda _: size)


def test_the_pool_loads_once_and_drops_by_bytes_what_was_used_longest_ago():
    pool = LivePool(budget=30)
    loads = Loads(pool)
    for key in ("a", "b", "c", "a", "d"):
        assert loads.get(key) == key.upper()
        assert pool.used <= 30
    assert loads.loaded == ["a", "b", "c", "d"]
    loads.get("a")
    loads.get("b")
    assert loads.loaded == ["a", "b", "c", "d", "b"]


def test_a_model_larger_than_the_budget_is_kept_alone():
    pool = LivePool(budget=30)
    loads = Loads(pool)
    loads.get("a")
    loads.get("huge", 1000)
    loads.get("huge", 1000)
    assert loads.loaded == ["a", "huge"]
    loads.get("a")
    assert pool.used == 10


def test_a_model_that_fails_to_load_leaves_nothing_behind():
    pool = LivePool(budget=30)

    def fail() -> str:
        raise OSError("gone")

    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            pool.get("a", fail, len)
    assert pool.used == 0
    assert Loads(pool).get("a") == "A"


def test_threads_that_want_the_same_model_load_it_once():
    pool = LivePool()
    loads = Loads(pool)
    begin = threading.Barrier(8)

    def work() -> None:
        begin.wait()
        loads.get("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads.loaded == ["a"]


def test_clearing_the_pool_lets_go_of_everything():
    pool = LivePool()
    Loads(pool).get("a")
    pool.clear()
    assert pool.used == 0


class Weights:
    """Something that can be seen to go."""


def test_what_a_lease_was_given_stays_until_the_lease_is_closed():
    pool = LivePool(budget=30)
    loads = Loads(pool)
    with pool.lease() as lease:
        held = Loads(lease)
        held.get("a", 20)
        held.get("b", 20)  # together they are too large, but both are in use
        assert pool.used == 40
        loads.get("c", 10)
        assert (loads.get("a", 20), loads.get("b", 20)) == ("A", "B")
        assert held.loaded == ["a", "b"]
    assert pool.used <= 30
    loads.get("a", 20)
    assert loads.loaded == ["c", "a"]


def test_a_closed_lease_keeps_nothing():
    pool = LivePool(budget=10)
    lease = pool.lease()
    lease.close()
    lease.close()
    Loads(lease).get("a", 10)
    Loads(pool).get("b", 10)
    assert pool.used == 10


def test_clearing_lets_go_of_what_is_leased_when_the_lease_ends():
    pool = LivePool()
    with pool.lease() as lease:
        seen = weakref.ref(lease.get("a", Weights, lambda _: 10))
        pool.clear()
        assert pool.used == 10
        assert seen() is not None
    assert pool.used == 0
    gc.collect()
    assert seen() is None


def test_pieces_that_models_share_count_once():
    pool = LivePool(budget=100)
    base: dict[Hashable, int] = {"unet": 60, "head": 5}
    pool.get("plain", lambda: "plain", lambda _: base)
    pool.get("with lora", lambda: "with lora", lambda _: {**base, "patched": 20})
    assert pool.used == 85
    pool.get("other", lambda: "other", lambda _: 70)  # both have to go to make room
    assert pool.used == 70


def test_dropping_one_of_two_that_share_frees_only_its_own():
    pool = LivePool(budget=100)
    pool.get("plain", lambda: "plain", lambda _: {"base": 60})
    pool.get("a", lambda: "a", lambda _: {"base": 60, "a": 30})
    pool.get("b", lambda: "b", lambda _: {"base": 60, "b": 30})
    assert pool.used == 90
    loads = Loads(pool)
    loads.get("plain", 1)
    assert loads.loaded == []  # dropping it would have freed nothing


def test_room_is_made_before_a_model_is_loaded():
    pool = LivePool(budget=30)
    pool.get("old", lambda: "old", lambda _: 20)

    def load() -> str:
        assert pool.used == 0  # what goes and what comes are never in memory together
        return "new"

    assert pool.get("new", load, lambda _: 25, lambda: 25) == "new"
    assert pool.used == 25


def test_loading_may_get_other_models_but_not_itself():
    pool = LivePool()
    assert pool.get("outer", lambda: pool.get("inner", lambda: 1, lambda _: 1) + 1, lambda _: 1) == 2
    with pytest.raises(RuntimeError, match="asks for loop itself"):
        pool.get("loop", lambda: pool.get("loop", lambda: 1, lambda _: 1), lambda _: 1)
    assert pool.get("loop", lambda: 3, lambda _: 1) == 3


def test_when_a_load_fails_the_one_who_waited_tries():
    pool = LivePool()
    begun, go, answers = threading.Event(), threading.Event(), list[str]()

    def fail() -> str:
        begun.set()
        go.wait()
        raise OSError("gone")

    def first() -> None:
        try:
            pool.get("a", fail, len)
        except OSError as error:
            answers.append(str(error))

    threads = [threading.Thread(target=first)]
    threads[0].start()
    begun.wait()
    threads.append(threading.Thread(target=lambda: answers.append(pool.get("a", lambda: "here", len))))
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["gone", "here"]
    assert pool.used == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.frozensets(st.integers(0, 6), min_size=1)), max_size=30))
def test_the_bytes_in_use_are_those_of_the_pieces_there(gets: list[tuple[int, frozenset[int]]]):
    pool, known = LivePool(budget=25), dict[str, frozenset[int]]()
    size = 10
    for name, pieces in gets:
        mine = known.setdefault(str(name), pieces)
        pool.get(str(name), lambda mine=mine: mine, lambda kept: dict.fromkeys(kept, size))
        assert pool.used % size == 0
        assert len(mine) * size <= pool.used <= max(25, len(mine) * size)

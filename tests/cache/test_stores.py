"""The store of results and the pool of models keep to their budgets."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.pool import LivePool
from nodegraph.cache.records import Record
from nodegraph.sockets.codecs import size_of

RECORD = Record((b"d" * 32,))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 400)), max_size=40), st.integers(0, 1500))
def test_the_store_never_exceeds_its_budget_and_keeps_the_newest(puts: list[tuple[int, int]], budget: int):
    store = MemoryStore(budget)
    for name, size in puts:
        key = b"%d" % name
        store.put(key, RECORD, ("x" * size,))
        assert store.used <= budget
        fits = size_of("x" * size) <= budget
        assert store.values(key) == (("x" * size,) if fits else None)
    kept = [value for name in range(9) if (value := store.values(b"%d" % name)) is not None]
    assert store.used == sum(size_of(value[0]) for value in kept)


def test_what_was_used_longest_ago_goes_first():
    store = MemoryStore(3 * size_of("x" * 100))
    for key in (b"a", b"b", b"c"):
        store.put(key, RECORD, ("x" * 100,))
    assert store.values(b"a") is not None
    store.put(b"d", RECORD, ("x" * 100,))
    assert store.values(b"b") is None
    assert store.values(b"a") is not None
    assert store.record(b"b") is RECORD  # the record is small and stays


def test_clearing_forgets_everything():
    store = MemoryStore()
    store.put(b"a", RECORD, (1,))
    store.clear()
    assert (store.record(b"a"), store.values(b"a"), store.used) == (None, None, 0)


class Loads:
    """Counts what is loaded."""

    def __init__(self, pool: LivePool) -> None:
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

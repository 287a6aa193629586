"""The store of results in memory keeps to its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
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

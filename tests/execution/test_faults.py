"""Processes that die, and processes that share a store: nothing is lost, torn, or done twice."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cache.support import integrity, left_over, opened, sql
from tests.execution.victims import Nursery, Victim

KILLS = 20


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def torch_nursery() -> Iterator[Nursery]:
    with Nursery(torch=True) as nursery:
        yield nursery


def test_killed_in_a_node(nursery: Nursery, tmp_path: Path):
    for value in range(KILLS):
        victim = nursery.start("run_nodes", tmp_path, value, "hang")
        assert victim.hear() == "in second"
        victim.kill()
        assert integrity(tmp_path) == "ok"
        again = nursery.start("run_nodes", tmp_path, value, "on").last()
        assert again["executed"] == ["b", "s"]
        assert again["cached"] == ["a"]
        assert again["shown"] == {"value": 2 * (value + 1)}
        assert again["notices"] == again["problems"] == []
    for table in ("claim", "run"):  # the dead are forgotten
        assert sql(tmp_path, f"SELECT * FROM {table}") == []


def test_killed_while_a_blob_is_written(torch_nursery: Nursery, tmp_path: Path):
    chance, torn = random.Random(0), 0
    for seed in range(KILLS):
        victim = torch_nursery.start("write_blobs", tmp_path, seed)
        told = [victim.hear() for _ in range(chance.randrange(1, 5))]
        while not left_over(tmp_path):
            pass  # until the next one is being written
        victim.kill()
        torn += len(left_over(tmp_path))
        with opened(tmp_path) as again:
            assert left_over(tmp_path) == []
            for name in told:
                values = again.store.values(bytes.fromhex(name))
                assert values is not None and isinstance(values[0], torch.Tensor)
                assert values[0].min() == values[0].max() == seed
            assert again.warnings == []
        assert integrity(tmp_path) == "ok"
    assert torn > KILLS / 4


def test_killed_while_rows_are_committed(nursery: Nursery, tmp_path: Path):
    chance = random.Random(1)
    for seed in range(KILLS):
        told = told_until_killed(nursery.start("write_rows", tmp_path, seed), chance.randrange(1, 60))
        assert integrity(tmp_path) == "ok"
        with opened(tmp_path) as again:
            for name, number in told:
                assert again.store.values(bytes.fromhex(name)) == (f"{number} " * 100,)
            assert again.warnings == []


def told_until_killed(victim: Victim, count: int) -> list[Any]:
    """What a victim said it had put, before it was killed in the midst of the next one."""
    told = [victim.hear() for _ in range(count)]
    victim.kill()
    return told


def test_a_blob_without_a_row_is_no_result(torch_nursery: Nursery, tmp_path: Path):
    name, *_ = told_until_killed(torch_nursery.start("write_blobs", tmp_path, 5), 3)
    sql(tmp_path, "DELETE FROM action WHERE key = ?", bytes.fromhex(name))
    with opened(tmp_path) as again:
        assert again.store.record(bytes.fromhex(name)) is None
        assert again.store.values(bytes.fromhex(name)) is None


def test_two_processes_do_the_same_work_once(nursery: Nursery, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    first = nursery.start("work_slowly", tmp_path / "cache", gate)
    assert [first.hear(), first.hear()] == ["ready", "working"]
    second = nursery.start("work_slowly", tmp_path / "cache", gate)
    assert second.hear() == "ready"
    gate.write_text("go on")
    assert first.last() == {"executed": ["w", "s"], "cached": [], "shown": {"value": 2}}
    told = second.last()
    assert told["cached"][:1] == ["w"] and told["shown"] == {"value": 2}
    assert set(told["executed"]) <= {"s"}  # it is light, and may be asked for before the first one has written it down


def test_when_the_one_at_work_is_killed_another_one_takes_over(nursery: Nursery, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    first = nursery.start("work_slowly", tmp_path / "cache", gate)
    assert [first.hear(), first.hear()] == ["ready", "working"]
    second = nursery.start("work_slowly", tmp_path / "cache", gate)
    assert second.hear() == "ready"
    first.kill()
    assert second.hear() == "working"
    gate.write_text("go on")
    assert second.last() == {"executed": ["w", "s"], "cached": [], "shown": {"value": 2}}


def test_many_processes_begin_one_store_at_the_same_time(nursery: Nursery, tmp_path: Path):
    for round_ in range(3):
        folder = tmp_path / str(round_)
        victims = [nursery.start("open_store", folder, name) for name in range(8)]
        assert [victim.last() for victim in victims] == [[]] * len(victims)
        assert sql(folder, "SELECT COUNT(*) FROM action") == [(8,)]
        assert integrity(folder) == "ok"

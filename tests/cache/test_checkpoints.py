"""Checkpoints on disk: what was saved comes back or nothing does; saving never stops a node."""

from __future__ import annotations

import os
import resource
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.context import NO_CONTEXT
from nodegraph.sockets.packing import write_values

KEY, OTHER = b"\1" * 32, b"\2" * 32


class World:
    """A folder of checkpoints and what was warned of."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.warnings: list[str] = []
        self.folder = folder
        self.checkpoints = Checkpoints(folder, seconds, self.warnings.append)

    def file(self, key: bytes = KEY) -> Path:
        return self.folder / f"{key.hex()}.safetensors"

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "deep" / "checkpoints")


def state(number: int = 1) -> dict[str, Any]:
    return {"i": number, "x": torch.arange(4096.0) + number, "more": (None, 0.1, [float("inf")]), "mark": "m"}


def same(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[name], two[name]) for name in one)
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else type(one) is type(two) and one == two


def test_what_was_saved_last_comes_back_also_in_another_run(world: World) -> None:
    first = world.checkpoints.of(KEY)
    assert first.load() is None
    first.save(state(1))
    first.save(state(2))
    assert same(first.load(), state(2))
    assert same(World(world.folder).checkpoints.of(KEY).load(), state(2))
    assert world.checkpoints.of(OTHER).load() is None
    assert world.names() == [world.file().name]
    assert world.warnings == []


def test_nothing_is_written_before_the_first_save(world: World) -> None:
    checkpoint = world.checkpoints.of(KEY)
    assert checkpoint.load() is None
    checkpoint.discard()
    assert world.checkpoints.sweep(0) == 0
    assert not world.folder.exists()


def test_what_is_discarded_is_gone(world: World) -> None:
    checkpoint = world.checkpoints.of(KEY)
    checkpoint.save(state())
    checkpoint.discard()
    checkpoint.discard()
    assert checkpoint.load() is None
    assert world.names() == []


def test_a_save_is_due_when_its_time_went_by(tmp_path: Path) -> None:
    always, never = World(tmp_path, 0.0).checkpoints.of(KEY), World(tmp_path, 1e6).checkpoints.of(KEY)
    assert always.due()
    assert not never.due()
    always.save(state())
    assert always.due()


def test_the_time_runs_from_the_start_and_from_the_last_save(tmp_path: Path) -> None:
    now = [100.0]
    checkpoint = Checkpoints(tmp_path, 20.0, clock=lambda: now[0]).of(KEY)
    now[0] = 119.9
    assert not checkpoint.due()
    now[0] = 120.0
    assert checkpoint.due()
    checkpoint.save(state())
    assert not checkpoint.due()
    now[0] = 140.0
    assert checkpoint.due()


def test_a_loaded_state_does_not_change_with_its_file(world: World) -> None:
    checkpoint = world.checkpoints.of(KEY)
    checkpoint.save(state(1))
    loaded = checkpoint.load()
    with world.file().open("r+b") as file:
        file.truncate(0)
    assert same(loaded, state(1))


def saved(world: World, number: int = 1) -> bytes:
    world.checkpoints.of(KEY).save(state(number))
    return world.file().read_bytes()


def gone_with_a_warning(world: World) -> None:
    assert world.checkpoints.of(KEY).load() is None
    assert not world.file().exists()
    assert len(world.warnings) == 1
    assert "starts anew" in world.warnings[0]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, 1000, -1, -5000])
def test_a_short_file_is_no_checkpoint(world: World, size: int) -> None:
    data = saved(world)
    world.file().write_bytes(data[:size])
    gone_with_a_warning(world)


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"not a checkpoint", b"\xff" * 4096, b"PK\3\4" + b"\0" * 500])
def test_a_foreign_file_is_no_checkpoint(world: World, data: bytes) -> None:
    saved(world)
    world.file().write_bytes(data)
    gone_with_a_warning(world)


def test_another_actions_file_is_no_checkpoint(world: World) -> None:
    world.checkpoints.of(OTHER).save(state(2))
    shutil.copy(world.file(OTHER), world.file())
    gone_with_a_warning(world)
    assert same(world.checkpoints.of(OTHER).load(), state(2))


@pytest.mark.parametrize("notes", [{}, {"format": "0", "key": KEY.hex()}, {"format": "1", "key": KEY.hex()}])
def test_a_file_of_another_format_is_no_checkpoint(world: World, notes: dict[str, str]) -> None:
    saved(world)
    write_values(world.file(), state(), notes)
    gone_with_a_warning(world)


@given(st.data())
def test_no_changed_byte_changes_what_is_loaded(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    world = World(tmp_path_factory.mktemp("flipped"))
    good = saved(world)
    place = data.draw(st.integers(0, 900) | st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    world.file().write_bytes(bad)
    loaded = world.checkpoints.of(KEY).load()
    assert loaded is None or same(loaded, state())


def test_a_folder_that_cannot_be_written_is_warned_of_once(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    world = World(blocked / "checkpoints")
    checkpoint = world.checkpoints.of(KEY)
    assert checkpoint.load() is None
    for number in range(3):
        checkpoint.save(state(number))
    assert not checkpoint.due()
    world.checkpoints.of(OTHER).save(state())
    assert len(world.warnings) == 1
    assert "cannot be kept" in world.warnings[0]
    checkpoint.discard()
    assert world.checkpoints.sweep(0) == 0


def test_when_there_is_room_again_another_failure_is_told_again(world: World) -> None:
    world.folder.parent.mkdir()
    world.folder.touch()
    world.checkpoints.of(KEY).save(state())
    world.folder.unlink()
    world.checkpoints.of(KEY).save(state())
    shutil.rmtree(world.folder)
    world.folder.touch()
    world.checkpoints.of(KEY).save(state())
    assert len(world.warnings) == 2


def test_a_full_disk_leaves_the_state_before(world: World) -> None:
    """A limit on the size of files stops a write in its middle, as a full disk does."""
    checkpoint = world.checkpoints.of(KEY)
    checkpoint.save(state(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        checkpoint.save(state(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(world.warnings) == 1
    assert same(checkpoint.load(), state(1))
    assert world.names() == [world.file().name]  # and nothing temporary


def test_something_else_in_the_files_place_is_left_alone(world: World) -> None:
    world.file().mkdir(parents=True)
    (world.file() / "in the way").touch()
    checkpoint = world.checkpoints.of(KEY)
    assert checkpoint.load() is None
    checkpoint.save(state())
    assert len(world.warnings) == 1
    assert world.names() == [world.file().name]


def test_a_state_that_cannot_be_kept_is_warned_of(world: World) -> None:
    checkpoint = world.checkpoints.of(KEY)
    for bad in (object(), {"x": torch.zeros(2).to_sparse()}, torch.zeros(2, device="meta")):
        world.checkpoints.of(OTHER).save(1)  # that one works
        world.checkpoints.of(KEY).save(bad)
    assert len(world.warnings) == 3
    assert checkpoint.load() is None
    assert world.names() == [world.file(OTHER).name]


def test_a_nodes_own_warnings_reach_the_node(world: World) -> None:
    told: list[str] = []
    saved(world)
    world.file().write_bytes(b"?")
    assert world.checkpoints.of(KEY, told.append).load() is None
    assert len(told) == 1
    assert world.warnings == []


def test_old_ones_and_what_dead_writers_left_are_swept(world: World) -> None:
    for key in (KEY, OTHER):
        world.checkpoints.of(key).save(state())
    dead, live = (world.folder / f"{KEY.hex()}.{name}.tmp" for name in ("dead", "live"))
    (world.folder / "README").touch()
    for path in (dead, live):
        path.touch()
    now = time.time()
    for path, age in ((world.file(), 500.0), (world.file(OTHER), 5000.0), (dead, 4000.0)):
        os.utime(path, (now - age, now - age))
    assert world.checkpoints.sweep(100_000) == 1
    assert not dead.exists()
    assert world.checkpoints.sweep(1000) == 1
    assert world.names() == sorted([world.file().name, live.name, "README"])
    os.utime(world.file(), (now + 5000, now + 5000))  # by a clock that was set back since
    assert world.checkpoints.sweep(1000) == 1
    assert world.checkpoints.sweep(0) == 1
    assert world.names() == ["README"]


def test_several_threads_may_save_and_load_one_action(world: World) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        checkpoint = world.checkpoints.of(KEY)
        for _ in range(20):
            checkpoint.save(state(number))
            loaded = checkpoint.load()
            if not any(same(loaded, state(other)) for other in range(4)):
                wrong.append(loaded)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert world.warnings == []
    assert world.names() == [world.file().name]


def test_a_plain_call_keeps_nothing() -> None:
    checkpoint = NO_CONTEXT.checkpoint
    checkpoint.save(state())
    assert not checkpoint.due()
    assert checkpoint.load() is None
    checkpoint.discard()

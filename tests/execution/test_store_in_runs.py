"""Runs with a persistent store: what a later process need not do again, and what it must."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch

from nodegraph.cache.disk import DiskStore
from nodegraph.context import NO_CONTEXT, Context
from nodegraph.execution.events import Event, Finished, Started
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.node import node
from nodegraph.registry import load_registry
from nodegraph.sockets import Image, Saved, SavedFile
from nodegraph.workflow.document import CachePolicy, NodeEntry
from tests.cache.support import index_of, sql
from tests.cli.support import PACK, ROOT, program
from tests.toys import entry, registry, workflow


def work() -> None:
    """Work that takes longer than reading a result does."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)


@node(category="toys", numeric=False)
def Cells(seed: int = 0) -> Image:
    """A picture that a seed decides, too large for a row of the index."""
    work()
    return Image(torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(seed)))


@node(category="toys", numeric=False)
def Bright(image: Image, by: float = 2.0) -> Image:
    work()
    return Image((image * by).clamp(0, 1))


@node(category="toys", numeric=False, output_node=True)
def Write(image: Image, name: str = "sum", context: Context = NO_CONTEXT) -> Saved:
    path = context.roots.output / f"{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{image.sum():.3f}")
    return Saved((SavedFile(str(path), path.name, "", "output"),))


def chain(seed: int = 1, by: float = 2.0, cache: CachePolicy = "auto") -> list[NodeEntry]:
    return [
        entry("cells", "Cells", seed=seed),
        replace(entry("bright", "Bright", cache, image="$cells", by=by)),
        entry("file", "Write", image="$bright"),
    ]


class World:
    """Runs, each in a session of its own, that share a folder for results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache, self.output = folder, folder / "cache", folder / "output"
        self.warnings: list[str] = []

    def session(self, *nodes: Callable[..., object], **settings: Any) -> Session:
        given: dict[str, Any] = {"cache_dir": self.cache, "output": self.output, "free_space": 0} | settings
        return Session(Settings(**given), registry(Cells, Bright, Write, *nodes))

    def run(
        self, entries: list[NodeEntry], *nodes: Callable[..., object], on_event: Any = None, **settings: Any
    ) -> RunResult:
        seen: list[Event] = []

        def note(event: Event) -> None:
            seen.append(event)
            if on_event is not None:
                on_event(event)

        with self.session(*nodes, **settings) as session:
            result = session.run(workflow(*entries), on_event=note, want=())
        self.warnings = [event.message for event in seen if type(event).__name__ == "Warned"]  # pyright: ignore[reportAttributeAccessIssue]
        assert result.problems == ()
        return result


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_later_session_does_nothing_again(world: World):
    assert world.run(chain()).executed == ("cells", "bright", "file")
    again = world.run(chain())
    assert (again.executed, sorted(again.cached)) == ((), ["bright", "cells", "file"])


def test_a_change_runs_only_what_it_reaches_also_later(world: World):
    world.run(chain())
    assert world.run(chain(by=3.0)).executed == ("bright", "file")
    assert world.run(chain(by=2.0)).executed == ("file",)  # which the run before replaced
    assert world.run(chain(seed=2)).executed == ("cells", "bright", "file")


def test_a_result_that_comes_out_the_same_stops_there_also_later(world: World):
    world.run([entry("cells", "Cells"), entry("b", "Bright", image="$cells", by=0.0), entry("f", "Write", image="$b")])
    again = world.run(
        [entry("cells", "Cells", seed=5), entry("b", "Bright", image="$cells", by=0.0), entry("f", "Write", image="$b")]
    )
    assert again.executed == ("cells", "b")


def test_a_file_deleted_is_written_again_without_running_anything(world: World):
    world.run(chain())
    before = (world.output / "sum.txt").read_text()
    shutil.rmtree(world.output)
    assert world.run(chain()).executed == ()
    assert (world.output / "sum.txt").read_text() == before


def test_a_file_that_somebody_changed_is_made_anew(world: World):
    world.run(chain())
    (world.output / "sum.txt").write_text("mine")
    assert world.run(chain()).executed == ("file",)


@pytest.mark.parametrize("name", ["../../escaped.txt", "..", "/tmp/escaped-from-the-cache.txt", "a\0b", ""])
def test_no_name_in_the_store_leads_outside(world: World, name: str):
    first = world.run(chain())
    assert first.trace is not None
    key = first.trace.keys[2]
    record = first.trace.records[2]
    assert key is not None and record is not None and record.saved is not None
    (file,) = record.saved.files
    for subfolder, filename in ((name, "sum.txt"), ("", name), (f"x/{name}", "sum.txt")):
        told = replace(file, path=str(world.folder / "evil.txt"), subfolder=subfolder, filename=filename)
        store = DiskStore(world.cache, free=0)
        store.put(key, replace(record, saved=Saved((told,))), (), at_once=True)
        store.close()
        shutil.rmtree(world.output)
        before = {path for path in world.folder.rglob("*") if world.cache not in path.parents}
        world.run(chain())
        after = {path for path in world.folder.rglob("*") if world.cache not in path.parents}
        assert all(world.output in (path, *path.parents) for path in after - before)
        assert not Path("/tmp/escaped-from-the-cache.txt").exists()


def test_policies_hold_over_sessions(world: World):
    assert world.run(chain(cache="memory")).executed == ("cells", "bright", "file")
    assert world.run(chain(cache="memory")).executed == ("bright",)
    assert world.run(chain(cache="off")).executed == ("bright",)
    assert world.run(chain(cache="refresh")).executed == ("bright",)
    assert world.run(chain()).executed == ()
    assert world.run(chain(), cache="off").executed == ("cells", "bright", "file")


def test_a_damaged_blob_costs_a_run_of_its_node_and_a_warning(world: World):
    world.run(chain())
    expected = (world.output / "sum.txt").read_text()
    for blob in (world.cache / "v1" / "blobs").glob("*/*"):
        data = bytearray(blob.read_bytes())
        data[-5] ^= 64
        blob.write_bytes(data)
    assert world.run(chain()).executed == ()  # nobody needs the values
    assert world.run([*chain()[:2], entry("file", "Write", image="$bright", name="other")]).executed == (
        "cells", "bright", "file",
    )  # fmt: skip
    assert len(world.warnings) == 1
    assert (world.output / "other.txt").read_text() == expected
    assert world.run([*chain()[:2], entry("file", "Write", image="$bright", name="third")]).executed == ("file",)
    assert world.warnings == []


def test_exchanged_rows_never_give_another_picture(world: World):
    world.run(chain(1))
    world.run(chain(2))
    digests = sql(world.cache, "SELECT key, digests FROM action WHERE type = 'Cells'")
    (first, one), (second, two) = digests
    sql(world.cache, "UPDATE action SET digests = ? WHERE key = ?", two, first)
    sql(world.cache, "UPDATE action SET digests = ? WHERE key = ?", one, second)
    for seed in (1, 2):
        again = world.run(chain(seed))
        assert again.executed == ("cells", "file")  # then it turns out that what lies between is known
        expected = Bright(Cells(seed))
        world.run([*chain(seed)[:2], entry("file", "Write", image="$bright", name=f"n{seed}")])
        assert (world.output / f"n{seed}.txt").read_text() == f"{expected.sum():.3f}"


def during(node_id: str, act: Callable[[], object]) -> Callable[[Event], None]:
    """Acts when a node has finished."""

    def listen(event: Event) -> None:
        if isinstance(event, Finished) and event.node == node_id:
            act()

    return listen


def test_a_store_deleted_during_a_run_does_no_harm(world: World):
    first = world.run(chain(), on_event=during("cells", lambda: shutil.rmtree(world.cache)))
    assert first.status == "done"
    assert len(world.warnings) <= 1
    assert set(world.run(chain()).executed) <= {"cells"}
    assert world.run(chain()).executed == ()


def test_an_index_that_becomes_garbage_during_a_run_does_no_harm(world: World):
    def spoil() -> None:
        index_of(world.cache).write_bytes(b"garbage " * 4096)

    assert world.run(chain(), on_event=during("cells", spoil)).status == "done"
    assert world.run(chain()).status == "done"
    assert world.run(chain()).executed == ()


@pytest.mark.parametrize("what", ["a file", "a newer version"])
def test_a_store_that_cannot_be_used_is_told_and_the_run_goes_on(world: World, what: str):
    if what == "a file":
        world.cache.write_text("mine")
    else:
        world.run([entry("a", "Number"), entry("s", "Show", value="$a")])
        sql(world.cache, "PRAGMA user_version = 2")
    assert world.run(chain()).executed == ("cells", "bright", "file")
    assert len(world.warnings) == 1
    assert str(world.cache) in world.warnings[0]


def test_without_room_for_results_runs_are_right(world: World):
    for seed in (1, 2, 1):
        assert world.run(chain(seed), cache_size=20_000, cache_memory=0).status == "done"
        assert (world.output / "sum.txt").read_text() == f"{Bright(Cells(seed)).sum():.3f}"


def test_two_runs_at_once_in_one_session_do_heavy_work_once(world: World):
    calls: list[int] = []
    both = threading.Barrier(2)

    @node(category="toys", numeric=False)
    def Heavy(value: int) -> int:
        calls.append(value)
        return value + 1

    document = workflow(entry("h", "Heavy", value=4), entry("s", "Show", value="$h"))
    results: list[RunResult] = []
    with world.session(Heavy) as session:

        def work() -> None:
            both.wait()
            results.append(session.run(document))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert calls == [4]
    assert [each.saved["s"].shown for each in results] == [{"value": 5}] * 2


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_picture_that_changes_while_it_is_loaded_is_not_kept_under_its_old_key(world: World, change: str):
    pictures = world.folder / "input"
    pictures.mkdir()
    path = pictures / "a.png"
    paint(path, "red")

    def act(event: Event) -> None:
        if isinstance(event, Started) and event.node == "load":
            if change == "replaced":
                paint(path, "blue")
            else:
                path.unlink()

    def load(on_event: Callable[[Event], None] | None = None) -> RunResult:
        settings = Settings(cache_dir=world.cache, output=world.output, inputs=(pictures,), free_space=0)
        document = workflow(
            entry("load", "LoadImage", image="a.png"), entry("save", "PreviewImage", images="$load.image")
        )
        with Session(settings, load_registry()) as session:
            return session.run(document, want=["load"], on_event=on_event)

    first = load(act)
    assert first.status == ("done" if change == "replaced" else "failed")
    paint(path, "red")
    again = load()
    assert "load" in again.executed
    values = again.values["load"][0]
    assert isinstance(values, torch.Tensor) and values[0, 0, 0].tolist() == [1, 0, 0]


def paint(path: Path, colour: str) -> None:
    fresh = path.with_suffix(".new.png")
    PIL.Image.new("RGB", (8, 8), colour).save(fresh)
    fresh.replace(path)
    os.utime(path, (1_600_000_000, 1_600_000_000))


FILE = """\
nodegraph: 1
nodes:
  picture: {uses: Stripes, with: {seed: 3}}
  file: {uses: Write, with: {value: 5, name: five}}
  told: {uses: Keep, with: {image: $picture}}
"""
MORE = '''

@node(category="test", output_node=True)
def Keep(image: Image) -> Saved:
    """Look at a picture."""
    import sys

    sys.stderr.write("looked\\\\n")
    return Saved(shown={"looked": True})
'''


def test_the_command_line_reuses_results_in_a_new_process(tmp_path: Path):
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "pack.py").write_text(PACK + MORE)
    (tmp_path / "w.yaml").write_text(FILE)
    command = ("run", "w.yaml", "--nodes", "nodes", "--cache-dir", "cache", "--json")

    def go(**env: str) -> tuple[int, int]:
        done = program(*command, cwd=tmp_path, env=env)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        (finished,) = [event for event in done.events if "executed" in event]
        return finished["executed"], finished["cached"]

    assert go() == (3, 0)
    (tmp_path / "output" / "five.txt").unlink()
    told = tmp_path / "told"
    watch = f"import atexit, sys; atexit.register(lambda: open({str(told)!r}, 'w').write(str('torch' in sys.modules)))"
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(watch)
    assert go(PYTHONPATH=f"{tmp_path / 'watch'}{os.pathsep}{ROOT}") == (0, 3)
    assert told.read_text() == "False"  # torch is not imported for it
    assert (tmp_path / "output" / "five.txt").read_text() == "5"

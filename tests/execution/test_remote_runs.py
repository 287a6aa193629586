"""Runs with a remote cache: what a second machine need not do again, and how trouble with the cache shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cache.address import address_of
from nodegraph.cache.remote import Remote
from nodegraph.cache.shared import SharedStore
from nodegraph.errors import ProblemError
from nodegraph.execution.events import Cached, Event, Started, Warned
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.workflow.document import NodeEntry, Ref
from tests.cache.remote_support import Stuck
from tests.execution.test_store_in_runs import Bright, Cells, Write, chain
from tests.toys import entry, registry, workflow


class Computer:
    """A machine of its own: runs, each in a session, with a folder for results and a remote cache."""

    def __init__(self, folder: Path, address: str | None) -> None:
        self.folder, self.address = folder, address
        self.events: list[Event] = []

    def session(self, **settings: Any) -> Session:
        given: dict[str, Any] = {"remote_cache": self.address} | settings
        places = {"cache_dir": self.folder / "cache", "output": self.folder / "output"}
        return Session(Settings(**places, free_space=0, **given), registry(Cells, Bright, Write))

    def run(self, entries: list[NodeEntry], **settings: Any) -> RunResult:
        self.events = []
        with self.session(**settings) as session:
            result = session.run(workflow(*entries), on_event=self.events.append, want=())
        assert result.problems == ()
        return result

    def explain(self, entries: list[NodeEntry]) -> list[tuple[str, str, bool]]:
        with self.session() as session:
            return [(each.node, each.action, each.remote) for each in session.explain(workflow(*entries), want=())]

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"file://{tmp_path / 'shared'}"


@pytest.fixture
def first(tmp_path: Path, address: str) -> Computer:
    return Computer(tmp_path / "first", address)


@pytest.fixture
def second(tmp_path: Path, address: str) -> Computer:
    return Computer(tmp_path / "second", address)


def test_a_second_machine_runs_nothing_again_and_has_the_same_file(first: Computer, second: Computer):
    first.run(chain())
    assert second.explain(chain()) == [("cells", "hit", True), ("bright", "hit", True), ("file", "hit", True)]
    assert second.run(chain()).executed == ()
    written = [(each.folder / "output" / "sum.txt").read_bytes() for each in (first, second)]
    assert written[0] == written[1]
    assert second.warnings == []


def test_a_second_machine_does_what_a_change_reaches_and_takes_the_rest(first: Computer, second: Computer):
    first.run(chain())
    assert second.run(chain(by=3.0)).executed == ("bright", "file")
    assert first.run(chain(by=3.0)).executed == ("file",)  # since it has another one by that name


def test_a_result_that_only_the_run_can_ask_for_is_taken_then(first: Computer, second: Computer):
    first.run(chain())
    cells, *rest = chain()
    result = second.run([replace(cells, cache="refresh"), *rest])
    assert (result.executed, sorted(result.cached)) == (("cells",), ["bright", "file"])
    order = [(type(event), event.node) for event in second.events if isinstance(event, Started | Cached)]
    assert order == [(Started, "cells"), (Cached, "bright"), (Cached, "file")]


def test_what_was_learned_stays_when_the_remote_cache_is_gone(first: Computer, second: Computer):
    first.run(chain())
    second.run(chain())
    second.address = None
    assert second.run(chain()).executed == ()
    assert [action for _, action, _ in second.explain(chain(by=3.0))] == ["run", "run", "run"]


def test_values_in_a_remote_cache_that_is_not_in_use_are_explained(first: Computer, second: Computer):
    first.run(chain())
    second.run(chain())
    second.address = None
    with second.session() as session:
        (cells, *_) = session.explain(workflow(*chain(by=3.0)), want=())
    assert cells.cause is not None
    assert cells.cause.reason == "evicted"
    assert "not in use" in cells.cause.detail


def test_a_reader_takes_and_gives_nothing(first: Computer, second: Computer, tmp_path: Path):
    first.run(chain())
    assert second.run(chain(by=3.0), remote_cache_mode="read").executed == ("bright", "file")
    assert Computer(tmp_path / "third", first.address).run(chain(by=3.0)).executed == ("bright", "file")


def test_results_of_nodes_that_keep_off_the_disk_are_not_shared(first: Computer, second: Computer):
    first.run(chain(cache="memory"))
    assert "bright" in second.run(chain()).executed


def test_a_remote_cache_that_cannot_be_used_is_told_of_and_the_run_goes_on(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    computer = Computer(tmp_path / "first", f"file://{tmp_path / 'file'}")
    assert computer.run(chain()).executed == ("cells", "bright", "file")
    assert [warning.count("the remote cache") for warning in computer.warnings] == [1]


def test_a_remote_cache_that_hangs_while_nodes_run_is_waited_for_no_longer_than_its_time_out(tmp_path: Path):
    stuck, warnings = Stuck(), list[str]()
    remote = Remote(address_of("file:///nowhere"), timeout=0.2, warn=warnings.append, opened=stuck)
    store = SharedStore(tmp_path / "cache", remote, free=0)
    settings = Settings(cache_dir=tmp_path / "cache", output=tmp_path / "output")
    cells, *rest = chain()
    with Session(settings, registry(Cells, Bright, Write), store) as session:
        result = session.run(workflow(replace(cells, cache="refresh"), *rest), want=())
        assert result.executed == ("cells", "bright", "file")
    assert stuck.asked > 0
    assert [warning.count("does not answer") for warning in warnings] == [1]
    stuck.go.set()


def test_without_a_folder_for_results_there_is_no_remote_cache(tmp_path: Path, address: str):
    with Session(
        Settings(cache_dir=None, output=tmp_path, remote_cache=address), registry(Cells, Bright, Write)
    ) as each:
        events: list[Event] = []
        each.run(workflow(*chain()), on_event=events.append)
    assert ["is not used" in event.message for event in events if isinstance(event, Warned)] == [True]


def test_an_address_that_is_none_is_a_problem(tmp_path: Path):
    with pytest.raises(ProblemError, match="the remote cache cannot be used"):
        Computer(tmp_path, "somewhere").session()


def test_a_long_chain_is_known_to_its_end_before_anything_runs(tmp_path: Path, address: str):
    entries = [entry("n0", "Number", value=1), *[entry(f"n{i}", "Add", left=f"$n{i - 1}") for i in range(1, 1000)]]
    document = replace(workflow(*entries), outputs={"last": Ref("n999")})
    results = []
    for name in ("first", "second"):
        computer = Computer(tmp_path / name, address)
        with computer.session(remote_cache_timeout=600.0) as session:
            results.append(session.run(document, on_event=computer.events.append))
            assert computer.warnings == []
    assert [len(result.executed) for result in results] == [1000, 0]

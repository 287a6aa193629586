"""Workers that are processes: who does what, and what becomes of a run when they die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.cache.disk import DiskStore
from nodegraph.cache.memory import MemoryStore
from nodegraph.context import CancelToken
from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.processes import Processes, fair_threads
from nodegraph.engines.remote import RemoteEngine
from nodegraph.execution import events
from nodegraph.sockets.codecs import digest
from tests.engines.support import PACK, SETUP, Counted, graph_of, pipe, processes, registry, run
from tests.toys import entry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engine() -> Iterator[RemoteEngine]:
    made = processes(2, grace=0.2)
    yield made
    made.close()


def sent(engine: RemoteEngine) -> list[tuple[str, list[str]]]:
    """The calls that were sent."""
    return cast(Counted, engine.transport).sent


def pids(engine: RemoteEngine) -> set[int]:
    return set(cast(Processes, engine.transport).pids().values())


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text(encoding="utf-8").split("\n")[:-1]


def chain(folder: Path | str = "") -> Any:
    return graph_of(
        entry("model", "Recipe"),
        entry("a", "Noise", seed=1),
        entry("first", "Strong", model="$model", latent="$a", strength=2.0, folder=str(folder)),
        entry("second", "Strong", model="$model", latent="$first", strength=3.0, folder=str(folder)),
        entry("third", "Strong", model="$model", latent="$second", strength=4.0, folder=str(folder)),
    )


def test_heavy_nodes_run_in_workers_and_not_here(engine: RemoteEngine):
    result = run(engine, graph_of(entry("w", "Where"), entry("m", "Recipe"), entry("v", "Where", model="$m"))).result
    assert {result["w"], result["v"]} <= pids(engine)
    assert os.getpid() not in pids(engine)


def test_nodes_that_share_a_model_travel_as_one_call(engine: RemoteEngine, tmp_path: Path):
    before = len(sent(engine))
    store = MemoryStore()
    result = run(engine, chain(tmp_path), store=store).result
    assert result.status == "done"
    calls = [nodes for _, nodes in sent(engine)[before:]]
    assert calls == [["a", "first", "second", "third"]]
    assert len(set(notes(tmp_path))) == 1  # all of them in one process
    assert run(engine, chain(tmp_path), store=store).result.executed == ()  # the driver has kept each of them


def test_nodes_of_one_model_that_meet_in_a_later_one_come_along(engine: RemoteEngine):
    before = len(sent(engine))
    graph = graph_of(
        entry("model", "Recipe"),
        entry("positive", "Strong", model="$model", latent="$z"),
        entry("z", "Noise", seed=5),
        entry("negative", "Strong", model="$model", latent="$z", strength=0.5),
        entry("both", "Blend", a="$positive", b="$negative"),
    )
    store = MemoryStore()
    run(engine, graph, store=store, only=["z"])
    before = len(sent(engine))
    assert run(engine, graph, store=store).result.status == "done"
    assert [sorted(nodes) for _, nodes in sent(engine)[before:]] == [["both", "negative", "positive"]]


def test_two_branches_run_at_the_same_time(engine: RemoteEngine, tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        os.mkfifo(path)
    graph = graph_of(
        entry("left", "Meets", mine=str(one), other=str(two)),
        entry("right", "Meets", mine=str(two), other=str(one)),
    )
    result = run(engine, graph).result
    assert (result["left"], result["right"]) == ("here", "here")


def test_a_worker_killed_in_a_step_costs_that_step_only(engine: RemoteEngine, tmp_path: Path):
    graph = graph_of(
        entry("a", "Noise", seed=1, folder=str(tmp_path)),
        entry("b", "Blend", a="$a", b="$a", folder=str(tmp_path)),
        entry("dies", "Dies", folder=str(tmp_path), times=1, latent="$b"),
    )
    done = run(engine, graph)
    assert done.result["dies"] == "lived after 2 tries"
    assert notes(tmp_path) == ["Noise 1", "Blend", "Dies", "Dies"]
    (warned,) = [event for event in done.events if isinstance(event, events.Warned)]
    assert "SIGKILL" in warned.message
    assert run(engine, chain()).result.status == "done"


def test_a_node_that_keeps_how_far_it_got_goes_on_from_there(tmp_path: Path):
    engine = processes(1, checkpoints=tmp_path / "kept")
    graph = graph_of(entry("steps", "Steps", folder=str(tmp_path)))
    assert run(engine, graph, checkpoints=Checkpoints(tmp_path / "kept")).result["steps"] == 5
    engine.close()
    assert notes(tmp_path) == [f"step {i}" for i in range(5)]
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_worker_killed_from_outside_is_replaced(engine: RemoteEngine, tmp_path: Path):
    begun = pipe(tmp_path, "begun")
    killed: list[int] = []

    def kill() -> None:
        killed.append(int(Path(begun).read_text()))
        os.kill(killed[0], signal.SIGKILL)
        second = int(Path(begun).read_text())
        killed.append(second)
        Path(begun + ".back").write_text("x")

    thread = threading.Thread(target=kill)
    thread.start()
    result = run(engine, graph_of(entry("w", "Waits", pipe=begun, name="x"))).result
    thread.join()
    assert result["w"] == "xdone"
    assert killed[0] != killed[1]


def test_a_node_that_kills_every_worker_is_given_up_and_told(engine: RemoteEngine, tmp_path: Path):
    graph = graph_of(
        entry("dies", "Dies", folder=str(tmp_path), times=99),
        entry("other", "Noise", seed=3),
    )
    done = run(engine, graph)
    (problem,) = done.result.problems
    assert (problem.code, problem.node) == ("worker_died", "dies")
    assert "SIGKILL" in problem.message
    assert problem.hint is not None
    assert notes(tmp_path) == ["Dies"] * 3
    assert "other" in done.result.executed
    assert run(engine, chain()).result.status == "done"


def test_a_node_that_does_not_stop_when_cancelled_is_ended(engine: RemoteEngine, tmp_path: Path):
    begun, token = pipe(tmp_path, "begun"), CancelToken()
    said: list[int] = []

    def stop() -> None:
        said.append(int(Path(begun).read_text()))
        token.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    result = run(engine, graph_of(entry("w", "Stubborn", pipe=begun)), token=token).result
    thread.join()
    assert result.status == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(said[0], 0)
    assert run(engine, chain()).result.status == "done"


def test_a_run_cancelled_while_it_waits_for_a_worker_sends_nothing(tmp_path: Path):
    engine, token, begun = processes(1), CancelToken(), pipe(tmp_path, "begun")

    def stop() -> None:
        Path(begun).read_text()
        token.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    graph = graph_of(
        entry("w", "Waits", pipe=begun),
        entry("later", "Noise", seed=77),
        entry("more", "Noise", seed=78),
    )
    result = run(engine, graph, token=token).result
    thread.join()
    assert result.status == "cancelled"
    assert sent(engine) == [("0:cpu", ["w"])]
    engine.close()


def test_a_worker_with_other_node_types_is_refused_at_hello():
    ours = hello_of(SETUP, registry())
    for hello, word in (
        (replace(ours, version="0.0.9"), "0.0.9"),
        (replace(ours, packs={**ours.packs, "errands_pack": "0" * 64}), "'errands_pack'"),
        (replace(ours, packs={**ours.packs, "missing": "0" * 64}), "'missing'"),
        (replace(ours, environment="torch 1.0; abacus"), "abacus"),
    ):
        engine = RemoteEngine(Processes([SETUP]), lambda hello=hello: hello)
        (problem,) = run(engine, graph_of(entry("a", "Noise"))).result.problems
        engine.close()
        assert problem.code == "worker_differs"
        assert word in problem.message
        assert problem.hint is not None


def test_a_worker_that_cannot_start_is_told_and_nothing_waits(tmp_path: Path):
    (tmp_path / "broken.py").write_text("import os\nos._exit(3)\n")
    engine = RemoteEngine(
        Processes([Setup(device="cpu", nodes=(str(tmp_path / "broken.py"),))] * 2), lambda: hello_of(SETUP, registry())
    )
    (problem,) = run(engine, graph_of(entry("a", "Noise"))).result.problems
    engine.close()
    assert problem.code == "worker_died"
    assert "exit code 3" in problem.message


DRIVER = """
import sys
from pathlib import Path
from nodegraph.cache.disk import DiskStore
from tests.engines.support import processes, run
from tests.engines.test_processes import halves
run(processes(2), halves(Path(sys.argv[1])), store=DiskStore(Path(sys.argv[1]) / "kept"))
"""


def halves(folder: Path) -> Any:
    """Two chains whose second nodes wait for a word, and tell when the first have been kept."""
    return graph_of(
        *[entry(f"a{i}", "Steps", folder=str(folder), dies_at=9 + i) for i in range(2)],
        entry("told", "Tells", pipe=str(folder / "told"), one="$a0", two="$a1"),
        *[entry(f"w{i}", "Waits", pipe=str(folder / str(i)), after=f"$a{i}") for i in range(2)],
    )


def test_a_driver_that_is_killed_takes_its_workers_along_and_the_next_one_goes_on(tmp_path: Path):
    kept, *pipes = [Path(pipe(tmp_path, name)) for name in ("told", "0", "1")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], cwd=ROOT, env=env)
    assert kept.read_text() == "kept\n"
    ends = [os.pidfd_open(int(each.read_text())) for each in pipes]
    driver.kill()
    driver.wait()
    for end in ends:
        assert _ended(end)
        os.close(end)

    def answer() -> None:
        for each in pipes:
            each.read_text()
            Path(f"{each}.back").write_text("x")

    thread = threading.Thread(target=answer)
    thread.start()
    engine, store = processes(2), DiskStore(tmp_path / "kept")
    result = run(engine, halves(tmp_path), store=store, only=["w0", "w1"]).result
    thread.join()
    engine.close()
    store.close()
    assert result.status == "done"
    assert set(result.executed) == {"w0", "w1"}
    assert len(notes(tmp_path)) == 10


def _ended(end: int) -> bool:
    import select

    return bool(select.select([end], [], [], 60.0)[0])


def test_cores_are_shared_by_the_workers_that_compute_on_them():
    cores = len(os.sched_getaffinity(0))
    two = fair_threads([Setup(device="cpu"), Setup(device="cpu")])
    assert [setup.threads for setup in two] == [max(1, cores // 2)] * 2
    assert [setup.threads for setup in fair_threads([Setup(device="cpu")])] == [None]
    assert [setup.threads for setup in fair_threads([Setup(device="cuda:0"), Setup(device="cuda:1")])] == [None, None]
    assert fair_threads([Setup(device="cpu", threads=3), Setup(device="cpu")])[0].threads == 3


def test_values_that_do_not_travel_are_made_here(engine: RemoteEngine):
    graph = graph_of(entry("odd", "Odd"), entry("again", "Odd", text="b"))
    result = run(engine, graph).result
    assert result.status == "done"
    assert result["odd"]["samples"] == {"a"}  # type: ignore[index]
    assert digest(json.dumps(sorted(notes_of(result["again"]))))


def notes_of(value: object) -> set[str]:
    return cast("dict[str, set[str]]", value)["samples"]


def test_the_pack_is_the_one_that_workers_have():
    assert PACK.is_file()
    assert registry().specs["Odd"].pack == "errands_pack"

"""Workers in a Ray cluster: who may use it, what drivers share, and what becomes of a run when parts of it die.

What holds of all engines is in test_contract.py.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import CancelToken
from nodegraph.engines.ray import RayTransport
from nodegraph.engines.ray_security import check_protected
from nodegraph.engines.remote import RemoteEngine
from nodegraph.errors import Problem
from nodegraph.execution import events
from tests.engines.ray_support import RayCluster, ray_cluster, ray_engine
from tests.engines.support import SETUP, graph_of, pipe, run
from tests.helpers import problem
from tests.toys import entry

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0


@pytest.fixture(scope="module", autouse=True)
def cluster() -> RayCluster:
    """The cluster; without Ray all of these tests are skipped."""
    return ray_cluster()


@pytest.fixture
def engine() -> Iterator[RemoteEngine]:
    made = ray_engine(grace=0.2)
    yield made
    made.close()


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text(encoding="utf-8").split("\n")[:-1]


def trouble(engine: RemoteEngine) -> Problem:
    """Why nothing can be run."""
    (found,) = run(engine, graph_of(entry("a", "Noise"))).result.problems
    engine.close()
    return found


def where(engine: RemoteEngine) -> int:
    """The process of the worker."""
    found = run(engine, graph_of(entry("w", "Where"))).result["w"]
    assert isinstance(found, int)
    return found


# --- what there is


def test_more_than_the_cluster_has_is_told_and_not_waited_for():
    cases: list[tuple[dict[str, Any], str]] = [
        ({"named": 3}, "room for 1 of the 3"),
        ({"vram": 1000.0}, "room for 0 of the 1"),
        ({"setup": replace(SETUP, device="cuda")}, "room for 0 of the 1"),
        ({"setup": replace(SETUP, device="cuda"), "named": 0}, "no GPU"),
    ]
    for options, word in cases:
        found = trouble(ray_engine(**options))
        assert found.code == "no_worker"
        assert word in found.message
        assert "8 vram_gb" in found.message
        assert found.hint is not None


# --- what drivers share


def test_the_next_driver_finds_the_worker_of_the_last_one_with_what_it_has_loaded():
    found: list[int] = []
    for _ in range(2):
        engine = ray_engine()
        found.append(where(engine))
        engine.close()
    assert found[0] == found[1] != os.getpid()


def test_two_drivers_use_one_worker_in_turn(engine: RemoteEngine, tmp_path: Path):
    other, begun = ray_engine(), pipe(tmp_path, "begun")
    results: list[Any] = []
    waiting = threading.Thread(
        target=lambda: results.append(run(engine, graph_of(entry("w", "Waits", pipe=begun, name="x"))).result["w"])
    )
    waiting.start()
    pid = int(Path(begun).read_text())
    second = threading.Thread(target=lambda: results.append(where(other)))
    second.start()
    Path(begun + ".back").write_text("x")
    for thread in (waiting, second):
        thread.join(PATIENCE)
    other.close()
    assert results == ["xdone", pid]


CHANGING = """
import sys
from pathlib import Path
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.registry import load_registry
from nodegraph.workflow.read import load_text

address, pack = sys.argv[1:]
settings = Settings(engine=f"ray:{address}", device="cpu", devices=("cpu",), cache_dir=None)
with Session(settings, load_registry([Path(pack)])) as session:
    print(session.run(load_text("{nodegraph: 1, nodes: {n: {uses: Changing}}}").workflow, only=["n"])["n"])
"""


def test_a_worker_with_older_code_makes_room_for_one_with_the_code_of_today(cluster: RayCluster, tmp_path: Path):
    pack = tmp_path / "changing.py"
    for value in ("one", "two"):
        pack.write_text(
            "from nodegraph.node import NO_CONTEXT, Context, node\n\n"
            '@node(category="test")\n'
            "def Changing(context: Context = NO_CONTEXT) -> str:\n"
            f'    "A word, and where it comes from."\n    import os\n    return f"{value} {{os.getppid()}}"\n'
        )
        driver = subprocess.run(
            [sys.executable, "-c", CHANGING, cluster.address, str(pack)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        word, parent = driver.stdout.split()
        assert word == value
        assert int(parent) != os.getpid()


def test_a_worker_with_nothing_to_do_is_let_go_of_and_taken_again(
    engine: RemoteEngine, monkeypatch: pytest.MonkeyPatch
):
    pid, transport = where(engine), cast(RayTransport, engine.transport)
    monkeypatch.setattr("nodegraph.engines.ray.IDLE_SECONDS", 0.0)
    while not transport.desks["cpu-0"].parted:  # its last call may be ending just now
        transport.tend()
    monkeypatch.undo()
    assert where(engine) == pid
    # Alone it makes room for a worker that is wanted otherwise, and for the first one again.
    monkeypatch.setattr("nodegraph.engines.ray.IDLE_SECONDS", 0.0)
    while not transport.desks["cpu-0"].parted:
        transport.tend()
    monkeypatch.undo()
    other = ray_engine(vram=1.0)
    assert where(other) != pid
    other.close()
    assert where(engine) != pid


# --- what dies


def test_a_worker_killed_in_a_step_costs_that_step_only(engine: RemoteEngine, tmp_path: Path):
    begun, kept, killed = pipe(tmp_path, "begun"), threading.Event(), list[int]()

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Finished) and event.node == "b":
            kept.set()

    def kill() -> None:
        killed.append(int(Path(begun).read_text()))
        kept.wait(PATIENCE)
        os.kill(killed[0], signal.SIGKILL)
        killed.append(int(Path(begun).read_text()))
        Path(begun + ".back").write_text("x")

    graph = graph_of(
        entry("a", "Noise", seed=1, folder=str(tmp_path)),
        entry("b", "Blend", a="$a", b="$a", folder=str(tmp_path)),
        entry("w", "Waits", pipe=begun, name="x", latent="$b"),
    )
    thread = threading.Thread(target=kill)
    thread.start()
    done = run(engine, graph, on_event=listen)
    thread.join(PATIENCE)
    assert done.result["w"] == "xdone"
    assert killed[0] != killed[1]
    assert notes(tmp_path) == ["Noise 1", "Blend"]
    (warned,) = [event for event in done.events if isinstance(event, events.Warned)]
    assert "its process ended" in warned.message


def test_a_node_that_kills_every_worker_is_given_up_and_told(engine: RemoteEngine, tmp_path: Path):
    done = run(engine, graph_of(entry("dies", "Dies", folder=str(tmp_path), times=99)))
    (found,) = done.result.problems
    assert (found.code, found.node) == ("worker_died", "dies")
    assert notes(tmp_path) == ["Dies"] * 3
    assert where(engine) != os.getpid()


def test_a_node_that_does_not_stop_when_cancelled_is_ended(engine: RemoteEngine, tmp_path: Path):
    begun, token, said = pipe(tmp_path, "begun"), CancelToken(), list[int]()

    def stop() -> None:
        said.append(os.pidfd_open(int(Path(begun).read_text())))
        token.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    result = run(engine, graph_of(entry("w", "Stubborn", pipe=begun)), token=token).result
    thread.join()
    assert result.status == "cancelled"
    assert ended(said) == said
    os.close(said[0])
    assert where(engine) != os.getpid()


def ended(processes: list[int]) -> list[int]:
    """The processes, by descriptors, that have ended, as soon as there is one."""
    return select.select(processes, [], [], PATIENCE)[0]


def test_a_machine_that_comes_later_takes_part_and_what_ran_on_it_when_it_dies_runs_on_another_one(
    cluster: RayCluster, tmp_path: Path
):
    engine = ray_engine(named=2, wait=PATIENCE)
    pipes = {name: pipe(tmp_path, name) for name in ("left", "right")}
    results: list[Any] = []
    graph = graph_of(*[entry(name, "Waits", pipe=path, name=name) for name, path in pipes.items()])
    running = threading.Thread(target=lambda: results.append(run(engine, graph)))
    running.start()
    watched = {os.pidfd_open(int(Path(pipes["left"]).read_text())): "left"}
    machine = cluster.add(num_cpus=1)
    watched[os.pidfd_open(int(Path(pipes["right"]).read_text()))] = "right"
    cluster.kill(machine)
    (gone,) = ended(list(watched))
    survivor = next(name for process, name in watched.items() if process != gone)
    Path(pipes[survivor] + ".back").write_text("x")
    Path(pipes[watched[gone]]).read_text()  # it has begun again
    Path(pipes[watched[gone]] + ".back").write_text("x")
    running.join(PATIENCE)
    (done,) = results
    assert (done.result["left"], done.result["right"]) == ("leftdone", "rightdone")
    assert [event.node for event in done.events if isinstance(event, events.Warned)] == [watched[gone]]
    for process in watched:
        os.close(process)
    engine.close()


DRIVER = """
import sys
from pathlib import Path
from nodegraph.cache.disk import DiskStore
from nodegraph.engines.hello import hello_of
from nodegraph.engines.ray import RayTransport
from nodegraph.engines.ray_cluster import RayOptions
from nodegraph.engines.remote import RemoteEngine
from tests.engines.ray_support import BEAT
from tests.engines.support import SETUP, graph_of, registry, run
from tests.toys import entry

address, folder, begun = sys.argv[1:]
expected = lambda: hello_of(SETUP, registry())
transport = RayTransport(RayOptions(address), SETUP, expected, named=1, near=True, beat=BEAT)
engine, store = RemoteEngine(transport, expected), DiskStore(Path(folder) / "kept")
graph = graph_of(
    entry("a", "Noise", seed=1, folder=folder),
    entry("b", "Blend", a="$a", b="$a", folder=folder),
    entry("w", "Waits", pipe=begun, name="x", latent="$b"),
)


def listen(event):
    if type(event).__name__ == "Finished":
        print(event.node, flush=True)


done = run(engine, graph, store=store, on_event=listen)
engine.close()
store.close()
print(done.result["w"])
"""


def test_another_driver_finishes_from_the_store_what_a_killed_one_began(cluster: RayCluster, tmp_path: Path):
    begun = pipe(tmp_path, "begun")
    command = [sys.executable, "-c", DRIVER, cluster.address, str(tmp_path), begun]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in "ab"] == ["a", "b"]
    Path(begun).read_text()
    first.kill()
    first.communicate()
    # The worker stops what nobody waits for: the second driver's call comes after that.
    second = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    Path(begun).read_text()
    Path(begun + ".back").write_text("x")
    said, _ = second.communicate(timeout=PATIENCE)
    assert said.split() == ["w", "xdone"]
    assert notes(tmp_path) == ["Noise 1", "Blend"]


def test_a_value_larger_than_rays_store_arrives_whole(engine: RemoteEngine):
    graph = graph_of(
        entry("big", "Large", megabytes=100),
        entry("same", "Strong", model="$m", latent="$big"),
        entry("m", "Recipe"),
    )
    store = MemoryStore()
    first = run(engine, graph, store=store, only=["big"]).result
    big: Any = first["big"]
    assert big["samples"].nbytes == 100 << 20
    second = run(engine, graph, store=store).result
    assert second.status == "done"
    assert "big" in second.cached
    same: Any = second["same"]
    assert float(same["samples"].mean()) == 1.0


# --- what is refused


def test_a_worker_with_another_version_is_refused_at_hello(cluster: RayCluster, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import nodegraph.version as v\nv.VERSION = '0.0.7'\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    # Two CPUs: a worker of the machine that was killed may begin again on one.
    machine = cluster.add(num_cpus=2, resources={"vram_gb": 50}, env_vars={"PYTHONPATH": path})
    found = trouble(ray_engine(vram=50.0))
    cluster.kill(machine)
    assert found.code == "worker_differs"
    assert "0.0.7" in found.message


def test_the_cluster_takes_neither_strangers_nor_those_with_another_token(cluster: RayCluster, tmp_path: Path):
    check_protected(cluster.address, os.environ)
    other = tmp_path / "token"
    other.write_text("f" * 64)
    found = problem(lambda: check_protected(cluster.address, {"RAY_AUTH_TOKEN_PATH": str(other)}))
    assert found.code == "cluster_unprotected"
    assert "does not take the token" in found.message

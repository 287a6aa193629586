"""What the engine decides, whatever its workers are: here they are threads, as far away as the test says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from nodegraph.engines.contract import Buffer, Hello, Lane, Listener, Message
from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.remote import RemoteEngine
from nodegraph.engines.runner import Runner
from tests.engines.support import graph_of as graph
from tests.engines.support import registry, run
from tests.toys import entry

FAR = Setup(device="cpu")


class Threads:
    """Workers that are threads. Each has so many bytes for models."""

    reopens = False

    def __init__(self, memory: Sequence[int], *, near: bool = False) -> None:
        self.near, self.width, self.memory = near, len(memory), memory
        self.calls: dict[str, queue.SimpleQueue[tuple[Message, Sequence[Buffer]] | None]] = {}
        self.sent: list[tuple[str, list[str]]] = []

    def open(self, listener: Listener) -> Sequence[Lane]:
        self.listener = listener
        return [self.worker(str(i), memory) for i, memory in enumerate(self.memory)]

    def worker(self, lane: str, memory: int) -> Lane:
        """Start a worker."""
        runner, calls = Runner(replace(FAR, near=self.near), registry()), queue.SimpleQueue[Any]()
        self.calls[lane] = calls

        def work() -> None:
            while (call := calls.get()) is not None:
                runner.run(call[0], call[1], lambda data, buffers: self.listener.message(lane, data, buffers))

        threading.Thread(target=work, daemon=True).start()
        return Lane(lane, replace(runner.hello(), memory=memory))

    def send(self, lane: str, data: Message, buffers: Sequence[Buffer]) -> None:
        if data["say"] == "run":
            self.sent.append((lane, [step["node"] for step in cast("list[dict[str, str]]", data["steps"])]))
            self.calls[lane].put((data, buffers))

    def cancel(self, lane: str, call: int) -> None:
        return

    def kill(self, lane: str) -> None:
        return

    def close(self) -> None:
        for calls in self.calls.values():
            calls.put(None)


def engine_of(transport: Threads) -> RemoteEngine:
    return RemoteEngine(transport, lambda: hello_of(FAR, registry()))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model file of 2 MB."""
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * (2 << 20))
    return str(path)


def test_over_a_network_what_needs_no_model_stays_here():
    transport = Threads([0])
    engine = engine_of(transport)
    nodes = graph(entry("a", "Noise", seed=1), entry("says", "Says"), entry("b", "Blend", a="$a", b="$a"))
    assert run(engine, nodes).result.status == "done"
    engine.close()
    assert transport.sent == [("0", ["says"])]


def test_a_model_that_no_worker_has_room_for_is_told_at_once(model: str):
    transport = Threads([1 << 19, 1 << 18], near=True)
    engine = engine_of(transport)
    nodes = graph(
        entry("m", "Recipe", path=model), entry("a", "Noise", seed=1), entry("s", "Strong", model="$m", latent="$a")
    )
    result = run(engine, nodes).result
    engine.close()
    (problem,) = result.problems
    assert (problem.code, problem.node) == ("no_worker", "s")
    assert "GiB" in problem.message
    assert "a" in result.executed


def test_what_needs_a_model_goes_where_it_is(model: str):
    transport = Threads([1 << 19, 8 << 20], near=True)
    engine = engine_of(transport)
    for seed in range(4):
        nodes = graph(
            entry("m", "Recipe", path=model),
            entry("a", "Noise", seed=seed),
            entry("s", "Strong", model="$m", latent="$a"),
        )
        assert run(engine, nodes).result.status == "done"
    engine.close()
    assert {lane for lane, nodes in transport.sent if "s" in nodes} == {"1"}


def test_workers_are_started_anew_if_that_may_be_of_use():
    transport = Threads([0], near=True)
    transport.reopens = True
    engine = engine_of(transport)
    nodes = graph(entry("w", "Where"))
    assert run(engine, nodes).result.status == "done"
    engine.died("0", "unplugged", returns=False)
    assert run(engine, nodes).result.status == "done"
    engine.close()
    assert [lane for lane, _ in transport.sent] == ["0", "0"]


def test_workers_may_go_for_good_and_others_come():
    transport = Threads([0], near=True)
    engine = engine_of(transport)
    nodes = graph(entry("w", "Where"))
    assert run(engine, nodes).result.status == "done"
    engine.died("0", "unplugged", returns=False)
    (problem,) = run(engine, nodes).result.problems
    assert problem.code == "no_worker"
    assert "unplugged" in problem.message
    engine.returned("new", transport.worker("new", 0).hello)
    assert run(engine, nodes).result.status == "done"
    engine.returned("odd", Hello("cpu", "0.0.1", ""))  # is not taken
    assert run(engine, nodes).result.status == "done"
    engine.close()
    assert [lane for lane, _ in transport.sent] == ["0", "new", "new"]

"""The engine of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nodegraph.context import Context
from nodegraph.engines.contract import Errand
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.work import Job
from nodegraph.graph.model import GraphNode
from nodegraph.node import node, spec_of
from nodegraph.workflow.document import NodeEntry


def errand(work: Callable[[], object]) -> Errand:
    """An errand of a node that does `work`."""

    @node(category="test")
    def Does() -> str:
        return str(work())

    stub = GraphNode("n", spec_of(Does), {}, {}, NodeEntry("n", "Does"))
    return Errand(object(), Job(stub, [{}]), None, lambda worked: None, Context())


def test_one_worker_does_one_thing_at_a_time_in_order():
    engine = LocalEngine()
    seen: list[tuple[int, str]] = []
    futures = [engine.submit(errand(lambda i=i: seen.append((i, threading.current_thread().name)))) for i in range(20)]
    for future in futures:
        future.result()
    engine.close()
    assert [i for i, _ in seen] == list(range(20))
    assert len({name for _, name in seen}) == 1
    assert threading.current_thread().name not in {name for _, name in seen}


def test_several_workers_work_at_the_same_time():
    engine = LocalEngine(workers=3)
    meet = threading.Barrier(3)
    futures = [engine.submit(errand(meet.wait)) for _ in range(3)]
    assert sorted(future.result().values for future in futures) == [("0",), ("1",), ("2",)]
    engine.close()


def test_errors_come_back_and_closing_finishes_what_runs():
    engine = LocalEngine()
    started, go = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        go.wait()
        return "done"

    running, waiting = engine.submit(errand(work)), engine.submit(errand(lambda: "never"))
    started.wait()
    threading.Thread(target=go.set).start()
    engine.close()
    assert running.result().values == ("done",)
    assert waiting.cancelled() or waiting.result().values == ("never",)
    with pytest.raises(RuntimeError):
        engine.submit(errand(work))
    failing = LocalEngine()
    with pytest.raises(ZeroDivisionError):
        failing.submit(errand(lambda: 1 // 0)).result()
    failing.close()

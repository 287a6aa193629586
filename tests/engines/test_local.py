"""The engine of this process."""

from __future__ import annotations

import threading

import pytest

from nodegraph.engines.local import LocalEngine


def test_one_worker_does_one_thing_at_a_time_in_order():
    engine = LocalEngine()
    seen: list[tuple[int, str]] = []
    futures = [engine.submit(lambda i=i: seen.append((i, threading.current_thread().name))) for i in range(20)]
    for future in futures:
        future.result()
    engine.close()
    assert [i for i, _ in seen] == list(range(20))
    assert len({name for _, name in seen}) == 1
    assert threading.current_thread().name not in {name for _, name in seen}


def test_several_workers_work_at_the_same_time():
    engine = LocalEngine(workers=3)
    meet = threading.Barrier(3)
    futures = [engine.submit(meet.wait) for _ in range(3)]
    assert sorted(future.result() for future in futures) == [0, 1, 2]
    engine.close()


def test_errors_come_back_and_closing_finishes_what_runs():
    engine = LocalEngine()
    started, go = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        go.wait()
        return "done"

    running, waiting = engine.submit(work), engine.submit(lambda: "never")
    started.wait()
    threading.Thread(target=go.set).start()
    engine.close()
    assert running.result() == "done"
    assert waiting.cancelled() or waiting.result() == "never"
    with pytest.raises(RuntimeError):
        engine.submit(work)
    failing = LocalEngine()
    with pytest.raises(ZeroDivisionError):
        failing.submit(lambda: 1 // 0).result()
    failing.close()

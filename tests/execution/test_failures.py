"""What happens to a run when nodes fail, or when it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import NO_CONTEXT, CancelToken, Context
from nodegraph.execution import events as ev
from nodegraph.execution.events import Event
from nodegraph.execution.plan import plan
from nodegraph.node import node
from tests.toys import entry, graph_of, run


class Pair(NamedTuple):
    one: int
    two: int


# --- failures


def failing(error: BaseException) -> Any:
    @node(category="toys")
    def Fail(x: int = 0) -> int:
        raise error

    return Fail


def test_a_failure_names_its_node_and_who_did_not_run_because_of_it_and_others_go_on():
    events: list[Event] = []
    graph = graph_of([
        entry("bad", "Fail"),
        entry("next", "Add", left="$bad"),
        entry("far", "Add", left="$next"),
        entry("s", "Show", value="$far"),
        entry("good", "Number", value=5),
        entry("t", "Show", value="$good"),
    ], failing(ValueError("the wheel fell off")))  # fmt: skip
    result = run(graph, events=events)
    assert result.status == "failed"
    (problem,) = result.problems
    assert (problem.code, problem.node) == ("node_failed", "bad")
    assert "the wheel fell off" in problem.message
    assert "'bad' (Fail)" in problem.message
    assert [(e.node, e.because) for e in events if isinstance(e, ev.Skipped)] == [
        ("next", "bad"), ("far", "bad"), ("s", "bad"),
    ]  # fmt: skip
    assert result.saved["t"].shown == {"value": 5}
    (failed,) = [event for event in events if isinstance(event, ev.Failed)]
    assert "ValueError: the wheel fell off" in failed.details
    assert "in Fail" in failed.details
    last = events[-1]
    assert isinstance(last, ev.RunFinished)
    assert (last.failed, last.skipped, last.executed) == (1, 3, 2)


@pytest.mark.parametrize("kind", ["heavy", "light", "async"])
def test_a_node_cannot_leave_the_program(kind: str):
    if kind == "async":

        @node(category="toys", name="Leave")
        async def late() -> int:
            raise SystemExit(3)

        function: Any = late
    else:

        @node(category="toys", name="Leave", light=kind == "light")
        def leave() -> int:
            raise SystemExit(3)

        function = leave

    result = run(graph_of([entry("a", "Leave"), entry("s", "Show", value="$a"), entry("t", "Show", value=1)], function))
    assert result.status == "failed"
    assert "tried to leave the program" in result.problems[0].message
    assert "t" in result.saved


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), StopIteration(), RecursionError(), MemoryError()],
    ids=repr,
)
def test_whatever_a_heavy_node_raises_is_its_own_failure(error: BaseException):
    result = run(graph_of([entry("a", "Fail"), entry("s", "Show", value="$a"), entry("t", "Show", value=1)],
                          failing(error)))  # fmt: skip
    assert (result.status, [problem.node for problem in result.problems]) == ("failed", ["a"])
    assert result.problems[0].code == ("out_of_memory" if isinstance(error, MemoryError) else "node_failed")
    assert "t" in result.saved


def test_a_failure_that_happened_is_not_remembered():
    fail = [True]

    @node(category="toys")
    def Once() -> int:
        if fail.pop() if fail else False:
            raise ValueError
        return 1

    graph = graph_of([entry("a", "Once"), entry("s", "Show", value="$a")], Once)
    store = MemoryStore()
    assert run(graph, store=store).status == "failed"
    assert run(graph, store=store).status == "done"


def test_a_node_that_breaks_its_declaration_fails():
    @node(category="toys")
    def Short() -> Pair:
        return (1,)  # type: ignore[return-value]

    @node(category="toys")
    def Long() -> Pair:
        return (1, 2, 3)  # type: ignore[return-value]

    @node(category="toys")
    def Single() -> Pair:
        return 1  # type: ignore[return-value]

    @node(category="toys", output_node=True)
    def Talks() -> None:
        return 1  # type: ignore[return-value]

    nodes = [Short, Long, Single]
    entries = [entry(f"{f.__name__.lower()}", f.__name__) for f in nodes]
    sinks = [entry(f"s{e.id}", "Show", value=f"${e.id}.one") for e in entries]
    result = run(graph_of([*entries, *sinks, entry("talks", "Talks")], *nodes, Talks))
    assert {problem.code for problem in result.problems} == {"wrong_output"}
    assert {problem.node for problem in result.problems} == {"short", "long", "single", "talks"}


def test_an_output_that_is_nested_for_ever_does_no_harm():
    @node(category="toys")
    def Loop() -> Any:
        value: list[Any] = []
        value.append(value)
        return value

    graph = graph_of([entry("a", "Loop"), entry("b", "Anything", value="$a"), entry("s", "Show", value="$b")], Loop)
    assert run(graph).status == "done"


# --- cancelling


def test_cancelling_while_a_heavy_node_runs_stops_it_at_its_next_step():
    token = CancelToken()
    steps: list[int] = []

    @node(category="toys")
    def Long(context: Context = NO_CONTEXT) -> int:
        for step in range(10):
            steps.append(step)
            if step == 2:
                token.cancel()
            context.progress(step, 10)
        return 1

    events: list[Event] = []
    graph = graph_of([
        entry("a", "Long"),
        entry("b", "Add", left="$a"),
        entry("s", "Show", value="$b"),
    ], Long)  # fmt: skip
    store = MemoryStore()
    result = run(graph, events=events, token=token, store=store)
    assert (result.status, result.executed, result.problems) == ("cancelled", (), ())
    assert steps == [0, 1, 2]
    assert sorted(result.skipped) == ["a", "b", "s"]
    assert all(event.because is None for event in events if isinstance(event, ev.Skipped))
    assert isinstance(events[-1], ev.RunFinished)
    assert events[-1].status == "cancelled"
    assert run(graph, store=store).status == "done"  # nothing of the cancelled run is taken for a result


def test_cancelling_while_async_nodes_run_ends_them():
    token = CancelToken()
    ended: list[str] = []

    @node(category="toys")
    async def Forever(me: int) -> int:
        try:
            if me == 1:
                token.cancel()
            await asyncio.Event().wait()
        finally:
            ended.append(f"n{me}")
        return 1

    graph = graph_of([entry("a", "Forever", me=0), entry("b", "Forever", me=1),
                      entry("s", "Show", value="$a"), entry("t", "Show", value="$b")], Forever)  # fmt: skip
    result = run(graph, token=token)
    assert result.status == "cancelled"
    assert sorted(ended) == ["n0", "n1"]
    assert sorted(result.skipped) == ["a", "b", "s", "t"]


def test_cancelling_between_nodes_keeps_what_is_done():
    token = CancelToken()

    @node(category="toys", light=True)
    def Stop(left: int) -> int:
        token.cancel()
        return left

    graph = graph_of([entry("a", "Number"), entry("b", "Stop", left="$a"), entry("c", "Add", left="$b"),
                      entry("s", "Show", value="$c")], Stop)  # fmt: skip
    result = run(graph, token=token)
    assert (result.status, result.executed, result.skipped) == ("cancelled", ("a", "b"), ("c", "s"))


def test_a_run_cancelled_before_its_start_runs_nothing():
    token = CancelToken()
    token.cancel()
    result = run(graph_of([entry("a", "Number"), entry("s", "Show", value="$a")]), token=token)
    assert (result.status, result.executed, result.skipped) == ("cancelled", (), ("a", "s"))


def test_cancelling_a_run_that_is_done_changes_nothing():
    token = CancelToken()
    graph = graph_of([entry("a", "Number"), entry("s", "Show", value="$a")])
    assert run(graph, token=token).status == "done"
    token.cancel()
    token.cancel()


def test_a_node_that_says_it_was_cancelled_when_it_was_not_has_failed():
    from nodegraph.context import Cancelled

    result = run(graph_of([entry("a", "Fail"), entry("s", "Show", value="$a")], failing(Cancelled())))
    assert result.status == "failed"
    assert "nobody cancelled" in result.problems[0].message


def test_cancelling_the_coroutine_ends_its_nodes():
    from nodegraph.engines.local import LocalEngine
    from nodegraph.execution.executor import execute

    ended: list[str] = []
    over = asyncio.Event()

    @node(category="toys")
    async def Forever(context: Context = NO_CONTEXT) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            assert context.token is not None
            ended.append("cancelled" if context.token.cancelled else "?")
            over.set()
        return 1

    graph = graph_of([entry("a", "Forever"), entry("s", "Show", value="$a")], Forever)

    async def main() -> None:
        engine = LocalEngine()
        started = asyncio.Event()
        coroutine = execute(plan(graph), store=MemoryStore(), engine=engine,
                            on_event=lambda e: started.set() if isinstance(e, ev.Started) else None)  # fmt: skip
        task = asyncio.create_task(coroutine)
        await started.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await over.wait()
        engine.close()

    asyncio.run(main())
    assert ended == ["cancelled"]

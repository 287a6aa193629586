"""What a run does: which nodes, how often, in which order of events, side by side, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, NamedTuple

import PIL.Image
import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import NO_CONTEXT, CancelToken, Context
from nodegraph.errors import ProblemError
from nodegraph.execution import events as ev
from nodegraph.execution.events import Event
from nodegraph.execution.plan import plan
from nodegraph.node import Range, node
from nodegraph.workflow.document import Ref, Workflow
from tests.toys import entry, graph_of, names, run, workflow


class Pair(NamedTuple):
    one: int
    two: int


def kinds(events: list[Event], name: str) -> list[str]:
    return [type(event).__name__ for event in events if getattr(event, "node", None) == name]


# --- what runs


def test_only_what_the_output_nodes_need_is_run():
    events: list[Event] = []
    graph = graph_of([
        entry("a", "Number", value=1),
        entry("unused", "Add", left="$a"),
        entry("b", "Add", left="$a", right=2),
        entry("show", "Show", value="$b"),
    ])  # fmt: skip
    result = run(graph, events=events)
    assert result.status == "done"
    assert sorted(result.executed) == ["a", "b", "show"]
    assert result.saved["show"].shown == {"value": 3}
    assert "unused" not in {getattr(event, "node", "") for event in events}


def test_only_runs_the_named_nodes_and_what_they_need():
    graph = graph_of([
        entry("a", "Number", value=1),
        entry("b", "Add", left="$a", right=2),
        entry("show", "Show", value="$b"),
        entry("other", "Show", value="$a"),
    ])  # fmt: skip
    result = run(graph, only=["b"])
    assert result.executed == ("a", "b")
    assert result.values == {"b": (3,)}
    assert result["b"] == 3


def test_only_refuses_names_that_are_not_there():
    graph = graph_of([entry("alpha", "Number"), entry("s", "Show", value="$alpha")])
    with pytest.raises(ProblemError) as caught:
        plan(graph, only=["alhpa", "s", "zzz"])
    assert [(p.code, p.hint) for p in caught.value.problems] == [
        ("unknown_target", "did you mean 'alpha'?"),
        ("unknown_target", "there are alpha, s"),
    ]


def test_a_workflow_that_produces_nothing_is_refused():
    with pytest.raises(ProblemError) as caught:
        plan(graph_of([entry("a", "Number")]))
    assert [p.code for p in caught.value.problems] == ["no_outputs"]


def test_named_outputs_are_targets():
    document = Workflow(
        {"a": entry("a", "Split", text="abc"), "b": entry("b", "Number", value=1)},
        outputs={"tail": Ref("a", "rest")},
    )
    result = run(graph_of(document))
    assert result.executed == ("a",)
    assert result.outputs == {"tail": "bc"}


def test_each_node_runs_once_however_many_need_it():
    calls: list[str] = []

    @node(category="toys", light=True)
    def Source() -> int:
        calls.append("source")
        return 1

    graph = graph_of([
        entry("source", "Source"),
        *(entry(f"n{i}", "Add", left="$source", right="$source") for i in range(5)),
        *(entry(f"s{i}", "Show", value=f"$n{i}") for i in range(5)),
    ], Source)  # fmt: skip
    assert run(graph).status == "done"
    assert calls == ["source"]


def test_identical_heavy_actions_in_one_graph_run_once_even_when_nothing_is_kept():
    calls: list[int] = []

    @node(category="toys")
    def Heavy(x: int) -> int:
        calls.append(x)
        return x * 10

    graph = graph_of([
        entry("a", "Heavy", x=4),
        entry("b", "Heavy", x=4),
        entry("c", "Heavy", x=5),
        entry("sum", "Add", left="$a", right="$b"),
        entry("s", "Show", value="$sum"),
        entry("t", "Show", value="$c"),
    ], Heavy)  # fmt: skip
    result = run(graph, store=MemoryStore(budget=0), workers=3)
    assert sorted(calls) == [4, 5]
    assert result.saved["s"].shown == {"value": 80}
    assert set(result.cached) == {"b"}


def test_identical_actions_fail_together_each_under_its_own_name():
    calls: list[int] = []

    @node(category="toys")
    def Broken(x: int) -> int:
        calls.append(x)
        raise ValueError("no")

    graph = graph_of([
        entry("a", "Broken", x=4),
        entry("b", "Broken", x=4),
        entry("s", "Show", value="$a"),
        entry("t", "Show", value="$b"),
    ], Broken)  # fmt: skip
    result = run(graph)
    assert calls == [4]
    assert {problem.node for problem in result.problems} == {"a", "b"}
    assert set(result.skipped) == {"s", "t"}


# --- side by side


def test_independent_async_nodes_overlap():
    barrier: list[asyncio.Event] = []

    @node(category="toys")
    async def Meet(me: int) -> int:
        """Goes on only when both have begun; one after the other, the first would wait for ever."""
        if not barrier:
            barrier.extend([asyncio.Event(), asyncio.Event()])
        barrier[me].set()
        await barrier[1 - me].wait()
        return me

    graph = graph_of([
        entry("a", "Meet", me=0),
        entry("b", "Meet", me=1),
        entry("sum", "Add", left="$a", right="$b"),
        entry("s", "Show", value="$sum"),
    ], Meet)  # fmt: skip
    assert run(graph).saved["s"].shown == {"value": 1}


def test_heavy_nodes_run_off_the_event_loop():
    done = threading.Event()

    @node(category="toys")
    def Heavy() -> int:
        """Waits for something that only the event loop can do; on the loop's thread it would wait for ever."""
        done.wait()
        return 1

    @node(category="toys")
    async def Release() -> int:
        done.set()
        return 2

    graph = graph_of([
        entry("heavy", "Heavy"),
        entry("release", "Release"),
        entry("sum", "Add", left="$heavy", right="$release"),
        entry("s", "Show", value="$sum"),
    ], Heavy, Release)  # fmt: skip
    assert run(graph).saved["s"].shown == {"value": 3}


def test_light_nodes_let_async_ones_go_on():
    seen: list[str] = []

    @node(category="toys")
    async def Other() -> int:
        await asyncio.sleep(0)
        seen.append("other")
        return 1

    @node(category="toys", light=True)
    def Count(a: int) -> int:
        seen.append("light")
        return sum(range(3000)) + a

    chain = [entry("n0", "Number"), *(entry(f"n{i}", "Count", a=f"$n{i - 1}") for i in range(1, 1500))]
    graph = graph_of([*chain, entry("o", "Other"), entry("s", "Show", value="$n1499"), entry("t", "Show", value="$o")],
                     Other, Count)  # fmt: skip
    assert run(graph).status == "done"
    assert seen.index("other") < len(seen) - 1


# --- events


def test_events_come_in_order_and_say_what_happened():
    events: list[Event] = []
    graph = graph_of([
        entry("a", "Number", value=1),
        entry("b", "Add", left="$a"),
        entry("s", "Show", value="$b"),
    ])  # fmt: skip
    store = MemoryStore()
    run(graph, events=events, store=store)
    assert isinstance(events[0], ev.Planned)
    assert (events[0].nodes, events[0].cached) == (3, 0)
    assert [(type(event).__name__, getattr(event, "node", None)) for event in events[1:-1]] == [
        ("Started", "a"), ("Finished", "a"), ("Started", "b"), ("Finished", "b"), ("Started", "s"), ("Finished", "s"),
    ]  # fmt: skip
    last = events[-1]
    assert isinstance(last, ev.RunFinished)
    assert (last.status, last.executed, last.cached, last.failed, last.skipped) == ("done", 3, 0, 0, 0)
    again: list[Event] = []
    run(graph, events=again, store=store)
    assert [type(event).__name__ for event in again] == ["Planned", "Cached", "Cached", "Cached", "RunFinished"]
    assert isinstance(again[0], ev.Planned)
    assert again[0].cached == 3
    for event in events + again:
        assert event.to_json()["event"]


@pytest.mark.parametrize("kind", ["heavy", "light", "async"])
def test_progress_previews_and_warnings_arrive_in_order_before_the_end(kind: str):
    def work(context: Context) -> int:
        for step in range(3):
            context.progress(step + 1, 3)
            context.preview(PIL.Image.new("RGB", (step + 1, 1)))
        context.warn("careful")
        return 1

    if kind == "async":

        @node(category="toys", name="Steps")
        async def late(context: Context = NO_CONTEXT) -> int:
            await asyncio.sleep(0)
            return work(context)

        function: Any = late
    else:

        @node(category="toys", name="Steps", light=kind == "light")
        def steps(context: Context = NO_CONTEXT) -> int:
            return work(context)

        function = steps

    events: list[Event] = []
    graph = graph_of([entry("a", "Steps"), entry("s", "Show", value="$a")], function)
    assert run(graph, events=events).status == "done"
    assert kinds(events, "a") == ["Started", *["Progress", "Preview"] * 3, "Warned", "Finished"]
    assert [event.value for event in events if isinstance(event, ev.Progress)] == [1, 2, 3]
    assert [event.image.width for event in events if isinstance(event, ev.Preview)] == [1, 2, 3]


def test_previews_that_nobody_wants_are_not_made():
    wanted: list[bool] = []

    @node(category="toys")
    def Ask(context: Context = NO_CONTEXT) -> int:
        wanted.append(context.wants_previews)
        return 1

    graph = graph_of([entry("a", "Ask"), entry("s", "Show", value="$a")], Ask)
    run(graph, context=Context(previews=False))
    run(graph, context=Context(previews=True))
    assert wanted == [False, True]


# --- values on the way


def test_whole_numbers_arriving_where_decimal_ones_are_wanted_are_converted():
    graph = graph_of([
        entry("n", "Number", value=3),
        entry("a", "Scale", value="$n", by="$n"),  # asserts that it is given floats
        entry("s", "Show", value="$a"),
    ])  # fmt: skip
    assert run(graph).saved["s"].shown == {"value": 9.0}


def test_bounds_hold_for_linked_values_too():
    graph = graph_of([
        entry("n", "Number", value=11),
        entry("a", "Scale", value=1.0, by="$n"),
        entry("s", "Show", value="$a"),
    ])  # fmt: skip
    result = run(graph)
    assert result.status == "failed"
    (problem,) = result.problems
    assert (problem.code, problem.node, problem.input) == ("out_of_range", "a", "by")


def test_a_linked_number_too_large_for_a_decimal_fails_its_node_only():
    graph = graph_of([
        entry("n", "Number", value=10**400),
        entry("a", "Scale", value="$n"),
        entry("s", "Show", value="$a"),
        entry("t", "Show", value=1),
    ])  # fmt: skip
    result = run(graph)
    assert [problem.node for problem in result.problems] == ["a"]
    assert "t" in result.saved


def test_choices_hold_for_linked_values_too():
    graph = graph_of([
        entry("w", "Words", text="shrill"),
        entry("a", "Words", text="x", style="$w"),
        entry("s", "Show", value="$a"),
    ])  # fmt: skip
    result = run(graph)
    assert [problem.code for problem in result.problems] == ["not_a_choice"]


def test_values_that_nobody_needs_any_more_are_let_go():
    class Big:
        alive = 0

        def __init__(self) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    most: list[int] = []

    @node(category="toys", light=True)
    def Make(value: Any) -> Any:
        most.append(Big.alive)
        return Big()

    chain = [entry("n0", "Make", value=0), *(entry(f"n{i}", "Make", value=f"$n{i - 1}") for i in range(1, 30))]
    graph = graph_of([*chain, entry("s", "Show", value=1), entry("t", "Add", left=1)], Make)
    run(graph, only=["n29"], want=[], store=MemoryStore(budget=0))
    assert max(most) <= 2


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


def test_names_of_events_are_those_of_the_file():
    events: list[Event] = []

    @node(category="toys")
    def Bounded(x: Annotated[int, Range(0, 5)] = 1) -> int:
        return x

    run(graph_of(workflow(entry("my-node_1", "Bounded"), entry("s", "Show", value="$my-node_1")), Bounded),
        events=events)  # fmt: skip
    assert names(events, ev.Started) == ["my-node_1", "s"]

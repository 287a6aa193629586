"""What a run does: which nodes, how often, in which order of events, side by side, off the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, NamedTuple

import PIL.Image
import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import NO_CONTEXT, Context
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


def test_names_of_events_are_those_of_the_file():
    events: list[Event] = []

    @node(category="toys")
    def Bounded(x: Annotated[int, Range(0, 5)] = 1) -> int:
        return x

    run(graph_of(workflow(entry("my-node_1", "Bounded"), entry("s", "Show", value="$my-node_1")), Bounded),
        events=events)  # fmt: skip
    assert names(events, ev.Started) == ["my-node_1", "s"]

"""The graph language in a run: lazy inputs, `when`, several items, blocked values, nodes that add nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.errors import Problem
from nodegraph.execution import events as ev
from nodegraph.execution.events import Event
from nodegraph.execution.result import RunResult
from nodegraph.graph import check
from nodegraph.sockets.flow import Blocked, Call, Many, Out
from nodegraph.workflow.document import NodeEntry, Ref, Value
from tests import toys
from tests.execution.flow_toys import CALLS, FLOW, types
from tests.toys import entry, graph_of, names, workflow


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


def run(*entries: NodeEntry, store: MemoryStore | None = None, events: list[Event] | None = None) -> RunResult:
    return toys.run(graph_of(entries, *FLOW), store=store, events=events, types=types())


def gated(node: NodeEntry, when: Value) -> NodeEntry:
    return replace(node, when=when)


def problems(result: RunResult) -> list[Problem]:
    return list(result.problems)


# --- lazy inputs


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("chooser", ["Choose", "ChooseSlowly"])
def test_only_the_lazy_input_that_is_asked_for_is_computed(first: bool, chooser: str):
    events: list[Event] = []
    result = run(
        entry("a", "Loud", value=1, name="a"),
        entry("b", "Heavy", value=2, name="b"),
        entry("pick", chooser, first=first, a="$a", b="$b"),
        entry("show", "Show", value="$pick"),
        events=events,
    )
    assert result.status == "done"
    assert [name for name in CALLS if name != "choose"] == ["a" if first else "b"]
    assert result.saved["show"].shown == {"value": 1 if first else 2}
    other = "b" if first else "a"
    assert other not in {getattr(event, "node", "") for event in events}
    planned = next(event for event in events if isinstance(event, ev.Planned))
    assert planned.nodes == 2  # what is needed in any case


def test_a_lazy_choice_is_known_next_time_whatever_the_other_side_would_be():
    store = MemoryStore()

    def chosen(b: int) -> RunResult:
        return run(
            entry("a", "Loud", value=1, name="a"),
            entry("b", "Loud", value=b, name="b"),
            entry("pick", "Choose", first=True, a="$a", b="$b"),
            entry("show", "Show", value="$pick"),
            store=store,
        )

    chosen(2)
    CALLS.clear()
    again = chosen(3)
    assert (CALLS, again.executed) == ([], ())
    assert set(again.cached) == {"a", "pick", "show"}


def test_lazy_inputs_are_asked_for_one_after_another():
    result = run(
        entry("a", "Loud", value=-1, name="a"),
        entry("b", "Loud", value=5, name="b"),
        entry("c", "Loud", value=9, name="c"),
        entry("first", "FirstPositive", a="$a", b="$b", c="$c"),
        entry("show", "Show", value="$first"),
    )
    assert result.saved["show"].shown == {"value": 5}
    assert CALLS == ["a", "b"]


def test_lazy_inputs_may_be_written_as_values_or_left_out():
    result = run(entry("pick", "FirstPositive", a=0, b=4), entry("show", "Show", value="$pick"))
    assert result.saved["show"].shown == {"value": 4}


def test_a_lazy_input_that_others_need_anyway_is_computed_once():
    result = run(
        entry("a", "Loud", value=1, name="a"),
        entry("show_a", "Show", value="$a"),
        entry("slow", "Heavy", value=1, name="slow"),
        entry("less", "Less", left="$slow", right=2),
        entry("pick", "Choose", first="$less", a="$a", b="$slow"),
        entry("show", "Show", value="$pick"),
    )
    assert result.saved["show"].shown == {"value": 1}
    assert sorted(name for name in CALLS if name != "choose") == ["a", "slow"]


def test_a_failure_behind_a_lazy_input_matters_only_if_it_is_asked_for():
    def result(first: bool) -> RunResult:
        return run(
            entry("a", "Loud", value=1),
            entry("b", "Broken", value=2),
            entry("pick", "Choose", first=first, a="$a", b="$b"),
            entry("show", "Show", value="$pick"),
        )

    assert result(True).status == "done"
    failed = result(False)
    assert (failed.status, failed.skipped) == ("failed", ("pick", "show"))


def test_two_lazy_inputs_may_come_from_the_same_node():
    result = run(
        entry("halves", "Split", text="ab"),
        entry("pick", "Choose", first=False, a="$halves.first", b="$halves.rest"),
        entry("show", "Show", value="$pick"),
    )
    assert result.saved["show"].shown == {"value": "b"}


# --- when


def test_a_node_whose_when_is_false_does_not_run_and_neither_does_what_only_it_needs():
    events: list[Event] = []
    result = run(
        entry("deep", "Loud", value=1, name="deep"),
        gated(entry("a", "Add", left="$deep"), False),
        entry("b", "Loud", value=2, name="b"),
        entry("either", "Either", a="$a", b="$b"),
        entry("show", "Show", value="$either"),
        events=events,
    )
    assert result.saved["show"].shown == {"value": 2}
    assert CALLS == ["b"]


@pytest.mark.parametrize("value", [1, 5])
def test_when_follows_an_output(value: int):
    def result(store: MemoryStore) -> RunResult:
        return run(
            entry("n", "Loud", value=value, name="n"),
            entry("small", "Less", left="$n", right=3),
            entry("deep", "Heavy", value=7, name="deep"),
            gated(entry("a", "Add", left="$deep"), Ref("small")),
            entry("either", "Either", a="$a", b=0),
            entry("show", "Show", value="$either"),
            store=store,
        )

    store = MemoryStore()
    first = result(store)
    assert first.saved["show"].shown == {"value": 8 if value < 3 else 0}
    assert ("deep" in CALLS) == (value < 3)
    again = result(store)
    assert again.executed == ()
    assert again.saved["show"].shown == first.saved["show"].shown


def test_what_needs_a_node_that_is_off_is_off_too_and_no_error():
    events: list[Event] = []
    result = run(
        entry("no", "Truth", value=False),
        gated(entry("a", "Loud", value=1), Ref("no")),
        entry("b", "Add", left="$a"),
        entry("show", "Show", value="$b"),
        entry("other", "Show", value=3),
        events=events,
    )
    assert result.status == "done"
    assert result.executed == ("no", "other") or set(result.executed) == {"no", "other"}
    off = {event.node for event in events if isinstance(event, ev.Skipped) and event.reason == "off"}
    assert off == {"a", "b", "show"}


def test_all_of_several_conditions_have_to_hold():
    def runs(first: bool, second: bool) -> bool:
        result = run(
            entry("x", "Truth", value=first),
            entry("y", "Truth", value=second),
            gated(entry("a", "Show", value=1), (Ref("x"), Ref("y"))),
            entry("always", "Show", value=2),
        )
        return "a" in result.saved

    assert [runs(x, y) for x in (False, True) for y in (False, True)] == [False, False, False, True]


def test_when_wants_true_or_false():
    checked = check(workflow(entry("n", "Number"), gated(entry("s", "Show", value=1), Ref("n"))), types())
    assert [(p.code, p.node) for p in checked.problems] == [("type_mismatch", "s")]
    result = run(entry("n", "Anything", value=3), gated(entry("s", "Show", value=1), Ref("n")))
    assert [(p.code, p.input) for p in problems(result)] == [("type_mismatch", "when")]


# --- several items


def test_what_follows_a_list_runs_for_each_item_and_a_list_input_takes_all():
    result = run(
        entry("range", "Range3", count=3, first=1),
        entry("add", "Add", left="$range", right=10),
        entry("sum", "Sum", values="$add"),
        entry("show", "Show", value="$sum"),
    )
    assert result.saved["show"].shown == {"value": 36}
    assert CALLS == ["sum of 3"]


def test_shorter_lists_repeat_their_last_item():
    result = run(
        entry("long", "Range3", count=4),
        entry("short", "Range3", count=2, first=10),
        entry("add", "Add", left="$long", right="$short"),
        entry("end", "Anything", value="$add"),
        entry("sum", "Sum", values="$add"),
        entry("show", "Show", value="$sum"),
    )
    assert result.saved["show"].shown == {"value": 10 + 12 + 13 + 14}


def test_a_single_value_is_a_list_of_one_and_an_empty_list_calls_nobody():
    assert run(entry("sum", "Sum", values=4), entry("show", "Show", value="$sum")).saved["show"].shown == {"value": 4}
    assert run(entry("sum", "Sum", values=(4, 5)), entry("s", "Show", value="$sum")).saved["s"].shown == {"value": 9}
    CALLS.clear()
    result = run(
        entry("none", "Range3", count=0),
        entry("loud", "Loud", value="$none"),
        entry("sum", "Sum", values="$loud"),
        entry("show", "Show", value="$sum"),
    )
    assert result.saved["show"].shown == {"value": 0}
    assert CALLS == ["sum of 0"]


def test_lists_are_split_and_cached_whole():
    store = MemoryStore()

    def result() -> RunResult:
        return run(
            entry("range", "Range3", count=5),
            entry("parts", "ByParity", values="$range"),
            entry("sum", "Sum", values="$parts.even"),
            entry("show", "Show", value="$sum"),
            store=store,
        )

    assert result().saved["show"].shown == {"value": 6}
    assert result().executed == ()


def test_an_output_node_that_is_called_for_each_item_shows_all_of_them():
    result = run(entry("range", "Range3", count=2), entry("show", "Show", value="$range"))
    assert result.saved["show"].shown == {"value": 1}
    assert result.status == "done"


# --- no value


def test_what_depends_on_a_blocked_output_does_not_run_and_it_is_no_error():
    events: list[Event] = []
    result = run(
        entry("no", "Positive", value=-1),
        entry("add", "Add", left="$no"),
        entry("show", "Show", value="$add"),
        entry("other", "Show", value=1),
        events=events,
    )
    assert (result.status, result.skipped) == ("done", ("add", "show"))
    assert [e.reason for e in events if isinstance(e, ev.Skipped)] == ["blocked", "blocked"]
    assert "other" in result.saved


def test_a_blocked_item_of_several_is_left_out_alone():
    result = run(
        entry("range", "Range3", count=4, first=-1),
        entry("positive", "Positive", value="$range"),
        entry("loud", "Loud", value="$positive"),
        entry("sum", "Sum", values="$loud"),
        entry("show", "Show", value="$sum"),
    )
    assert result.saved["show"].shown == {"value": 3}
    assert CALLS == ["1", "2", "sum of 2"]


def test_a_blocked_value_says_why_where_something_would_have_run():
    events: list[Event] = []
    result = run(entry("no", "Refuse", value=4), entry("show", "Show", value="$no"), events=events)
    assert result.status == "done"
    assert [(e.node, e.message) for e in events if isinstance(e, ev.Warned)] == [("show", "there is no 4")]


# --- nodes that add nodes


def test_a_node_is_replaced_by_the_nodes_it_adds():
    events: list[Event] = []
    result = run(
        entry("n", "Number", value=4), entry("twice", "Twice", value="$n"), entry("show", "Show", value="$twice"),
        events=events,
    )  # fmt: skip
    assert result.saved["show"].shown == {"value": 8}
    assert "twice.0.0.sum" in result.executed
    (expanded,) = [event for event in events if isinstance(event, ev.Expanded)]
    assert expanded.added == (("twice.0.0.a", "Loud", "twice"), ("twice.0.0.sum", "Add", "twice"))
    assert names(events, ev.Finished).index("twice.0.0.sum") < names(events, ev.Finished).index("twice")


def test_added_nodes_are_cached_each_by_itself():
    store = MemoryStore()
    run(entry("twice", "Twice", value=4), entry("show", "Show", value="$twice"), store=store)
    CALLS.clear()
    again = run(entry("twice", "Twice", value=4), entry("show", "Show", value="$twice"), store=store)
    assert again.executed == ()
    fresh = run(entry("twice", "Twice", "refresh", value=4), entry("show", "Show", value="$twice"), store=store)
    assert fresh.executed == ("twice",)
    assert CALLS == []


def test_a_loop_is_an_expansion_of_an_expansion():
    store = MemoryStore()

    def counted(limit: int) -> RunResult:
        return run(entry("count", "CountTo", limit=limit), entry("show", "Show", value="$count"), store=store)

    assert counted(300).saved["show"].shown == {"value": 300}
    assert counted(300).executed == ()


def test_an_expansion_per_item():
    result = run(
        entry("range", "Range3", count=3, first=1),
        entry("twice", "Twice", value="$range"),
        entry("sum", "Sum", values="$twice"),
        entry("show", "Show", value="$sum"),
    )
    assert result.saved["show"].shown == {"value": 12}
    assert CALLS == ["inner 1", "inner 2", "inner 3", "sum of 3"]


def test_output_nodes_that_are_added_run_each_time():
    store = MemoryStore()
    for _ in range(2):
        result = run(entry("saves", "Saves", value=4), entry("show", "Show", value="$saves"), store=store)
        assert result.saved["saves.0.0.show"].shown == {"value": 4}


BAD = {
    "unknown type": ({"x": Call("Nothing", {})}, [1], "unknown_node"),
    "unknown input": ({"x": Call("Add", {"left": 1, "wrong": 2})}, [Out("x")], "unknown_input"),
    "missing input": ({"x": Call("Add", {})}, [Out("x")], "missing_input"),
    "wrong value": ({"x": Call("Add", {"left": "one"})}, [Out("x")], "type_mismatch"),
    "wrong link": ({"x": Call("Add", {"left": Out("y")}), "y": Call("Words", {})}, [Out("x")], "type_mismatch"),
    "link to nothing": ({"x": Call("Add", {"left": Out("nowhere")})}, [Out("x")], "unknown_reference"),
    "no such output": ({"x": Call("Add", {"left": Out("x", 3)})}, [Out("x")], "unknown_output"),
    "result from nowhere": ({}, [Out("nowhere")], "unknown_reference"),
    "result without output": ({"x": Call("Number", {})}, [Out("x", 1)], "unknown_output"),
    "too many results": ({}, [1, 2], "wrong_output"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_with_an_expansion_is_told_of_the_node_that_made_it(what: str):
    calls, results, code = BAD[what]
    result = run(
        entry("adds", "Adds", what={"calls": calls, "results": results}),
        entry("show", "Show", value="$adds"),
        entry("other", "Show", value=1),
    )
    assert [(p.code, p.node) for p in problems(result)] == [(code, "adds")]
    assert result.skipped == ("show",)
    assert "other" in result.saved


def test_a_failure_in_an_expansion_skips_what_waits_for_it():
    what = {"calls": {"x": Call("Broken", {"value": 1})}, "results": [Out("x")]}
    result = run(entry("adds", "Adds", what=what), entry("show", "Show", value="$adds"))
    assert [p.node for p in problems(result)] == ["adds.0.0.x"]
    assert set(result.skipped) == {"adds", "show"}


def test_a_circle_is_blamed_on_the_node_that_made_it():
    result = run(
        entry("circle", "Circle", value=1), entry("show", "Show", value="$circle"), entry("o", "Show", value=1)
    )
    assert [(p.code, p.node) for p in problems(result)] == [("cycle", "circle")]
    assert "circle.0.0.add" in problems(result)[0].message
    assert "o" in result.saved


def test_an_expansion_may_link_to_nodes_that_ran_long_ago():
    what = {"calls": {"x": Call("Add", {"left": Out("early"), "right": 1})}, "results": [Out("x")]}
    result = run(
        entry("early", "Loud", value=41, name="early"),
        entry("seen", "Show", value="$early"),
        entry("wait", "Heavy", value=1),
        entry("adds", "Adds", what=what),
        entry("show", "Show", value="$adds"),
    )
    assert result.saved["show"].shown == {"value": 42}
    assert CALLS.count("early") == 1


def test_a_blocked_value_that_is_handed_to_an_added_node_blocks_it():
    what = {"calls": {"x": Call("Add", {"left": Blocked(), "right": 1})}, "results": [Out("x")]}
    result = run(entry("adds", "Adds", what=what), entry("show", "Show", value="$adds"))
    assert result.status == "done"
    assert set(result.skipped) == {"adds.0.0.x", "show"}


def test_results_may_be_values_and_lists():
    what = {"calls": {"x": Call("Range3", {"count": 2})}, "results": [Out("x")]}
    result = run(
        entry("adds", "Adds", what=what), entry("sum", "Sum", values="$adds"), entry("show", "Show", value="$sum")
    )
    assert result.saved["show"].shown == {"value": 1}


# --- undeclared inputs


def test_a_node_may_take_inputs_that_it_does_not_declare():
    result = run(
        entry("n", "Number", value=3), entry("k", "Keywords", first=1, more="$n", x=2), entry("s", "Show", value="$k")
    )
    assert result.saved["s"].shown == {"value": 6}


def test_values_of_the_flow_never_reach_a_node():
    assert Many((1, 2)) != (1, 2)
    assert Blocked() == Blocked()

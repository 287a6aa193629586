"""What node types of other programs bring along: fingerprints, checks of their own, questions, links as themselves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import Context
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.graph import check
from nodegraph.node import InputSpec, NodeSpec, OutputSpec, Range
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Call, Out, Outcome
from nodegraph.sockets.types import SocketType
from nodegraph.spec import Validation
from nodegraph.workflow.document import NodeEntry, Slot
from tests import toys
from tests.execution.flow_toys import types
from tests.toys import entry, workflow

INT, ANY = SocketType(("INT",)), SocketType(("*",))


def spec(name: str, function: Any, *inputs: InputSpec, outputs: int = 1, **facts: Any) -> NodeSpec:
    """A node type as a pack's adapter makes it."""
    made = tuple(OutputSpec(f"out{i}", INT) for i in range(outputs))
    base = NodeSpec(name, function, "foreign", 1, "", inputs, made, name, numeric=False, checks_arrivals=False)
    return replace(base, **facts)


def required(name: str, type_: SocketType = INT, **facts: Any) -> InputSpec:
    return InputSpec(name, type_, True, **facts)


def run(registry: Registry, *entries: NodeEntry, store: MemoryStore | None = None) -> RunResult:
    checked = check(workflow(*entries), registry)
    assert checked.graph is not None, [problem.describe() for problem in checked.problems]
    return toys.run(checked.graph, store=store, types=registry)


# --- fingerprints


@pytest.mark.parametrize("slow", [False, True])
def test_a_fingerprint_enters_the_key(slow: bool):
    state = {"version": 1}
    seen: list[Mapping[str, object]] = []

    def fingerprint(values: Mapping[str, object], node: str) -> object:
        seen.append(values)
        return state["version"]

    async def later(values: Mapping[str, object], node: str) -> object:
        await asyncio.sleep(0)
        return fingerprint(values, node)

    made = spec("Watched", lambda a, b: Outcome((a + b,)), required("a"), required("b"))
    registry = types().with_specs([replace(made, fingerprint=later if slow else fingerprint)])
    store = MemoryStore()
    nodes = (entry("n", "Number", value=2), entry("w", "Watched", a="$n", b=1), entry("show", "Show", value="$w"))
    assert "w" in run(registry, *nodes, store=store).executed
    assert run(registry, *nodes, store=store).executed == ()
    state["version"] = 2
    assert run(registry, *nodes, store=store).executed == ("w",)
    assert seen[0] == {"a": None, "b": 1}


@pytest.mark.parametrize("answer", [math.nan, ZeroDivisionError])
def test_a_fingerprint_that_is_not_a_number_runs_the_node_each_time(answer: Any):
    def fingerprint(values: Mapping[str, object], node: str) -> object:
        return answer if isinstance(answer, float) else 1 / 0

    registry = types().with_specs([spec("Clock", lambda: Outcome((1,)), fingerprint=fingerprint)])
    store = MemoryStore()
    nodes = (entry("c", "Clock"), entry("show", "Show", value="$c"))
    assert run(registry, *nodes, store=store).executed == ("c", "show")
    assert run(registry, *nodes, store=store).executed == ("c",)


# --- what else enters the key


def test_a_result_may_depend_on_the_id_of_its_node():
    registry = types().with_specs([spec("Named", lambda a: Outcome((a,)), required("a"), keyed_by=frozenset({"id"}))])
    store = MemoryStore()
    first = run(registry, entry("x", "Named", a=1), entry("show", "Show", value="$x"), store=store)
    assert "x" in first.executed
    other = run(registry, entry("y", "Named", a=1), entry("show", "Show", value="$y"), store=store)
    assert "y" in other.executed
    assert run(registry, entry("x", "Named", a=1), entry("show", "Show", value="$x"), store=store).executed == ()


def test_a_result_may_depend_on_the_shape_of_what_it_is_made_of():
    shape = frozenset({"shape"})
    registry = types().with_specs([spec("Graphy", lambda a: Outcome((a,)), required("a"), keyed_by=shape)])
    store = MemoryStore()

    def made(left: int) -> RunResult:
        nodes = (entry("n", "Add", left=left, right=3 - left), entry("g", "Graphy", a="$n"))
        return run(registry, *nodes, entry("show", "Show", value="$g"), store=store)

    assert "g" in made(1).executed
    assert made(1).executed == ()
    assert "g" in made(2).executed  # the same sum, of other numbers


# --- links as themselves, the graph as it is


def test_a_raw_input_gets_the_link_and_the_graph_can_be_looked_at():
    seen: dict[str, Any] = {}

    def look(link: Any, ctx: Context) -> Outcome:
        assert ctx.graph is not None
        seen.update(link=link, node=ctx.graph.node(link[0]), ids=sorted(ctx.graph.ids()))
        return Outcome((1,))

    registry = types().with_specs([spec("Look", look, required("link", ANY, raw=True), context_name="ctx")])
    run(registry, entry("n", "Add", left=2), entry("l", "Look", link="$n"), entry("show", "Show", value="$l"))
    assert seen["link"] == ["n", 0]
    assert seen["ids"] == ["l", "n", "show"]
    assert seen["node"] == {"class_type": "Add", "inputs": {"left": 2, "right": 1}, "_meta": {"title": "n"}}


def test_added_nodes_are_seen_in_the_graph_with_their_parents():
    seen: dict[str, Any] = {}

    def look(ctx: Context) -> Outcome:
        assert ctx.graph is not None
        seen[ctx.node] = (ctx.graph.parent(ctx.node), ctx.graph.display(ctx.node))
        return Outcome((1,))

    registry = types().with_specs([spec("Look", look, context_name="ctx", deterministic=False)])
    what = {"calls": {"x": Call("Look", {}), "y": Call("Look", {}, display="show")}, "results": [Out("x")]}
    what["calls"]["z"] = Call("Show", {"value": Out("y")})
    run(registry, entry("adds", "Adds", what=what), entry("show", "Show", value="$adds"))
    assert seen == {"adds.0.0.x": ("adds", "adds"), "adds.0.0.y": ("adds", "show")}


# --- which lazy inputs are needed


@pytest.mark.parametrize("slow", [False, True])
def test_a_node_type_says_which_lazy_inputs_it_needs(slow: bool):
    asked: list[Mapping[str, object]] = []

    def ask(values: Mapping[str, object]) -> object:
        asked.append(dict(values))
        return ["a"] if values["first"] and values["a"] is None else [] if values["first"] else "b"

    async def later(values: Mapping[str, object]) -> object:
        await asyncio.sleep(0)
        return ask(values)

    def function(first: bool, a: Any, b: Any) -> Outcome:
        return Outcome((a if first else b,))

    lazy = (required("first", SocketType(("BOOLEAN",))), required("a", ANY, lazy=True), required("b", ANY, lazy=True))
    made = spec("Switch", function, *lazy, ask=later if slow else ask)
    registry = types().with_specs([made])

    def chosen(first: bool) -> object:
        result = run(
            registry,
            entry("a", "Loud", value=1),
            entry("b", "Broken", value=1),
            entry("s", "Switch", first=first, a="$a", b="$b"),
            entry("show", "Show", value="$s"),
        )
        return result.saved["show"].shown if "show" in result.saved else [p.node for p in result.problems]

    assert chosen(True) == {"value": 1}
    assert chosen(False) == ["b"]
    assert asked[0] == {"first": True, "a": None, "b": None}


# --- checks of their own


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(
    ("answer", "messages"),
    [(True, []), (False, ["it does not take"]), ("a is odd", ["a is odd"]), (ValueError("no"), ["ValueError: no"])],
)
def test_a_node_type_checks_its_inputs_itself(answer: object, messages: list[str], slow: bool):
    def validate(values: Mapping[str, object], link_types: Mapping[str, str]) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def later(values: Mapping[str, object], link_types: Mapping[str, str]) -> object:
        await asyncio.sleep(0)
        return validate(values, link_types)

    validation = Validation(later if slow else validate)
    registry = types().with_specs([spec("Checked", lambda a: Outcome((a,)), required("a"), validation=validation)])
    checked = check(workflow(entry("c", "Checked", a=1), entry("s", "Show", value="$c")), registry)
    assert [problem.node for problem in checked.problems] == ["c"] * len(messages)
    for problem, message in zip(checked.problems, messages, strict=True):
        assert message in problem.message


def test_what_it_names_is_not_checked_otherwise():
    seen: list[Any] = []

    def validate(values: Mapping[str, object], link_types: Mapping[str, str]) -> object:
        seen.append((dict(values), dict(link_types)))
        return True

    bounded = (required("a", range=Range(0, 9)), required("b", range=Range(0, 9)), required("c"))
    made = spec("Own", lambda **inputs: Outcome((1,)), *bounded)

    def codes(validation: Validation | None) -> list[str]:
        registry = types().with_specs([replace(made, validation=validation)])
        nodes = workflow(entry("t", "Words"), entry("o", "Own", a=99, b=99, c="$t"), entry("s", "Show", value="$o"))
        return sorted(problem.code for problem in check(nodes, registry).problems)

    assert codes(None) == ["out_of_range", "out_of_range", "type_mismatch"]
    assert codes(Validation(validate, frozenset({"a"}))) == ["out_of_range", "type_mismatch"]
    assert codes(Validation(validate, None, types=True)) == []
    assert seen[-1] == ({"a": 99, "b": 99}, {"c": "STRING"})


# --- results


@pytest.mark.parametrize("values", [(), (1, 2)])
def test_a_wrong_number_of_results_is_told_of_the_node(values: tuple[object, ...]):
    registry = types().with_specs([spec("Wrong", lambda: Outcome(values))])
    result = run(registry, entry("w", "Wrong"), entry("s", "Show", value="$w"), entry("o", "Show", value=1))
    assert [(p.code, p.node) for p in result.problems] == [("wrong_output", "w")]
    assert "o" in result.saved


def test_lists_of_all_inputs_are_taken_whole():
    def count(a: list[int], b: list[int]) -> Outcome:
        return Outcome((len(a) * 100 + len(b),))

    registry = types().with_specs([spec("Count", count, required("a"), required("b"), takes_lists=True)])
    result = run(
        registry,
        entry("range", "Range3", count=3),
        entry("c", "Count", a="$range", b=5),
        entry("show", "Show", value="$c"),
    )
    assert result.saved["show"].shown == {"value": 301}


# --- on disk


def test_the_flow_of_a_run_is_known_after_a_restart(tmp_path: Path):
    settings = Settings(cache_dir=tmp_path / "cache", output=tmp_path / "out")
    nodes = workflow(
        entry("range", "Range3", count=3, first=-1),
        entry("positive", "Positive", value="$range"),
        entry("twice", "Twice", value="$positive"),
        entry("sum", "Sum", values="$twice"),
        entry("small", "Less", left="$sum", right=3),
        entry("a", "Heavy", value=1),
        entry("b", "Heavy", value=2),
        entry("pick", "Choose", first="$small", a="$a", b="$b"),
        replace(entry("off", "Heavy", value=3), when=False),
        entry("either", "Either", a="$off", b="$pick"),
        entry("show", "Show", value="$either"),
    )
    with Session(settings, types()) as session:
        first = session.run(nodes)
    assert first.saved["show"].shown == {"value": 1}
    with Session(settings, types()) as session:
        explained = {each.node: each.action for each in session.explain(nodes)}
        again = session.run(nodes)
    assert again.executed == ()
    assert again.saved["show"].shown == {"value": 1}
    assert explained["b"] == "idle"
    assert set(again.cached) == {name for name, action in explained.items() if action == "hit"}


@pytest.mark.parametrize(
    ("declared", "value", "told"),
    [
        ("INT", "one", "'one' as 'out', which is INT"),
        ("STRING", [], "a list as 'out', which is STRING"),
        ("FLOAT", [], "a list as 'out', which is FLOAT"),
        ("BOOLEAN", "yes", "'yes' as 'out', which is BOOLEAN"),
        ("IMAGE", torch.zeros(2, 2), "a tensor of shape [2, 2] as 'out', which is IMAGE"),
        ("MASK", 1.0, "1.0 as 'out', which is MASK"),
        ("LATENT", {"x": 1}, "a dict as 'out', which is LATENT"),
        ("CONDITIONING", "x", "'x' as 'out', which is CONDITIONING"),
    ],
)
def test_a_result_of_another_type_is_told_of_the_node(declared: str, value: object, told: str):
    made = replace(spec("Wrong", lambda: Outcome((value,))), outputs=(OutputSpec("out", SocketType((declared,))),))
    registry = types().with_specs([made])
    node = replace(entry("7", "Wrong"), title="my node")
    result = run(registry, node, NodeEntry("s", "Show", {"value": Slot("7", 0)}), entry("o", "Show", value=1))
    (problem,) = result.problems
    assert (problem.code, problem.node) == ("wrong_output", "7")
    assert told in problem.message
    assert "my node" in problem.message
    assert "o" in result.saved


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("INT", 1.0),
        ("INT", True),
        ("FLOAT", 1),
        ("BOOLEAN", 1),
        ("STRING", 8),
        ("MASK", None),
        ("A,B", 3),
        ("*", object()),
    ],
)
def test_packs_may_be_lenient_with_numbers_and_nothing(declared: str, value: object):
    names = tuple(declared.split(","))
    made = replace(spec("Right", lambda: Outcome((value,))), outputs=(OutputSpec("out", SocketType(names)),))
    result = run(types().with_specs([made]), entry("w", "Right"), entry("s", "Show", value="$w"))
    assert result.status == "done"

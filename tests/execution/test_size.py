"""Graphs that are far deeper or wider than Python may recurse."""

from __future__ import annotations

import sys

import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.execution.plan import plan
from nodegraph.graph import check
from nodegraph.node import node
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Workflow
from tests.toys import graph_of, registry, run


@node(category="toys", light=True, numeric=False)
def Sum(a: int = 0, b: int = 0) -> int:
    """A sum that stays small."""
    return (a + b) % 1_000_003


def chain(size: int) -> Workflow:
    nodes = {"n0": NodeEntry("n0", "Sum", {"a": 1})}
    for i in range(1, size):
        nodes[f"n{i}"] = NodeEntry(f"n{i}", "Sum", {"a": Slot(f"n{i - 1}", 0), "b": 1})
    return Workflow(dict(reversed(nodes.items())))  # the last one first, as files may have it


def ladder(depth: int) -> Workflow:
    """A diamond on top of a diamond: 2^depth ways through it."""
    nodes = {"top0": NodeEntry("top0", "Sum", {"a": 1})}
    for i in range(1, depth + 1):
        nodes[f"left{i}"] = NodeEntry(f"left{i}", "Sum", {"a": Ref(f"top{i - 1}"), "b": 1})
        nodes[f"right{i}"] = NodeEntry(f"right{i}", "Sum", {"a": Ref(f"top{i - 1}"), "b": 2})
        nodes[f"top{i}"] = NodeEntry(f"top{i}", "Sum", {"a": Ref(f"left{i}"), "b": Ref(f"right{i}")})
    return Workflow(nodes)


def test_a_chain_of_a_hundred_thousand_nodes_checks_and_runs_and_is_cached():
    size = 100_000
    assert size > 10 * sys.getrecursionlimit()
    graph = graph_of(chain(size), Sum)
    store = MemoryStore()
    last = f"n{size - 1}"
    result = run(graph, only=[last], store=store)
    assert result.values == {last: (size,)}
    assert len(result.executed) == size
    again = run(graph, only=[last], store=store)
    assert (len(again.cached), again.executed, again.values) == (size, (), {last: (size,)})


def test_a_ladder_of_ten_thousand_diamonds_runs_each_node_once():
    depth = 10_000
    graph = graph_of(ladder(depth), Sum)
    value = 1
    for _ in range(depth):
        value = (2 * value + 3) % 1_000_003
    result = run(graph, only=[f"top{depth}"])
    assert result.values == {f"top{depth}": (value,)}
    assert len(result.executed) == 3 * depth + 1


@pytest.mark.parametrize("depth", [60, 2_000])
def test_a_ladder_whose_values_are_gone_is_made_again_once(depth: int):
    graph = graph_of(ladder(depth), Sum)
    store = MemoryStore(budget=0)
    run(graph, only=[f"top{depth}"], store=store)
    result = run(graph, only=[f"top{depth}"], store=store)
    assert len(result.executed) == len(set(result.executed)) == 3 * depth + 1


def test_ten_thousand_inputs_of_one_node():
    size = 10_000
    arguments = ", ".join(f"i{i}: int" for i in range(size))
    namespace = {"node": node}
    exec(
        f"@node(category='toys', light=True)\ndef Wide({arguments}) -> int:\n    return sum(locals().values())\n",
        namespace,
    )
    sources = {f"n{i}": NodeEntry(f"n{i}", "Number", {"value": i}) for i in range(size)}
    wide = NodeEntry("wide", "Wide", {f"i{i}": Ref(f"n{i}") for i in range(size)})
    graph = graph_of(Workflow({"wide": wide, **sources}), namespace["Wide"])  # type: ignore[arg-type]
    assert run(graph, only=["wide"]).values == {"wide": (size * (size - 1) // 2,)}


def test_ten_thousand_nodes_that_need_one():
    size = 10_000
    sinks = {f"s{i}": NodeEntry(f"s{i}", "Show", {"value": Ref("one")}) for i in range(size)}
    graph = graph_of(Workflow({**sinks, "one": NodeEntry("one", "Number", {"value": 1})}))
    assert len(run(graph).saved) == size


def test_a_cycle_of_a_hundred_thousand_nodes_is_one_problem():
    size = 100_000
    nodes = {f"n{i}": NodeEntry(f"n{i}", "Sum", {"a": Ref(f"n{(i + 1) % size}")}) for i in range(size)}
    (problem,) = check(Workflow(nodes), registry(Sum)).errors
    assert problem.code == "cycle"


def test_an_ancestor_set_is_all_that_is_planned():
    graph = graph_of(chain(1000), Sum)
    assert len(plan(graph, only=["n9"]).order) == 10
    assert Registry().names() == []

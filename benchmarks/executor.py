"""What the engine itself costs: graphs of trivial nodes, each with two links, run cold and fully cached.

Beside it, in the same run: the same graph evaluated by networkx's topological order, and by a bare Python loop over
functions that are already in order, which is the least that any executor could cost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import networkx as nx

from benchmarks.table import Measured, measure, print_table
from nodegraph.cache.memory import MemoryStore
from nodegraph.engines.local import LocalEngine
from nodegraph.execution.events import Event
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.execution.result import RunResult
from nodegraph.graph import Graph, check
from nodegraph.node import node, spec_of
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Workflow

SIZES = (1_000, 10_000, 100_000)
REACH = 100  # how far back a node's second link goes


@node(name="Step", category="benchmark", light=True, numeric=False)
def step(a: int = 0, b: int = 0, c: int = 1) -> int:
    """As little as a node can do."""
    return (a + b + c) & 0xFFFF


@node(name="End", category="benchmark", light=True, numeric=False, output_node=True)
def end(value: int) -> None:
    """Asks for a value."""


def links_of(size: int) -> list[tuple[int, ...]]:
    """For each node the two earlier ones that it takes from: the last one, and one of the hundred before."""
    chance = random.Random(1)
    return [(i - 1, chance.randrange(max(0, i - REACH), i)) if i else () for i in range(size)]


def document(links: list[tuple[int, ...]]) -> Workflow:
    """The links as a workflow."""
    nodes = {
        f"n{i}": NodeEntry(
            f"n{i}", "Step", {"c": i, **{name: Ref(f"n{j}") for name, j in zip("ab", pair, strict=False)}}
        )
        for i, pair in enumerate(links)
    }
    last = NodeEntry("end", "End", {"value": Ref(f"n{len(links) - 1}")})
    return Workflow({**nodes, "end": last})


def run(graph: Graph, store: MemoryStore, engine: LocalEngine, listener: Callable[[Event], None] | None) -> RunResult:
    """Plan and execute, which is what happens on every run of a graph in memory."""
    return asyncio.run(execute(plan(graph), store=store, engine=engine, on_event=listener))


def networkx_run(links: list[tuple[int, ...]]) -> int:
    """The graph built and evaluated with networkx."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(len(links)))
    graph.add_edges_from((j, i) for i, pair in enumerate(links) for j in pair)
    values: dict[int, int] = {}
    for i in nx.topological_sort(graph):
        values[i] = step(*(values[j] for j in links[i]), c=i)
    return values[len(links) - 1]


def bare_run(links: list[tuple[int, ...]]) -> int:
    """The functions called in order, and nothing else."""
    values: list[int] = []
    for i, pair in enumerate(links):
        values.append(step(*(values[j] for j in pair), c=i))
    return values[-1]


class Count:
    """A listener that keeps nothing; kept events would be the garbage collector's work, not the executor's."""

    def __init__(self) -> None:
        self.events = 0

    def add(self, event: Event) -> None:
        self.events += 1


def measure_size(size: int) -> dict[str, Measured]:
    """All measurements of one size; each way must come to the same value."""
    links, engine, store = links_of(size), LocalEngine(), MemoryStore()
    workflow, registry = document(links), Registry().with_specs([spec_of(step), spec_of(end)])
    graph = check(workflow, registry).graph
    assert graph is not None
    repeats = 5 if size <= 10_000 else 2
    count = Count()
    measured = {
        "check": measure(lambda: check(workflow, registry), repeats),
        "cold": measure(lambda: run(graph, MemoryStore(), engine, None), repeats),
        "cold, with a listener": measure(lambda: run(graph, MemoryStore(), engine, count.add), repeats),
    }
    first = run(graph, store, engine, None)
    assert len(first.executed) == size + 1
    measured["cached"] = measure(lambda: run(graph, store, engine, None), repeats)
    measured["cached, with a listener"] = measure(lambda: run(graph, store, engine, count.add), repeats)
    assert run(graph, store, engine, None).executed == ()
    measured["networkx, build and evaluate"] = measure(lambda: networkx_run(links), repeats)
    measured["bare loop in order"] = measure(lambda: bare_run(links), repeats)
    value = asyncio.run(
        execute(plan(graph, only=[f"n{size - 1}"]), store=store, engine=engine, want=[graph.index[f"n{size - 1}"]])
    )[f"n{size - 1}"]
    assert value == networkx_run(links) == bare_run(links)
    engine.close()
    return measured


def main(small: bool = False) -> None:
    """Print the tables."""
    sizes = SIZES[:2] if small else SIZES
    results = [measure_size(size) for size in sizes]
    rows = [
        [name, *(part for size, result in zip(sizes, results, strict=True) for part in _micros(result[name], size))]
        for name in results[0]
    ]
    head = ["µs a node", *(f"{size:,} {kind}" for size in sizes for kind in ("cpu", "wall"))]
    print_table(
        "Executor: trivial nodes with two links each (least of several runs)",
        head,
        rows,
        "cold: plan and execute with an empty store; cached: again with a full one (targets: 40 and 8 µs a node).",
    )
    peers = [
        [
            f"{size:,}",
            result["cold"].cpu / result["networkx, build and evaluate"].cpu,
            result["cold"].cpu / result["bare loop in order"].cpu,
            result["cached"].cpu / result["networkx, build and evaluate"].cpu,
            result["check"].cpu,
        ]
        for size, result in zip(sizes, results, strict=True)
    ]
    print_table(
        "The same by ratio (cpu)",
        ["nodes", "cold / networkx", "cold / bare loop", "cached / networkx", "seconds to check"],
        peers,
    )


def _micros(measured: Measured, size: int) -> tuple[float, float]:
    return measured.cpu / size * 1e6, measured.wall / size * 1e6

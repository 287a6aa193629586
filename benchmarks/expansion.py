"""What nodes that add nodes cost: loops of a thousand rounds, and a chain of nodes that one node adds.

Beside it, in the same run: the same chain written in the graph from the start.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from benchmarks.executor import end, step
from benchmarks.table import measure, print_table
from nodegraph.cache.memory import MemoryStore
from nodegraph.engines.local import LocalEngine
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.graph import check
from nodegraph.node import Expansion, node, spec_of
from nodegraph.registry import Registry, load_registry
from nodegraph.sockets.flow import Call, Out
from nodegraph.workflow.document import NodeEntry, Ref, Workflow
from nodegraph.workflow.read import load_text

LOOPS = Path(__file__).parents[1] / "tests" / "packs" / "custom_nodes" / "loops"
WHILE = """
nodegraph: 1
nodes:
  open: {uses: LoopWhileOpen, with: {condition: true, initial_value0: ROUNDS}}
  less: {uses: LoopMinusOne, with: {value: $open.value0}}
  more: {uses: LoopIsPositive, with: {value: $less}}
  close: {uses: LoopWhileClose, with: {flow_control: $open.FLOW_CONTROL, condition: $more, initial_value0: $less}}
  end: {uses: End, with: {value: $close.value0}}
"""


@node(name="Rounds", category="benchmark", light=True, numeric=False)
def rounds(left: int, value: int = 0) -> int | Expansion[int]:
    """Counts by adding a node that counts, and itself."""
    if left == 0:
        return value
    calls = {"step": Call("Step", {"a": value}), "rest": Call("Rounds", {"left": left - 1, "value": Out("step")})}
    return Expansion(calls, (Out("rest"),))


@node(name="Chain", category="benchmark", light=True, numeric=False)
def chain(size: int) -> Expansion[int]:
    """Adds a chain of nodes."""
    calls = {"0": Call("Step", {"c": 0})}
    calls |= {str(i): Call("Step", {"a": Out(str(i - 1)), "c": i}) for i in range(1, size)}
    return Expansion(calls, (Out(str(size - 1)),))


def run(workflow: Workflow, registry: Registry, nodes: int) -> None:
    """Check and run a workflow with an empty store; `nodes` is how many have to run."""
    graph = check(workflow, registry).graph
    assert graph is not None
    engine = LocalEngine()
    try:
        result = asyncio.run(execute(plan(graph), store=MemoryStore(), engine=engine, registry=registry))
    finally:
        engine.close()
    assert result.status == "done", result.problems
    assert len(result.executed) + len(result.cached) >= nodes


def document(uses: str, **inputs: int) -> Workflow:
    """One node, and one that asks for it."""
    return Workflow({"n": NodeEntry("n", uses, inputs), "end": NodeEntry("end", "End", {"value": Ref("n")})})


def written(size: int) -> Workflow:
    """The chain as nodes of the workflow."""
    names = [f"n{i}" for i in range(size)]
    nodes = {
        name: NodeEntry(name, "Step", {"c": i, "a": Ref(names[i - 1]) if i else 0}) for i, name in enumerate(names)
    }
    return Workflow({**nodes, "end": NodeEntry("end", "End", {"value": Ref(f"n{size - 1}")})})


def main(small: bool = False) -> None:
    """Print the tables."""
    own = [spec_of(function) for function in (step, end, rounds, chain)]
    registry = load_registry(custom_nodes=[LOOPS]).with_specs(own)
    rows: list[list[object]] = []
    for turns in (100,) if small else (100, 1_000):
        looped = load_text(WHILE.replace("ROUNDS", str(turns))).workflow
        assert looped is not None
        native = measure(partial(run, document("Rounds", left=turns), registry, 2 * turns), 3)
        pack = measure(partial(run, looped, registry, 4 * turns), 3)
        rows.append([f"{turns:,}", native.wall, pack.wall])
    print_table(
        "Loops, each round added by the one before, s (wall, least of 3 runs)",
        ["rounds", "a node of nodegraph", "a while loop of a ComfyUI pack"],
        rows,
        "The pack's loop has four nodes a round (target: 3 s for 1,000 rounds).",
    )
    chains: list[list[object]] = []
    for size in (1_000,) if small else (1_000, 10_000):
        added = measure(partial(run, document("Chain", size=size), registry, size), 3).cpu / size * 1e6
        plain = measure(partial(run, written(size), registry, size), 3).cpu / size * 1e6
        chains.append([f"{size:,}", added, plain, added - plain])
    print_table(
        "A chain of nodes, µs a node (cpu, least of 3 runs)",
        ["nodes", "added by a node", "in the workflow, checked", "difference"],
        chains,
        "(target: 200 µs more.)",
    )

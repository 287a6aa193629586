"""What worker processes gain and cost: two branches on two cores against one core, and chains of nodes that do nearly
nothing against the same chains in this process.

Workers are pinned to a core each, use one thread, and have loaded the model before anything is measured. Both ways go
by turns and must come to the same latents.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

from benchmarks.sampling import by_turns
from benchmarks.table import print_table
from nodegraph.cache.memory import MemoryStore
from nodegraph.context import Context
from nodegraph.engines.contract import Engine
from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.processes import Processes
from nodegraph.engines.remote import RemoteEngine
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.execution.result import RunResult
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.model import Graph
from nodegraph.registry import Registry, load_registry
from nodegraph.sockets.codecs import digest
from nodegraph.workflow.read import load_text

SETUP = Setup(device="cpu", near=True, threads=1)
ROOTS = Settings().roots(None)
HEAD = """nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a red star at night}}
  negative: {uses: CLIPTextEncode, with: {clip: $model.clip, text: ""}}
  canvas: {uses: EmptyLatentImage, with: {width: 128, height: 128}}
"""
SAMPLER = """  {name}:
    uses: KSampler
    with:
      {{model: $model.model, positive: $positive, negative: $negative, latent_image: $canvas, cfg: 4, steps: {steps},
        seed: {seed}}}
"""
CHAIN = """  a{i}: {{uses: EmptyLatentImage, with: {{width: {width}, height: 16}}}}
  b{i}: {{uses: LatentMultiply, with: {{samples: $a{i}, multiplier: 2}}}}
  c{i}: {{uses: LatentMultiply, with: {{samples: $b{i}, multiplier: 3}}}}
  d{i}: {{uses: LatentFlip, with: {{samples: $c{i}}}}}
"""


def main(small: bool = False) -> None:
    """Print the tables."""
    registry = load_registry()
    branches(registry, steps=2 if small else 100, rounds=1 if small else 5)
    chains(registry, count=5 if small else 100, rounds=1 if small else 5)


def branches(registry: Registry, steps: int, rounds: int) -> None:
    """Two samplers with different seeds, by one worker and by two."""
    stores, seeds, latents = {1: MemoryStore(), 2: MemoryStore()}, itertools.count(1), dict[int, list[bytes]]()
    busiest = dict.fromkeys(stores, math.inf)
    with closing(workers(1, registry)) as one, closing(workers(2, registry)) as two:
        engines: Mapping[int, RemoteEngine] = {1: one, 2: two}
        for count, engine in engines.items():  # each worker imports and loads what it needs, and prompts are known
            run(engine, samplers(registry, 1, next(seeds)), stores[count])
        drawn = [next(seeds) for _ in range(rounds)]

        def sample(count: int) -> None:
            done, before = latents.setdefault(count, []), processor_seconds(engines[count])
            result = run(engines[count], samplers(registry, steps, drawn[len(done)]), stores[count])
            done.append(digest([result["one"], result["two"]]))
            after = processor_seconds(engines[count])
            busiest[count] = min(busiest[count], max(after[pid] - before[pid] for pid in after))

        seconds = by_turns([lambda: sample(1), lambda: sample(2)], rounds)
    if latents[1] != latents[2]:
        raise RuntimeError("two workers came to other latents than one")
    least = [min(each) for each in seconds]
    rows = [
        ["one worker", least[0], busiest[1]],
        ["two workers", least[1], busiest[2]],
        ["ratio", least[0] / least[1], busiest[1] / max(busiest[2], 1e-9)],
    ]
    note = (
        f"{rounds} rounds by turns (target: a ratio of at least 1.7). Beside it the processor time of the worker that "
        "used most: what the ratio would be if nothing else ran on the machine."
    )
    title = f"two samplers of {steps} steps, tiny 128×128, one core and one thread a worker"
    print_table(title, ("", "least s", "processor s"), rows, note)


def chains(registry: Registry, count: int, rounds: int) -> None:
    """Chains of four nodes that do nearly nothing, here and by a worker."""
    text = HEAD.splitlines()[0] + "\nnodes:\n" + "".join([CHAIN.format(i=i, width=16 + 8 * i) for i in range(count)])
    graph = graph_of(registry, text)
    with closing(LocalEngine()) as here, closing(workers(1, registry)) as one:
        for engine in (here, one):
            run(engine, graph, MemoryStore(0))
        seconds = by_turns([lambda: run(here, graph, MemoryStore(0)), lambda: run(one, graph, MemoryStore(0))], rounds)
    least = [min(each) / count * 1000 for each in seconds]
    rows = [["in this process", least[0]], ["by a worker", least[1]], ["a call costs", least[1] - least[0]]]
    print_table(f"{count} chains of four nodes that do nearly nothing", ("", "ms a chain"), rows)


def processor_seconds(engine: RemoteEngine) -> dict[int, float]:
    """The processor time that each worker has used so far (Linux)."""
    pids = cast(Processes, engine.transport).pids().values()
    fields = {pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids}
    return {pid: (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK") for pid, field in fields.items()}


def workers(count: int, registry: Registry) -> RemoteEngine:
    """An engine of worker processes, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))
    pinned = [[cores[i % len(cores)]] for i in range(count)]
    return RemoteEngine(Processes([SETUP] * count, cores=pinned), lambda: hello_of(SETUP, registry))


def samplers(registry: Registry, steps: int, seed: int) -> Graph:
    """Two samplers that share all but their seed."""
    drawn = {"one": 2 * seed, "two": 2 * seed + 1}
    return graph_of(registry, HEAD + "".join([SAMPLER.format(name=n, steps=steps, seed=s) for n, s in drawn.items()]))


def graph_of(registry: Registry, text: str) -> Graph:
    """The graph of a workflow without errors."""
    loaded = load_text(text)
    assert loaded.workflow is not None, loaded.problems
    checked = check(loaded.workflow, registry, roots=ROOTS)
    assert checked.graph is not None, checked.problems
    return checked.graph


def run(engine: Engine, graph: Graph, store: MemoryStore) -> RunResult:
    """Run all nodes that nothing follows."""
    followed = {link.node for node in graph.nodes for link in node.links.values()}
    ends = [node.id for i, node in enumerate(graph.nodes) if i not in followed]
    todo = plan(graph, only=ends, roots=ROOTS)
    context = Context(roots=ROOTS, device="cpu", previews=False)
    result = asyncio.run(execute(todo, store=store, engine=engine, context=context, want=todo.targets))
    if result.status != "done":
        raise RuntimeError(f"the run failed: {[problem.describe() for problem in result.problems]}")
    return result

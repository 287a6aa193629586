"""What keeping results costs: the persistent store beside raw files, and graphs that are there already."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.executor import document, end, links_of, step
from benchmarks.table import Measured, measure, print_table
from nodegraph.cache.disk import DiskStore
from nodegraph.cache.keys import frame, with_literals
from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.records import Record
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.outcome import output_digests
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.graph import check
from nodegraph.node import spec_of
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Workflow
from nodegraph.workflow.write import dump_yaml

MEGABYTES = 64


def values_on_disk(folder: Path, megabytes: int) -> dict[str, Measured]:
    """A tensor put and got, beside its bytes written and read raw."""
    import torch

    value = torch.rand(megabytes << 18, generator=torch.Generator().manual_seed(0))
    raw = value.numpy().tobytes()
    (key,), record = [b"k" * 32], Record(output_digests((value,), None), 1e6)
    names = iter(range(1_000_000))

    def write_raw() -> None:
        path = folder / f"raw{next(names)}"
        path.write_bytes(raw)
        path.unlink()

    store = DiskStore(folder / "store", memory=0)

    def put() -> None:
        store.put(key, record, (value,), at_once=True)
        assert store.blobs is not None

    def get() -> None:
        found = store.values(key)
        assert found is not None
        tensor = found[0]
        assert isinstance(tensor, torch.Tensor)
        assert float(tensor.sum()) > 0

    measured = {"raw bytes written": measure(write_raw), "put": measure(put), "get, with a sum over it": measure(get)}
    measured["a sum over it in memory"] = measure(lambda: float(value.sum()))
    store.close()
    return measured


def graph_after_restart(folder: Path, size: int) -> dict[str, Measured]:
    """A graph of light nodes, cached, run by sessions that each begin anew; and with one leaf changed."""
    links, registry = links_of(size), Registry().with_specs([spec_of(step), spec_of(end)])
    written = document(links)
    graph = check(replace(written, text=dump_yaml(written)), registry).graph  # as if read from a file
    assert graph is not None
    settings = Settings(cache_dir=folder / "graph", output=folder / "output")
    with Session(settings, registry) as session:
        assert len(session.run(graph, want=()).executed) == size + 1

    def again() -> None:
        with Session(settings, registry) as fresh:
            assert fresh.run(graph, want=()).executed == ()

    engine, store, count = LocalEngine(), MemoryStore(), iter(range(size, 1_000_000))
    workflow = document(links)
    asyncio.run(execute(plan(graph), store=store, engine=engine))

    def one_leaf() -> None:
        last = NodeEntry("leaf", "End", {"value": next(count)})
        changed = check(Workflow({**workflow.nodes, "leaf": last}), registry).graph
        assert changed is not None
        begun = measure(lambda: asyncio.run(execute(plan(changed), store=store, engine=engine)), 1)
        best.append(begun)

    best: list[Measured] = []
    for _ in range(3):
        one_leaf()
    engine.close()
    leaf = Measured(min(each.wall for each in best), min(each.cpu for each in best))
    return {"cached, after a restart": measure(again, 3), "one changed leaf": leaf}


def diamond(levels: int) -> Measured:
    """Keys of a ladder of diamonds, in which the number of paths doubles at each level."""
    nodes = {"n0": NodeEntry("n0", "Step", {})}
    for i in range(levels):
        nodes[f"n{i + 1}"] = NodeEntry(f"n{i + 1}", "Step", {"a": Ref(f"n{i}"), "b": Ref(f"n{i}")})
    nodes["end"] = NodeEntry("end", "End", {"value": Ref(f"n{levels}")})
    graph = check(Workflow(nodes), Registry().with_specs([spec_of(step), spec_of(end)])).graph
    assert graph is not None
    assert with_literals(b"", {}, {"a": frame("a")})
    engine = LocalEngine()
    measured = measure(lambda: asyncio.run(execute(plan(graph), store=MemoryStore(), engine=engine)))
    engine.close()
    return measured


def example_again(folder: Path) -> Measured:
    """`nodegraph run hello`, fully cached, in a new process, beside the same Python doing nothing."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "home"), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "nodegraph", "run", "hello", "-q", "--output-dir", str(folder / "pictures")]

    def run() -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    run()
    return measure(run)


def main(small: bool = False) -> None:
    """Print the tables."""
    size, megabytes = (1_000, 4) if small else (10_000, MEGABYTES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = values_on_disk(folder, megabytes)
        graphs = graph_after_restart(folder, size)
        ladder = diamond(60)
        hello = example_again(folder)
    raw = values["raw bytes written"].wall
    print_table(
        f"A tensor of {megabytes} MB in the persistent store",
        ["", "ms", "of writing it raw"],
        [[name, each.wall * 1e3, each.wall / raw] for name, each in values.items()],
        "Targets for 64 MB: put at most 1.3 of writing it raw, get at most 15 ms.",
    )
    print_table(
        f"A graph of {size:,} light nodes that are there already",
        ["µs a node", "cpu", "wall"],
        [[name, each.cpu / size * 1e6, each.wall / size * 1e6] for name, each in graphs.items()],
        "Targets: 25 µs a node after a restart, 10 with one changed leaf.",
    )
    rows = [["60 levels of diamonds, run", ladder.wall * 1e3], ["hello, cached, in a new process", hello.wall * 1e3]]
    print_table("Whole runs", ["", "ms"], rows, "Targets: 50 and 600 ms.")

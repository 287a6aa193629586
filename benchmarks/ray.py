"""What Ray costs: chains of nodes that do nearly nothing, and values that go to a worker and come back, each against
the same in this process and in a worker process, and against Ray with nothing of nodegraph's.

A cluster is started for it, on this machine, with one worker.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import Any

from benchmarks.engine import CHAIN, HEAD, SETUP, graph_of, run, workers
from benchmarks.sampling import by_turns
from benchmarks.table import print_table
from nodegraph.cache.memory import MemoryStore
from nodegraph.engines.contract import Engine
from nodegraph.engines.hello import hello_of
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.ray import RayTransport
from nodegraph.engines.ray_cluster import LOCAL, RayOptions
from nodegraph.engines.remote import RemoteEngine
from nodegraph.registry import Registry, load_registry

MOVED = """nodegraph: 1
nodes:
  made: {{uses: EmptyLatentImage, with: {{width: 2048, height: 2048, batch_size: {megabytes}}}}}
  moved: {{uses: LatentMultiply, with: {{samples: $made, multiplier: {by}}}}}
"""


def main(small: bool = False) -> None:
    """Print the tables."""
    if importlib.util.find_spec("ray") is None:
        print('ray: not installed (pip install "nodegraph[ray]")')
        return
    registry = load_registry()
    with ExitStack() as stack:
        engines: Mapping[str, Engine] = {
            "in this process": stack.enter_context(closing(LocalEngine())),
            "by a worker process": stack.enter_context(closing(workers(1, registry))),
            "by a worker in Ray": stack.enter_context(closing(ray_worker(registry))),
        }
        chains(engines, registry, count=5 if small else 100, rounds=1 if small else 5)
        moves(engines, registry, sizes=(1, 4) if small else (1, 12, 64), rounds=1 if small else 7)


def chains(engines: Mapping[str, Engine], registry: Registry, count: int, rounds: int) -> None:
    """Chains of four nodes that do nearly nothing."""
    text = HEAD.splitlines()[0] + "\nnodes:\n" + "".join([CHAIN.format(i=i, width=16 + 8 * i) for i in range(count)])
    graph = graph_of(registry, text)
    for engine in engines.values():
        run(engine, graph, MemoryStore(0))
    bare = bare_actor()
    turns = [lambda engine=engine: run(engine, graph, MemoryStore(0)) for engine in engines.values()]
    seconds = by_turns([*turns, lambda: bare(count)], rounds)
    least = [min(each) / count * 1000 for each in seconds]
    rows = [[name, each, each - least[0]] for name, each in zip(engines, least, strict=False)]
    rows.append(["an empty call of an actor, by Ray alone", least[-1], ""])
    note = f"{rounds} rounds by turns. Target: Ray at most 3 ms a chain more than here."
    print_table(
        f"{count} chains of four nodes that do nearly nothing", ("", "ms a chain", "more than here"), rows, note
    )


def moves(engines: Mapping[str, Engine], registry: Registry, sizes: tuple[int, ...], rounds: int) -> None:
    """Values that go to a worker, which multiplies them, and come back."""
    rows: list[list[object]] = []
    for megabytes in sizes:
        stores = {name: MemoryStore(1 << 33) for name in engines}
        numbers = iter(range(2, 1000))

        def move(name: str, megabytes: int = megabytes, stores: Mapping[str, MemoryStore] = stores) -> None:
            text = MOVED.format(megabytes=megabytes, by=next(numbers) / 64)  # noqa: B023 (of this round)
            run(engines[name], graph_of(registry, text), stores[name])

        for name in engines:
            move(name)
        seconds = by_turns([lambda name=name: move(name) for name in engines], rounds)
        least = [min(each) * 1000 for each in seconds]
        rows.append([f"{megabytes} MB", *least, *[each - least[0] for each in least[1:]]])
    head = ("", *engines, "process: there and back", "Ray: there and back")
    note = f"{rounds} rounds by turns; digesting and keeping the value is part of each."
    print_table("a latent multiplied by a number, ms", head, rows, note)


def bare_actor() -> Callable[[int], None]:
    """Makes as many calls of an actor that does nothing, one after the other."""
    ray: Any = importlib.import_module("ray")
    actor = ray.remote(Empty).options(num_cpus=0).remote()

    def call(count: int) -> None:
        for _ in range(count):
            ray.get(actor.call.remote())

    call(1)
    return call


class Empty:
    """An actor."""

    def call(self) -> None:
        """Nothing."""


def ray_worker(registry: Registry) -> RemoteEngine:
    """An engine with one worker in a cluster of its own."""
    transport = RayTransport(RayOptions(LOCAL), SETUP, lambda: hello_of(SETUP, registry), named=1)
    return RemoteEngine(transport, lambda: hello_of(SETUP, registry))

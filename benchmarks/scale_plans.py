"""Work for the simulation of scale: real workflows, checked once for each shape, and planned anew for each job."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import Roots
from nodegraph.engines.placement import Needs
from nodegraph.execution.forecast import forecast
from nodegraph.execution.plan import plan
from nodegraph.execution.states import TODO
from nodegraph.files import FileDigests
from nodegraph.graph import check
from nodegraph.graph.model import Graph
from nodegraph.registry import load_registry
from nodegraph.resources import example, models_folder
from nodegraph.workflow.read import load_file

GIB = 1 << 30
WORKING = 3 * GIB  # what drawing needs beside the model
#: Workflow → its share of the jobs.
SHAPES = {"hello": 0.6, "hires-two-pass": 0.2, "prompt-weights": 0.1, "several-seeds": 0.1}


@dataclass(frozen=True, slots=True)
class Model:
    """A model: its bytes, and the seconds of one step."""

    name: str
    size: int
    step: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A job as somebody asks for it, at a time in seconds."""

    at: float
    user: str
    shape: str
    model: Model
    seed: int


@dataclass(frozen=True, slots=True)
class Task:
    """A planned job: what a worker needs for it, and the seconds of computing."""

    at: float
    user: str
    needs: Needs
    seconds: float


class Planner:
    """Plans jobs as a driver does. A workflow is checked once; what differs from job to job is put into its graph."""

    def __init__(self) -> None:
        self.roots, self.files = Roots(models=(models_folder(),)), FileDigests()
        self.registry = load_registry()
        self.graphs: dict[str, Graph] = {}
        self.store = MemoryStore()
        self.nodes = 0

    def graph_of(self, shape: str) -> Graph:
        """The graph of an example; the same for all jobs of that shape."""
        graph = self.graphs.get(shape)
        if graph is None:
            path = example(shape)
            assert path is not None
            loaded = load_file(path)
            assert loaded.workflow is not None, loaded.problems
            checked = check(loaded.workflow, self.registry, roots=self.roots)
            assert checked.graph is not None, checked.problems
            graph = self.graphs[shape] = checked.graph
        return graph

    def plan(self, asked: Asked) -> Task:
        """What is to be run, with what, and for how long."""
        graph = self.graph_of(asked.shape)
        given = {"seed": asked.seed, "noise_seed": asked.seed, "ckpt_name": asked.model.name}
        nodes = tuple(
            [
                replace(
                    node, values={**node.values, **{name: given[name] for name in node.values.keys() & given.keys()}}
                )
                for node in graph.nodes
            ]
        )
        planned = plan(replace(graph, nodes=nodes), roots=self.roots, files=self.files)
        seen = forecast(planned, self.store, roots=self.roots, files=self.files)
        self.nodes += len(planned.order)
        seconds = sum(_seconds(nodes[i].values, asked.model) for i in planned.order if seen.state[i] == TODO)
        loaders = [i for i in planned.order if "ckpt_name" in nodes[i].values]
        recipes = {(seen.keys[i] or b"").hex(): asked.model.size for i in loaders}
        return Task(asked.at, asked.user, Needs(recipes, WORKING, "cuda"), seconds)


def _seconds(values: Mapping[str, Any], model: Model) -> float:
    """What a node takes: steps if it has any, and a little."""
    return values.get("steps", 0) * model.step + 0.05


def models_of(count: int, chance: random.Random) -> list[Model]:
    """Models of three sizes, the most popular first: half of them small, and few of them large, which few use."""
    kinds = [(2.1, 0.08)] * 5 + [(6.6, 0.3)] * 4 + [(33.0, 1.0)]
    made = [Model(f"model-{i}", int(size * GIB), step) for i in range(count) for size, step in [kinds[i % 10]]]
    chance.shuffle(made)
    return sorted(made, key=lambda model: model.size > 24 * GIB)


def arrivals(planner: Planner, jobs: int, workers: int, load: float, chance: random.Random) -> list[Asked]:
    """What is asked for, by time: half of it one by one, by many people; half of it in batches of a few people.

    load: the share of the workers' time that computing alone would take.
    """
    models = models_of(max(10, min(40, workers // 4)), chance)
    weights = [1 / (rank + 2) for rank in range(len(models))]
    people = max(4, workers // 5)
    likes = [chance.choices(models, weights, k=5) for _ in range(people)]
    batch = max(5, jobs // 1000)
    found: list[tuple[str, str, Model]] = []
    groups: list[list[tuple[str, str, Model]]] = []
    while len(found) < jobs:
        if sum(map(len, groups)) % (2 * batch) < batch:
            person = chance.randrange(max(1, people // 20))  # of the few who queue a lot
            count = min(batch, jobs - len(found))
            groups.append(_ask(f"many-{person}", likes[person], count, chance))
        else:
            person = chance.randrange(people)
            groups.append(_ask(f"few-{person}", likes[person], 1, chance))
        found += groups[-1]
    chance.shuffle(groups)
    takes = {
        (shape, model.name): planner.plan(Asked(0.0, "", shape, model, 0)).seconds
        for shape in SHAPES
        for model in models
    }
    seconds = sum(takes[shape, model.name] for _, shape, model in found)
    span = seconds / (workers * load)
    times = sorted(chance.uniform(0, span) for _ in groups)
    return [
        Asked(at, user, shape, model, chance.randrange(1 << 32))
        for at, group in zip(times, groups, strict=True)
        for user, shape, model in group
    ]


def _ask(user: str, models: Sequence[Model], count: int, chance: random.Random) -> list[tuple[str, str, Model]]:
    model = chance.choice(models)
    shape = chance.choices(list(SHAPES), list(SHAPES.values()))[0]
    return [(user, shape, model)] * count


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0

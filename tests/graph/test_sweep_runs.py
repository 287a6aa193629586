"""Sweeps that run: in which order, what is collected and reused; each cell is what its own workflow would be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.execution import events
from nodegraph.execution.events import Event
from nodegraph.graph import Graph, check
from nodegraph.graph.cells import numbers_of
from nodegraph.node import node
from nodegraph.sockets import Saved
from nodegraph.workflow.document import NodeEntry, Param, Ref, Span, Sweep, Workflow
from tests.graph.sweep_toys import MORE, Gather, graph, ids
from tests.toys import check_yaml, names, registry, run

MODELS = """
nodes:
  model: {uses: Load, foreach: {name: [big, small, odd]}}
  words: {uses: Encode, with: {model: $model, text: a star}}
  latent: {uses: Sample, with: {model: $model, words: $words}, matrix: {seed: 1..3}}
  picture: {uses: Decode, with: {model: $model, latent: $latent}}
  show: {uses: Show, with: {value: $picture}}
"""


class TestOrder:
    @pytest.mark.parametrize("seeds_first", [False, True])
    @pytest.mark.parametrize("workers", [1, 3])
    def test_each_model_is_picked_up_once_by_each_kind_of_node(self, seeds_first: bool, workers: int):
        text = MODELS
        if seeds_first:  # declared first, the seeds vary slowest in results, not in what is run
            lines = MODELS.strip().splitlines()
            text = "\n".join([lines[0], lines[3], lines[2], lines[4], lines[1], lines[5]])
        found: list[Event] = []
        result = run(graph(text), events=found, workers=workers)
        assert result.status == "done"
        started = names(found, events.Started)
        for kind in ("words", "latent", "picture"):
            models = [name.partition("[")[2].rstrip("]") for name in started if name.startswith(kind + "[")]
            models = [next(model for model in ("big", "small", "odd") if model in cell) for cell in models]
            assert len([model for model, _ in itertools.groupby(models)]) == 3

    def test_numbers_go_model_by_model(self):
        order = [name for name in ids(graph(MODELS)) if not name.startswith("show")]
        models = [next(model for model in ("big", "small", "odd") if model in name) for name in order]
        assert models == ["big"] * 8 + ["small"] * 8 + ["odd"] * 8

    def test_links_point_to_lower_numbers(self):
        found = graph(MODELS)
        assert all(link.node < i for i, n in enumerate(found.nodes) for link in n.links.values())


class TestCollecting:
    def test_a_node_that_collects_is_still_the_same_code(self):
        found = graph("nodes: {n: {uses: Number, foreach: {value: [1, 2]}}, g: {uses: Gather, with: {values: $n}}, "
                      "s: {uses: Show, with: {value: $g}}}")  # fmt: skip
        gather, usual = found.nodes[found.index["g"]], registry(Gather).specs["Gather"]
        assert list(gather.links) == ["values[0]", "values[1]"]
        assert gather.spec.source_digest == usual.source_digest
        assert (gather.spec.name, gather.spec.version, gather.spec.outputs) == ("Gather", 1, usual.outputs)

    def test_a_name_stands_for_all_its_cells(self):
        found = graph("nodes: {n: {uses: Number, foreach: {value: [1, 2]}}, m: {uses: Number}, "
                      "s: {uses: Show, with: {value: $n}}}")  # fmt: skip
        assert [found.nodes[i].id for i in numbers_of(found, "n")] == ["n[1]", "n[2]"]
        assert [found.nodes[i].id for i in numbers_of(found, "n[2]")] == ["n[2]"]
        assert numbers_of(found, "m") == [found.index["m"]]
        assert numbers_of(found, "x") == []


class TestReuse:
    TEXT = """
nodes:
  base: {uses: Number, with: {value: 100}}
  sum: {uses: Add, with: {left: $base}, matrix: {right: RIGHT}}
  more: {uses: Scale, with: {value: $sum}, matrix: {by: BY}}
  all: {uses: Gather, with: {values: $sum}}
  show: {uses: Show, with: {value: $more}}
outputs: {all: $all}
"""

    def graph(self, right: str, by: str) -> Graph:
        return graph(self.TEXT.replace("RIGHT", right).replace("BY", by))

    def test_a_sweep_of_3_by_4_runs_what_differs_and_each_cell_is_kept_alone(self):
        store = MemoryStore()
        first = run(self.graph("[3, 5, 7]", "1..4"), store=store)
        assert len(first.executed) == 1 + 3 + 12 + 12 + 1
        again = run(self.graph("[3, 5, 7]", "1..4"), store=store)
        assert again.executed == ()
        wider = run(self.graph("[3, 5, 7]", "1..5"), store=store)
        assert sorted(wider.executed) == sorted(f"{kind}[{a},5]" for kind in ("more", "show") for a in (3, 5, 7))
        fewer = run(self.graph("[7, 3]", "[2]"), store=store)
        assert fewer.executed == ("all",)

    def test_a_cell_is_the_same_action_as_a_run_of_its_own(self):
        store = MemoryStore()
        run(self.graph("[3, 5]", "1..2"), store=store)
        single = self.TEXT.replace("matrix: {right: RIGHT}", "").replace("left: $base", "left: $base, right: 5")
        single = single.replace("matrix: {by: BY}", "").replace("value: $sum}", "value: $sum, by: 2}")
        result = run(graph(single), store=store)
        assert result.executed == ("all",)

    def test_a_cell_that_fails_takes_only_its_own_branch_with_it(self):
        @node(category="toys", numeric=False)
        def Picky(value: int) -> int:
            """Refuses a 2."""
            if value == 2:
                raise ValueError("not that one")
            return value

        found = check_yaml(
            "nodes: {p: {uses: Picky, foreach: {value: [1, 2, 3]}}, s: {uses: Show, with: {value: $p}}, "
            "g: {uses: Gather, with: {values: $p}}}\noutputs: {g: $g}",
            *MORE,
            Picky,
        )
        assert found.graph is not None
        result = run(found.graph)
        assert [problem.node for problem in result.problems] == ["p[2]"]
        assert sorted(result.skipped) == ["g", "s[2]"]
        assert isinstance(result.saved["s[3]"], Saved)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """Over parameters a, b, c: a matrix, or lists of one length."""
    swept = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
    zipped = draw(st.booleans())
    size = draw(st.integers(1, 4))
    lengths = [size if zipped else draw(st.integers(1, 3)) for _ in swept]
    series: dict[str, Any] = {}
    for name, length in zip(swept, lengths, strict=True):
        if draw(st.booleans()):
            first, step = draw(st.integers(-3, 3)), draw(st.sampled_from([-2, -1, 1, 2]))
            series[name] = Span(first, first + step * (length - 1), step)
        else:
            series[name] = tuple(draw(st.lists(st.integers(-5, 5), min_size=length, max_size=length)))
    return Sweep(zipped, MappingProxyType(series))


def combinations(sweep: Sweep) -> list[Mapping[str, int]]:
    """What a sweep means, spelled out."""
    columns: list[Any] = [s.numbers if isinstance(s, Span) else s for s in sweep.values.values()]
    rows = zip(*columns, strict=True) if sweep.zipped else itertools.product(*columns)
    return [dict(zip(sweep.values, row, strict=True)) for row in rows]


@st.composite
def documents(draw: st.DrawFn) -> Workflow:
    """Random graphs of sums over parameters; every node is a named output."""
    nodes: dict[str, NodeEntry] = {}
    for i in range(draw(st.integers(1, 6))):
        sources = st.sampled_from([Ref(name) for name in (*"abc", *nodes)]) | st.integers(-3, 3)
        nodes[f"n{i}"] = NodeEntry(f"n{i}", "Add", {"left": draw(sources), "right": draw(sources)})
    params = {name: Param(name, "INT", default) for name, default in zip("abc", (1, 10, 100), strict=True)}
    return Workflow(nodes, params, {name: Ref(name) for name in nodes})


def outputs_of(workflow: Workflow, values: Mapping[str, object]) -> Mapping[str, object]:
    found = check(workflow, registry(), overrides=values)
    assert found.graph is not None, [problem.describe() for problem in found.problems]
    return run(found.graph, store=MemoryStore()).outputs


@given(documents(), sweeps())
def test_every_cell_is_what_its_own_workflow_would_have_been(workflow: Workflow, sweep: Sweep):
    found = check(replace(workflow, sweep=sweep), registry())
    assert found.graph is not None, [problem.describe() for problem in found.problems]
    outputs = run(found.graph, store=MemoryStore()).outputs
    by_node: dict[str, list[object]] = {}
    for name, value in outputs.items():
        by_node.setdefault(name.partition("[")[0], []).append(value)
    rows = combinations(sweep)
    single = [outputs_of(workflow, row) for row in rows]
    for name, values in by_node.items():
        each = [result[name] for result in single]
        if len(values) == len(rows):
            assert values == each
        else:  # the node does not vary along every axis; nothing is told twice and nothing is missing
            assert set(values) == set(each)
            assert len(rows) % len(values) == 0


@given(documents(), sweeps())
def test_the_number_of_cells_is_the_product_of_what_a_node_depends_on(workflow: Workflow, sweep: Sweep):
    found = check(replace(workflow, sweep=sweep), registry())
    assert found.graph is not None
    needs: dict[str, set[str]] = {}
    for name, entry in workflow.nodes.items():
        refs = [value.name for value in entry.inputs.values() if isinstance(value, Ref)]
        needs[name] = {p for ref in refs for p in needs.get(ref, {ref})}.intersection(sweep.values)
    sizes = {name: len(s.numbers if isinstance(s, Span) else s) for name, s in sweep.values.items()}
    for name, swept in needs.items():
        wanted = max([sizes[p] for p in swept], default=1)
        if not sweep.zipped:
            wanted = 1
            for p in swept:
                wanted *= sizes[p]
        assert sum(cell.entry.id == name for cell in found.graph.nodes) == wanted
    assert len(set(ids(found.graph))) == len(found.graph.nodes)

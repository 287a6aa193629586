"""Sweeps: which cells there are, that each is what its own workflow would have been, and in which order they run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.events import Event
from nodegraph.graph import Checked, Graph, check
from nodegraph.graph.cells import numbers_of
from nodegraph.node import node
from nodegraph.sockets import Model, Saved
from nodegraph.sockets.sweeps import Axes
from nodegraph.workflow.document import NodeEntry, Param, Ref, Span, Sweep, Workflow
from nodegraph.workflow.read import load_file, load_text
from tests.toys import check_yaml, names, registry, run


@node(category="toys", light=True, numeric=False)
def Gather(values: tuple[int, ...], axes: Axes | None = None, plus: int = 0) -> str:
    """All cells, and what they vary along."""
    return f"{[value + plus for value in values]} {list(axes or ())}"


@node(category="toys", light=True, numeric=False)
def Halved(values: tuple[float, ...] = (), kinds: tuple[Literal["a", "b"], ...] = ()) -> str:
    """Numbers that become decimal on their way."""
    assert all(type(value) is float for value in values)
    return f"{[value / 2 for value in values]} {list(kinds)}"


@node(category="toys", numeric=False)
def Load(name: str) -> Model:
    """A model."""
    return Model("toy", name, name, "unet")


@node(category="toys", numeric=False)
def Encode(model: Model, text: str = "") -> str:
    """Words that a model understood."""
    return f"{model.path}: {text}"


@node(category="toys", numeric=False)
def Sample(model: Model, words: str, seed: int = 0) -> str:
    """A picture of a kind."""
    return f"{words} {seed}"


@node(category="toys", numeric=False)
def Decode(model: Model, latent: str) -> str:
    """A picture for people."""
    return latent


MORE = (Gather, Halved, Load, Encode, Sample, Decode)


def checked(text: str) -> Checked:
    return check_yaml(text, *MORE)


def graph(text: str) -> Graph:
    found = checked(text)
    assert found.graph is not None, [problem.describe() for problem in found.problems]
    return found.graph


def only(text: str) -> Problem:
    problems = [problem for problem in checked(text).problems if problem.severity == "error"]
    assert len(problems) == 1, [problem.describe() for problem in problems]
    return problems[0]


def ids(graph: Graph) -> list[str]:
    return [found.id for found in graph.nodes]


class TestCells:
    def test_a_matrix_is_every_combination_and_the_first_name_varies_slowest(self):
        found = graph(
            "nodes: {sum: {uses: Add, matrix: {left: [1, 2], right: 5..7}}, all: {uses: Show, with: {value: $sum}}}"
        )
        assert [n.values for n in found.nodes if n.entry.id == "sum"] == [
            {"left": left, "right": right} for left in (1, 2) for right in (5, 6, 7)
        ]
        assert ids(found)[:3] == ["sum[1,5]", "sum[1,6]", "sum[1,7]"]
        assert ids(found)[-1] == "all[2,7]"

    def test_foreach_takes_lists_side_by_side(self):
        found = graph(
            "nodes: {w: {uses: Words, foreach: {text: [a, b], style: [plain, loud]}}, "
            "s: {uses: Show, with: {value: $w}}}"
        )
        assert ids(found) == ["w[a+plain]", "w[b+loud]", "s[a+plain]", "s[b+loud]"]

    def test_what_does_not_depend_on_the_sweep_is_there_once(self):
        found = graph("""
nodes:
  base: {uses: Number, with: {value: 1}}
  sum: {uses: Add, with: {left: $base}, foreach: {right: [1, 2, 3]}}
  after: {uses: Add, with: {left: $sum, right: $base}}
  show: {uses: Show, with: {value: $after}}
""")
        assert ids(found).count("base") == 1
        assert len(found.nodes) == 1 + 3 * 3
        assert found.nodes[found.index["after[2]"]].links["left"].node == found.index["sum[2]"]
        assert found.nodes[found.index["after[2]"]].links["right"].node == found.index["base"]

    def test_sweeps_of_different_nodes_meet_in_their_product(self):
        result = run(
            graph("""
nodes:
  one: {uses: Number, foreach: {value: [1, 2]}}
  two: {uses: Number, foreach: {value: [10, 20, 30]}}
  sum: {uses: Add, with: {left: $one, right: $two}}
  twice: {uses: Add, with: {left: $sum, right: $one}}
  all: {uses: Gather, with: {values: $twice}}
  save: {uses: Show, with: {value: $all}}
"""),
            want=["all"],
        )
        axes = "[('one.value=1', 'one.value=2'), ('two.value=10', 'two.value=20', 'two.value=30')]"
        assert result["all"] == f"[12, 22, 32, 14, 24, 34] {axes}"

    def test_a_parameter_of_the_workflow_sweeps_every_node_that_uses_it(self):
        result = run(
            graph("""
params: {a: 1, word: x}
matrix: {a: [1, 2], word: [y, z]}
nodes:
  one: {uses: Number, with: {value: $a}}
  text: {uses: Words, with: {text: "${word} ${a}"}}
  other: {uses: Words, with: {text: "${word}"}}
  all: {uses: Gather, with: {values: $one}}
outputs: {all: $all, text: $text, other: $other}
""")
        )
        assert result.outputs == {
            "all": "[1, 2] [('a=1', 'a=2')]",
            "text[1,y]": "y 1",
            "text[1,z]": "z 1",
            "text[2,y]": "y 2",
            "text[2,z]": "z 2",
            "other[y]": "y",
            "other[z]": "z",
        }

    def test_a_workflow_can_sweep_over_inputs_of_its_nodes_and_zip_them_with_parameters(self):
        result = run(
            graph("""
params: {a: 1}
foreach: {a: [1, 2], sum.right: [10, 20]}
nodes:
  one: {uses: Number, with: {value: $a}}
  sum: {uses: Add, with: {left: $one, right: 3}}
outputs: {sum: $sum}
""")
        )
        assert result.outputs == {"sum[1+10]": 11, "sum[2+20]": 22}

    def test_an_input_that_collects_keeps_the_axes_that_others_bring(self):
        result = run(
            graph("""
nodes:
  one: {uses: Number, matrix: {value: [1, 2]}}
  sum: {uses: Add, with: {left: $one}, foreach: {right: [10, 20]}}
  all: {uses: Gather, with: {values: $sum, plus: $one}}
outputs: {all: $all}
""")
        )
        axis = "[('right=10', 'right=20')]"
        assert result.outputs == {"all[1]": f"[12, 22] {axis}", "all[2]": f"[14, 24] {axis}"}

    def test_an_input_that_collects_takes_single_values_too(self):
        result = run(
            graph("""
nodes:
  five: {uses: Number, with: {value: 5}}
  link: {uses: Gather, with: {values: $five}}
  list: {uses: Gather, with: {values: [1, 2]}}
  one: {uses: Gather, with: {values: 3}}
  none: {uses: Halved}
  halves: {uses: Halved, with: {values: $five, kinds: [a, b]}}
outputs: {link: $link, list: $list, one: $one, none: $none, halves: $halves}
""")
        )
        assert list(result.outputs.values()) == ["[5] []", "[1, 2] []", "[3] []", "[] []", "[2.5] ['a', 'b']"]

    def test_labels_can_be_given_by_hand_and_values_come_from_parameters(self):
        found = graph("""
params: {colour: red, a: 3}
nodes:
  w: {uses: Words, foreach: {text: ["a ${colour} star", $colour, "$$5", a long text of many words that nobody wants]}}
  n: {uses: Number, foreach: {value: [$a, 3]}}
  all: {uses: Gather, with: {values: $n}}
  s: {uses: Show, with: {value: $w}}
outputs: {all: $all}
""")
        values = [n.values["text"] for n in found.nodes if n.entry.id == "w"]
        assert values == ["a red star", "red", "$5", "a long text of many words that nobody wants"]
        # Values that cannot be told apart are numbered.
        assert [n.id for n in found.nodes if n.entry.id in ("w", "n")] == [
            "w[a-red-star]", "w[red]", "w[5]", "w[a-long-text-of-many-word]", "n[1]", "n[2]",
        ]  # fmt: skip
        assert found.nodes[found.index["all"]].values["axes"] == (("value=3", "value=3"),)

    def test_a_swept_value_may_use_a_swept_parameter(self):
        result = run(
            graph("""
params: {colour: red}
matrix: {colour: [red, blue]}
nodes:
  w: {uses: Words, matrix: {text: ["${colour} star", heart]}}
outputs: {w: $w}
""")
        )
        assert sorted(map(str, result.outputs.values())) == ["blue star", "heart", "heart", "red star"]

    def test_a_value_given_for_a_parameter_ends_its_sweep(self):
        text = "nodegraph: 1\nparams: {a: 1}\nmatrix: {a: [1, 2]}\nnodes: {n: {uses: Show, with: {value: $a}}}"
        workflow = load_text(text).workflow
        assert workflow is not None
        found = check(workflow, registry(), overrides={"a": 5}).graph
        assert found is not None and found.workflow is not None
        assert [n.values for n in found.nodes] == [{"value": 5}]
        assert (found.workflow.sweep, found.workflow.text) == (None, None)

    def test_a_swept_parameter_needs_no_default(self):
        found = graph("params: {a: {type: INT}}\nforeach: {a: [4, 5]}\nnodes: {n: {uses: Show, with: {value: $a}}}")
        assert ids(found) == ["n[4]", "n[5]"]

    def test_a_node_of_an_api_file_may_be_called_like_a_cell(self):
        nodes = {"3": NodeEntry("3", "Number"), "3[1]": NodeEntry("3[1]", "Show", {"value": Ref("3")})}
        sweep = Sweep(False, MappingProxyType({"3.value": (1, 2)}))
        found = check(Workflow(nodes, sweep=sweep), registry()).graph
        assert found is not None
        assert len(set(ids(found))) == len(found.nodes) == 4

    def test_sub_workflows_can_be_swept(self, tmp_path: Any):
        (tmp_path / "part.yaml").write_text(
            "nodegraph: 1\nparams: {by: 1, base: 2}\nnodes: {s: {uses: Add, with: {left: $base, right: $by}}}\n"
            "outputs: {sum: $s}\n"
        )
        (tmp_path / "w.yaml").write_text("""nodegraph: 1
matrix: {part.base: [100, 200]}
nodes:
  part: {uses: ./part.yaml, matrix: {by: 1..3}}
  all: {uses: Gather, with: {values: $part}}
outputs: {all: $all}
""")
        loaded = load_file(tmp_path / "w.yaml")
        assert loaded.problems == () and loaded.workflow is not None
        found = check(loaded.workflow, registry(*MORE))
        assert found.graph is not None, [problem.describe() for problem in found.problems]
        assert str(run(found.graph).outputs["all"]).startswith("[101, 102, 103, 201, 202, 203]")


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [
            (
                "nodes: {a: {uses: Add, with: {left: 1}, foreach: {rihgt: [1]}}}",
                "unknown_input",
                "did you mean 'right'?",
            ),
            (
                "nodes: {a: {uses: Add, foreach: {left: [1, 2], right: [1]}}, b: {uses: Show, with: {value: $a}}}",
                "wrong_kind",
                "2 for left, 1 for right",
            ),
            (
                "nodes: {a: {uses: Show, with: {value: 1}, matrix: {value: [1]}}}",
                "duplicate_key",
                "remove 'value' below 'with'",
            ),
            (
                "nodes: {a: {uses: Number, matrix: {value: [1, x]}}, b: {uses: Show, with: {value: $a}}}",
                "type_mismatch",
                "a text 'x'",
            ),
            ("nodes: {n: {uses: Number}, a: {uses: Show, matrix: {value: [$n]}}}", "bad_reference", "a link to a node"),
            ("nodes: {a: {uses: Show, matrix: {value: [$b]}}}", "unknown_reference", "refers to no node or parameter"),
            ("nodes: {a: {uses: Show, matrix: {value: 1..20000}}}", "too_large", "20,000 values"),
            (
                "nodes: {a: {uses: Add, matrix: {left: 1..200, right: 1..200}}, b: {uses: Show, with: {value: $a}}}",
                "too_large",
                "40,000 combinations",
            ),
            (
                "matrix: {seed: [1]}\nnodes: {a: {uses: Show, with: {value: 1}}}",
                "unknown_param",
                "neither a parameter nor an input",
            ),
            ("matrix: {a.valeu: [1]}\nnodes: {a: {uses: Show, with: {value: 1}}}", "unknown_input", "it has value"),
            ("matrix: {a.value: [1]}\nnodes: {a: {uses: Show, foreach: {value: [1]}}}", "duplicate_key", "two sweeps"),
            (
                "params: {p: 1}\nmatrix: {p: [1, x]}\nnodes: {a: {uses: Show, with: {value: $p}}}",
                "type_mismatch",
                "takes a whole number",
            ),
        ],
    )
    def test_each_is_told_where_it_stands(self, text: str, code: str, words: str):
        problem = only(text)
        assert problem.code == code
        assert words in problem.describe()
        assert problem.place.line is not None and problem.place.text is not None

    def test_the_place_is_that_of_the_value(self):
        problem = only(
            "nodes: {a: {uses: Scale, with: {value: 1}, matrix: {by: [1, 2, 11]}}, s: {uses: Show, with: {value: $a}}}"
        )
        assert problem.code == "out_of_range"
        assert problem.place.text is not None and problem.place.column is not None
        assert problem.place.text[problem.place.column - 1 :].startswith("11]")
        assert (problem.node, problem.input) == ("a", "by")

    def test_cells_are_bounded_as_nodes_are(self):
        problem = only("""
nodes:
  a: {uses: Number, foreach: {value: 1..1000}}
  b: {uses: Add, with: {left: $a}, foreach: {right: 1..1000}}
  c: {uses: Show, with: {value: $b}}
""")
        assert problem.code == "too_large"
        assert "2,001,000 nodes" in problem.message

    def test_links_into_collecting_inputs_are_counted(self):
        problem = only("""
nodes:
  a: {uses: Number, foreach: {value: 1..1000}}
  b: {uses: Number, foreach: {value: 1..1000}}
  c: {uses: Gather, with: {values: $a, plus: $b}}
outputs: {c: $c}
""")
        assert problem.code == "too_large"

    def test_a_span_of_astronomical_length_costs_nothing(self):
        assert only(f"nodes: {{a: {{uses: Show, foreach: {{value: -9..{2**62}}}}}}}").code == "too_large"

    def test_a_mistake_beside_the_sweep_is_told_once(self):
        problem = only(
            "nodes: {a: {uses: Add, with: {right: x}, matrix: {left: 1..5}}, s: {uses: Show, with: {value: $a}}}"
        )
        assert (problem.code, problem.input) == ("type_mismatch", "right")

    def test_a_cycle_through_a_collecting_input_is_one(self):
        problem = only(
            "nodes: {a: {uses: Gather, with: {values: $b}}, b: {uses: Number, with: {value: $a}}}".replace(
                "Number, with: {value", "Pass, with: {value"
            )
        )
        assert problem.code == "cycle"

    def test_a_wrong_link_into_a_collecting_input(self):
        problem = only(
            "nodes: {w: {uses: Words, foreach: {text: [a, b]}}, g: {uses: Gather, with: {values: $w}}, "
            "s: {uses: Show, with: {value: $g}}}"
        )
        assert (problem.code, problem.input) == ("type_mismatch", "values")


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

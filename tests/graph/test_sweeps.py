"""Sweeps: which cells there are, that each is what its own workflow would have been, and in which order they run."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from nodegraph.graph import check
from nodegraph.workflow.document import NodeEntry, Ref, Sweep, Workflow
from nodegraph.workflow.read import load_file, load_text
from tests.graph.sweep_toys import MORE, graph, ids, only
from tests.toys import registry, run


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

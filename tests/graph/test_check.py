"""Every mistake a workflow can make is found, with its place and its remedy, and all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import pytest

from nodegraph.context import Roots
from nodegraph.errors import Problem
from nodegraph.graph import check
from nodegraph.node import Choices, Range, node
from nodegraph.registry import BrokenPack, Registry
from nodegraph.workflow.document import NodeEntry, Ref, Workflow
from tests.toys import Show, Stone, Wood, by_code, check_yaml, entry, registry, workflow


class Both(NamedTuple):
    stone: Stone
    wood: Wood


def only(text: str) -> Problem:
    checked = check_yaml(text)
    assert len(checked.problems) == 1, [problem.describe() for problem in checked.problems]
    problem = checked.problems[0]
    assert checked.graph is None or problem.severity == "warning"
    return problem


def pointed_at(problem: Problem) -> str:
    assert problem.place.file == "w.yaml"
    assert problem.place.text is not None
    assert problem.place.column is not None
    return problem.place.text[problem.place.column - 1 :]


def test_a_right_workflow_has_no_problems_and_a_graph_in_topological_order():
    checked = check_yaml("""
nodes:
  show: {uses: Show, with: {value: $sum}}
  sum: {uses: Add, with: {left: $one, right: $two}}
  two: {uses: Number, with: {value: 2}}
  one: {uses: Number}
""")
    assert checked.problems == ()
    graph = checked.graph
    assert graph is not None
    assert all(link.node < i for i, node in enumerate(graph.nodes) for link in node.links.values())
    assert {node.id for node in graph.nodes} == {"show", "sum", "two", "one"}
    assert graph.nodes[graph.index["one"]].values == {"value": 0}


def test_unknown_node_is_told_once_and_nothing_that_follows_from_it():
    problem = only("""
nodes:
  a: {uses: Nummer}
  b: {uses: Add, with: {left: $a, right: $a.value}}
  c: {uses: Show, with: {value: $b}}
""")
    assert problem.code == "unknown_node"
    assert pointed_at(problem) == "Nummer}"
    assert problem.hint == "did you mean 'Number'?"


def test_unknown_node_names_the_broken_packs_when_nothing_is_close():
    broken = BrokenPack("gone", "/somewhere", "it is broken")
    reg = Registry(registry().specs, (broken,))
    problem = check(workflow(entry("a", "Zzzzzzz")), reg).problems[0]
    assert problem.hint is not None
    assert "gone" in problem.hint


def test_a_node_whose_type_could_not_be_read_is_not_reported_again():
    checked = check(Workflow({"a": NodeEntry("a", ""), "b": entry("b", "Show", value="$a")}), registry())
    assert checked.problems == ()


def test_an_input_whose_value_could_not_be_read_is_not_reported_as_missing():
    broken = NodeEntry("a", "Add", {}, key_places={"left": entry("x", "y").place})
    assert check(workflow(broken, entry("b", "Show", value="$a")), registry()).problems == ()


@pytest.mark.parametrize(
    ("inputs", "code", "at", "hint"),
    [
        ("{left: 1, rigth: 2}", "unknown_input", "rigth: 2}}", "did you mean 'right'?"),
        ("{left: 1, zzz: 2}", "unknown_input", "zzz: 2}}", "it has left, right"),
        ("{left: $onee}", "unknown_reference", "$onee}}", "did you mean '$one'?"),
        ("{left: $one.valu}", "unknown_output", "$one.valu}}", "it has $one.int"),
        ("{left: $one.1}", "unknown_output", "$one.1}}", None),
        ("{left: $show}", "unknown_output", "$show}}", "output nodes end a workflow; link to the node that feeds it"),
        ("{left: $halves}", "ambiguous_output", "$halves}}", "write one of $halves.first, $halves.rest"),
        ("{left: $halves.frist}", "unknown_output", "$halves.frist}}", "did you mean 'first'?"),
        ("{left: $halves.first}", "type_mismatch", "$halves.first}}", "$one"),
        ("{left: 1.5}", "type_mismatch", "1.5}}", None),
        ("{left: 2.0}", "type_mismatch", "2.0}}", "write 2"),
        ('{left: "7"}', "type_mismatch", '"7"}}', "write 7 without quotes"),
        ("{left: true}", "type_mismatch", "true}}", None),
        ("{left: null}", "type_mismatch", "null}}", None),
        ("{left: [1, 2]}", "type_mismatch", "[1, 2]}}", None),
        ("{left: [$one, 2]}", "bad_reference", "[$one, 2]}}", "write the link as the input's whole value"),
        ("{left: '${one}'}", "unknown_param", "'${one}'}}", "declare it under params:, or write $$ for a dollar"),
    ],
)
def test_each_mistake_has_its_place_and_its_remedy(inputs: str, code: str, at: str, hint: str | None):
    problem = only(f"""
nodes:
  one: {{uses: Number}}
  halves: {{uses: Split, with: {{text: ab}}}}
  show: {{uses: Show, with: {{value: $one}}}}
  bad: {{uses: Add, with: {inputs}}}
""")
    assert problem.code == code, problem.describe()
    assert problem.node == "bad"
    assert pointed_at(problem) == at
    if hint is not None:
        assert problem.hint is not None
        assert hint in problem.hint
    assert "^" in problem.render()


def test_a_missing_input_names_the_outputs_that_fit():
    problem = only("""
nodes:
  oak: {uses: Fell}
  rock: {uses: Quarry}
  carved:
    uses: Carve
  show: {uses: Show, with: {value: $carved}}
""")
    assert (problem.code, problem.node, problem.input) == ("missing_input", "carved", "wood")
    assert problem.hint == "add 'wood: $oak'"
    assert problem.place.line == 6


def test_a_missing_input_names_several_that_fit_and_never_the_node_itself():
    problem = only("""
nodes:
  oak: {uses: Fell}
  elm: {uses: Fell}
  carved: {uses: Carve}
  show: {uses: Show, with: {value: $carved}}
""")
    assert problem.hint == "outputs that fit: $oak, $elm"


def test_a_wrong_type_names_the_outputs_that_fit():
    problem = only("""
nodes:
  oak: {uses: Fell}
  rock: {uses: Quarry}
  carved: {uses: Carve, with: {wood: $rock}}
  show: {uses: Show, with: {value: $carved}}
""")
    assert problem.code == "type_mismatch"
    assert "STONE" in problem.message
    assert problem.expected == "WOOD"
    assert problem.hint == "did you mean '$oak'?"


def test_a_wrong_type_looks_at_the_same_node_first():
    @node(category="toys")
    def Load(name: str = "x") -> Both:
        raise AssertionError

    problems = check_yaml(
        """
nodes:
  oak: {uses: Fell}
  load: {uses: Load}
  carved: {uses: Carve, with: {wood: $load.stone}}
  show: {uses: Show, with: {value: $carved}}
""",
        Load,
    ).problems
    assert [problem.hint for problem in problems] == ["did you mean '$load.wood'?"]


def test_unions_take_each_member_and_nothing_else():
    checked = check_yaml("""
nodes:
  oak: {uses: Fell}
  rock: {uses: Quarry}
  one: {uses: Number}
  a: {uses: Build, with: {material: $oak}}
  b: {uses: Build, with: {material: $rock}}
  c: {uses: Build, with: {material: $one}}
  show: {uses: Show, with: {value: $a}}
""")
    assert by_code(checked) == {"type_mismatch": ["c"]}


def test_generic_outputs_have_the_type_that_came_in():
    checked = check_yaml("""
nodes:
  rock: {uses: Quarry}
  through: {uses: Pass, with: {value: $rock}}
  again: {uses: Pass, with: {value: $through}}
  bad: {uses: Carve, with: {wood: $again}}
  good: {uses: Build, with: {material: $again}}
  show: {uses: Show, with: {value: $good}}
""")
    assert by_code(checked) == {"type_mismatch": ["bad"]}


def test_two_inputs_of_one_generic_type_must_agree():
    checked = check_yaml("""
nodes:
  rock: {uses: Quarry}
  oak: {uses: Fell}
  pick: {uses: Pick, with: {yes: $rock, no: $oak}}
  show: {uses: Show, with: {value: $pick}}
""")
    assert [(p.code, p.node, p.input) for p in checked.problems] == [("type_mismatch", "pick", "no")]


def test_a_literal_gives_a_generic_its_type():
    checked = check_yaml("""
nodes:
  text: {uses: Pass, with: {value: hello}}
  sum: {uses: Add, with: {left: $text}}
  show: {uses: Show, with: {value: $sum}}
""")
    assert by_code(checked) == {"type_mismatch": ["sum"]}


def test_whole_numbers_given_as_literals_become_decimal_where_those_are_wanted():
    checked = check_yaml("nodes:\n  a: {uses: Scale, with: {value: 3, by: 2}}\n  s: {uses: Show, with: {value: $a}}\n")
    assert checked.graph is not None
    values = checked.graph.nodes[checked.graph.index["a"]].values
    assert values == {"value": 3.0, "by": 2.0}
    assert {type(value) for value in values.values()} == {float}


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        (0, True),
        (10, True),
        (10.0, True),
        (10.0001, False),
        (-1e-9, False),
        (float("nan"), False),
        (float("inf"), False),
        (float("-inf"), False),
        (10**400, False),
    ],
)
def test_bounds_are_included_and_nothing_beyond_them_is(value: float, fine: bool):
    checked = check(workflow(entry("a", "Scale", value=1, by=value), entry("s", "Show", value="$a")), registry())
    assert [problem.code for problem in checked.problems] == ([] if fine else ["out_of_range"])
    if not fine:
        assert checked.problems[0].input == "by"


def test_a_decimal_input_without_bounds_still_wants_a_number_that_can_be_had():
    for value in (float("nan"), 10**400):
        checked = check(workflow(entry("a", "Scale", value=value), entry("s", "Show", value="$a")), registry())
        assert [problem.code for problem in checked.problems] == ["out_of_range"]


@pytest.mark.parametrize(("seed", "fine"), [(0, True), (2**64 - 1, True), (2**64, False), (-1, False)])
def test_seeds_have_sixty_four_bits(seed: int, fine: bool):
    @node(category="toys")
    def Roll(seed: Annotated[int, Range(0, 2**64 - 1)]) -> int:
        return seed

    checked = check(workflow(entry("a", "Roll", seed=seed), entry("s", "Show", value="$a")), registry(Roll))
    assert [problem.code for problem in checked.problems] == ([] if fine else ["out_of_range"])


def test_a_choice_is_one_of_the_list():
    checked = check_yaml("nodes:\n  a: {uses: Words, with: {style: lout}}\n  s: {uses: Show, with: {value: $a}}\n")
    problem = checked.problems[0]
    assert (problem.code, problem.expected, problem.hint) == ("not_a_choice", "plain, loud", "did you mean 'loud'?")


def test_a_file_must_be_there(tmp_path: Path):
    (tmp_path / "cat.png").touch()

    @node(category="toys")
    def Open(
        name: Annotated[
            str,
            Choices(lambda roots: roots.list_files(roots.input, (".png",)), lambda n, roots: roots.find_input(n)),
        ],
    ) -> str:
        return name

    def problems(name: str) -> list[str | None]:
        document = workflow(entry("a", "Open", name=name), entry("s", "Show", value="$a"))
        checked = check(document, registry(Open), roots=Roots(input=(tmp_path,)))
        return [problem.hint for problem in checked.problems if problem.code == "not_a_choice"]

    assert problems("cat.png") == []
    assert problems("bat.png") == ["did you mean 'cat.png'?"]
    for outside in ("../cat.png", "/etc/passwd", "~/x", "a\\b", "C:\\x", "file:///etc/passwd", "cat.png\0"):
        assert len(problems(outside)) == 1, outside


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order():
    checked = check_yaml("""
params:
  unused: 1
nodes:
  a: {uses: Nummer}
  b: {uses: Add, with: {left: $gone, rigth: 1, right: 1.5}}
  c: {uses: Carve}
  d: {uses: Scale, with: {value: 1, by: 11}}
  e: {uses: Words, with: {style: zzz, text: '${nix}'}}
  f: {uses: Add, with: {left: $g}}
  g: {uses: Add, with: {left: $f, right: $d}}
  h: {uses: Add, with: {left: $f, right: $d}}
  i: {uses: Split, with: {text: $h}}
""")
    codes = [problem.code for problem in checked.problems]
    assert sorted(codes) == [
        "cycle", "missing_input", "not_a_choice", "out_of_range", *["type_mismatch"] * 4,
        "unknown_input", "unknown_node", "unknown_param", "unknown_reference", "unused_param",
    ]  # fmt: skip
    places = [(problem.place.line or 0, problem.place.column or 0) for problem in checked.problems]
    assert places == sorted(places)
    assert all(problem.place.file == "w.yaml" for problem in checked.problems)
    assert checked.graph is None


def test_parameters_are_filled_in_everywhere():
    checked = check_yaml("""
params: {n: 4, name: ann, flag: true}
nodes:
  a: {uses: Number, with: {value: $n}}
  b: {uses: Words, with: {text: "${name} is ${n}, ${flag}; costs $$5"}}
  c: {uses: Anything, with: {value: [1, $n, {who: $name, what: "x${n}"}]}}
  s: {uses: Show, with: {value: $a}}
""")
    assert checked.problems == ()
    graph = checked.graph
    assert graph is not None
    assert graph.nodes[graph.index["a"]].values == {"value": 4}
    assert graph.nodes[graph.index["b"]].values["text"] == "ann is 4, true; costs $5"
    assert graph.nodes[graph.index["c"]].values["value"] == (1, 4, {"who": "ann", "what": "x4"})


def test_a_parameter_is_checked_against_the_input_that_takes_it():
    problem = only(
        "params: {n: 11}\nnodes:\n  a: {uses: Scale, with: {value: 1, by: $n}}\n  s: {uses: Show, with: {value: $a}}\n"
    )
    assert (problem.code, pointed_at(problem)) == ("out_of_range", "$n}}")


def test_a_parameter_has_no_outputs():
    problem = only(
        "params: {n: 1}\nnodes:\n  a: {uses: Number, with: {value: $n.value}}\n  s: {uses: Show, with: {value: $a}}\n"
    )
    assert (problem.code, problem.hint) == ("unknown_output", "write $n")


def test_named_outputs_are_checked():
    checked = check_yaml("""
params: {n: 1}
nodes:
  a: {uses: Number, with: {value: $n}}
  s: {uses: Split, with: {text: ab}}
outputs: {good: $a, half: $s.REST, gone: $aa, which: $s, param: $n}
""")
    assert [problem.code for problem in checked.problems] == ["unknown_reference", "ambiguous_output", "bad_reference"]


def test_warnings_do_not_keep_a_workflow_from_running():
    checked = check_yaml("params: {n: 1}\nnodes:\n  a: {uses: Number}\n")
    assert [(p.code, p.severity) for p in checked.problems] == [("no_outputs", "warning"), ("unused_param", "warning")]
    assert checked.graph is not None


def test_output_names_are_read_whatever_their_case():
    checked = check_yaml(
        "nodes:\n  s: {uses: Split, with: {text: ab}}\n  b: {uses: Show, with: {value: $s.FIRST}}\n"
        "  c: {uses: Show, with: {value: $s.1}}\n"
    )
    assert checked.graph is not None
    assert [[link.output for link in node.links.values()] for node in checked.graph.nodes] == [[], [0], [1]]


def test_a_hundred_thousand_mistakes_are_told_without_guessing_at_each():
    # 20,000 references, each to be compared with 20,000 names, would be 400 million comparisons.
    document = Workflow(
        {f"number_{i}": NodeEntry(f"number_{i}", "Add", {"left": Ref(f"numbre_{i}")}) for i in range(20_000)}
    )
    checked = check(document, registry(Show))
    assert by_code(checked)["unknown_reference"] == [f"number_{i}" for i in range(20_000)]
    assert any(problem.hint and "did you mean" in problem.hint for problem in checked.problems)

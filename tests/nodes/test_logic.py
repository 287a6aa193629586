"""Logic nodes in workflows: what is chosen is computed, what is not is not, and branches come together again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import nodegraph
from nodegraph import Builder, Problem, ProblemError
from nodegraph.execution.result import RunResult
from nodegraph.node import Lazy
from nodegraph.sockets import Image
from nodes.image_batches import EmptyImage
from nodes.logic import CombineConditions, CompareNumbers, FirstOf, ItemOf, ListOf

#: A node that fails if it is computed.
FAILS = "fails: {uses: ItemOf, with: {items: 1, index: 5}}"


def run(nodes: str, **params: object) -> RunResult:
    head = "nodegraph: 1\nparams: {flag: true, number: 0}\nnodes:\n"
    return nodegraph.run(nodegraph.loads(head + nodes), params)


def shown(result: RunResult, name: str = "show") -> Any:
    assert result.status == "done", result.problems
    return (result.saved[name].shown or {})["text"]


@pytest.mark.parametrize("flag", [True, False])
def test_a_switch_computes_only_what_it_chooses(flag: bool) -> None:
    nodes = f"""
  {FAILS}
  fine: {{uses: PrimitiveInt, with: {{value: 3}}}}
  pick: {{uses: SwitchValue, with: {{condition: $flag, on_true: {"$fine" if flag else "$fails"},
    on_false: {"$fails" if flag else "$fine"}}}}}
  show: {{uses: PreviewAny, with: {{source: $pick}}}}
"""
    assert shown(run(nodes, flag=flag)) == "3"
    assert run(nodes, flag=not flag).status == "failed"


def test_both_sides_of_a_switch_are_of_one_type() -> None:
    nodes = """
  canvas: {uses: EmptyLatentImage}
  text: {uses: PrimitiveString, with: {value: a}}
  pick: {uses: SwitchValue, with: {condition: $flag, on_true: $canvas, on_false: $text}}
  show: {uses: PreviewAny, with: {source: $pick}}
"""
    with pytest.raises(ProblemError) as caught:
        run(nodes)
    assert "type_mismatch" in [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize(("number", "expected"), [(1, "small"), (2, "middle"), (3, "large")])
def test_branches_that_when_switches_come_together_again(number: int, expected: str) -> None:
    nodes = """
  is-small: {uses: CompareNumbers, with: {a: $number, b: 2}}
  is-large: {uses: CompareNumbers, with: {a: $number, b: 2, comparison: '>'}}
  small: {uses: PrimitiveString, with: {value: small}, when: $is-small}
  large: {uses: PrimitiveString, with: {value: large}, when: $is-large}
  middle: {uses: PrimitiveString, with: {value: middle}}
  first: {uses: FirstOf, with: {first: $small, second: $large, third: $middle}}
  show: {uses: PreviewAny, with: {source: $first}}
"""
    assert shown(run(nodes, number=number)) == expected


def test_what_stands_behind_the_first_value_is_not_computed() -> None:
    nodes = f"""
  {FAILS}
  first: {{uses: FirstOf, with: {{first: 4, second: $fails}}}}
  show: {{uses: PreviewAny, with: {{source: $first}}}}
"""
    assert shown(run(nodes)) == "4"


def test_nothing_at_all_is_told() -> None:
    result = run("""
  a: {uses: PrimitiveInt, with: {value: 3}, when: false}
  first: {uses: FirstOf, with: {first: $a}}
  show: {uses: PreviewAny, with: {source: $first}}
""")
    assert [(problem.code, problem.node) for problem in result.problems] == [("missing_input", "first")]
    with pytest.raises(ProblemError):
        FirstOf()


@pytest.mark.parametrize("a", [True, False])
@pytest.mark.parametrize("b", [True, False])
def test_conditions_are_combined(a: bool, b: bool) -> None:
    assert CombineConditions(a, Lazy(b), "and") == (a and b)
    assert CombineConditions(a, Lazy(b), "or") == (a or b)
    assert CombineConditions(a, Lazy(b), "xor") == (a != b)


def test_a_second_condition_that_does_not_matter_is_not_computed() -> None:
    nodes = f"""
  {FAILS}
  less: {{uses: CompareNumbers, with: {{a: $fails}}}}
  no: {{uses: InvertCondition, with: {{condition: true}}}}
  both: {{uses: CombineConditions, with: {{a: $no, b: $less}}}}
  any: {{uses: CombineConditions, with: {{a: true, b: $less, rule: or}}}}
  one: {{uses: PreviewAny, with: {{source: $both}}}}
  two: {{uses: PreviewAny, with: {{source: $any}}}}
"""
    result = run(nodes)
    assert (shown(result, "one"), shown(result, "two")) == ("false", "true")


def test_large_numbers_are_compared_exactly() -> None:
    assert CompareNumbers(2**53, 2**53 + 1)
    assert not CompareNumbers(2**53 + 1, 2**53, "=")
    assert [CompareNumbers(1, 1.0, rule) for rule in ("<", "<=", "=", "!=", ">=", ">")] == [
        False, True, True, False, True, False,
    ]  # fmt: skip


def test_what_follows_a_list_runs_for_each_item() -> None:
    nodes = """
  off: {uses: PrimitiveInt, with: {value: 9}, when: false}
  one: {uses: PrimitiveInt, with: {value: 1}}
  list: {uses: ListOf, with: {first: $one, second: $off, fourth: 3}}
  small: {uses: CompareNumbers, with: {a: $list, b: 2}}
  last: {uses: ItemOf, with: {items: $small, index: -1}}
  first: {uses: ItemOf, with: {items: $small}}
  show: {uses: PreviewAny, with: {source: $last}}
  other: {uses: PreviewAny, with: {source: $first}}
"""
    result = run(nodes)
    assert (shown(result), shown(result, "other")) == ("false", "true")


def test_an_item_that_is_not_there_is_told() -> None:
    assert ListOf(None, 0, None, 5) == [0, 5]
    for index in (-3, 2):
        with pytest.raises(ProblemError) as caught:
            ItemOf([0, 5], index)
        (found,) = caught.value.problems
        assert isinstance(found, Problem)
        assert (found.code, found.input) == ("bad_value", "index")


def test_the_first_of_two_pictures_keeps_its_type_for_what_follows() -> None:
    graph = Builder()
    picture = graph.add(EmptyImage, 8, 8)
    chosen = graph.add_type("FirstOf", first=picture)
    graph.output("blurred", graph.add_type("ImageBlur", image=chosen))
    assert nodegraph.check(graph) == ()
    assert torch.equal(nodegraph.run(graph).outputs["blurred"], Image(torch.zeros(1, 8, 8, 3)))  # pyright: ignore[reportArgumentType]

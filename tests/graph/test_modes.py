"""Nodes that are in a file and do not run: muted ones, and ones that are stepped over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodegraph.graph.build import check
from nodegraph.graph.model import Checked
from nodegraph.node import node
from nodegraph.registry import Registry
from nodegraph.sockets import Image, Mask, Saved
from nodegraph.spec import NodeSpec
from nodegraph.workflow.read import load_text
from tests.workflow.support import workflow_of


@node(category="test")
def Picture(width: int = 1) -> Image:
    """A picture."""
    raise NotImplementedError


@node(category="test")
def Mix(mask: Mask | None = None, first: Image | None = None, second: Image | None = None) -> Image:
    """One picture of two."""
    raise NotImplementedError


@node(category="test")
def Blur(image: Image, amount: float = 1.0) -> Image:
    """A picture of a picture."""
    raise NotImplementedError


@node(category="test")
def Measure(image: Image) -> int:
    """A number of a picture."""
    raise NotImplementedError


@node(category="test", output_node=True)
def Save(image: Image) -> Saved:
    """The end."""
    raise NotImplementedError


SPECS: list[NodeSpec] = [each.__node__ for each in (Picture, Mix, Blur, Measure, Save)]  # pyright: ignore[reportFunctionMemberAccess]
REGISTRY = Registry().with_specs(SPECS)


def checked(nodes: str, tail: str = "") -> Checked:
    return check(workflow_of(f"nodegraph: 1\nnodes:\n{nodes}{tail}"), REGISTRY)


def links(result: Checked) -> dict[str, dict[str, str]]:
    """What feeds what, by name."""
    assert result.graph is not None, [problem.describe() for problem in result.problems]
    nodes = result.graph.nodes
    return {node.id: {name: nodes[link.node].id for name, link in node.links.items()} for node in nodes}


CHAIN = """\
  a: {{uses: Picture}}
  b: {{uses: Blur, with: {{image: $a}}, mode: {b}}}
  c: {{uses: Blur, with: {{image: $b}}, mode: {c}}}
  save: {{uses: Save, with: {{image: $c}}}}
  other: {{uses: Save, with: {{image: $a}}}}
"""


def test_a_muted_node_goes_with_all_that_needs_it() -> None:
    assert links(checked(CHAIN.format(b="muted", c="run"))) == {"a": {}, "other": {"image": "a"}}


def test_bypassed_nodes_are_stepped_over_one_after_another() -> None:
    assert links(checked(CHAIN.format(b="bypassed", c="run")))["c"] == {"image": "a"}
    assert links(checked(CHAIN.format(b="bypassed", c="bypassed"))) == {
        "a": {}, "save": {"image": "a"}, "other": {"image": "a"},
    }  # fmt: skip


def test_a_bypassed_node_behind_a_muted_one_gives_nothing() -> None:
    assert links(checked(CHAIN.format(b="muted", c="bypassed"))) == {"a": {}, "other": {"image": "a"}}


def test_an_optional_input_merely_loses_its_link() -> None:
    nodes = """\
  a: {uses: Picture}
  b: {uses: Picture, mode: muted}
  n: {uses: Measure, with: {image: $a}, mode: muted}
  wide: {uses: Picture, with: {width: $n}}
  mix: {uses: Mix, with: {first: $a, second: $b}}
  save: {uses: Save, with: {image: $mix}}
"""
    result = checked(nodes)
    assert links(result)["mix"] == {"first": "a"}
    assert result.graph is not None
    assert result.graph.nodes[result.graph.index["wide"]].values == {"width": 1}


def test_of_several_inputs_the_first_of_the_type_is_passed_on() -> None:
    nodes = """\
  a: {uses: Picture}
  b: {uses: Picture}
  mix: {uses: Mix, with: {second: $b, first: $a}, mode: bypassed}
  save: {uses: Save, with: {image: $mix}}
"""
    assert links(checked(nodes))["save"] == {"image": "a"}


def test_where_no_input_has_the_type_a_bypassed_node_is_as_if_muted() -> None:
    nodes = """\
  a: {uses: Picture}
  n: {uses: Measure, with: {image: $a}, mode: bypassed}
  b: {uses: Picture, with: {width: $n}}
  c: {uses: Picture, mode: bypassed}
  save: {uses: Save, with: {image: $c}}
  kept: {uses: Save, with: {image: $b}}
"""
    assert links(checked(nodes)) == {"a": {}, "b": {}, "kept": {"image": "b"}}


def test_bypassed_nodes_that_feed_each_other_are_told() -> None:
    result = checked(CHAIN.format(b="bypassed", c="bypassed").replace("image: $a}, mode", "image: $c}, mode", 1))
    assert [problem.code for problem in result.problems] == ["cycle"]


def test_nodes_that_do_not_run_need_not_be_known() -> None:
    nodes = """\
  a: {uses: Picture}
  b: {uses: Nowhere, with: {image: $a}, mode: muted}
  c: {uses: Nowhere, with: {image: $a}, mode: bypassed}
  save: {uses: Save, with: {image: $a}}
  lost: {uses: Save, with: {image: $c}}
"""
    assert links(checked(nodes)) == {"a": {}, "save": {"image": "a"}}


def test_named_outputs_lead_past_nodes_that_do_not_run() -> None:
    result = checked(CHAIN.format(b="bypassed", c="muted"), "outputs: {blurred: $b, lost: $c, plain: $a}\n")
    assert result.graph is not None
    named = {name: result.graph.nodes[link.node].id for name, link in result.graph.outputs.items()}
    assert named == {"blurred": "a", "plain": "a"}


def test_parameters_of_nodes_that_do_not_run_count_as_used() -> None:
    head = "nodegraph: 1\nparams: {size: 3}\nnodes:\n  a: {uses: Picture, with: {width: $size}, mode: muted}\n"
    result = check(workflow_of(head + "  b: {uses: Picture}\n  s: {uses: Save, with: {image: $b}}\n"), REGISTRY)
    assert result.problems == ()


def test_the_whole_workflow_is_what_a_picture_will_say() -> None:
    result = checked(CHAIN.format(b="muted", c="run"))
    assert result.graph is not None
    assert result.graph.workflow is not None
    assert set(result.graph.workflow.nodes) == {"a", "b", "c", "save", "other"}


def test_long_chains_take_no_recursion() -> None:
    number = 3_000
    lines = [
        "  n0: {uses: Picture}",
        *(f"  n{i}: {{uses: Blur, with: {{image: $n{i - 1}}}, mode: bypassed}}" for i in range(1, number)),
    ]
    nodes = "\n".join([*lines, f"  save: {{uses: Save, with: {{image: $n{number - 1}}}}}", ""])
    assert links(checked(nodes)) == {"n0": {}, "save": {"image": "n0"}}


@pytest.mark.parametrize("written", ["loud", "2", "[muted]", "true"])
def test_another_mode_is_told(written: str) -> None:
    loaded = load_text(f"nodegraph: 1\nnodes:\n  a: {{uses: Picture, mode: {written}}}\n")
    assert [problem.code for problem in loaded.problems] == ["not_a_choice"]
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].mode == "run"


def test_a_workflow_without_modes_is_left_alone() -> None:
    from nodegraph.graph.modes import settle_modes

    workflow = workflow_of("nodegraph: 1\nnodes:\n  a: {uses: Picture}\n")
    assert settle_modes(workflow, REGISTRY)[0] is workflow
    muted = replace(workflow.nodes["a"], mode="muted")
    assert settle_modes(replace(workflow, nodes={"a": muted}), REGISTRY)[0].nodes == {}

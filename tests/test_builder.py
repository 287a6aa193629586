"""Graphs built in code beyond plain calls: nodes by type, sweeps, options, parameters, and expansions."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import pytest
import torch

import nodegraph
from nodegraph import Builder, Session
from nodegraph.node import node, spec_of
from nodegraph.registry import load_registry
from nodegraph.sockets import Image, Saved
from nodegraph.sockets.flow import Call, Expansion, Out
from nodegraph.workflow.document import Param, Ref, Slot, Span, Sweep, Template
from nodes.image_batches import EmptyImage


class Shades(NamedTuple):
    mixed: Image
    inverted: Image


class Parts(NamedTuple):
    whole: int
    rest: int


@node(category="test")
def Divide(dividend: int, divisor: int = 2) -> Parts:
    """Two outputs."""
    return Parts(*divmod(dividend, divisor))


@node(category="test")
def Sum(left: int, right: int = 1) -> int:
    """One output."""
    return left + right


@node(category="test", output_node=True)
def Tell(value: int) -> Saved:
    """Shows a number."""
    return Saved(shown={"value": value})


@node(category="test")
def Halve(value: int) -> Expansion[Parts]:
    """More nodes, with two results."""
    graph = Builder()
    return graph.expansion(*graph.add(Divide, value, 2))


def told(graph: Builder) -> set[object]:
    """What `Tell` shows in a run."""
    return {(saved.shown or {})["value"] for saved in nodegraph.run(graph).saved.values()}


# --- nodes by the name of their type


def test_nodes_may_be_added_by_the_name_of_their_type_and_are_checked_like_any() -> None:
    graph = Builder()
    loaded = graph.add_type("CheckpointLoaderSimple", ckpt_name="tiny")
    graph.output("one", graph.add_type("CLIPTextEncode", clip=loaded["clip"], text="a"))
    graph.output("other", graph.node_type("other", "CLIPTextEncode", clip=loaded[1], text="b"))
    assert nodegraph.check(graph) == ()
    workflow = graph.workflow()
    assert list(workflow.nodes) == ["checkpoint_loader_simple", "clip_text_encode", "other"]
    assert workflow.nodes["other"].inputs["clip"] == Slot("checkpoint_loader_simple", 1)
    assert type(workflow.outputs["other"]) is Ref
    graph.add_type("Nonsense", a=1)
    graph.add_type("CLIPTextEncode", clip=loaded, text="c")
    assert [problem.code for problem in nodegraph.check(graph)] == ["unknown_node", "ambiguous_output"]


def test_any_name_of_an_input_can_be_given() -> None:
    graph = Builder()
    graph.node_type("it", "Odd Type!", self=1, name=2, type_=3, **{"a b": {"list": [1, "x", None]}})
    assert graph.workflow().nodes["it"].inputs == {
        "self": 1, "name": 2, "type_": 3, "a b": {"list": (1, "x", None)},
    }  # fmt: skip
    assert graph.add_type("9 lives").name == "node_9_lives"


# --- parameters and texts


def test_parameters_may_be_bounded_chosen_or_without_a_default() -> None:
    graph = Builder()
    graph.param("must", str)
    graph.param("steps", 20, "how many", minimum=1, maximum=50)
    graph.param("rate", 1, kind="FLOAT")
    graph.param("pick", "a", choices=["a", "b"])
    graph.param("seed", "random", kind="INT")
    assert graph.workflow().params == {
        "must": Param("must", "STRING", required=True),
        "steps": Param("steps", "INT", 20, minimum=1, maximum=50, description="how many"),
        "rate": Param("rate", "FLOAT", 1.0),
        "pick": Param("pick", "STRING", "a", choices=("a", "b")),
        "seed": Param("seed", "INT", "random"),
    }
    with pytest.raises(ValueError, match="between 1 and 50"):
        graph.param("more", 51, minimum=1, maximum=50)
    for wrong in ([1], list):
        with pytest.raises(TypeError, match="a parameter is"):
            graph.param("other", wrong)


def test_texts_are_filled_with_parameters_only() -> None:
    graph = Builder()
    colour = graph.param("colour", "red")
    told = graph.add_type("PreviewAny", source=graph.text("a ", colour, " $tar"))
    assert graph.workflow().nodes["preview_any"].inputs["source"] == Template(("a ", Ref("colour"), " $tar"))
    result = nodegraph.run(graph, {"colour": "blue"})
    assert result.saved["preview_any"].shown == {"text": "a blue $tar"}
    with pytest.raises(TypeError, match="texts and parameters"):
        graph.text("a ", told)


# --- sweeps and options


def test_inputs_may_have_several_values() -> None:
    graph = Builder()
    total = graph.node("total", Sum, right=graph.matrix(range(1, 4)), left=graph.matrix([10, 20]))
    graph.node("tell", Tell, total)
    sweep = graph.workflow().nodes["total"].sweep
    assert sweep is not None
    assert sweep == Sweep(zipped=False, values={"right": Span(1, 3), "left": (10, 20)})
    assert list(sweep.values) == ["right", "left"]  # as written: the first varies slowest
    assert told(graph) == {11, 12, 13, 21, 22, 23}


def test_values_may_belong_together() -> None:
    graph = Builder()
    graph.add(Tell, graph.add(Sum, graph.foreach([1, 2]), graph.foreach([10, 20])))
    assert told(graph) == {11, 22}
    with pytest.raises(TypeError, match="either 'matrix' or 'foreach'"):
        graph.add(Sum, graph.matrix([1]), graph.foreach([1]))


def test_a_whole_graph_may_be_swept() -> None:
    graph = Builder()
    first = graph.param("first", 0)
    graph.add(Tell, graph.node("total", Sum, first, 1))
    graph.sweep({"first": [1, 2], "total.right": [10, 20]}, zipped=True)
    graph.workflow()
    assert {problem.code for problem in nodegraph.check(graph)} == set()
    assert told(graph) == {11, 22}


def test_more_may_be_said_of_a_node() -> None:
    graph = Builder()
    flag = graph.param("flag", True)
    graph.node("sum", Sum, 1)
    graph.options("sum", title="A sum", cache="off")
    graph.options("sum", when=flag, mode="muted")
    entry = graph.workflow().nodes["sum"]
    assert (entry.title, entry.cache, entry.when, entry.mode) == ("A sum", "off", Ref("flag"), "muted")
    with pytest.raises(KeyError):
        graph.options("nobody", cache="off")


# --- expansions


def test_an_expansion_has_all_nodes_as_calls_with_links_by_number() -> None:
    something = object()
    graph = Builder()
    times = graph.param("times", 3)
    parts = graph.node("parts", Divide, 7, times)
    total = graph.node("total", Sum, parts.rest, parts.whole)
    other = graph.node_type("other", "Odd", value=something, text=graph.text("x", times), link=total)
    expansion = graph.expansion(total, other[2], something, 5)
    assert expansion.calls == {
        "parts": Call("Divide", {"dividend": 7, "divisor": 3}),
        "total": Call("Sum", {"left": Out("parts", 1), "right": Out("parts", 0)}),
        "other": Call("Odd", {"value": something, "text": "x3", "link": Out("total")}),
    }
    assert expansion.results == (Out("total"), Out("other", 2), something, 5)
    assert not expansion.complete_ids


def test_a_node_that_expands_is_chained_like_any_other() -> None:
    graph = Builder()
    whole, rest = graph.add(Halve, 7)  # pyright: ignore[reportGeneralTypeIssues]
    assert (whole, rest) == (Ref("halve", "whole"), Ref("halve", "rest"))
    assert Halve(9) == Expansion(
        {"divide": Call("Divide", {"dividend": 9, "divisor": 2})}, (Out("divide", 0), Out("divide", 1))
    )


@node(category="test")
def Power(base: int, exponent: int) -> int | Expansion[int]:
    """A power by multiplying, one node a factor, and itself for the rest."""
    if exponent == 0:
        return 1
    graph = Builder()
    rest = graph.node("rest", Power, base, exponent - 1)
    return graph.expansion(graph.node("times", Times, rest, base))  # pyright: ignore[reportArgumentType]


@node(category="test")
def Times(left: int, right: int) -> int:
    """A product."""
    return left * right


@node(category="test")
def Mean(picture: Image, parts: int) -> Expansion[Shades]:
    """The mean of a picture and its negative, with the picture itself, a tensor, as an input."""
    graph = Builder()
    inverted = graph.add_type("ImageInvert", image=picture)
    mixed = graph.add_type("ImageBlend", image1=picture, image2=inverted, blend_factor=1 / parts)
    return graph.expansion(mixed, inverted)


def session(*functions: Callable[..., object]) -> Session:
    return Session(registry=load_registry().with_specs([spec_of(function) for function in functions]))


def test_the_nodes_of_an_expansion_run_in_its_place_and_are_kept() -> None:
    graph = Builder()
    exponent = graph.param("exponent", 5)
    graph.output("power", graph.node("power", Power, 3, exponent))
    with session(Power, Times) as running:
        first = running.run(graph.workflow())
        assert first.outputs == {"power": 243}
        assert running.run(graph.workflow()).executed == ()
        more = running.run(graph.workflow(), {"exponent": 6})
        assert more.outputs == {"power": 729}
        # The rest is known from before.
        assert len(more.executed) == 2


def test_an_expansion_takes_values_of_any_kind_and_gives_several_results() -> None:
    graph = Builder()
    picture = graph.add(EmptyImage, 4, 4, color=0xFF0000)
    mixed, inverted = graph.node("mean", Mean, picture, 2)  # pyright: ignore[reportGeneralTypeIssues]
    graph.output("mixed", mixed)
    graph.output("inverted", inverted)
    with session(Mean) as running:
        outputs = running.run(graph.workflow()).outputs
    assert torch.allclose(cast(torch.Tensor, outputs["mixed"]), torch.tensor(0.5))
    assert cast(torch.Tensor, outputs["inverted"])[0, 0, 0].tolist() == [0, 1, 1]


def test_an_expansion_refuses_what_only_whole_workflows_have() -> None:
    graph = Builder()
    mine = graph.node("mine", Sum, 1)
    foreign = Builder()
    foreign.add(Sum, mine)
    with pytest.raises(TypeError, match="'mine' belongs to another builder"):
        foreign.expansion()
    odd = graph.add_type("Odd")
    with pytest.raises(TypeError, match="by its number, not 'name'"):
        graph.expansion(odd["name"])
    graph.options("mine", when=False)
    with pytest.raises(TypeError, match="neither sweeps nor conditions"):
        graph.expansion(mine)

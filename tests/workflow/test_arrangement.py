"""How workflows lie on a canvas: what files may say, what is said of mistakes, and what editors' files keep."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from nodegraph.workflow.diff import diff
from nodegraph.workflow.document import Group, Look, Note, Workflow
from nodegraph.workflow.naming import readable
from nodegraph.workflow.ui_writer import ui_data
from nodegraph.workflow.write import dump_yaml
from tests.workflow.support import only, pointed_at, read, workflow_of
from tests.workflow.ui_files import Canvas, load, registry, text_to_image, workflow

FULL = """\
nodegraph: 1
nodes:
  a:
    uses: X
  b:
    uses: Z
    with: {image: $a}
groups:
  Both: [0, 0, 400, 300]
  Red: {at: [10, 20], size: [30, 40], colour: red}
notes:
  - text: remember
    title: Read me
    at: [1, 2]
    size: [3, 4]
    colour: "#ffcc00"
  - text: |-
      two
      lines
layout:
  a: [0, 0, 210, 100]
  b: {at: [300, 0], collapsed: true, pinned: true, colour: "#aabbcc"}
  b.image: [[250, 50], [260.5, 60]]
"""


def test_all_that_a_canvas_knows_is_read_and_written_as_it_was() -> None:
    found = workflow_of(FULL)
    assert found.layout == {"a": (0, 0), "b": (300, 0)}
    assert found.looks == {"a": Look((210, 100)), "b": Look(None, True, True, "#aabbcc")}
    assert found.routes == {("b", "image"): ((250, 50), (260.5, 60))}
    assert found.groups == (Group("Both", (0, 0, 400, 300)), Group("Red", (10, 20, 30, 40), "red"))
    assert found.notes == (
        Note("remember", "Read me", (1, 2), (3, 4), "#ffcc00"),
        Note("two\nlines"),
    )
    assert dump_yaml(found) == FULL


def test_a_node_may_be_collapsed_without_a_place() -> None:
    found = workflow_of("nodegraph: 1\nnodes: {a: {uses: X}}\nlayout: {a: {collapsed: true}}\n")
    assert (found.layout, found.looks) == ({}, {"a": Look(collapsed=True)})


def test_nothing_of_it_is_a_difference() -> None:
    found = workflow_of(FULL)
    bare = replace(found, layout={}, looks=MappingProxyType({}), routes=MappingProxyType({}), groups=(), notes=())
    assert not diff(found, bare)


@pytest.mark.parametrize(
    ("line", "code", "at"),
    [
        ("layout: {a: [1, 2, 3]}", "wrong_kind", "[1"),
        ("layout: {a: {at: [1]}}", "wrong_kind", "[1]"),
        ("layout: {a: {colapsed: true}}", "unknown_key", "colapsed"),
        ("layout: {a: {collapsed: 1}}", "wrong_kind", "1}"),
        ("layout: {a: {colour: 'red;x'}}", "wrong_kind", "'red;x'"),
        ("layout: {a: {colour: '#12345'}}", "wrong_kind", "'#12345'"),
        ("layout: {a: [[1, 2]]}", "wrong_kind", "a:"),
        ("layout: {a.x: [[1, 2], [3]]}", "wrong_kind", "[3]"),
        ("groups: {G: {at: [0, 0]}}", "missing_key", "{at"),
        ("groups: {G: {at: [0, 0], size: [1]}}", "wrong_kind", "[1]"),
        ("groups: {G: [1, 2, 3]}", "wrong_kind", "[1"),
        ("groups: {G: {at: [0, 0], size: [1, 1], color: red}}", "unknown_key", "color"),
        ("notes: {text: x}", "wrong_kind", "{text"),
        ("notes: [x]", "wrong_kind", "x]"),
        ("notes: [{at: [0, 0]}]", "missing_key", "{at"),
        ("notes: [{text: 3}]", "wrong_kind", "3}"),
    ],
)
def test_a_mistake_is_told_at_its_place(line: str, code: str, at: str) -> None:
    problem = only(read(f"nodegraph: 1\nnodes: {{a: {{uses: X}}}}\n{line}\n"))
    assert problem.code == code
    assert pointed_at(problem).startswith(at)


def test_a_wrong_colour_key_is_corrected() -> None:
    problem = only(read("nodegraph: 1\nnodes: {}\nlayout: {a: {color: red}}\n"))
    assert problem.hint == "did you mean 'colour'?"


def drawn() -> Canvas:
    canvas = text_to_image()
    canvas.nodes[0] |= {"flags": {"collapsed": True, "pinned": True}, "color": "#232", "bgcolor": "#353"}
    canvas.nodes[1] |= {"pos": [10, 20], "size": [400.5, 200]}
    return canvas


def test_an_editors_file_keeps_how_nodes_look() -> None:
    found = workflow(drawn())
    assert found.looks["4"] == Look((210, 100), True, True, "#353")
    assert found.looks["6"] == Look((400.5, 200))


def test_reroutes_are_points_of_the_link_that_they_lead() -> None:
    canvas = text_to_image()
    for id_, left in ((30, 100), (31, 200)):
        inputs, outputs = [{"name": "", "type": "*", "link": None}], [{"name": "", "type": "*"}]
        canvas.node(id_, "Reroute", None, inputs=inputs, outputs=outputs, pos=[left, 50], size=[40, 20])
    canvas.link(4, 0, 30, "")
    canvas.link(30, 0, 31, "")
    canvas.link(31, 0, 3, "model")
    assert workflow(canvas).routes == {("3", "model"): ((120, 60), (220, 60))}


def bent(version: float) -> dict[str, Any]:
    """A file whose link into the sampler's model passes two points, as each version says it."""
    canvas = text_to_image(Canvas(objects=version == 1))
    (link,) = [given["link"] for given in canvas.nodes[4]["inputs"] if given["name"] == "model"]
    reroutes = [{"id": 2, "parentId": 1, "pos": [5, 6], "linkIds": [link]}, {"id": 1, "pos": [3, 4], "linkIds": [link]}]
    if version == 1:
        for each in canvas.links:
            each |= {"parentId": 2} if each["id"] == link else {}
        return canvas.file(version=1, reroutes=reroutes)
    return canvas.file(extra={"reroutes": reroutes, "linkExtensions": [{"id": link, "parentId": 2}]})


@pytest.mark.parametrize("version", [0.4, 1])
def test_points_that_a_link_names_are_its_points(version: float) -> None:
    assert workflow(bent(version)).routes == {("3", "model"): ((3, 4), (5, 6))}


@pytest.mark.parametrize(
    "extra",
    [
        {"reroutes": 5, "linkExtensions": {}},
        {"reroutes": [{"id": 1, "parentId": 1, "pos": [1, 2]}], "linkExtensions": [{"id": 1, "parentId": 1}, 3]},
        {"reroutes": [{"id": 1, "pos": "x"}, None], "linkExtensions": [{"id": 1, "parentId": 9}]},
    ],
)
def test_points_that_make_no_sense_are_no_reason_to_refuse_a_file(extra: dict[str, Any]) -> None:
    assert load(text_to_image().file(extra=extra)).problems == ()


def test_what_is_written_for_the_editor_reads_back() -> None:
    before = replace(
        workflow(drawn()),
        routes=MappingProxyType({("3", "model"): ((3.0, 4.0), (5.0, 6.0))}),
        groups=(Group("G", (0, 0, 9, 9)), Group("R", (0, 0, 9, 9), "#f00")),
        notes=(Note("n", "t", (1, 2), (300, 120), "#ff0"),),
    )
    data, problems = ui_data(before, registry().specs, {})
    after = workflow(data)
    assert problems == ()
    for part in ("looks", "layout", "routes", "groups", "notes"):
        assert getattr(after, part) == getattr(before, part), part


def test_readable_names_take_the_layout_with_them() -> None:
    before: Workflow = workflow(bent(0.4))
    after = readable(before, registry().specs)
    assert after.routes == {("ksampler", "model"): ((3, 4), (5, 6))}
    assert after.looks["ksampler"] == Look((210, 100))

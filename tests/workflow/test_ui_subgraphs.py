"""Subgraphs of ComfyUI's editor files, laid out flat under the ids that ComfyUI gives their nodes."""

from __future__ import annotations

from typing import Any

from nodegraph.graph.build import check
from nodegraph.workflow.document import Slot
from tests.workflow.ui_files import Canvas, Json, load, registry, text_to_image, workflow

INPUT, OUTPUT = -10, -20
PROMPT = "11111111-2222-3333-4444-555555555555"
TWICE = "66666666-7777-8888-9999-000000000000"


def definition(id_: str, name: str, canvas: Canvas, inputs: list[str], outputs: list[str]) -> Json:
    """A subgraph, with inputs and outputs written `name:TYPE`."""
    ends = [[dict(zip(("name", "type"), each.split(":"), strict=True)) for each in side] for side in (inputs, outputs)]
    return {
        "id": id_,
        "name": name,
        "nodes": canvas.nodes,
        "links": canvas.links,
        "inputs": ends[0],
        "outputs": ends[1],
    }


def prompt_inside() -> Json:
    """A subgraph around a prompt: `clip` and `text` in, its conditioning out."""
    inner = Canvas(objects=True)
    inner.node(6, "CLIPTextEncode", ["inner text"], pos=[100, 100])
    inner.link(INPUT, 0, 6, "clip", "CLIP")
    inner.link(INPUT, 1, 6, "text", "STRING")
    inner.add_link(90, 6, 0, OUTPUT, 0, "CONDITIONING")
    return definition(PROMPT, "A prompt", inner, ["clip:CLIP", "text:STRING"], ["out:CONDITIONING"])


def instance(canvas: Canvas, id_: int, uuid: str, values: Any, **more: Any) -> None:
    """A node that stands for a prompt subgraph."""
    listed = [{"name": "clip", "type": "CLIP", "link": None}]
    canvas.node(id_, uuid, values, **({"inputs": listed, "outputs": [{"name": "out", "type": "CONDITIONING"}]} | more))
    canvas.link(4, 1, id_, "clip", "CLIP")


def with_prompt(values: Any, **more: Any) -> Json:
    """Text to image, whose positive prompt comes out of a subgraph."""
    canvas = text_to_image()
    instance(canvas, 57, PROMPT, values, **more)
    canvas.link(57, 0, 3, "positive", "CONDITIONING")
    return canvas.file(definitions={"subgraphs": [prompt_inside()]})


def test_inner_nodes_stand_where_the_subgraph_was() -> None:
    found = workflow(with_prompt([], pos=[500, 600]))
    assert found.nodes["57:6"].inputs == {"text": "inner text", "clip": Slot("4", 1)}
    assert found.nodes["3"].inputs["positive"] == Slot("57:6", 0)
    assert found.layout["57:6"] == (500, 600)
    assert "57" not in found.nodes
    assert check(found, registry()).problems == ()


def test_a_node_gives_its_own_values_to_widgets_inside() -> None:
    assert workflow(with_prompt(["from outside"])).nodes["57:6"].inputs["text"] == "from outside"


def test_widgets_that_are_shown_outside_take_their_values_in_that_order() -> None:
    shown = {"proxyWidgets": [["6", "text"]]}
    assert workflow(with_prompt(["shown"], properties=shown)).nodes["57:6"].inputs["text"] == "shown"
    own = {"proxyWidgets": [["-1", "text"]]}
    assert workflow(with_prompt(["own"], properties=own)).nodes["57:6"].inputs["text"] == "own"
    assert workflow(with_prompt([None], properties=own)).nodes["57:6"].inputs["text"] == "inner text"


def test_what_is_linked_outside_counts_more_than_values() -> None:
    file = with_prompt(["from outside"])
    canvas = Canvas(file["nodes"], file["links"], next_link=500)
    canvas.node(70, "PrimitiveString", ["from a node"])
    canvas.link(70, 0, 57, "text", "STRING")
    found = workflow(canvas.file(definitions=file["definitions"]))
    assert found.nodes["57:6"].inputs["text"] == Slot("70", 0)


def test_a_primitive_outside_sets_a_widget_inside() -> None:
    file = with_prompt(["from outside"])
    canvas = Canvas(file["nodes"], file["links"], next_link=500)
    canvas.node(70, "PrimitiveNode", ["typed"], title="my prompt", outputs=[{"name": "STRING", "type": "STRING"}])
    canvas.link(70, 0, 57, "text", "STRING")
    found = workflow(canvas.file(definitions=file["definitions"]))
    assert found.params["my_prompt"].default == "typed"
    assert str(found.nodes["57:6"].inputs["text"]) == "$my_prompt"


def nested(**more: Any) -> Json:
    """Two prompts of one subgraph inside another one, of which the first is the output."""
    inner = Canvas(objects=True)
    for id_, text in ((1, "one"), (2, "two")):
        listed = [{"name": "clip", "type": "CLIP", "link": None}]
        inner.node(id_, PROMPT, [text], inputs=listed, outputs=[{"name": "out", "type": "CONDITIONING"}])
        inner.link(INPUT, 0, id_, "clip", "CLIP")
    inner.add_link(90, 1, 0, OUTPUT, 0, "CONDITIONING")
    inner.add_link(91, 2, 0, OUTPUT, 1, "CONDITIONING")
    outer = definition(TWICE, "Two prompts", inner, ["clip:CLIP"], ["a:CONDITIONING", "b:CONDITIONING"])
    canvas = text_to_image()
    outputs = [{"name": "a", "type": "CONDITIONING"}, {"name": "b", "type": "CONDITIONING"}]
    instance(canvas, 57, TWICE, more.pop("values", []), outputs=outputs, **more)
    canvas.link(57, 0, 3, "positive", "CONDITIONING")
    canvas.link(57, 1, 3, "negative", "CONDITIONING")
    return canvas.file(definitions={"subgraphs": [outer, prompt_inside()]})


def test_subgraphs_in_subgraphs() -> None:
    found = workflow(nested())
    assert found.nodes["57:1:6"].inputs == {"text": "one", "clip": Slot("4", 1)}
    assert found.nodes["57:2:6"].inputs == {"text": "two", "clip": Slot("4", 1)}
    assert found.nodes["3"].inputs["positive"] == Slot("57:1:6", 0)
    assert found.nodes["3"].inputs["negative"] == Slot("57:2:6", 0)


def test_a_widget_may_be_shown_through_two_levels() -> None:
    found = workflow(nested(values=["deep"], properties={"proxyWidgets": [["2", "text"]]}))
    assert (found.nodes["57:1:6"].inputs["text"], found.nodes["57:2:6"].inputs["text"]) == ("one", "deep")


def test_a_muted_subgraph_mutes_all_in_it_and_what_needs_it() -> None:
    found = workflow(with_prompt([], mode=2))
    assert found.nodes["57:6"].mode == "muted"
    checked = check(found, registry())
    assert checked.graph is not None
    assert {node.id for node in checked.graph.nodes} == {"4", "6", "7", "5"}


def test_a_bypassed_subgraph_passes_on_what_has_the_same_type() -> None:
    canvas = text_to_image()
    listed = [{"name": "c", "type": "CONDITIONING", "link": None}]
    instance(canvas, 57, PROMPT, [], mode=4, inputs=listed)
    canvas.link(6, 0, 57, "c", "CONDITIONING")
    canvas.link(57, 0, 3, "positive", "CONDITIONING")
    found = workflow(canvas.file(definitions={"subgraphs": [prompt_inside()]}))
    assert found.nodes["3"].inputs["positive"] == Slot("6", 0)
    checked = check(found, registry())
    assert checked.graph is not None
    assert "57:6" not in checked.graph.index
    assert "9" in checked.graph.index


def test_a_subgraph_that_contains_itself_is_told_with_the_way_there() -> None:
    inner = Canvas(objects=True)
    inner.node(1, TWICE, [], title="again")
    first = definition(PROMPT, "First", inner, [], [])
    other = Canvas(objects=True)
    other.node(2, PROMPT, [])
    second = definition(TWICE, "Second", other, [], [])
    canvas = text_to_image()
    canvas.node(57, PROMPT, [])
    loaded = load(canvas.file(definitions={"subgraphs": [first, second]}))
    (problem,) = loaded.problems
    assert problem.code == "cycle"
    assert "First -> Second -> First" in problem.message
    assert loaded.workflow is not None
    assert "3" in loaded.workflow.nodes


def test_subgraphs_that_multiply_are_stopped() -> None:
    definitions = []
    for level in range(30):
        inner = Canvas(objects=True)
        for id_ in (1, 2):
            inner.node(id_, f"level-{level + 1}", [])
        definitions.append(definition(f"level-{level}", f"Level {level}", inner, [], []))
    canvas = Canvas()
    canvas.node(1, "level-0", [])
    loaded = load(canvas.file(definitions={"subgraphs": definitions}))
    assert [problem.code for problem in loaded.problems] == ["too_large"]


def test_definitions_that_make_no_sense_are_told() -> None:
    bad = [5, {"name": "no id"}, prompt_inside(), prompt_inside()]
    loaded = load(text_to_image().file(definitions={"subgraphs": bad}))
    assert [problem.code for problem in loaded.problems] == ["wrong_kind", "wrong_kind", "duplicate_key"]
    assert [p.code for p in load(text_to_image().file(definitions={"subgraphs": 5})).problems] == ["wrong_kind"]


def test_a_node_of_a_subgraph_that_is_not_there_is_a_type_that_is_not_known() -> None:
    file = with_prompt([])
    del file["definitions"]
    loaded = load(file)
    assert loaded.workflow is not None
    problems = check(loaded.workflow, registry()).problems
    assert [(problem.code, problem.node) for problem in problems] == [("unknown_node", "57")]

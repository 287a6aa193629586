"""Files of ComfyUI's editor as workflows: what they say, and what is said of files that say it badly."""

from __future__ import annotations

from typing import Any

import pytest

from nodegraph.graph.build import check
from nodegraph.workflow.document import Group, Note, Param, Ref, Slot, Wanted
from tests.workflow.support import pointed_at
from tests.workflow.ui_files import Canvas, load, registry, text_to_image, workflow


def describe(canvas: Canvas | dict[str, Any]) -> list[str]:
    return [problem.describe() for problem in load(canvas).problems]


def test_nodes_links_and_widgets() -> None:
    found = workflow(text_to_image())
    assert list(found.nodes) == ["4", "6", "7", "5", "3", "8", "9"]
    assert found.nodes["3"].inputs == {
        "model": Slot("4", 0), "seed": 7, "steps": 20, "cfg": 4, "sampler_name": "euler", "scheduler": "normal",
        "positive": Slot("6", 0), "negative": Slot("7", 0), "latent_image": Slot("5", 0), "denoise": 1,
    }  # fmt: skip
    assert found.nodes["9"].inputs == {"filename_prefix": "star", "images": Slot("8", 0)}
    assert check(found, registry()).problems == ()


def test_links_as_mappings_mean_the_same() -> None:
    lists, mappings = workflow(text_to_image()), workflow(text_to_image(Canvas(objects=True)).file(version=1))
    assert {id_: node.inputs for id_, node in lists.nodes.items()} == {
        id_: node.inputs for id_, node in mappings.nodes.items()
    }


@pytest.mark.parametrize(
    "values",
    [
        [7, "randomize", 20, 4, "euler", "normal", 1],
        [7, True, 20, 4, "euler", "normal", 1],
        [7, False, 20, 4, "euler", "normal", 1],
        [7, 20, 4, "euler", "normal", 1],
        {"seed": 7, "steps": 20, "cfg": 4, "sampler_name": "euler", "scheduler": "normal", "denoise": 1, "more": 1},
    ],
)
def test_what_the_editor_does_with_a_seed_is_no_input(values: Any) -> None:
    canvas = text_to_image()
    canvas.nodes[4]["widgets_values"] = values
    given = workflow(canvas).nodes["3"].inputs
    widgets = {name: value for name, value in given.items() if not isinstance(value, Slot)}
    assert widgets == {"seed": 7, "steps": 20, "cfg": 4, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}


def test_the_word_after_an_upload_is_no_input() -> None:
    canvas = Canvas()
    canvas.node(1, "LoadImage", ["a.png", "image"])
    canvas.node(2, "LoadImageMask", ["a.png", "alpha", "image"])
    canvas.node(3, "LoadImageMask", ["a.png", "image", "alpha"])
    found = workflow(canvas).nodes
    assert found["1"].inputs == {"image": "a.png"}
    assert found["2"].inputs == found["3"].inputs == {"image": "a.png", "channel": "alpha"}


def test_missing_values_are_defaults_and_too_many_are_told() -> None:
    canvas = text_to_image()
    canvas.nodes[4]["widgets_values"] = [7, "fixed", 30]
    assert workflow(canvas).nodes["3"].inputs["steps"] == 30
    checked = check(workflow(canvas), registry())
    assert checked.graph is not None
    assert checked.graph.nodes[checked.graph.index["3"]].values["cfg"] == 8.0
    canvas.nodes[4]["widgets_values"] = [7, "fixed", 20, 4, "euler", "normal", 1, 5, 6]
    (problem,) = load(canvas).problems
    assert (problem.severity, problem.node) == ("warning", "3")
    assert "2 more widget values than KSampler has widgets: 5, 6" in problem.message
    assert pointed_at(problem).startswith("5")


def test_an_input_that_was_a_widget_keeps_its_place_among_the_values() -> None:
    canvas = text_to_image()
    canvas.node(11, "PrimitiveInt", [33, "fixed"])
    canvas.link(11, 0, 3, "steps", "INT")
    given = workflow(canvas).nodes["3"].inputs
    assert (given["steps"], given["cfg"], given["seed"]) == (Slot("11", 0), 4, 7)


def test_a_node_that_lists_its_widgets_in_another_order_is_read_in_that_order() -> None:
    canvas = Canvas()
    listed = [
        {"name": n, "type": "INT", "link": None, "widget": {"name": n}} for n in ("height", "width", "batch_size")
    ]
    canvas.node(1, "EmptyLatentImage", [64, 128, 2], inputs=listed)
    assert workflow(canvas).nodes["1"].inputs == {"width": 128, "height": 64, "batch_size": 2}


def test_ids_may_be_texts_and_nodes_may_stand_in_any_order() -> None:
    canvas = Canvas()
    canvas.node("late", "CLIPTextEncode", ["x"])
    canvas.node("loader no. 1", "CheckpointLoaderSimple", ["tiny"])
    canvas.link("loader no. 1", 1, "late", "clip", "CLIP")
    assert workflow(canvas).nodes["late"].inputs["clip"] == Slot("loader no. 1", 1)


def test_titles_places_notes_groups_packs_and_models() -> None:
    canvas = text_to_image()
    canvas.nodes[0]["properties"] = {"models": [{"name": "m", "url": "https://x/m", "directory": "vae"}, 3]}
    canvas.nodes[1] |= {"title": "what to draw", "pos": {"0": 10, "1": 20.5}}
    canvas.nodes[2]["title"] = "CLIPTextEncode"
    canvas.node(20, "Note", ["remember"], pos=[1, 2], size=[3, 4], title="Read me")
    canvas.node(21, "MarkdownNote", ["# more"])
    canvas.node(22, "Strange", None, properties={"cnr_id": "some-pack", "ver": "1.2"})
    canvas.groups.append({"title": "G", "bounding": [0, 1, 2, 3], "color": "#fff"})
    found = workflow(canvas)
    assert found.nodes["6"].title == "what to draw"
    assert found.nodes["7"].title is None
    assert found.layout["6"] == (10, 20.5)
    assert found.nodes["4"].wanted == (Wanted("m", "vae", "https://x/m"),)
    assert found.nodes["22"].pack == "some-pack@1.2"
    assert found.groups == (Group("G", (0, 1, 2, 3), "#fff"),)
    assert found.notes == (Note("remember", "Read me", (1, 2), (3, 4)), Note("# more", "", (0, 0), (210, 100)))


@pytest.mark.parametrize(("mode", "said"), [(0, "run"), (1, "run"), (2, "muted"), (3, "muted"), (4, "bypassed")])
def test_modes(mode: int, said: str) -> None:
    canvas = text_to_image()
    canvas.nodes[1]["mode"] = mode
    assert workflow(canvas).nodes["6"].mode == said


def reroute(canvas: Canvas, id_: int, origin: int, output: int = 0) -> None:
    canvas.node(
        id_, "Reroute", None, inputs=[{"name": "", "type": "*", "link": None}], outputs=[{"name": "", "type": "*"}]
    )
    canvas.link(origin, output, id_, "")


def test_reroutes_are_led_past() -> None:
    canvas = text_to_image()
    reroute(canvas, 30, 4, 0)
    reroute(canvas, 31, 30)
    canvas.link(31, 0, 3, "model", "MODEL")
    found = workflow(canvas)
    assert found.nodes["3"].inputs["model"] == Slot("4", 0)
    assert not {"30", "31"} & found.nodes.keys()


def test_reroutes_in_a_circle_are_told() -> None:
    canvas = text_to_image()
    reroute(canvas, 30, 31)
    reroute(canvas, 31, 30)
    canvas.link(31, 0, 3, "model", "MODEL")
    (problem,) = load(canvas).problems
    assert problem.code == "cycle"
    assert "30 -> 31 -> 30" in problem.message or "31 -> 30 -> 31" in problem.message


def test_a_reroute_that_nothing_feeds_feeds_nothing() -> None:
    canvas = text_to_image()
    canvas.node(30, "Reroute", None, inputs=[{"name": "", "type": "*", "link": None}])
    canvas.link(30, 0, 3, "model", "MODEL")
    assert "model" not in workflow(canvas).nodes["3"].inputs


def primitive(canvas: Canvas, id_: int, value: Any, **more: Any) -> None:
    canvas.node(id_, "PrimitiveNode", [value, "fixed"], outputs=[{"name": "INT", "type": "INT", "links": []}], **more)


def test_a_primitive_is_a_parameter_named_by_its_title_or_by_what_it_feeds() -> None:
    canvas = text_to_image()
    primitive(canvas, 40, 42)
    primitive(canvas, 41, "euler", title="The Sampler!")
    primitive(canvas, 42, 3)
    primitive(canvas, 43, 99)  # feeds nothing
    canvas.link(40, 0, 3, "seed", "INT")
    canvas.link(41, 0, 3, "sampler_name", "COMBO")
    canvas.link(42, 0, 3, "cfg", "FLOAT")
    found = workflow(canvas)
    assert {name: (param.type, param.default) for name, param in found.params.items()} == {
        "seed": ("INT", 42), "the_sampler": ("STRING", "euler"), "cfg": ("FLOAT", 3.0),
    }  # fmt: skip
    assert found.nodes["3"].inputs["seed"] == Ref("seed")
    assert check(found, registry()).problems == ()
    assert check(found, registry(), overrides={"seed": 5}).graph is not None


def test_a_primitive_that_feeds_two_inputs_is_one_parameter() -> None:
    canvas = text_to_image()
    primitive(canvas, 40, 256, title="size")
    canvas.link(40, 0, 5, "width", "INT")
    canvas.link(40, 0, 5, "height", "INT")
    found = workflow(canvas)
    assert list(found.params) == ["size"]
    assert found.nodes["5"].inputs == {"width": Ref("size"), "height": Ref("size"), "batch_size": 1}


def test_a_primitive_that_does_not_fit_is_put_in_as_it_is() -> None:
    canvas = text_to_image()
    primitive(canvas, 40, "many")
    canvas.link(40, 0, 3, "steps", "INT")
    found = workflow(canvas)
    assert (found.params, found.nodes["3"].inputs["steps"]) == ({}, "many")
    assert [problem.code for problem in check(found, registry()).problems] == ["type_mismatch"]


def test_primitives_of_one_name_are_numbered() -> None:
    canvas = text_to_image()
    for number, target in ((40, 6), (41, 7)):
        primitive(canvas, number, f"text {number}")
        canvas.link(number, 0, target, "text", "STRING")
    found = workflow(canvas).params
    assert [(name, isinstance(param, Param) and param.default) for name, param in found.items()] == [
        ("text", "text 40"), ("text_2", "text 41"),
    ]  # fmt: skip


def test_unknown_types_are_kept_with_the_names_that_the_file_gives() -> None:
    canvas = text_to_image()
    listed = [
        {"name": "image", "type": "IMAGE", "link": None},
        {"name": "seed", "type": "INT", "link": None, "widget": {"name": "seed"}},
        {"name": "kind", "type": "COMBO", "link": None, "widget": {"name": "kind"}},
    ]
    canvas.node(50, "Foreign", [5, "randomize", "soft"], inputs=listed, outputs=[{"name": "IMAGE", "type": "IMAGE"}])
    canvas.link(8, 0, 50, "image", "IMAGE")
    canvas.link(50, 0, 9, "images", "IMAGE")
    found = workflow(canvas)
    assert found.nodes["50"].inputs == {"image": Slot("8", 0), "seed": 5, "kind": "soft"}
    assert found.nodes["9"].inputs["images"] == Slot("50", 0)


def test_values_of_unknown_types_without_names_are_numbered() -> None:
    canvas = Canvas()
    canvas.node(50, "Foreign", [5, None, "soft", {"a": [1]}])
    assert workflow(canvas).nodes["50"].inputs == {"widget_0": 5, "widget_2": "soft", "widget_3": {"a": (1,)}}


def test_an_unknown_node_that_is_bypassed_passes_on_what_has_the_same_type() -> None:
    canvas = text_to_image()
    listed = [{"name": "m", "type": "MODEL", "link": None}, {"name": "i", "type": "IMAGE", "link": None}]
    outputs = [{"name": "OUT", "type": "IMAGE"}]
    canvas.node(50, "Foreign", [], inputs=listed, outputs=outputs, mode=4)
    canvas.link(4, 0, 50, "m", "MODEL")
    canvas.link(8, 0, 50, "i", "IMAGE")
    canvas.link(50, 0, 9, "images", "IMAGE")
    found = workflow(canvas)
    assert found.nodes["9"].inputs["images"] == Slot("8", 0)
    assert check(found, registry()).problems == ()


@pytest.mark.parametrize("version", [0.3, 2, "1.0", None, [1]])
def test_other_versions_are_read_with_a_warning(version: Any) -> None:
    loaded = load(text_to_image().file(version=version))
    assert [(problem.code, problem.severity) for problem in loaded.problems] == [("unsupported_version", "warning")]
    assert loaded.workflow is not None
    assert len(loaded.workflow.nodes) == 7


BROKEN_LINKS = [
    ([1, 2], "[id, from node, output, to node, input, type]"),
    ([1, 2, 3, 4, 5, 6, 7, 8], None),
    ("text", "[id, from node"),
    ([100, 4, "0", 3, 0, "MODEL"], "link '100' cannot be read"),
    ([100, True, 0, 3, 0, "MODEL"], "link '100' cannot be read"),
    ([100, 4, -1, 3, 0, "MODEL"], "link '100' cannot be read"),
    ([100, 77, 0, 3, 0, "MODEL"], "there is no node '77'"),
    ([100, 4, 0, 77, 0, "MODEL"], "there is no node '77'"),
    ([100, 4, 9, 3, 0, "MODEL"], "the node has 3 outputs, so none with number 9"),
    ([100, 4, 0, 3, 99, "MODEL"], "the node has 4 inputs, so none with number 99"),
    ([100, 4, 0, 3, 0, "MODEL"], "the input 'model' does not name it"),
    ([1, 4, 2, 3, 0, "VAE"], "the link '1' is given twice"),
    ({"id": 100, "origin_id": 4}, "link '100' cannot be read"),
    ([1, 4, 1, 6, 0, "CLIP"], None),
    (None, None),
]


@pytest.mark.parametrize(("link", "said"), BROKEN_LINKS)
def test_a_link_that_makes_no_sense_is_told_and_the_rest_is_read(link: Any, said: str | None) -> None:
    canvas = text_to_image()
    canvas.links.append(link)
    loaded = load(canvas)
    messages = [problem.message for problem in loaded.problems]
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["3"].inputs["model"] == Slot("4", 0)
    if said is not None:
        assert any(said in message for message in messages), messages
        assert all(problem.place.line is not None for problem in loaded.problems)


def test_an_input_whose_link_is_not_there_is_told_with_its_node() -> None:
    canvas = text_to_image()
    canvas.nodes[4]["title"] = "the sampler"
    canvas.nodes[4]["inputs"][0]["link"] = 555
    (problem,) = [problem for problem in load(canvas).problems if problem.severity == "error"]
    assert (problem.code, problem.node, problem.input) == ("unknown_reference", "3", "model")
    assert "'3' (the sampler) names the link 555" in problem.message


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (5, "a node is a mapping with 'id' and 'type', not a whole number"),
        (None, "a node is a mapping"),
        ({"type": "KSampler"}, "a node (KSampler) cannot be called so"),
        ({"id": True, "type": "KSampler"}, "a node (KSampler) cannot be called so"),
        ({"id": [1], "type": "KSampler"}, "a node (KSampler) cannot be called so"),
        ({"id": "a\nb", "type": "KSampler"}, "cannot stand in it"),
        ({"id": 60, "title": "mine"}, "the node '60' (mine) does not say its type"),
        ({"id": 60, "type": 5}, "the node '60' (?) does not say its type"),
        ({"id": 3, "type": "VAEDecode"}, "the node '3' (VAEDecode) has the id of another one, '3' (KSampler)"),
        ({"id": 60, "type": "KSampler", "widgets_values": 5}, "are a list, not a whole number"),
        (
            {"id": 60, "type": "KSampler", "inputs": "none"},
            "'inputs' of the node '60' (KSampler) is a list, not a text",
        ),
        ({"id": 60, "type": "KSampler", "outputs": {}}, "'outputs' of the node '60' (KSampler) is a list"),
    ],
)
def test_a_node_that_makes_no_sense_is_told_and_the_rest_is_read(node: Any, said: str) -> None:
    canvas = text_to_image()
    canvas.nodes.append(node)
    loaded = load(canvas)
    assert any(said in problem.message for problem in loaded.problems), describe(canvas)
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["3"].uses == "KSampler"


def test_many_nodes_are_read_within_the_limits() -> None:
    nodes = [{"id": number, "type": "X"} for number in range(100_000)]
    loaded = load({"nodes": nodes, "links": []})
    assert loaded.problems == ()
    assert loaded.workflow is not None
    assert len(loaded.workflow.nodes) == 100_000


def test_a_long_chain_of_reroutes_is_walked_once() -> None:
    canvas = Canvas()
    canvas.node(0, "CheckpointLoaderSimple", ["tiny"])
    number = 5_000
    for id_ in range(1, number + 1):
        canvas.nodes.append(
            {"id": id_, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": id_}], "outputs": []}
        )
        canvas.links.append([id_, id_ - 1, 1 if id_ == 1 else 0, id_, 0, "CLIP"])
    for id_ in range(number + 1, 2 * number):
        given = [{"name": "clip", "type": "CLIP", "link": id_}]
        canvas.nodes.append({"id": id_, "type": "CLIPTextEncode", "inputs": given, "widgets_values": ["x"]})
        canvas.links.append([id_, 2 * number - id_, 0, id_, 0, "CLIP"])
    found = workflow(canvas)
    assert all(node.inputs["clip"] == Slot("0", 1) for node in found.nodes.values() if node.uses == "CLIPTextEncode")

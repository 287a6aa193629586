"""Inputs and outputs of packs' classes as node types have them."""

from __future__ import annotations

from pathlib import Path

from nodegraph.context import Roots
from nodegraph.registry import Registry
from nodegraph.spec import Choices, InputSpec, Range
from tests.packs.support import GOOD, PACKS, load, pack


def given(packs: Registry, node: str, name: str) -> InputSpec:
    return packs.specs[node].inputs_by_name[name]


def test_our_packs_load_whole(packs: Registry):
    assert packs.broken == ()
    assert {spec.pack for spec in packs.specs.values()} == {
        "builtin", "conventions", "text utils", "7-maths", "switches", "image-grid.nodes", "loops", "second_form",
    }  # fmt: skip
    assert packs.web == {"conventions": PACKS / "conventions/js"}


def test_a_class_says_what_its_node_is(packs: Registry):
    spec = packs.specs["Conv Kinds"]
    assert (spec.display_name, spec.category, spec.summary) == (
        "All kinds of inputs", "conventions/inputs", "Takes inputs of all kinds.",
    )  # fmt: skip
    assert not spec.output_node and packs.specs["ConvShow"].output_node
    assert packs.specs["ConvOnce"].deprecated and packs.specs["ConvIdentified"].experimental
    assert packs.specs["ConvOnce"].keyed_by == packs.specs["ConvIdentified"].keyed_by == {"id"}
    assert packs.specs["ConvHidden"].keyed_by == {"id", "shape"}
    assert packs.specs["ConvJoin"].takes_lists and not packs.specs["ConvSplit"].takes_lists
    assert packs.specs["ConvLater"].is_async and not packs.specs["ConvTwo"].is_async
    assert packs.specs["ConvOpen"].open and not packs.specs["ConvTwo"].open


def test_numbers_have_bounds_and_texts_lines(packs: Registry):
    count, share, text = (given(packs, "Conv Kinds", name) for name in ("count", "share", "text"))
    assert (count.type.wire, count.default, count.range, count.help) == ("INT", 3, Range(0, 10, 2), "how many")
    assert type(share.default) is float and share.range is not None and share.range.min == 0
    assert text.multiline and not text.required
    seed = given(packs, "Conv Kinds", "seed")
    assert seed.control and seed.range == Range(0, 2**64 - 1)
    assert not count.control


def test_types_are_names_unions_or_everything(packs: Registry):
    assert given(packs, "Conv Kinds", "number").type.names == ("INT", "FLOAT")
    assert given(packs, "Conv Kinds", "anything").type.is_any
    assert given(packs, "Conv Kinds", "colour").type.names == ("COLOR",)
    typed = packs.specs["ConvTyped"]
    assert [each.type.wire for each in typed.inputs] == ["FLOAT,INT", "STRING", "*"]
    assert typed.outputs[0].type.wire == "STRING"
    assert given(packs, "MathInt|7", "any").type.is_any


def test_what_must_be_given(packs: Registry):
    required = {each.name for each in packs.specs["Conv Kinds"].inputs if each.required}
    assert required == {"anything"}  # editors fill all others in
    assert given(packs, "ConvJoin", "words").required  # only links arrive there
    assert given(packs, "Conv Kinds", "own").default == 7  # what the function would take
    assert given(packs, "Conv Kinds", "left_out").default is None
    assert given(packs, "Conv Kinds", "mode").default == "plain"


def test_widgets_are_told_from_sockets(packs: Registry):
    widgets = [each.name for each in packs.specs["Conv Kinds"].inputs if each.is_widget]
    assert "wired" not in widgets and "image" not in widgets and "anything" not in widgets
    assert {"count", "mode", "size", "colour", "own"} <= set(widgets)
    assert given(packs, "Conv Kinds", "flag").options["label_on"] == "yes"


def test_choices_are_lists_of_any_values(packs: Registry):
    assert given(packs, "Conv Kinds", "size").choices == (1, 2, 4)
    corner = given(packs, "Conv Kinds", "corner").choices
    assert isinstance(corner, Choices) and list(corner.list(Roots())) == ["left", "right"]


def test_choices_of_files_are_read_again(tmp_path: Path):
    roots = Roots((tmp_path / "input",), models=(tmp_path / "models",))
    packs = load(PACKS, roots=roots)
    lora, image = packs.specs["ConvFiles"].inputs
    assert lora.required and image.required
    assert isinstance(lora.choices, Choices) and isinstance(image.choices, Choices)
    assert list(lora.choices.list(roots)) == []
    for name in ("models/loras/style.safetensors", "input/a.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert list(lora.choices.list(roots)) == ["style.safetensors"]
    assert list(image.choices.list(roots)) == ["a.png"]
    assert lora.choices.path is not None and image.choices.path is not None
    assert lora.choices.path("style.safetensors", roots) == tmp_path / "models/loras/style.safetensors"
    assert lora.choices.path("../style.safetensors", roots) is None
    assert image.choices.upload and image.choices.path("a.png [input]", roots) == tmp_path / "input/a.png"


def test_outputs_have_names_of_their_own(packs: Registry):
    two = packs.specs["ConvTwo"]
    assert [(out.name, out.type.wire, out.help) for out in two.outputs] == [
        ("more", "INT", "one more"), ("less", "INT", ""), ("FLOAT", "FLOAT", ""),
    ]  # fmt: skip
    assert [out.name for out in packs.specs["ConvBlock"].outputs] == ["INT", "INT_2"]
    assert [out.is_list for out in packs.specs["ConvSplit"].outputs] == [True, False]


def test_lazy_and_raw_inputs_are_marked(packs: Registry):
    assert packs.specs["ConvLazy"].lazy_inputs == {"a", "b"}
    assert packs.specs["ConvRaw"].raw_inputs == {"link"}


def test_the_code_of_the_class_counts(packs: Registry):
    digests = {packs.specs[name].source_digest for name in ("ConvTwo", "ConvSplit", "ConvJoin", "SecondSum")}
    assert len(digests) == 4


def test_the_code_of_the_whole_pack_counts(tmp_path: Path):
    pack(tmp_path, "from .helper import go\n" + GOOD.format(name="Good"))
    (tmp_path / "pack/helper.py").write_text("def go():\n    return 1\n")
    digest = load(tmp_path).specs["Good"].source_digest
    assert load(tmp_path).specs["Good"].source_digest == digest
    (tmp_path / "pack/helper.py").write_text("def go():\n    return 2\n")
    assert load(tmp_path).specs["Good"].source_digest != digest

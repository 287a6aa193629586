"""Comparing workflows: a difference is complete, says no more than is different, and knows renamed nodes again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.workflow.diff import diff
from nodegraph.workflow.diff_text import summary, to_lines
from nodegraph.workflow.difference import ABSENT, Change, Difference
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Span, Sweep, Workflow
from nodegraph.workflow.read import load_text
from nodegraph.workflow.write import dump_json, dump_yaml, to_data, value_data
from tests.toys import entry, registry, workflow
from tests.workflow.support import workflow_of
from tests.workflow.test_write import workflows

TYPES = registry().specs
HELLO = """\
nodegraph: 1
name: hello
params: {seed: 7}
nodes:
  model: {uses: Loader, with: {file: tiny}}
  good: {uses: Encode, with: {clip: $model.clip, text: a star}}
  bad: {uses: Encode, with: {clip: $model.clip, text: ""}}
  latent: {uses: Sample, with: {model: $model.model, positive: $good, negative: $bad, seed: $seed, steps: 20, cfg: 4}}
  picture: {uses: Decode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: Save, with: {images: $picture, prefix: hello}}
outputs: {picture: $picture}
layout: {model: [0, 0]}
"""


def between(old: str, new: str) -> Difference:
    return diff(workflow_of(old), workflow_of(new))


def edited(*edits: tuple[str, str]) -> Difference:
    """What HELLO and HELLO with texts replaced differ in."""
    text = HELLO
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    return between(HELLO, text)


def lines(difference: Difference) -> list[str]:
    return [line.text for line in to_lines(difference)]


def renamed(document: Workflow, names: Mapping[str, str]) -> Workflow:
    """The workflow with new names for nodes, also in references."""

    def value(given: Any) -> Any:
        if isinstance(given, Ref | Slot):
            return replace(given, name=names.get(given.name, given.name))
        if isinstance(given, tuple):
            return tuple(value(item) for item in given)
        return {key: value(item) for key, item in given.items()} if isinstance(given, Mapping) else given

    nodes = {
        names.get(name, name): replace(
            node, id=names.get(name, name), inputs={key: value(item) for key, item in node.inputs.items()}
        )
        for name, node in document.nodes.items()
    }
    return replace(document, nodes=nodes, outputs={name: value(ref) for name, ref in document.outputs.items()})


def shuffled(document: Workflow, order: Callable[[list[Any]], list[Any]]) -> Workflow:
    """The workflow with its nodes, inputs, parameters and outputs in another order."""

    def mixed(mapping: Mapping[str, Any]) -> dict[str, Any]:
        return {key: mapping[key] for key in order(list(mapping))}

    nodes = {name: replace(node, inputs=mixed(node.inputs)) for name, node in mixed(document.nodes).items()}
    return replace(document, nodes=nodes, params=mixed(document.params), outputs=mixed(document.outputs), layout={})


@st.composite
def graphs(draw: st.DrawFn, prefix: str = "n", most: int = 8) -> Workflow:
    """Small graphs of few types and values, so that many nodes look alike; some run in a circle."""
    size = draw(st.integers(0, most))
    names = [f"{prefix}{number}" for number in range(size)]
    link = st.builds(Ref, st.sampled_from(names), st.sampled_from([None, "x"])) if names else st.just(1)
    value = st.one_of(st.integers(0, 2), link, st.tuples(link, st.booleans()))
    inputs = st.dictionaries(st.sampled_from("abc"), value, max_size=3)
    uses = st.sampled_from(["T", "U"])
    return Workflow({name: NodeEntry(name, draw(uses), draw(inputs)) for name in names})


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Workflow, Workflow]:
    """Two small graphs, of which the second has some of the names of the first, or all its nodes renamed."""
    old = draw(graphs())
    new = draw(st.one_of(graphs(), graphs("m"), st.just(old)))
    names = {name: f"new_{name}" for name in new.nodes if draw(st.booleans())}
    return old, renamed(new, names)


def patched(old: Workflow, difference: Difference) -> dict[str, Any]:
    """The nodes of the new workflow, as data, made from the old ones and the difference."""
    changes = {change.old: change for change in difference.nodes}
    gone = {node.id for node in difference.removed}
    nodes: dict[str, Any] = {node.id: {"uses": node.uses, "with": dict(node.inputs)} for node in difference.added}
    for name, node in old.nodes.items():
        if name in gone:
            continue
        inputs = {key: value_data(value, difference.renamed) for key, value in node.inputs.items()}
        change = changes.get(name)
        for edit in change.inputs if change else ():
            inputs.pop(edit.name, None)
            if edit.new is not ABSENT:
                inputs[edit.name] = edit.new
        nodes[change.new if change else name] = {"uses": change.new_uses if change else node.uses, "with": inputs}
    return nodes


@given(pairs())
def test_the_old_nodes_with_the_difference_are_the_new_nodes(two: tuple[Workflow, Workflow]):
    old, new = two
    wanted: Any = to_data(new)["nodes"]
    assert patched(old, diff(old, new)) == {name: {"with": {}} | node for name, node in wanted.items()}


@given(workflows())
def test_a_workflow_does_not_differ_from_itself_in_whatever_format(document: Workflow):
    assert not diff(document, document)
    for text in (dump_yaml(document), dump_json(document)):
        again = load_text(text).workflow
        assert again is not None
        difference = diff(document, again)
        assert difference == Difference(nodes=difference.nodes)
        assert difference.changed == ()  # ids that only API-format files can have are replaced


@given(pairs(), st.randoms(use_true_random=False))
def test_order_does_not_count(two: tuple[Workflow, Workflow], random: Any):
    def order(items: list[Any]) -> list[Any]:
        return random.sample(items, len(items))

    old, new = two
    assert not diff(old, shuffled(old, order))
    first, second = diff(old, new), diff(shuffled(old, order), shuffled(new, order))
    assert as_sets(first) == as_sets(second)


def as_sets(difference: Difference) -> list[Any]:
    """A difference without the order of its parts."""
    nodes = {
        (node.old, node.new): (node.old_uses, node.new_uses, {edit.name: edit for edit in node.inputs})
        for node in difference.nodes
    }
    return [{node.id for node in difference.added}, {node.id for node in difference.removed}, nodes]


@given(pairs())
def test_what_is_added_one_way_is_removed_the_other_way(two: tuple[Workflow, Workflow]):
    old, new = two
    there, back = diff(old, new), diff(new, old)
    assert len(there.added) == len(back.removed)
    assert len(there.removed) == len(back.added)
    assert bool(there) == bool(back)


@st.composite
def edits(draw: st.DrawFn) -> tuple[Workflow, Workflow, dict[str, str], set[str], set[str], set[str]]:
    """A graph, and it with nodes renamed, changed, removed and added: (old, new, renames, changed, removed, added)."""
    size = draw(st.integers(1, 12))
    nodes: dict[str, NodeEntry] = {}
    for number in range(size):
        sources = draw(st.lists(st.sampled_from(list(nodes)), max_size=3)) if nodes else []
        links = {f"in{i}": Ref(source) for i, source in enumerate(sources)}
        uses = draw(st.sampled_from(["T", "U"]))
        nodes[f"n{number}"] = NodeEntry(f"n{number}", uses, {"mark": number, "size": f"size {number}", **links})
    old = Workflow(nodes)
    used = {value.name for node in nodes.values() for value in node.inputs.values() if isinstance(value, Ref)}
    removed = {name for name in nodes if name not in used and draw(st.integers(0, 3)) == 0}
    kept = [name for name in nodes if name not in removed]
    changed = {name for name in kept if draw(st.integers(0, 3)) == 0}
    renames = {name: f"new_{name}" for name in kept if draw(st.booleans())}
    after = {name: nodes[name] for name in kept}
    for name in changed:
        after[name] = replace(nodes[name], inputs={**nodes[name].inputs, "size": f"new size {name}"})
    added = {f"more{number}" for number in range(draw(st.integers(0, 3)))}
    for name in sorted(added):
        after[name] = NodeEntry(name, "V", {"mark": name})
    return old, renamed(Workflow(after), renames), renames, changed, removed, added


@given(edits())
def test_renames_and_edits_are_found_again(case: tuple[Any, ...]):
    old, new, renames, changed, removed, added = case
    difference = diff(old, new)
    assert difference.renamed == renames
    assert {node.old for node in difference.changed} == changed
    assert all([edit.name for edit in node.inputs] == ["size"] for node in difference.changed)
    assert {node.id for node in difference.removed} == removed
    assert {node.id for node in difference.added} == added


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (("steps: 20", "steps: 30"), "~     steps: 20 → 30"),
        (("steps: 20", "steps: 20.0"), "~     steps: 20 → 20.0"),
        (("cfg: 4", 'cfg: "4"'), '~     cfg: 4 → "4"'),
        ((", cfg: 4", ""), "-     cfg: 4"),
        (("cfg: 4", "cfg: 4, denoise: 0.5"), "+     denoise: 0.5"),
        (("steps: 20", "steps: null"), "~     steps: 20 → null"),
        (("seed: $seed", "seed: 7"), "~     seed: $seed → 7"),
        (("vae: $model.vae", "vae: $model.clip"), "~     vae: $model.vae → $model.clip"),
        (("uses: Decode", "uses: DecodeTiled"), "~ node picture: Decode → DecodeTiled"),
        (("uses: Save", "title: Result, uses: Save"), "+     title: Result"),
        (("uses: Save", "cache: off, uses: Save"), '~     cache: auto (default) → "off"'),
        (("{seed: 7}", "{seed: 8}"), "~     default: 7 → 8"),
        (("{seed: 7}", "{seed: {type: INT}}"), "-     default: 7"),
        (("{seed: 7}", "{seed: {default: 7, max: 9}}"), "+     max: 9"),
        (("{seed: 7}", "{seed: 7, steps: 2}"), "+ param steps: 2"),
        (("{picture: $picture}", "{picture: $latent}"), "~ output picture: $picture → $latent"),
        (("{picture: $picture}", "{}"), "- output picture: $picture"),
        (("name: hello", "name: bye"), "~ name: hello → bye"),
        (("name: hello\n", ""), "- name: hello"),
        (("name: hello", "name: hello\ndescription: Says so."), "+ description: Says so."),
    ],
)
def test_one_edit_is_one_change(edit: tuple[str, str], line: str):
    difference = edited(edit)
    inner = [text for text in lines(difference) if not text.startswith(("~ node", "~ param"))]
    assert (inner or lines(difference)) == [line]
    assert between(HELLO.replace(*edit), HELLO)


@pytest.mark.parametrize(
    "edit",
    [
        ("layout: {model: [0, 0]}", "layout: {model: [7, 7], save: [1, 1]}"),
        ("seed: $seed, steps: 20", "steps: 20, seed: $seed"),
        ("$model.clip", "$model.CLIP"),
        ("text: a star}}", 'text: "a star"}} # a remark'),
        ("samples: $latent", "samples: $latent.0"),
        ("cfg: 4", "cfg: 0o4"),
        ("{seed: 7}", "{seed: {type: INT, default: 7}}"),
        ("uses: Save", "cache: auto, uses: Save"),
    ],
)
def test_what_means_the_same_is_no_difference(edit: tuple[str, str]):
    assert not edited(edit)
    assert lines(edited(edit)) == []


def test_a_renamed_node_is_one_rename_and_changes_nothing_in_those_that_use_it():
    difference = edited(("  model:", "  checkpoint:"), ("$model", "$checkpoint"))
    assert lines(difference) == ["> node model → checkpoint: Loader"]
    assert summary(difference) == "1 node renamed"
    assert difference.changed == ()


def test_nodes_that_are_renamed_and_changed_at_once_are_known_by_their_neighbours():
    difference = edited(
        ("  good:", "  prompt:"),
        ("$good", "$prompt"),
        ("a star", "a heart"),
        ("  bad:", "  avoid:"),
        ("$bad", "$avoid"),
        ('""', "blurred"),
        ("tiny", "large"),
        ("model: {uses", "checkpoint: {uses"),
        ("$model.", "$checkpoint."),
    )
    assert difference.renamed == {"model": "checkpoint", "good": "prompt", "bad": "avoid"}
    assert [[edit.name for edit in node.inputs] for node in difference.changed] == [["file"], ["text"], ["text"]]
    assert difference.added == difference.removed == ()


def test_doubles_are_told_apart_by_what_uses_them():
    numbers = [entry("p", "Number", value=5), entry("q", "Number", value=5)]
    old = workflow(*numbers, entry("c", "Add", left="$p", right=1), entry("d", "Add", left="$q", right=2))
    names = {"p": "z", "q": "a", "c": "one", "d": "two"}
    assert diff(old, renamed(old, names)) == Difference(nodes=diff(old, renamed(old, names)).nodes)
    assert diff(old, renamed(old, names)).renamed == names
    assert diff(old, renamed(old, names)).changed == ()
    twins = workflow(*numbers, entry("c", "Add", left="$p"), entry("d", "Add", left="$q"))
    crossed = workflow(*numbers, entry("e", "Add", left="$q"), entry("f", "Add", left="$p"))
    assert diff(twins, renamed(crossed, {"p": "r", "q": "s"})).changed == ()


def test_nodes_with_nothing_in_common_are_removed_and_added():
    difference = edited(("  save: {uses: Save, with: {images: $picture, prefix: hello}}", "  mail: {uses: Mail}"))
    assert lines(difference) == [
        "- node save: Save",
        "-     images: $picture",
        "-     prefix: hello",
        "+ node mail: Mail",
    ]
    assert summary(difference) == "1 node added, 1 removed"


def test_a_match_that_might_as_well_be_another_is_not_made():
    old = workflow(entry("a", "Words", text="x", style="loud"))
    new = workflow(entry("b", "Words", text="y", style="loud"), entry("c", "Words", text="z", style="loud"))
    difference = diff(old, new)
    assert [node.id for node in difference.removed] == ["a"]
    assert [node.id for node in difference.added] == ["b", "c"]


def test_a_name_that_was_given_to_another_type_is_a_change_of_type_unless_the_node_lives_on_elsewhere():
    difference = edited(("picture: {uses: Decode", "picture: {uses: Other"))
    assert difference.renamed == {}
    assert lines(difference) == ["~ node picture: Decode → Other"]
    moved = HELLO.replace("  picture: {uses: Decode", "  picture: {uses: Other, with: {x: 1}}\n  old: {uses: Decode")
    assert between(HELLO, moved).renamed == {"picture": "old"}


def test_defaults_of_known_types_need_not_be_written():
    left_out = workflow(entry("a", "Scale", value=1.0), entry("b", "Words"), entry("c", "Carve", wood="$a"))
    given = workflow(
        entry("a", "Scale", value=1, by=2), entry("b", "Words", text=""), entry("c", "Carve", wood="$a", deep=None)
    )
    assert not diff(left_out, given, TYPES)
    assert diff(left_out, given)
    changed = diff(left_out, workflow(entry("a", "Scale", value=1.0, by=3), *list(given.nodes.values())[1:]), TYPES)
    assert changed.nodes[0].inputs == (Change("by", 2.0, 3, "old"),)
    assert lines(changed) == ["~ node a: Scale", "~     by: 2.0 (default) → 3"]


def test_types_of_values_count_where_an_input_does_not_say_otherwise():
    values = (1, 1.0, True, "1", None, ("1",), {"a": 1})
    documents = [workflow(entry("a", "Anything", value=value)) for value in values]
    for i, old in enumerate(documents):
        for j, new in enumerate(documents):
            assert bool(diff(old, new, TYPES)) == (i != j)


def test_an_output_is_the_same_by_name_by_number_and_as_the_only_one():
    def using(**inputs: Any) -> Workflow:
        return workflow(entry("s", "Split", text="ab"), entry("n", "Number"), entry("p", "Anything", **inputs))

    assert not diff(using(value=Slot("s", 1)), using(value="$s.REST"), TYPES)
    assert not diff(using(value=Slot("n", 0)), using(value="$n.int"), TYPES)
    assert not diff(using(value="$n"), using(value="$n.int"), TYPES)
    assert diff(using(value=Slot("s", 1)), using(value="$s.first"), TYPES)
    assert diff(using(value=Slot("s", 1)), using(value="$s.rest"))


def test_a_new_type_whose_outputs_have_the_same_names_leaves_links_as_they_are():
    def of(uses: str) -> Workflow:
        return workflow(entry("s", uses, text="ab"), entry("p", "Pass", value="$s.rest"))

    difference = diff(of("Split"), of("Unknown"), TYPES)
    assert [(node.old, node.is_changed, node.inputs) for node in difference.nodes] == [("s", True, ())]


def test_a_sweep_is_a_key_under_the_name_that_files_have():
    def swept(sweep: Sweep | None) -> Workflow:
        return workflow(replace(entry("a", "Number"), sweep=sweep))

    plain, zipped = swept(None), swept(Sweep(True, {"value": (1, 2, 3)}))
    assert lines(diff(plain, zipped))[1:] == ["+     foreach: {value: [1, 2, 3]}"]
    assert lines(diff(zipped, swept(Sweep(False, {"value": (1, 2)}))))[1:] == [
        "-     foreach: {value: [1, 2, 3]}",
        "+     matrix: {value: [1, 2]}",
    ]
    assert not diff(zipped, swept(Sweep(True, {"value": Span(1, 3)})))
    two = {"value": (1, 2), "other": (3, 4)}
    assert not diff(swept(Sweep(True, two)), swept(Sweep(True, dict(reversed(two.items())))))
    # The order of a matrix says what varies slowest.
    assert diff(swept(Sweep(False, two)), swept(Sweep(False, dict(reversed(two.items())))))


def test_the_sweep_of_a_workflow_names_nodes_too():
    old = replace(workflow(entry("a", "Number", value=3)), sweep=Sweep(False, {"a.value": (1, 2)}))
    new = replace(workflow(entry("b", "Number", value=3)), sweep=Sweep(False, {"b.value": (1, 2)}))
    assert lines(diff(old, new)) == ["> node a → b: Number"]
    assert lines(diff(old, replace(new, sweep=None))) == ["- matrix: {a.value: [1, 2]}", "> node a → b: Number"]


def test_workflows_with_mistakes_can_be_compared():
    circle = workflow(entry("a", "Pass", value="$b"), entry("b", "Pass", value="$a"), entry("c", "Pass", value="$none"))
    assert not diff(circle, circle, TYPES)
    turned = diff(circle, renamed(circle, {"a": "x", "b": "y", "c": "z"}))
    assert turned.renamed.keys() == {"a", "b", "c"}
    assert turned.changed == ()


def test_a_difference_is_json_data():
    difference = edited(("{seed: 7}", "{seed: 8, more: 1}"), ("steps: 20", "steps: 30"), ("  save:", "  keep:"))
    data = json.loads(json.dumps(difference.to_json()))
    assert data["same"] is False
    assert data["params"]["added"] == [{"name": "more", "new": 1}]
    assert data["params"]["changed"] == [{"name": "seed", "keys": [{"name": "default", "old": 7, "new": 8}]}]
    assert data["nodes"]["renamed"] == [{"old": "save", "new": "keep"}]
    (node,) = data["nodes"]["changed"]
    assert (node["old"], node["inputs"]) == ("latent", [{"name": "steps", "old": 20, "new": 30}])
    assert between(HELLO, HELLO).to_json()["same"] is True


def test_long_values_are_shown_where_they_part():
    start = "a long prompt that goes on and on, with many words that say nothing new, "
    old, new = (HELLO.replace("a star", f"'{start}{colour} heart'") for colour in ("red", "green"))
    assert lines(between(old, new))[1] == "~     text: …othing new, red heart → …othing new, green heart"
    (_, line) = lines(between(HELLO, old))
    assert line == f"~     text: a star → {start[:59]}…"


def deep(edit: Callable[[int], Mapping[str, Any]] = lambda number: {}) -> Workflow:
    """Nodes in a row, more than Python can recurse."""
    rows = [{"value": f"$n{number - 1}", "of": number % 7} if number else {"of": 0} for number in range(3_000)]
    return workflow(*(entry(f"n{i}", "Pass", **{**row, **edit(i)}) for i, row in enumerate(rows)))


def test_a_deep_graph_is_compared_whatever_has_become_of_it():
    old = deep()
    names = {name: f"new_{name}" for name in old.nodes}
    for edit in (
        lambda i: {},
        lambda i: {"of": "first"} if i == 0 else {},
        lambda i: {"of": "x"} if i % 10 == 5 else {},
    ):
        new = deep(edit)
        edited_nodes = [f"n{i}" for i in range(3_000) if edit(i)]
        difference = diff(old, renamed(new, names))
        assert difference.renamed == names
        assert [node.old for node in difference.changed] == edited_nodes

"""The shape of a document: names, keys, references, versions; every mistake of a file at once."""

from __future__ import annotations

import pytest

from nodegraph.workflow.document import Ref, Slot, Template
from tests.workflow.support import HEAD, codes, node_with, only, pointed_at, read, workflow_of

EXAMPLE = """\
# yaml-language-server: $schema=…
nodegraph: 1
name: Hello
description: |
  The first workflow
params:
  prompt: a red star at night under the stars
  seed: 7
nodes:
  model:
    uses: CheckpointLoaderSimple
    with: {ckpt_name: tiny}
  positive:
    uses: CLIPTextEncode
    title: What to draw
    note: the prompt comes from outside
    cache: off
    with: {clip: $model.clip, text: $prompt}
  save:
    uses: SaveImage
    with:
      images: $positive
      filename_prefix: "hello ${seed}: $$5"
outputs:
  image: $save
layout: {model: [0, 0], positive: [260.5, -3]}
"""


def test_the_whole_of_a_document() -> None:
    workflow = workflow_of(EXAMPLE)
    assert (workflow.name, workflow.description, workflow.version) == ("Hello", "The first workflow\n", 1)
    assert (workflow.file, workflow.text) == ("w.yaml", EXAMPLE)
    assert list(workflow.params) == ["prompt", "seed"]
    assert list(workflow.nodes) == ["model", "positive", "save"]
    positive = workflow.nodes["positive"]
    assert (positive.uses, positive.title, positive.cache) == ("CLIPTextEncode", "What to draw", "off")
    assert positive.note == "the prompt comes from outside"
    assert positive.inputs == {"clip": Ref("model", "clip"), "text": Ref("prompt")}
    assert workflow.nodes["save"].inputs["filename_prefix"] == Template(("hello ", Ref("seed"), ": $5"))
    assert workflow.outputs == {"image": Ref("save")}
    assert workflow.layout == {"model": (0, 0), "positive": (260.5, -3)}


def test_every_place_points_at_its_token() -> None:
    workflow = workflow_of(EXAMPLE)
    for node in workflow.nodes.values():
        for place, token in [(node.place, node.id), (node.uses_place, node.uses)]:
            assert place.text is not None
            assert place.column is not None
            assert place.text[place.column - 1 :].startswith(token)
        for name, value in node.inputs.items():
            at, key_at = node.places[name], node.key_places[name]
            assert at.line is not None
            assert at.column is not None
            assert key_at.column is not None
            assert at.text is not None
            source = EXAMPLE.splitlines()
            assert source[at.line - 1] == at.text
            assert at.text[key_at.column - 1 :].startswith(f"{name}:")
            written = at.text[at.column - 1 :]
            assert written.startswith(('"hello', str(value)))
    save = workflow.output_places["image"]
    assert (save.line, save.column) == (25, 10)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("$a", Ref("a")),
        ("$a.b", Ref("a", "b")),
        ("$a-b_1.C", Ref("a-b_1", "C")),
        ("$a.0", Slot("a", 0)),
        ("$a.12", Slot("a", 12)),
        ("$$a", "$a"),
        ("$$$a", "$$a"),
        ("$$$$", "$$"),
        ("$", "$"),
        ("$5", "$5"),
        ("$$5", "$5"),
        ("cost: $5", "cost: $5"),
        ("$a.b.c", "$a.b.c"),
        ("$foo bar", "$foo bar"),
        (" $foo", " $foo"),
        ("$foo\n", "$foo\n"),
        ("$a.", "$a."),
        ("$é", "$é"),
        ("100$", "100$"),
        ("${a}", Template((Ref("a"),))),
        ("${a}${b}", Template((Ref("a"), Ref("b")))),
        ("x ${a} y", Template(("x ", Ref("a"), " y"))),
        ("$${a}", "${a}"),
        ("$$${a}", Template(("$", Ref("a")))),
        ("${a}$${b} $c", Template((Ref("a"), "${b} $c"))),
        ("{a}", "{a}"),
        ("$ {a}", "$ {a}"),
    ],
)
def test_what_a_dollar_means(written: str, value: object) -> None:
    import json

    assert node_with(f"{{x: {json.dumps(written)}}}").inputs["x"] == value


@pytest.mark.parametrize(
    ("written", "piece"),
    [("${", "${"), ("a ${b", "${b"), ("${}", "${}"), ("${ b }", "${ b }"), ("${b.c}", "${b.c}"),
     ("x ${params.b}", "${params.b}"),
     ("${5}", "${5}"), ("${a b}", "${a b}"), ("${a${b}}", "${a"), ("${__proto__ }", "${__proto__ }"),
     ("${é}", "${é}")],
)  # fmt: skip
def test_a_brace_after_a_dollar_must_hold_a_name(written: str, piece: str) -> None:
    loaded = read(f'{HEAD}    with: {{ok: 1, x: "{written}"}}\n')
    problem = only(loaded)
    assert (problem.code, problem.node, problem.input) == ("bad_reference", "a", "x")
    assert pointed_at(problem).startswith(piece)
    assert problem.hint is not None
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].inputs == {"ok": 1}


def test_a_bad_reference_inside_a_list() -> None:
    problem = only(read(f"{HEAD}    with:\n      x:\n        - 1\n        - [2, 'a ${{b']\n"))
    assert (problem.place.line, problem.place.column) == (8, 18)


@pytest.mark.parametrize(
    "name",
    ["__proto__", "constructor", "prototype", "", "a.b", "a/b", "a b", "a$b", "1a", "-a", "é", "a\u202eb",
     "a\\0b", "x" * 65,
     "x" * 1000, "a\\n", "../a", "<img src=x onerror=alert(1)>", "\u200bname"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["nodes", "params", "outputs"])
def test_names_that_cannot_be_used(name: str, where: str) -> None:
    entry = {"nodes": "{uses: X}", "params": "1", "outputs": "$a"}[where]
    rest = "" if where == "nodes" else "nodes: {}\n"
    problem = only(read(f'nodegraph: 1\n{rest}{where}:\n  "{name}": {entry}\n'))
    assert problem.code == "bad_name"
    assert problem.place.text is not None
    assert pointed_at(problem).startswith(f'"{name[:10]}')
    assert len(problem.message) < 250
    # Nothing invisible reaches a terminal by way of the message.
    assert problem.describe().isprintable()


@pytest.mark.parametrize("name", ["a", "_", "A-b_9", "x" * 64, "on", "no", "null_", "proto"])
def test_names_that_can(name: str) -> None:
    assert list(workflow_of(f"nodegraph: 1\nnodes:\n  {name}: {{uses: X}}\n").nodes) == [name]


def test_a_name_of_ten_kilobytes() -> None:
    assert only(read('{"nodegraph": 1, "nodes": {"' + "x" * 10_000 + '": {"uses": "X"}}}')).code == "too_large"


def test_parameters_and_nodes_share_their_names() -> None:
    problem = only(read("nodegraph: 1\nparams:\n  seed: 1\nnodes:\n  seed: {uses: X}\n"))
    assert (problem.code, problem.place.line, problem.place.column) == ("name_taken", 5, 3)
    assert "line 3" in problem.message


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("nodes: {}\n", "missing_key", "nodegraph: 1"),
        ("nodegraph: 1\n", "missing_key", "nodes:"),
        ("nodegraph: 2\nnodes: {}\n", "unsupported_version", "newer"),
        ("nodegraph: '1'\nnodes: {}\n", "unsupported_version", "nodegraph: 1"),
        ("nodegraph: true\nnodes: {}\n", "unsupported_version", "nodegraph: 1"),
        ("nodegraph: 1.0\nnodes: {}\n", "unsupported_version", "nodegraph: 1"),
        ("nodegraph: [1]\nnodes: {}\n", "unsupported_version", "nodegraph: 1"),
        ("nodegraph: 1\nnodes: {}\nparms: {}\n", "unknown_key", "'params'"),
        ("nodegraph: 1\nnodes: {}\nzzz: {}\n", "unknown_key", "layout"),
        ("node: {}\n", "not_a_workflow", "'node'"),
        ("[1, 2]\n", "not_a_workflow", None),
        ("hello\n", "not_a_workflow", None),
        ("{}\n", "not_a_workflow", None),
        ("nodegraph: 1\nnodes: [a]\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes: 3\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes:\n  a: KSampler\n", "wrong_kind", "uses: KSampler"),
        ("nodegraph: 1\nnodes:\n  a:\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes:\n  a: {}\n", "missing_key", "uses"),
        ("nodegraph: 1\nnodes:\n  a: {uses: ''}\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes:\n  a: {uses: 3}\n", "wrong_kind", "quotes"),
        ("nodegraph: 1\nnodes:\n  a: {uses: X, wiht: {}}\n", "unknown_key", "'with'"),
        ("nodegraph: 1\nnodes:\n  a: {uses: X, with: [1]}\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes:\n  a: {uses: X, title: 3}\n", "wrong_kind", "quotes"),
        ("nodegraph: 1\nnodes:\n  a: {uses: X, cache: false}\n", "not_a_choice", "cache: off"),
        ("nodegraph: 1\nnodes:\n  a: {uses: X, cache: never}\n", "not_a_choice", None),
        ("nodegraph: 1\nnodes: {}\nname: 3\n", "wrong_kind", "quotes"),
        ("nodegraph: 1\nnodes: {}\noutputs: {x: picture}\n", "bad_reference", "$picture"),
        ("nodegraph: 1\nnodes: {}\noutputs: {x: 3}\n", "bad_reference", "$NODE"),
        ("nodegraph: 1\nnodes: {}\noutputs: {x: '${a}'}\n", "bad_reference", "$NODE"),
        ("nodegraph: 1\nnodes: {}\nlayout: {a: [1]}\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes: {}\nlayout: {a: [1, '2']}\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes: {}\nlayout: {a: [true, 2]}\n", "wrong_kind", None),
        ("nodegraph: 1\nnodes: {}\nlayout: [1]\n", "wrong_kind", None),
    ],
)
@pytest.mark.usefixtures("parser")
def test_a_mistake_in_the_shape(text: str, code: str, hint: str | None) -> None:
    problem = only(read(text))
    assert problem.code == code
    assert problem.place.line is not None
    if hint is not None:
        assert hint in (problem.hint or problem.message)


@pytest.mark.parametrize("key", ["params", "outputs", "layout", "name", "description"])
def test_keys_may_be_empty(key: str) -> None:
    assert workflow_of(f"{HEAD}    with:\n    title:\n{key}:\n").nodes["a"].inputs == {}


def test_all_mistakes_of_a_file_at_once_in_the_order_of_their_places() -> None:
    text = """\
nodegraph: 1
titel: x
params:
  steps: {type: INT, default: 1.5}
  "bad name": 1
nodes:
  a:
    uses: X
    with: {x: .nan, x: 2, "y": "${", z: !!python/none x}
    wth: {}
  b: {}
  a.b: {uses: 1}
  steps: {uses: X}
layout: {a: 1}
nodes: {}
"""
    loaded = read(text)
    assert [(p.code, p.place.line) for p in loaded.problems] == [
        ("unknown_key", 2), ("bad_param", 4), ("bad_name", 5), ("bad_number", 9), ("duplicate_key", 9),
        ("bad_reference", 9),
        ("unsupported_yaml", 9), ("unknown_key", 10), ("missing_key", 11), ("bad_name", 12),
        ("wrong_kind", 12),
        ("name_taken", 13), ("wrong_kind", 14), ("duplicate_key", 15),
    ]  # fmt: skip
    assert loaded.workflow is not None
    assert list(loaded.workflow.nodes) == ["a", "b", "a.b", "steps"]
    assert "titel" in loaded.problems[0].render()


def test_problems_name_the_file_line_column_and_show_a_caret() -> None:
    problem = only(read("nodegraph: 1\nnodes:\n  a:\n    uses: X\n    wiht: {}\n"))
    assert problem.render().splitlines() == [
        "w.yaml:5:5: a node has no key 'wiht'; did you mean 'with'?",
        "        wiht: {}",
        "        ^",
    ]


def test_a_workflow_of_another_version_is_not_read() -> None:
    assert read("nodegraph: 2\nnodes: 5\nwhatever: 1\n").workflow is None
    assert codes(read("nodegraph: 2\nnodes: 5\nwhatever: 1\n")) == ["unsupported_version"]

"""Writing: what is written reads back as the same workflow, and is pleasant to read."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.errors import Place, ProblemError
from nodegraph.workflow.document import (
    Group,
    Look,
    NodeEntry,
    Note,
    Param,
    Ref,
    Slot,
    Span,
    Sweep,
    Template,
    Workflow,
)
from nodegraph.workflow.read import load_text
from nodegraph.workflow.write import dump_json, dump_yaml
from tests.workflow.support import codes, workflow_of


def without_places(workflow: Workflow) -> Workflow:
    """The workflow as if it had been built in code."""
    nodes = {
        name: replace(
            node,
            place=Place(),
            uses_place=Place(),
            places=MappingProxyType({}),
            key_places=MappingProxyType({}),
            sweep=sweep_without_places(node.sweep),
        )
        for name, node in workflow.nodes.items()
    }
    params = {name: replace(param, place=Place()) for name, param in workflow.params.items()}
    return replace(
        workflow,
        nodes=MappingProxyType(nodes),
        params=MappingProxyType(params),
        output_places=MappingProxyType({}),
        file=None,
        text=None,
        sweep=sweep_without_places(workflow.sweep),
    )


def sweep_without_places(sweep: Sweep | None) -> Sweep | None:
    return Sweep(sweep.zipped, sweep.values) if sweep is not None else None


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,12}", fullmatch=True)
# What YAML is known to misread, and texts of several lines of which not all can be blocks.
AWKWARD = [
    "on", "no", "yes", "y", "~", "null", "true", "1:30", "010", "0x1F", "1e3", "1_000", "2026-11-22", ".5",
    "-", "- a", "---", "...", "a: b", "a #b", "a:", " a", "a ", "", "=", "<<", "a\n", "a\n\nb", "\n",
    "a\n b\n\n", "1.", "+1", ".inf", ".nan", "-.5", "$a", "${a}", "$$", "a\n  \nb", "# x\ny", "0b1", "12e03",
    "!x", "2001-12-14t21:59:43.10-05:00", "Null", "OFF", "a\n\n", "a\nb\n\n", "a\n  ", "a\n  \n",
    "a\n  \nb\n", " a\nb", "\na\nb", "\ta\nb", "a\n\tb", "a\r\nb", "a\x00\nb", "a\n# b\n", "- a\n- b",
    "'a'\nb", "a\u2028\nb", "a \nb", "a\n\n\nb", "%a\nb", "---\na", "a\n---\nb", "a\n...\nb", "{a\nb",
    "x" * 300 + "\ny",
]  # fmt: skip
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text(st.sampled_from(list("$ {}[]:,#&*!|>'\"%@`-?\\\n\t\r x1.~=<_\x85\u2028\ufeff\x00\x7f🌟")), max_size=12),
    st.sampled_from(AWKWARD),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**64 - 1)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)
references = st.builds(Ref, names, st.none() | names.filter(lambda name: not name.isdigit()))
slots = st.builds(Slot, names, st.integers(0, 99))
literals = texts.filter(bool)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Texts with parameters in them; two literal pieces never meet."""
    parts: list[str | Ref] = [draw(st.builds(Ref, names))]
    for _ in range(draw(st.integers(0, 2))):
        if draw(st.booleans()):
            parts.append(draw(literals))
        parts.append(draw(st.builds(Ref, names)))
    before, after = draw(st.one_of(st.just(""), literals)), draw(st.one_of(st.just(""), literals))
    return Template(tuple(part for part in (before, *parts, after) if part))


values = st.recursive(
    st.one_of(scalars, references, slots, templates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(texts, inner, max_size=3).map(MappingProxyType),
    ),
    max_leaves=6,
)


@st.composite
def params(draw: st.DrawFn) -> Param:
    """Declarations that do not contradict themselves."""
    name, description = draw(names), draw(texts)
    kind = draw(st.sampled_from(["STRING", "INT", "FLOAT", "BOOLEAN", "ANY"]))
    required = draw(st.booleans())
    if kind in ("INT", "FLOAT"):
        number = integers if kind == "INT" else floats
        low, value, high = sorted(draw(st.lists(number, min_size=3, max_size=3)))
        low, high = draw(st.sampled_from([low, None])), draw(st.sampled_from([high, None]))
        return Param(name, kind, None if required else value, required, low, high, None, description)  # type: ignore[arg-type]
    default = draw({"STRING": texts, "BOOLEAN": st.booleans(), "ANY": scalars}[kind])
    choices = tuple(draw(st.lists(texts, max_size=2))) if kind == "STRING" else ()
    offered = (*choices, default) if choices else None
    return Param(name, kind, None if required else default, required, None, None, offered, description)  # type: ignore[arg-type]


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Whole numbers at equal steps."""
    first, steps, step = draw(st.integers(-99, 99)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    step = draw(st.sampled_from([-step, step]))
    return Span(first, first + steps * step, step)


series = st.lists(values, min_size=1, max_size=3).map(tuple) | spans()
sweeps = st.none() | st.builds(
    Sweep, st.booleans(), st.dictionaries(texts, series, min_size=1, max_size=3).map(MappingProxyType)
)


points = st.tuples(integers | floats, floats)
colours = st.sampled_from(["", "red", "#fff", "#12aBcD"])
looks = st.builds(Look, st.none() | points, st.booleans(), st.booleans(), colours).filter(lambda look: look != Look())
routes = st.lists(points, min_size=1, max_size=3).map(tuple)
groups = st.lists(
    st.builds(Group, names, st.tuples(floats, floats, floats, floats), colours),
    max_size=2,
    unique_by=lambda group: group.title,
)
notes = st.builds(Note, texts, texts, points, points, colours)


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    ids = draw(st.lists(names, max_size=5, unique=True))
    declared = [param for param in draw(st.lists(params(), max_size=3)) if param.name not in ids]
    nodes = {
        name: NodeEntry(
            name,
            draw(literals),
            MappingProxyType(draw(st.dictionaries(texts, values, max_size=5))),
            draw(st.none() | texts),
            draw(st.none() | texts),
            draw(st.sampled_from(["auto", "memory", "off", "refresh"])),
            sweep=draw(sweeps),
        )
        for name in ids
    }
    return Workflow(
        nodes=MappingProxyType(nodes),
        params=MappingProxyType({param.name: param for param in declared}),
        outputs=MappingProxyType(draw(st.dictionaries(names, references, max_size=2))),
        layout=MappingProxyType(draw(st.dictionaries(names, points, max_size=3))),
        looks=MappingProxyType(draw(st.dictionaries(names, looks, max_size=3))),
        routes=MappingProxyType(draw(st.dictionaries(st.tuples(names, names), routes, max_size=2))),
        groups=tuple(draw(groups)),
        notes=tuple(draw(st.lists(notes, max_size=2))),
        name=draw(st.none() | texts),
        description=draw(texts),
        sweep=draw(sweeps),
    )


@pytest.mark.usefixtures("parser")
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(workflows())
def test_what_was_written_reads_back(workflow: Workflow) -> None:
    for text, format_ in ((dump_yaml(workflow), "yaml"), (dump_json(workflow), "json")):
        loaded = load_text(text, format=format_)  # type: ignore[arg-type]
        assert codes(loaded) == [], text
        assert loaded.workflow is not None
        assert without_places(loaded.workflow) == workflow, text
        assert repr(without_places(loaded.workflow).nodes) == repr(workflow.nodes), "types"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(texts, texts | floats | st.booleans() | integers, max_size=4))
def test_readers_of_yaml_1_1_read_the_same(inputs: dict[str, str | float | bool | int]) -> None:
    plain = {key: value for key, value in inputs.items() if not (isinstance(value, str) and "$" in value)}
    workflow = Workflow(nodes={"a": NodeEntry("a", "X", plain)})
    document = yaml.load(dump_yaml(workflow), Loader=yaml.CSafeLoader)
    read_inputs = document["nodes"]["a"].get("with", {})
    assert read_inputs == plain
    assert repr(read_inputs) == repr(plain)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts_read_back_wherever_they_stand(text: str) -> None:
    value = MappingProxyType({text: text, "list": (text, (text,)), "one": MappingProxyType({text: text})})
    node = NodeEntry("a", "X", MappingProxyType({text: text, "deep": value}), text, text)
    param = Param("p", "STRING", text, choices=(text, "x"), description=text)
    last = NodeEntry("b", "X", MappingProxyType({"last": text}))
    workflow = Workflow({"a": node, "b": last}, {"p": param}, name=text, description=text)
    for written, format_ in ((dump_yaml(workflow), "yaml"), (dump_json(workflow), "json")):
        loaded = load_text(written, format=format_)  # type: ignore[arg-type]
        assert codes(loaded) == [], written
        assert loaded.workflow is not None
        assert without_places(loaded.workflow) == workflow, written


def test_how_it_looks() -> None:
    text = """\
nodegraph: 1
description: |
  Draws a star.

  Then saves it.
params:
  prompt: a red star, at night
  cfg: 4.0
  seed: {type: INT, default: 7, min: 0}
nodes:
  model:
    uses: CheckpointLoaderSimple
    with: {ckpt_name: tiny}
  positive:
    uses: CLIPTextEncode
    title: What to draw
    with: {clip: $model.clip, text: "${prompt}: costs $$5"}
  latent:
    uses: KSampler
    cache: off
    with:
      model: $model.model
      positive: $positive
      steps: 20
      cfg: $cfg
      on: "no"
      tiny: 1.0e-07
      sizes: [1, 2, "1:30"]
      text: |-
        two
          lines
outputs:
  image: $latent
layout: {model: [0, 0], positive: [260, -1.5]}
"""
    # `off` and `on` are quoted, for the sake of readers of YAML 1.1.
    expected = text.replace("cache: off", 'cache: "off"').replace("      on:", '      "on":')
    assert dump_yaml(workflow_of(text)) == expected


def test_json_is_the_same_document() -> None:
    workflow = workflow_of("nodegraph: 1\nparams: {a: 1}\nnodes: {n: {uses: X, with: {x: $a, y: '$$'}}}\n")
    assert json.loads(dump_json(workflow)) == {
        "nodegraph": 1,
        "params": {"a": 1},
        "nodes": {"n": {"uses": "X", "with": {"x": "$a", "y": "$$"}}},
    }


def test_a_prompt_in_api_format_becomes_a_workflow_of_our_own() -> None:
    prompt = """{"3": {"class_type": "B", "inputs": {"x": ["4", 1], "t": "$5 $a ${b}"}}, "4": {"class_type": "A"},
                 "n4": {"class_type": "C", "inputs": {"y": ["4", 0]}}, "a:b": {"class_type": "D"}}"""
    workflow = workflow_of(dump_yaml(workflow_of(prompt)))
    assert {name: node.uses for name, node in workflow.nodes.items()} == {
        "n3": "B",
        "n4_2": "A",
        "n4": "C",
        "a_b": "D",
    }
    assert workflow.nodes["n3"].inputs == {"x": Slot("n4_2", 1), "t": "$5 $a ${b}"}
    assert workflow.nodes["n4"].inputs == {"y": Slot("n4_2", 0)}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_cannot_be_written(number: float) -> None:
    workflow = Workflow(nodes={"a": NodeEntry("a", "X", {"x": (number,)})})
    for dump in (dump_yaml, dump_json):
        with pytest.raises(ProblemError):
            dump(workflow)

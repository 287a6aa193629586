"""Whatever graph a file holds, it is the same graph in every format: generated over all node types there are."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.context import Roots
from nodegraph.graph.build import check
from nodegraph.graph.converting import NOWHERE, WRITERS
from nodegraph.graph.model import Graph
from nodegraph.sockets.types import accepts
from nodegraph.spec import Choices, InputSpec, NodeSpec
from nodegraph.workflow.document import Mode, NodeEntry, Param, Ref, Slot, Template, Value, Workflow
from nodegraph.workflow.param_values import type_of
from nodegraph.workflow.read import load_text
from tests.workflow.same import same_graph
from tests.workflow.stand_ins import FOLDERS, stand_in
from tests.workflow.ui_files import registry

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["$x", "${y}", "$$", "fixed", "randomize", "image", "true", "1e3", "null", "a: b", "#", "line\nline\n", "🌟 夜"]
)
TITLES = st.none() | st.text(string.printable, min_size=1, max_size=10) | st.sampled_from(["夜", "Positive!", "seed"])
RUN: list[Mode] = ["run"] * 8
MODES: st.SearchStrategy[Mode] = st.sampled_from([*RUN, "muted", "bypassed"])
SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """Folders with one file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    for kind in ("checkpoints", "input", *FOLDERS):
        stand_in(folder, kind, "one.png" if kind == "input" else "one.safetensors")
    return Roots((folder / "input",), folder / "output", folder / "temp", (folder / "models",))


def usable(spec: NodeSpec, roots: Roots) -> bool:
    """Whether a node of this type can be made without files that are not there."""
    lists = [given.choices for given in spec.inputs if isinstance(given.choices, Choices)]
    # What a node foresees of its own inputs is checked elsewhere; here it would refuse most graphs.
    return all(choices.list(roots) for choices in lists)


@dataclass
class Making:
    """A workflow in the making; `offered` are the outputs that are there, with their types."""

    nodes: dict[str, NodeEntry] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    offered: list[tuple[Slot, NodeSpec]] = field(default_factory=list)


@st.composite
def literals(draw: st.DrawFn, given: InputSpec, roots: Roots) -> Any:
    """A value that a widget takes."""
    if isinstance(given.choices, tuple):
        return draw(st.sampled_from(given.choices))
    if isinstance(given.choices, Choices):
        return draw(st.sampled_from(list(given.choices.list(roots))))
    names = given.type.names
    low, high, step = (
        (-1000, 1000, 1) if given.range is None else (given.range.min, given.range.max, given.range.multiple)
    )
    if "INT" in names:
        low, high = max(low, -(2**62)), min(high, 2**64 - 1)
        return draw(st.integers(int(-(-low // step)), int(high // step))) * step
    if "FLOAT" in names:
        return draw(st.floats(max(low, -1e9), min(high, 1e9), allow_nan=False))
    return draw(st.booleans()) if "BOOLEAN" in names else draw(TEXT)


@st.composite
def workflows(draw: st.DrawFn, roots: Roots) -> Workflow:
    """A workflow of nodes that fit together, as far as types tell."""
    specs = [spec for name in registry().names() if usable(spec := registry().specs[name], roots)]
    making = Making()
    for number in range(draw(st.integers(1, 7))):
        ready = [spec for spec in specs if all(sources(making, given) for given in spec.inputs if needs_link(given))]
        spec = draw(st.sampled_from(ready))
        id_ = draw(st.sampled_from([str(number + 1), f"node_{number}", f"7:{number}"]))
        inputs: dict[str, Value] = {}
        for each in spec.inputs:
            value = draw(values(making, each, roots))
            if value is not None:
                inputs[each.name] = value
        title = draw(TITLES)
        making.nodes[id_] = NodeEntry(id_, spec.name, MappingProxyType(inputs), title=title, mode=draw(MODES))
        making.offered += [(Slot(id_, index), spec) for index in range(len(spec.outputs))]
    return Workflow(MappingProxyType(making.nodes), MappingProxyType(making.params))


def needs_link(given: InputSpec) -> bool:
    return given.required and not given.is_widget


def sources(making: Making, given: InputSpec) -> list[Slot]:
    """The outputs that an input takes; what follows the type of an input is left out, being known only later."""
    return [
        slot
        for slot, spec in making.offered
        if spec.outputs[slot.index].type.variable is None and accepts(given.type, spec.outputs[slot.index].type)
    ]


@st.composite
def values(draw: st.DrawFn, making: Making, given: InputSpec, roots: Roots) -> Value:
    """A link, a value, a parameter, a text with one in it, or nothing."""
    linked = sources(making, given)
    if not given.is_widget:
        return draw(st.sampled_from(linked)) if linked and (given.required or draw(st.booleans())) else None
    kind = draw(st.sampled_from(["value", "value", "link", "param", "nothing", "template"]))
    if kind == "link" and linked and given.choices is None:
        return draw(st.sampled_from(linked))
    if kind == "nothing" and not given.required:
        return None
    value = draw(literals(given, roots))
    if kind == "param" and not isinstance(given.choices, Choices):
        name = f"p{len(making.params)}"
        making.params[name] = Param(name, type_of(value), value)
        return Ref(name)
    if kind == "template" and given.type.names == ("STRING",) and given.choices is None:
        name = f"p{len(making.params)}"
        making.params[name] = Param(name, "STRING", value)
        return Template(("a ", Ref(name)))
    return value


DOCUMENTS = ("yaml", "nodegraph", "api", "ui")  # what is read again; programs are not


def graph_of(workflow: Workflow, roots: Roots) -> Graph | None:
    return check(workflow, registry(), roots=roots).graph


def through(workflow: Workflow, format_: str) -> Workflow:
    """The workflow written in a format and read again."""
    written = WRITERS[format_](workflow, registry(), NOWHERE)
    assert [problem.describe() for problem in written.problems] == []
    loaded = load_text(written.text, specs=lambda: registry().specs)
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return loaded.workflow


@SETTINGS
@given(st.data(), st.lists(st.sampled_from(DOCUMENTS), min_size=1, max_size=3))
def test_a_graph_stays_the_same_through_formats(roots: Roots, data: st.DataObject, formats: list[str]) -> None:
    workflow = data.draw(workflows(roots))
    graph = graph_of(workflow, roots)
    if graph is None or not graph.nodes:  # nodes foresee what would go wrong; or nothing runs
        return
    for format_ in formats:
        workflow = through(workflow, format_)
        again = graph_of(workflow, roots)
        assert again is not None, [problem.describe() for problem in check(workflow, registry(), roots=roots).problems]
        assert same_graph(graph, again)


@SETTINGS
@given(st.data())
def test_writing_twice_writes_the_same(roots: Roots, data: st.DataObject) -> None:
    workflow = data.draw(workflows(roots))
    graph = graph_of(workflow, roots)
    for format_ in DOCUMENTS:
        if format_ == "api" and (graph is None or not graph.nodes):
            continue
        once = through(workflow, format_)
        twice = through(once, format_)
        assert WRITERS[format_](once, registry(), NOWHERE).text == WRITERS[format_](twice, registry(), NOWHERE).text

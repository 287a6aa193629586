"""Whatever a file holds, reading it gives a result, and each problem can be shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.context import Roots
from nodegraph.graph.build import check as check_graph
from nodegraph.graph.converting import NOWHERE, WRITERS
from nodegraph.graph.missing import missing_of
from nodegraph.workflow.document import Loaded
from nodegraph.workflow.pictures import workflow_in_picture
from nodegraph.workflow.read import Format, load_text
from tests.workflow.test_document import EXAMPLE
from tests.workflow.test_json_reader import DOCUMENT
from tests.workflow.ui_files import registry

PIECES = [
    *"{}[]:,-?&*!|>'\"%@`#$~<=\n\t\r \\0123.eE+_", "a", "nodes", "nodegraph: 1\n", "params:", "\n  ",
    "\n    ", "uses: X", "with: {", "${",
    "&a ", "*a", "<<: ", "!!int ", "!!python/x ", "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", '"',
    '"nodes": {', "null", "NaN", "1e999",
    "\\u", "\\ud800", "\ud800", "\0", "\u2028", "\x85", "\ufeff", "é", "🌟", "class_type", "inputs",
    "[1, 2]", "layout: ", "outputs: ", "|2\n", ">-\n",
]  # fmt: skip
soup = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
SETTINGS = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def check(loaded: Loaded) -> None:
    """Every problem has its place inside the text and can be shown; without problems there is a workflow."""
    assert loaded.workflow is not None or loaded.problems
    for problem in loaded.problems:
        assert problem.describe()
        problem.render()
        problem.to_json()
        if problem.place.column is not None:
            assert problem.place.text is not None or problem.code == "bad_encoding"
            assert 1 <= problem.place.column <= len(problem.place.text or "") + 1
    places = [(p.place.line or 0, p.place.column or 0) for p in loaded.problems]
    assert places == sorted(places)


@pytest.mark.usefixtures("parser")
@SETTINGS
@given(st.text() | soup, st.sampled_from(["auto", "yaml", "json"]))
def test_any_text(text: str, format_: Format) -> None:
    check(load_text(text, format=format_))


@SETTINGS
@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    check(load_text(data))


@pytest.mark.usefixtures("parser")
@SETTINGS
@given(st.sampled_from([EXAMPLE, DOCUMENT]), st.integers(0, 1000), st.integers(0, 30), soup)
def test_damaged_documents(document: str, start: int, length: int, instead: str) -> None:
    start %= len(document)
    check(load_text(document[:start] + instead + document[start + length :]))


@SETTINGS
@given(st.binary(max_size=80), st.integers(0, 200), st.integers(0, 20))
def test_damaged_pictures(tmp_path_factory: pytest.TempPathFactory, noise: bytes, start: int, length: int) -> None:
    from tests.workflow.test_png import PROMPT, picture

    data = picture(("prompt", PROMPT, True))
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(data[:start] + noise + data[start + length :])
    check(workflow_in_picture(path))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.floats(allow_nan=False)
    | st.sampled_from(["3", "fixed", "x", ""]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["0", "name", "id", "link"]), inner),
    max_leaves=6,
)
ui_types = st.sampled_from(["KSampler", "LoadImage", "Reroute", "PrimitiveNode", "Note", "Foreign", "sub", "sub2"])
ids = st.integers(0, 6) | st.sampled_from(["a", "-10", "-20"]) | json_values
ui_input = st.fixed_dictionaries(
    {"name": st.sampled_from(["model", "seed", "clip", "image", "", "x"])},
    optional={"type": st.sampled_from(["*", "MODEL", "INT"]) | json_values, "link": ids, "widget": json_values},
)
ui_node = st.fixed_dictionaries(
    {"id": ids, "type": ui_types},
    optional={
        "inputs": st.lists(ui_input | json_values, max_size=3) | json_values,
        "outputs": st.lists(ui_input, max_size=2) | json_values,
        "widgets_values": json_values,
        "mode": st.sampled_from([0, 2, 4]) | json_values,
        "pos": json_values,
        "title": json_values,
        "properties": st.fixed_dictionaries({}, optional={"proxyWidgets": json_values, "models": json_values})
        | json_values,
    },
)
ui_link = st.tuples(ids, ids, ids, ids, ids, st.just("MODEL")).map(list)
ui_link_object = st.fixed_dictionaries(
    {"id": ids, "origin_id": ids, "origin_slot": ids, "target_id": ids, "target_slot": ids, "type": st.just("*")}
)
ui_graph = {
    "nodes": st.lists(ui_node | json_values, max_size=6),
    "links": st.lists(ui_link | ui_link_object | json_values, max_size=8) | json_values,
}
ui_definition = st.fixed_dictionaries(
    {"id": st.sampled_from(["sub", "sub2"]), **ui_graph},
    optional={"name": json_values, "inputs": st.lists(ui_input, max_size=3) | json_values, "outputs": json_values},
)
ui_file = st.fixed_dictionaries(
    ui_graph,
    optional={
        "version": json_values,
        "groups": json_values,
        "definitions": st.fixed_dictionaries({"subgraphs": st.lists(ui_definition | json_values, max_size=3)})
        | json_values,
    },
)


@SETTINGS
@given(ui_file)
def test_any_file_of_an_editor(file: object) -> None:
    loaded = load_text(json.dumps(file, indent=1), specs=lambda: registry().specs)
    check(loaded)
    if loaded.workflow is not None:
        found = check_graph(loaded.workflow, registry())
        missing_of(loaded.workflow, found.problems, registry(), Roots()).lines()
        for write in WRITERS.values():
            written = write(loaded.workflow, registry(), NOWHERE)
            assert written.text or written.problems

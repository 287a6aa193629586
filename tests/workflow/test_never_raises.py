"""Whatever a file holds, reading it gives a result, and each problem can be shown."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.workflow.document import Loaded
from nodegraph.workflow.pictures import workflow_in_picture
from nodegraph.workflow.read import Format, load_text
from tests.workflow.test_document import EXAMPLE
from tests.workflow.test_json_reader import DOCUMENT

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

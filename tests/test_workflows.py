"""Every shipped workflow loads, checks without a word, fits the published schema, and draws its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from PIL import Image

import nodegraph
from nodegraph import Session, Settings
from nodegraph.registry import load_registry
from nodegraph.resources import examples
from nodegraph.workflow.schema import json_schema

#: How many pictures each workflow draws, of what size.
PICTURES = {
    "compose": [(260, 128)],
    "hello": [(128, 128)],
    "hires-two-pass": [(192, 192)] * 2,
    "image-to-image": [(128, 128)],
    "prompt-weights": [(128, 128)] * 3,
    "several-seeds": [(128, 128)] * 6,
    "xy-grid": [(479, 490)],
}
FILES = examples()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One session for all, so that the model is loaded once."""
    with Session(Settings(output=tmp_path_factory.mktemp("output"))) as shared:
        yield shared


def test_the_workflows_shipped_are_those_told_of_here() -> None:
    assert [path.stem for path in FILES] == sorted(PICTURES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_checks_without_a_problem_or_a_warning(path: Path, session: Session) -> None:
    workflow = nodegraph.load(path)
    assert session.check(workflow).problems == ()
    assert workflow.name == path.stem
    assert workflow.description


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_fits_the_published_schema(path: Path) -> None:
    schema = json_schema(load_registry())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(document)] == []
    name = next(iter(document["nodes"]))
    document["nodes"][name]["wiht"] = {}
    assert list(validator.iter_errors(document))  # the schema would say so


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_draws_its_pictures_and_a_second_run_draws_nothing_again(path: Path, session: Session) -> None:
    workflow = nodegraph.load(path)
    result = session.run(workflow)
    assert (result.status, result.problems, result.skipped) == ("done", (), ())
    saved = [file for node in result.saved.values() for file in node.files]
    assert [(file.width, file.height) for file in saved] == PICTURES[path.stem]
    for file in saved:
        with Image.open(file.path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (file.width, file.height)
            levels = picture.getextrema()
            assert any(high - low > 100 for low, high in levels)  # pyright: ignore[reportGeneralTypeIssues]
    again = session.run(workflow)
    assert again.status == "done"
    assert again.executed == ()
    assert {file.path for node in again.saved.values() for file in node.files} == {file.path for file in saved}


def test_a_saved_picture_is_a_workflow_that_draws_the_same_again(session: Session) -> None:
    hello = next(path for path in FILES if path.stem == "hello")
    result = session.run(nodegraph.load(hello), {"seed": 12}, want=["picture"])
    inside = nodegraph.load(result.saved["save"].files[0].path)
    again = session.run(inside, want=["picture"])
    assert again.status == "done"
    assert "latent" not in again.executed

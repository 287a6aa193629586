"""Every shipped workflow loads, checks without a word, fits the published schema, and draws its pictures.

Those that need models which people bring are checked with small stand-ins, and drawn with the embedded model where
it can be done.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import nodegraph
from nodegraph import RunResult, Session, Settings
from nodegraph.registry import load_registry
from nodegraph.resources import examples
from nodegraph.sockets import SavedFile
from nodegraph.workflow.schema import json_schema
from tests.example_models import NEEDS, STAND_INS, make_files_for_tiny, make_stand_ins

#: How many pictures each workflow draws, of what size.
PICTURES = {
    "compose": [(260, 128)],
    "custom-sampling": [(128, 128)] * 3,
    "hello": [(128, 128)],
    "hires-two-pass": [(192, 192)] * 2,
    "image-to-image": [(128, 128)],
    "inpaint": [(392, 128)],
    "merge": [(392, 128)],
    "outpaint": [(260, 128)],
    "prompt-weights": [(128, 128)] * 3,
    "regional-prompt": [(224, 128)] * 2,
    "several-seeds": [(128, 128)] * 6,
    "xy-grid": [(479, 490)],
}
FILES = examples()
EMBEDDED = [path for path in FILES if path.stem in PICTURES]
BROUGHT = [path for path in FILES if path.stem in NEEDS]
#: What makes those that need other models work with the embedded one, and the pictures that they then draw.
SMALL: Mapping[str, object] = {"checkpoint": "tiny", "size": 64, "steps": 3}
DRAWN_SMALL: Mapping[str, tuple[Mapping[str, object], list[tuple[int, int]]]] = {
    "inpaint-model": ({**SMALL, "grow": 4}, [(64, 64)] * 2),
    "locon": (SMALL, [(64, 64)]),
    "lora": (SMALL, [(64, 64)] * 2),
    "sdxl-base-refiner": (
        {"base": "tiny", "refiner": "tiny", "width": 64, "height": 64, "steps": 4, "handover": 3},
        [(64, 64)],
    ),
    "textual-inversion": (SMALL, [(64, 64)] * 2),
    "two-controlnets": (SMALL, [(64, 64)] * 2),
    "upscale": ({}, [(256, 256)] * 2),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One session for all, so that the model is loaded once."""
    with Session(Settings(output=tmp_path_factory.mktemp("output"))) as shared:
        yield shared


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stand_ins(tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture(scope="module")
def fitting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session with models that fit the embedded one, under the names that the workflows ask for."""
    folder = tmp_path_factory.mktemp("fitting")
    with Session(Settings(output=folder / "output", models=(make_files_for_tiny(folder),))) as shared:
        yield shared


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema(load_registry())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def path_of(name: str) -> Path:
    return next(path for path in FILES if path.stem == name)


def saved_pictures(result: RunResult) -> list[SavedFile]:
    files = [file for node in result.saved.values() for file in node.files]
    return [file for file in files if file.filename.endswith(".png")]


def pixels(file: SavedFile) -> NDArray[np.int64]:
    """Red, green and blue [H, W, 3]."""
    with Image.open(file.path) as picture:
        return np.asarray(picture.convert("RGB")).astype(np.int64)


def drawn(name: str, session: Session, params: Mapping[str, object] | None = None) -> list[NDArray[np.int64]]:
    """What a workflow shipped draws."""
    result = session.run(nodegraph.load(path_of(name)), params or {})
    assert (result.status, result.problems) == ("done", ())
    return [pixels(file) for file in saved_pictures(result)]


def test_the_workflows_shipped_are_those_told_of_here() -> None:
    assert [path.stem for path in FILES] == sorted([*PICTURES, *NEEDS])
    assert STAND_INS.keys() == {name for names in NEEDS.values() for name in names}


def test_the_handbook_tells_of_every_workflow_and_of_what_it_needs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "workflows.md").read_text(encoding="utf-8")
    rows = {row[1].strip(" `"): row[-2] for line in page.splitlines() if len(row := line.split("|")) == 5}
    for path in FILES:
        folders = {name.split("/")[0] for name in NEEDS.get(path.stem, ())}
        description = nodegraph.load(path).description or ""
        assert [folder for folder in sorted(folders) if f"{folder}/" not in description] == []
        assert [folder for folder in sorted(folders) if f"`{folder}/`" not in rows[path.stem]] == []


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_it_checks_without_a_problem_or_a_warning(path: Path, session: Session) -> None:
    workflow = nodegraph.load(path)
    assert session.check(workflow).problems == ()
    assert workflow.name == path.stem
    assert workflow.description


@pytest.mark.parametrize("path", BROUGHT, ids=lambda path: path.stem)
def test_with_the_models_it_asks_for_it_checks_without_a_word(path: Path, stand_ins: Path) -> None:
    workflow = nodegraph.load(path)
    with Session(Settings(models=(stand_ins,))) as session:
        assert session.check(workflow).problems == ()
    assert workflow.name == path.stem
    assert workflow.description


@pytest.mark.parametrize("path", BROUGHT, ids=lambda path: path.stem)
def test_without_them_it_is_told_exactly_which_are_missing_and_where(path: Path, tmp_path: Path) -> None:
    with Session(Settings(models=(tmp_path,))) as session:
        problems = session.check(nodegraph.load(path)).problems
    assert len(problems) == len(NEEDS[path.stem])
    for name in NEEDS[path.stem]:
        folder, file = name.split("/")
        stem = file.removesuffix(".safetensors") if folder == "embeddings" else file
        (found,) = [problem for problem in problems if f"'{stem}'" in problem.message]
        assert found.severity == ("warning" if folder == "embeddings" else "error")
        assert str(tmp_path / folder) in found.message + (found.hint or "")
        place = found.place
        assert place.text is not None and place.line is not None and place.column is not None
        assert path.read_text(encoding="utf-8").splitlines()[place.line - 1] == place.text
        assert place.text[place.column - 1 :].startswith(("$", '"'))


@pytest.mark.parametrize("name", sorted(DRAWN_SMALL))
def test_what_needs_other_models_draws_with_small_ones(name: str, fitting: Session) -> None:
    params, sizes = DRAWN_SMALL[name]
    pictures = drawn(name, fitting, params)
    assert [(picture.shape[1], picture.shape[0]) for picture in pictures] == sizes
    assert all(picture.max() > picture.min() for picture in pictures)


@pytest.mark.parametrize("name", ["lora", "textual-inversion"])
def test_with_and_without_it_are_two_pictures(name: str, fitting: Session) -> None:
    without, with_it = drawn(name, fitting, SMALL)
    assert abs(with_it - without).mean() > 1


def test_an_enlarged_picture_shows_what_it_showed(fitting: Session) -> None:
    plain, enlarged = drawn("upscale", fitting)
    assert abs(plain - enlarged).mean() < 2


def test_both_networks_steer(fitting: Session) -> None:
    strengths = ((0, 0), (1, 0), (0, 1), (1, 1))
    params = [{**SMALL, "outline_strength": first, "colour_strength": second} for first, second in strengths]
    pictures = [drawn("two-controlnets", fitting, each)[1] for each in params]
    assert all(abs(one - other).mean() > 1 for one, other in itertools.combinations(pictures, 2))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_fits_the_published_schema(path: Path, validator: Draft202012Validator) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(document)] == []
    name = next(iter(document["nodes"]))
    document["nodes"][name]["wiht"] = {}
    assert list(validator.iter_errors(document))  # the schema would say so


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_it_draws_its_pictures_and_a_second_run_draws_nothing_again(path: Path, session: Session) -> None:
    workflow = nodegraph.load(path)
    result = session.run(workflow)
    assert (result.status, result.problems, result.skipped) == ("done", (), ())
    saved = saved_pictures(result)
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
    assert {file.path for file in saved_pictures(again)} == {file.path for file in saved}


def test_a_saved_picture_is_a_workflow_that_draws_the_same_again(session: Session) -> None:
    result = session.run(nodegraph.load(path_of("hello")), {"seed": 12}, want=["picture"])
    inside = nodegraph.load(result.saved["save"].files[0].path)
    again = session.run(inside, want=["picture"])
    assert again.status == "done"
    assert "latent" not in again.executed


def test_inpainting_keeps_what_is_outside_of_the_mask_and_draws_inside(session: Session) -> None:
    (sheet,) = drawn("inpaint", session)
    before, mask, after = (sheet[:, left : left + 128] for left in (0, 132, 264))
    outside = (mask == 0).all(axis=2)
    assert outside.mean() > 0.4
    assert (before[outside] == after[outside]).all()
    assert is_red(before[60:70, 60:70]).all()
    assert is_blue(after[60:70, 60:70]).all()


def test_outpainting_makes_a_whole_of_a_half(session: Session) -> None:
    (sheet,) = drawn("outpaint", session)
    before, after = sheet[:, :128], sheet[:, 132:]
    assert (before[:, :48] == after[:, :48]).all()
    old, new = is_red(after[:, :64]).sum(), is_red(after[:, 64:]).sum()
    assert is_red(before[:, 64:]).sum() == 0
    assert 0.7 < new / old < 1.4


def test_each_region_has_its_own_thing(session: Session) -> None:
    for picture in drawn("regional-prompt", session):
        left, right = picture[:, :112], picture[:, 112:]
        assert is_red(left).mean() > 0.1 and is_blue(right).mean() > 0.1
        assert is_blue(left).mean() < 0.03 and is_red(right).mean() < 0.03


def test_a_saved_merge_is_a_checkpoint_to_merge_again(tmp_path: Path, session: Session) -> None:
    merged = session.run(nodegraph.load(path_of("merge")))
    (file,) = merged.saved["keep"].files
    with safe_open(file.path, framework="pt") as stored:
        notes = stored.metadata()
    tensors = load_file(file.path)
    changed = {name: each * (1.1 if "output_blocks" in name else 1) for name, each in tensors.items()}
    (tmp_path / "checkpoints").mkdir()
    save_file(tensors, tmp_path / "checkpoints" / "same.safetensors", notes)
    save_file(changed, tmp_path / "checkpoints" / "other.safetensors", notes)
    with Session(Settings(output=tmp_path / "output", models=(tmp_path,))) as apart:
        (same,) = drawn("merge", apart, {"second": "same.safetensors"})
        (other,) = drawn("merge", apart, {"second": "other.safetensors"})
    first, between, second = (same[:, left : left + 128] for left in (0, 132, 264))
    assert abs(first - between).max() <= 3 and abs(first - second).max() <= 3
    first, between, second = (other[:, left : left + 128] for left in (0, 132, 264))
    assert abs(first - between).mean() < abs(first - second).mean()
    assert abs(between - second).mean() > 1


def test_steps_taken_in_two_parts_are_those_of_one_sampler(session: Session) -> None:
    params: dict[str, object] = {"sampler": "euler", "scheduler": "normal", "prompt": "a red star at night", "seed": 7}
    parts = drawn("custom-sampling", session, params)[2]
    (whole,) = drawn("hello", session, {"prompt": "a red star at night", "seed": 7})
    assert abs(parts - whole).max() <= 1


def is_red(picture: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (picture[..., 0] - picture[..., 1] > 70) & (picture[..., 0] - picture[..., 2] > 70)


def is_blue(picture: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (picture[..., 2] - picture[..., 0] > 70) & (picture[..., 2] - picture[..., 1] > 50)

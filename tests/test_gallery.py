"""The gallery shows every example as it is, and its pictures are what the examples draw."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from docs.gallery import INSTEAD, PAGE, PICTURES, alike, draw, keep, known_times, page, params_of, sheet
from nodegraph.resources import examples

TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_the_page_is_what_make_gallery_writes() -> None:
    assert page(known_times()) == TEXT, "run: make gallery"


def test_every_example_is_there_with_its_own_text_picture_and_time() -> None:
    assert list(SECTIONS) == [path.stem for path in examples()]
    assert INSTEAD.keys() <= SECTIONS.keys()
    for path in examples():
        section = SECTIONS[path.stem]
        (text,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert text == path.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["description"] in section
        is_drawn = params_of(path.stem) is not None
        assert bool(re.search(r"^\d+\.\d s: `nodegraph run ", section, re.MULTILINE)) is is_drawn
        assert (f"](gallery/{path.stem}.webp)" in section) is is_drawn


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    files = {*PICTURES.glob("*.webp")}
    assert {file.stem for file in files} == {path.stem for path in examples() if params_of(path.stem) is not None}
    assert all(file.stat().st_size < 30_000 for file in files)


@pytest.mark.parametrize("name", ["hello", "lora"])
def test_pictures_are_what_the_examples_draw(name: str, tmp_path: Path) -> None:
    (path,) = [path for path in examples() if path.stem == name]
    picture, seconds = draw(path, tmp_path)
    assert seconds > 0
    assert alike(PICTURES / f"{name}.webp", picture), "run: make gallery"


def test_a_picture_is_only_written_anew_if_it_looks_different(tmp_path: Path) -> None:
    path = tmp_path / "some.webp"
    colours = np.add.outer(np.arange(0, 128), np.arange(0, 100))[..., None].repeat(3, -1).astype(np.uint8)
    keep(path, Image.fromarray(colours))
    before = path.read_bytes()
    colours[:8, :8] += 1
    keep(path, Image.fromarray(colours))
    assert path.read_bytes() == before
    keep(path, Image.fromarray(255 - colours))
    assert path.read_bytes() != before and list(tmp_path.iterdir()) == [path]


def test_a_sheet_holds_all_pictures_in_rows() -> None:
    whole = sheet([Image.new("RGB", (60, 40), colour) for colour in ("red", "lime", "blue", "black")])
    assert whole.size == (3 * 64 - 4, 84)
    assert [whole.getpixel(at) for at in ((5, 5), (70, 5), (140, 5), (5, 50), (70, 50))] == [
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
    ]  # fmt: skip
    assert sheet([Image.new("RGB", (960, 100))]).size == (480, 50)

"""What ships beside `tiny` is small, and its figures can be measured. What the files do is tested in tests/meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from training.evaluate_extras import (
    judge_inpainting,
    judge_inversion,
    judge_outlines,
    judge_preview,
    judge_style,
    table,
)
from training.extra_workflows import Studio, studio
from training.extras import LIMIT, MODELS

SHIPPED = sorted(path for path in MODELS.glob("*/tiny[-_]*.safetensors"))
JUDGES = {
    "outlined": lambda at: judge_style(at, "outlined", 1, strengths=(0.0, 1.0)),
    "outlines": lambda at: judge_outlines(at, 1),
    "inversion": lambda at: judge_inversion(at, 1),
    "preview": lambda at: judge_preview(at, 1),
    "inpainting": lambda at: judge_inpainting(at, 2),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("studio"), [MODELS]) as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.evaluate_extras.STEPS", 8)
        yield made


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_file_is_large(path: Path) -> None:
    assert path.stat().st_size <= LIMIT + 20_000  # the header


@pytest.mark.parametrize("name", JUDGES)
def test_figures_are_measured_and_told_in_a_table(name: str, at: Studio) -> None:
    rows, sheet = JUDGES[name](at)
    assert sheet and all(picture.shape == (128, 128, 3) for picture in sheet)
    for row in rows.values():
        assert row.get("outside", 1) == 1  # of the mask
        assert all(0 <= value <= (1 if figure != "dB" else 60) for figure, value in row.items())
    assert [line.split("|")[1].strip() for line in table(rows).splitlines()[2:]] == list(rows)

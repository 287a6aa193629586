"""What ships beside `tiny` does what its table says, in workflows; thresholds have a wide margin below the figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from training.evaluate_extras import judge_preview, judge_style
from training.extra_workflows import Studio, studio
from training.extras import LIMIT, MODELS

SHIPPED = sorted(path for path in MODELS.glob("*/tiny[-_]*.safetensors"))


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("studio"), [MODELS]) as made:
        yield made


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_file_is_large(path: Path) -> None:
    assert path.stat().st_size <= LIMIT + 20_000  # the header


def test_the_outlined_style_rises_with_its_strength(at: Studio) -> None:
    rows, _ = judge_style(at, "outlined", 3, strengths=(0.0, 0.6, 1.0))
    amounts = [row["style"] for row in rows.values()]
    assert amounts[0] < 0.1 < amounts[1] < amounts[2] > 0.3
    last = rows["outlined, strength 1.0"]
    assert np.mean([last["background"], last["colour"], last["shape"]]) > 0.7


def test_previews_are_near_to_the_picture(at: Studio) -> None:
    rows, _ = judge_preview(at, 2)
    assert rows["small decoder"]["dB"] > max(26, rows["linear map"]["dB"] + 3)

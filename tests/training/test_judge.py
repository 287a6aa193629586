"""The judge: right on true renders, and not to be talked into anything by other pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training.judge import is_at, judge, look
from training.scenes import Scene, draw, sample_scene


def test_true_renders_are_judged_right_and_swapped_ones_wrong() -> None:
    rng = np.random.default_rng(2024)
    scenes = [sample_scene(rng, held_out=i % 4 == 0) for i in range(80)]
    pictures = [draw(scene, rng) for scene in scenes]
    right = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    assert sum(v.everything and v.place for v in right) >= 77
    swapped = [judge(picture, scene) for picture, scene in zip(pictures[1:], scenes[:-1], strict=True)]
    assert sum(v.everything for v in swapped) <= 1


@pytest.mark.parametrize("field", ["background", "colour", "shape", "place"])
def test_each_part_is_judged_by_itself(field: str) -> None:
    told = Scene("star", "red", "grey", "medium", "left")
    other = {"background": "night", "colour": "blue", "shape": "heart", "place": "right"}
    parts = {"shape": told.shape, "colour": told.colour, "background": told.background, "place": told.place}
    drawn = Scene(**(parts | {field: other[field]}), size="medium")
    verdict = judge(draw(drawn, np.random.default_rng(1)), told)
    wrong = [name for name in parts if not getattr(verdict, name)]
    assert wrong == [field]


def test_noise_and_empty_pictures_show_no_object_of_the_scene() -> None:
    scene = Scene("fish", "green", "purple")
    noise = np.random.default_rng(4).integers(0, 256, (128, 128, 3), np.uint8)
    assert not judge(noise, scene).everything
    grey = look(Image.new("RGB", (128, 128), (165, 168, 175)))
    assert (grey.background, grey.shape) == ("grey", "")
    assert is_at(grey, Scene("star", "red", "grey"))


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="128x128"):
        look(Image.new("RGB", (64, 64)))

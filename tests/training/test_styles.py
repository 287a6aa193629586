"""The styles that LoRAs are taught: each is measured where it is drawn, and nowhere else, and changes no content."""

from __future__ import annotations

import numpy as np
import pytest

from training.scenes import Scene, draw, sample_scene
from training.styles import STYLES, draw_styled, look_styled, suits


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_seen_where_it_is_drawn_and_the_content_is_the_same(style: str) -> None:
    rng, scenes = np.random.default_rng(11), list[Scene]()
    while len(scenes) < 24:
        if suits(scene := sample_scene(rng), style):
            scenes.append(scene)
    styled = [look_styled(draw_styled(scene, style, np.random.default_rng(i))) for i, scene in enumerate(scenes)]
    plain = [look_styled(draw_styled(scene, "", np.random.default_rng(i))) for i, scene in enumerate(scenes)]
    assert np.mean([getattr(each, style) for each in styled]) > 0.6
    assert np.mean([getattr(each, style) for each in plain]) < 0.1
    doors = [scene.shape == "house" and style == "striped" for scene in scenes]  # dark ones, which may lie in a stripe
    assert max(getattr(each, style) for each, door in zip(plain, doors, strict=True) if not door) < 0.25
    for seen in (styled, plain):
        right = [
            (a.background, a.colour, a.shape) == (b.background, b.colour, b.shape)
            for a, b in zip(seen, scenes, strict=True)
        ]
        assert sum(right) >= 18


def test_without_a_style_scenes_are_drawn_as_ever() -> None:
    scene = Scene("fish", "orange", "sea")
    pictures = [draw_styled(scene, "", np.random.default_rng(5)), draw(scene, np.random.default_rng(5))]
    assert (pictures[0] == pictures[1]).all()
    with pytest.raises(ValueError, match="cubist"):
        draw_styled(scene, "cubist", np.random.default_rng(5))

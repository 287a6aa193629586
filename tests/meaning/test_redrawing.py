"""Drawing from a picture: how much of it is kept by `denoise`, and by a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

import nodegraph
from tests.meaning.conftest import Figure
from tests.meaning.drawing import REDRAWN, ROOT, Easel, Picture, apart, same, share
from training.captions import background_words, describe
from training.judge import look
from training.scenes import Scene
from training.scenes import draw as draw_scene

SOURCES = (Scene("heart", "red", "yellow", "large"), Scene("circle", "green", "white", "large"))


class Source(NamedTuple):
    """What a picture shows, the picture, and its name for workflows."""

    scene: Scene
    picture: Picture
    name: str


@pytest.fixture(scope="module", params=range(len(SOURCES)))
def source(request: pytest.FixtureRequest, easel: Easel) -> Source:
    scene = SOURCES[request.param]
    picture = draw_scene(scene, np.random.default_rng(5))
    return Source(scene, picture, easel.keep(f"source-{request.param}.png", picture))


def test_the_more_is_redrawn_the_further_from_the_picture(source: Source, easel: Easel, figure: Figure) -> None:
    """The prompt does not name the colour, so that only the picture tells."""
    scene, picture, name = source
    prompt = f"a large {scene.shape} {background_words(scene.background)[0]}"
    amounts = (0.1, 0.4, 0.7, 1.0)
    drawn = {
        amount: easel.draw(REDRAWN, picture=name, prompt=prompt, denoise=amount, cfg=2.0, batch=2) for amount in amounts
    }
    distances = [figure(f"{amount}", apart(drawn[amount], [picture] * 4)) for amount in amounts]
    # 3.1 to 3.9, 4.1 to 5.5, 6.2 to 13, 8.6 to 29
    assert all(less < 1.1 * more for less, more in zip(distances, distances[1:], strict=False))
    assert distances[0] * 1.6 < distances[-1]
    kept = [figure(f"colour at {a}", share(drawn[a], lambda each: look(each).colour == scene.colour)) for a in amounts]
    assert kept[0] >= 0.8 and kept[-1] <= 0.84  # 1 and 0 to 0.67


def test_what_a_prompt_names_comes_out_where_much_is_redrawn(source: Source, easel: Easel, figure: Figure) -> None:
    scene, _, name = source
    other = replace(scene, colour="blue")
    drawn = easel.draw(REDRAWN, picture=name, prompt=describe(other), denoise=0.8, batch=2)
    assert figure("colour", share(drawn, lambda each: look(each).colour == "blue")) >= 0.7  # 1
    assert figure("shape", share(drawn, lambda each: look(each).shape == scene.shape)) >= 0.6  # 1


def test_nothing_redrawn_is_the_picture_itself(source: Source, easel: Easel) -> None:
    name = source.name
    ends = [easel.batch(REDRAWN, picture=name, prompt="a star", denoise=0.0, batch=1, seed=i) for i in (1, 2)]
    (direct,) = easel.value(REDRAWN, "copies", picture=name, batch=1)["samples"]
    (sampled,) = easel.value(REDRAWN, "latent", picture=name, prompt="a star", denoise=0.0, batch=1)["samples"]
    assert same(*ends) and bool((direct == sampled).all())


@pytest.mark.parametrize(("left", "top", "width", "height"), [(16, 24, 96, 88), (0, 0, 64, 128), (40, 30, 50, 70)])
@pytest.mark.parametrize("prompt", ["a large blue star on a yellow background", "a green circle at night"])
def test_whatever_is_drawn_inside_a_mask_nothing_changes_outside(
    left: int, top: int, width: int, height: int, prompt: str, easel: Easel, figure: Figure
) -> None:
    inpaint = nodegraph.load(ROOT / "workflows" / "inpaint.yaml")
    place: dict[str, object] = {"left": left, "top": top, "width": width, "height": height}
    (sheet,) = easel.batch(inpaint, "side-by-side", prompt=prompt, seed=left + 7, **place)
    before, mask, after = (sheet[:, x : x + 128].astype(int) for x in (0, 132, 264))
    outside = (mask == 0).all(axis=2)
    assert outside.mean() > 0.2 and np.array_equal(before[outside], after[outside])
    assert figure("inside", abs(before - after)[(mask == 255).all(axis=2)].mean()) > 5  # 30 to 110

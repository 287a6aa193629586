"""The ControlNet `tiny-outline`: its strength, and from when to when it steers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.meaning.conftest import Figure
from tests.meaning.drawing import PLAIN, Easel, Picture, same, share, workflow
from training.evaluate_extras import overlap
from training.judge import Floats, ground
from training.outlines import words
from training.scenes import Pose, Scene, silhouette
from training.styles import look_styled, object_mask

STEERED = workflow(
    """
  shown: {uses: LoadImage, with: {image: $picture}}
  edges: {uses: Canny, with: {image: $shown.image}}
  net: {uses: ControlNetLoader, with: {control_net_name: tiny-outline.safetensors}}
  steered:
    uses: ControlNetApplyAdvanced
    with:
      {positive: $positive, negative: $against, control_net: $net, image: $edges, strength: $strength,
       start_percent: $begin, end_percent: $end}
""",
    positive="$steered.positive",
    negative="$steered.negative",
)


class Wanted(NamedTuple):
    scene: Scene
    cover: Floats
    picture: str


@pytest.fixture(scope="module")
def wanted(easel: Easel) -> list[Wanted]:
    """Outlines that lie where the model would never draw the object by itself."""
    asked = []
    for i, (scene, pose) in enumerate(
        [
            (Scene("star", "red", "white"), Pose(46, 78, 36, 0.3, mirrored=False)),
            (Scene("heart", "blue", "yellow"), Pose(84, 50, 32, -0.35, mirrored=False)),
        ]
    ):
        cover = silhouette(scene.shape, pose)
        picture = np.repeat((cover * 255).round().astype(np.uint8)[..., None], 3, axis=-1)
        asked.append(Wanted(scene, cover, easel.keep(f"silhouette-{i}.png", picture)))
    return asked


def drawn(easel: Easel, wanted: list[Wanted], **params: Any) -> list[list[Picture]]:
    return [easel.draw(STEERED, prompt=words(each.scene), picture=each.picture, batch=2, **params) for each in wanted]


def followed(pictures: list[list[Picture]], wanted: list[Wanted]) -> float:
    """How well objects fill the outlines (intersection over union)."""
    return float(
        np.mean(
            [
                overlap(object_mask(ground(picture)), each.cover > 0.5)
                for some, each in zip(pictures, wanted, strict=True)
                for picture in some
            ]
        )
    )


def test_the_stronger_it_is_the_better_outlines_are_followed(
    wanted: list[Wanted], easel: Easel, figure: Figure
) -> None:
    overlaps = [figure(f"{s}", followed(drawn(easel, wanted, strength=s), wanted)) for s in (0.0, 0.5, 1.0)]
    # 0.20 to 0.24, 0.32 to 0.53, 0.81 to 0.85
    assert overlaps[0] + 0.05 < overlaps[1] < overlaps[2] - 0.05 and overlaps[2] >= max(0.65, overlaps[0] + 0.2)
    steered = drawn(easel, wanted, strength=1.0)
    colours = [
        share(some, lambda picture, each=each: look_styled(picture).colour == each.scene.colour)
        for some, each in zip(steered, wanted, strict=True)
    ]
    assert figure("colour", float(np.mean(colours))) >= 0.75  # 1


@pytest.mark.parametrize("params", [{"strength": 0.0}, {"begin": 0.5, "end": 0.5}, {"begin": 0.0, "end": 0.0}])
def test_without_strength_or_time_it_steers_nothing(
    params: dict[str, object], wanted: list[Wanted], easel: Easel
) -> None:
    for each, some in zip(wanted, drawn(easel, wanted, **params), strict=True):
        assert same(some, easel.draw(PLAIN, prompt=words(each.scene), batch=2))


def test_the_first_steps_decide_where_things_lie(wanted: list[Wanted], easel: Easel, figure: Figure) -> None:
    early = figure("the first 40 %", followed(drawn(easel, wanted, end=0.4), wanted))
    late = figure("the last 40 %", followed(drawn(easel, wanted, begin=0.6), wanted))
    never = followed(drawn(easel, wanted, strength=0.0), wanted)
    assert late + 0.06 < early and never + 0.15 < early  # 0.26 to 0.42, 0.52 to 0.67, 0.20 to 0.24

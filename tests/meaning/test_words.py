"""What the words of a prompt, of a negative prompt and the strength of guidance mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.meaning.conftest import Figure
from tests.meaning.drawing import REDRAWN, ROOT, Easel, Picture, share
from training.captions import background_words, describe, describe_pair
from training.judge import judge, look
from training.pair_judge import judge_pair
from training.pairs import RELATIONS, Pair, Thing
from training.scenes import Scene, draw

SCENE = Scene("heart", "red", "yellow", "large")
#: Adherence is judged on these, whose shapes and backgrounds are of all kinds.
SCENES = (
    Scene("ring", "blue", "pink", "large"),
    Scene("star", "green", "sunset"),
    Scene("heart", "purple", "snow"),
    Scene("house", "red", "yellow"),
)


def right(pictures: list[Picture], scene: Scene, *parts: str) -> float:
    """The share of the pictures that show these parts of the scene."""
    return share(pictures, lambda picture: all(getattr(judge(picture, scene), part) for part in parts))


@pytest.mark.parametrize(
    ("part", "value"),
    [("colour", "blue"), ("background", "green"), ("background", "night"), ("shape", "star"), ("place", "left")],
)
def test_a_word_changes_its_part_of_the_picture_and_no_other(
    part: str, value: str, easel: Easel, figure: Figure
) -> None:
    other = replace(SCENE, **{part: value})
    before = easel.draw(prompt=describe(SCENE), batch=3)
    after = easel.draw(prompt=describe(other), batch=3)
    parts = ("background", "colour", "shape", "place")
    assert figure("as it was", right(before, SCENE, *parts)) >= 0.7  # 1
    assert figure("as it is now", right(after, other, *parts)) >= 0.6  # 1 for all five
    assert right(after, SCENE, part) <= 0.2


def test_what_the_models_page_says_of_two_objects_is_true(easel: Easel, figure: Figure) -> None:
    first, second = Thing("star", "red"), Thing("circle", "blue")
    shares: list[float] = []
    for relation in RELATIONS:
        pair = Pair(first, second, relation, "white")
        pictures = easel.draw(prompt=describe_pair(pair), batch=2)
        shares.append(share(pictures, lambda picture, pair=pair: judge_pair(picture, pair).everything))
    drawn = figure("right in everything", sum(shares) / len(shares))
    page = (ROOT / "models" / "tiny" / "README.md").read_text(encoding="utf-8")
    # 0 with weights that have seen one object a picture, 1 with such that have seen two.
    assert drawn <= 0.25 if "- One object a picture." in page else drawn >= 0.7


@pytest.mark.parametrize(
    ("prompt", "part", "kept"),
    [
        ("a large circle on a grey background", "colour", {"shape": "circle", "background": "grey"}),
        ("a red shape on a grey background", "shape", {"colour": "red", "background": "grey"}),
        ("a red heart", "background", {"colour": "red", "shape": "heart"}),
    ],
)
def test_what_a_negative_prompt_names_vanishes(
    prompt: str, part: str, kept: dict[str, str], easel: Easel, figure: Figure
) -> None:
    """The prompt leaves a part open; what comes up most often there is then not wanted."""
    plain = [look(picture) for picture in easel.draw(prompt=prompt, batch=4)]
    often = Counter(getattr(seen, part) for seen in plain if getattr(seen, part)).most_common(1)[0][0]
    words = background_words(often)[0] if part == "background" else f"a {often}" if part == "shape" else often
    changed = [look(picture) for picture in easel.draw(prompt=prompt, negative=words, batch=4)]
    before, after = (sum(getattr(seen, part) == often for seen in all_seen) for all_seen in (plain, changed))
    assert figure("before", before) >= 2  # of eight: about 3 colours, 3 to 6 shapes, 2 backgrounds
    assert figure("after", after) < before / 2  # 0 to 1
    same = [sum(getattr(seen, name) == value for seen in changed) / len(changed) for name, value in kept.items()]
    assert figure("kept", sum(same) / len(same)) >= 0.4  # 0.63 to 1


def test_with_guidance_pictures_follow_the_prompt_no_less_than_without(easel: Easel, figure: Figure) -> None:
    def followed(cfg: float) -> float:
        drawn = [(easel.draw(prompt=describe(scene), cfg=cfg, batch=2), scene) for scene in SCENES]
        return sum(right(pictures, scene, "background", "colour", "shape") for pictures, scene in drawn) / len(drawn)

    # 0.69 to 0.94 and 0.86 to 1: the better the weights, the less there is for guidance to do.
    weak, usual = figure("at 1", followed(1.0)), figure("at 3", followed(3.0))
    assert weak - 0.06 < usual >= 0.7


def test_the_stronger_the_guidance_the_more_a_prompt_prevails_over_a_picture(easel: Easel, figure: Figure) -> None:
    """A red heart is drawn again, as a blue one. Without guidance it stays red."""
    red, blue = Scene("heart", "red", "yellow", "large"), Scene("heart", "blue", "yellow", "large")
    picture = easel.keep("red-heart.png", draw(red, np.random.default_rng(5)))

    def colours(cfg: float) -> list[str]:
        pictures = easel.draw(REDRAWN, picture=picture, prompt=describe(blue), denoise=0.4, cfg=cfg, batch=2)
        return [look(each).colour for each in pictures]

    kept = [figure(f"red at {cfg}", colours(cfg).count("red") / 4) for cfg in (1.0, 2.0, 4.0)]
    # 0.83 to 1, 0 to 0.83, 0: it turns blue, or any colour between, as the weights have it.
    assert kept == sorted(kept, reverse=True) and kept[0] >= 0.5 and kept[-1] <= 0.25


def test_too_much_guidance_still_draws_a_picture(easel: Easel, figure: Figure) -> None:
    """It burns colours in, but the scene stays: nothing is flat, and not all of it is at the ends of the range."""
    pictures = [
        (picture, scene) for scene in SCENES[:3] for picture in easel.draw(prompt=describe(scene), cfg=8.0, batch=2)
    ]
    seen = [judge(picture, scene) for picture, scene in pictures]
    assert figure("background", sum(verdict.background for verdict in seen) / len(seen)) >= 0.8  # 1
    clipped = [((picture == 0) | (picture == 255)).mean() for picture, _ in pictures]
    assert figure("clipped", float(sum(clipped) / len(clipped))) < 0.25  # 0.04 to 0.06
    assert all(picture.std() > 10 for picture, _ in pictures)

"""The LoRA `tiny-outlined`: its style rises with its strength, nothing is nothing, and strengths add up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from nodegraph.workflow.document import Workflow
from tests.meaning.conftest import Figure
from tests.meaning.drawing import PLAIN, ROOT, Easel, Picture, apart, same, workflow
from training.captions import describe
from training.scenes import Scene
from training.styles import look_styled

SHIPPED = "tiny-outlined.safetensors"
SCENES = (Scene("heart", "red", "white", "large"), Scene("star", "blue", "yellow", "large"))


def stack(*loras: tuple[str, float]) -> Workflow:
    """A workflow that loads LoRAs one after another."""
    nodes, model = "", "$base.model"
    for i, (name, strength) in enumerate(loras):
        given = f"{{model: {model}, lora_name: {name}, strength_model: {strength}}}"
        nodes += f"\n  lora{i}: {{uses: LoraLoaderModelOnly, with: {given}}}"
        model = f"$lora{i}"
    return workflow(nodes, model=model)


def drawn(easel: Easel, *loras: tuple[str, float], scenes: Sequence[Scene] = SCENES[:1]) -> list[Picture]:
    return [each for scene in scenes for each in easel.draw(stack(*loras), prompt=describe(scene), batch=2)]


def style(pictures: list[Picture]) -> float:
    return float(np.mean([look_styled(picture).outlined for picture in pictures]))


@pytest.fixture(scope="module")
def other(easel: Easel) -> str:
    """The file name of a second LoRA: the shipped one with its layers' changes turned upside down."""
    tensors = load_file(ROOT / "models" / "loras" / SHIPPED)
    for name in tensors:
        if name.endswith("lora_up.weight"):
            tensors[name] = tensors[name].flip(0).contiguous()
    path = Path(easel.models / "loras" / "turned.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path.name


def test_the_style_rises_with_the_strength_and_the_content_stays(easel: Easel, figure: Figure) -> None:
    amounts = [
        figure(f"{strength}", style(drawn(easel, (SHIPPED, strength), scenes=SCENES)))
        for strength in (0.0, 0.5, 0.75, 1.0)
    ]
    # 0, 0.06 to 0.11, 0.34 to 0.45, 0.60 to 0.64
    assert all(less + 0.03 < more for less, more in zip(amounts, amounts[1:], strict=False))
    assert amounts[0] < 0.05 and amounts[-1] > 0.35
    scenes = [scene for scene in SCENES for _ in range(4)]
    seen = [look_styled(picture) for picture in drawn(easel, (SHIPPED, 1.0), scenes=SCENES)]
    for part in ("background", "colour"):
        kept = [getattr(each, part) == getattr(scene, part) for each, scene in zip(seen, scenes, strict=True)]
        assert figure(part, float(np.mean(kept))) >= 0.75  # 1


def test_at_strength_nothing_everything_is_as_without(easel: Easel) -> None:
    assert same(drawn(easel, (SHIPPED, 0.0)), easel.draw(PLAIN, prompt=describe(SCENES[0]), batch=2))


def test_strengths_add_up(easel: Easel, figure: Figure) -> None:
    whole, parts = drawn(easel, (SHIPPED, 1.0)), drawn(easel, (SHIPPED, 0.3), (SHIPPED, 0.7))
    assert figure("0.3 and 0.7 beside 1", apart(whole, parts)) < 0.5  # 0.000
    undone, plain = drawn(easel, (SHIPPED, 1.0), (SHIPPED, -1.0)), drawn(easel, (SHIPPED, 0.0))
    assert figure("1 and -1 beside 0", apart(undone, plain)) < 0.5  # 0.000
    assert figure("1 beside 0", apart(whole, plain)) > 5  # 19 to 20


def test_the_order_of_loras_makes_no_difference(other: str, easel: Easel, figure: Figure) -> None:
    some, turned = (SHIPPED, 0.7), (other, 0.5)
    one_way, other_way = drawn(easel, some, turned), drawn(easel, turned, some)
    assert figure("the other way round", apart(one_way, other_way)) < 0.5  # 0.000
    assert figure("without the other", apart(one_way, drawn(easel, some))) > 1  # 3.4 to 3.6

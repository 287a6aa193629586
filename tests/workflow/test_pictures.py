"""Workflows in pictures that ComfyUI made: what ran, with what its editor showed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from nodegraph.workflow.document import Loaded, Slot
from nodegraph.workflow.read import load_file
from tests.workflow.ui_files import Canvas, registry, text_to_image

PROMPT = {
    "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "9": {"class_type": "Echo", "inputs": {"latent": ["3", 0]}, "_meta": {"title": "Echo"}},
}


def editor() -> dict[str, Any]:
    canvas = Canvas()
    canvas.node(3, "EmptyLatentImage", [999, 999, 9], title="the canvas", pos=[5, 6])
    canvas.node(9, "Echo", None, inputs=[{"name": "latent", "type": "LATENT", "link": None}])
    canvas.node(10, "Note", ["hello"])
    canvas.node(11, "EmptyLatentImage", [1, 1, 1], mode=2)
    canvas.link(3, 0, 9, "latent", "LATENT")
    canvas.groups.append({"title": "G", "bounding": [0, 0, 9, 9]})
    return canvas.file()


def webp(**texts: str) -> Image.Exif:
    exif = Image.Exif()
    tags = {"workflow": 0x010F, "prompt": 0x0110}
    for name, text in texts.items():
        exif[tags[name]] = f"{name}:{text}"
    return exif


def save(folder: Path, suffix: str, **texts: str) -> Path:
    """A picture as ComfyUI saves it."""
    path = folder / f"picture{suffix}"
    picture = Image.new("RGB", (8, 8))
    if suffix == ".webp":
        picture.save(path, exif=webp(**texts))
    else:
        info = PngImagePlugin.PngInfo()
        for name, text in texts.items():
            info.add_text(name, text)
        picture.save(path, pnginfo=info)
    return path


def opened(path: Path) -> Loaded:
    return load_file(path, specs=lambda: registry().specs)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_the_prompt_gives_the_graph_and_the_editor_what_is_around_it(suffix: str, tmp_path: Path) -> None:
    loaded = opened(save(tmp_path, suffix, prompt=json.dumps(PROMPT), workflow=json.dumps(editor())))
    assert loaded.problems == ()
    found = loaded.workflow
    assert found is not None
    assert set(found.nodes) == {"3", "9"}
    assert found.nodes["3"].inputs == {"width": 64, "height": 64, "batch_size": 1}
    assert found.nodes["9"].inputs == {"latent": Slot("3", 0)}
    assert (found.nodes["3"].title, found.nodes["9"].title) == ("the canvas", None)
    assert found.layout == {"3": (5, 6), "9": (0, 0)}
    assert ([note.text for note in found.notes], [group.title for group in found.groups]) == (["hello"], ["G"])


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_one_of_the_two_will_do(suffix: str, tmp_path: Path) -> None:
    only_prompt = opened(save(tmp_path, suffix, prompt=json.dumps(PROMPT))).workflow
    only_editor = opened(save(tmp_path, suffix, workflow=json.dumps(text_to_image().file()))).workflow
    assert only_prompt is not None
    assert only_editor is not None
    assert set(only_prompt.nodes) == {"3", "9"}
    assert set(only_editor.nodes) == {"3", "4", "5", "6", "7", "8", "9"}


def test_an_editor_text_that_cannot_be_read_does_not_matter(tmp_path: Path) -> None:
    loaded = opened(save(tmp_path, ".png", prompt=json.dumps(PROMPT), workflow="{oh"))
    assert loaded.problems == ()
    loaded = opened(save(tmp_path, ".webp", prompt="{oh", workflow=json.dumps(editor())))
    assert loaded.workflow is not None
    assert "11" in loaded.workflow.nodes


def test_a_webp_without_metadata_says_so(tmp_path: Path) -> None:
    assert [problem.code for problem in opened(save(tmp_path, ".webp")).problems] == ["no_workflow_in_picture"]


def test_letters_beyond_ascii_come_through(tmp_path: Path) -> None:
    prompt = {"1": {"class_type": "CLIPTextEncode", "inputs": {"text": "夜の星"}}}
    loaded = opened(save(tmp_path, ".webp", prompt=json.dumps(prompt)))
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["1"].inputs["text"] == "夜の星"


def test_a_webp_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = save(tmp_path, ".webp", prompt=json.dumps(PROMPT))
    path.write_bytes(path.read_bytes()[:-20])
    assert [problem.code for problem in opened(path).problems] == ["file_unreadable"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2000), st.binary(max_size=12), st.integers(0, 30))
def test_a_damaged_webp_gives_a_workflow_or_problems(tmp_path: Path, start: int, noise: bytes, length: int) -> None:
    path = save(tmp_path, ".webp", prompt=json.dumps(PROMPT), workflow=json.dumps(editor()))
    data = path.read_bytes()
    start %= len(data)
    path.write_bytes(data[:start] + noise + data[start + length :])
    loaded = opened(path)
    assert loaded.workflow is not None or loaded.problems

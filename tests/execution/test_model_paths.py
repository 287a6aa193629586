"""extra_model_paths.yaml: further folders of models, as other programs keep them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph.context import Roots
from nodegraph.errors import ProblemError
from nodegraph.execution.model_paths import find_model_paths, read_model_paths

TEXT = """
# from another program
webui:
    base_path: {base}
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    is_default: true
other:
    clip: /elsewhere/clip
"""


def test_sections_with_and_without_a_base(tmp_path: Path):
    path = tmp_path / "extra_model_paths.yaml"
    path.write_text(TEXT.format(base=tmp_path / "webui"))
    webui = tmp_path / "webui" / "models"
    assert read_model_paths(path) == (
        ("checkpoints", webui / "Stable-diffusion"),
        ("loras", webui / "Lora"),
        ("loras", webui / "LyCORIS"),
        ("clip", Path("/elsewhere/clip")),
    )


def test_a_relative_base_is_beside_the_file(tmp_path: Path):
    path = tmp_path / "paths.yaml"
    path.write_text("a: {base_path: webui, vae: models/VAE}")
    assert read_model_paths(path) == (("vae", tmp_path / "webui" / "models" / "VAE"),)


def test_models_in_there_are_listed_and_found(tmp_path: Path):
    extra = tmp_path / "elsewhere"
    extra.mkdir()
    (extra / "style.safetensors").write_bytes(b"x")
    roots = Roots(models=(tmp_path / "models",), extra_models=(("loras", extra), ("text_encoders", extra)))
    assert roots.list_models("loras") == ["style.safetensors"]
    assert roots.find_model("loras", "style.safetensors") == extra / "style.safetensors"
    assert roots.find_model("clip", "style.safetensors") == extra / "style.safetensors"
    assert roots.find_model("vae", "style.safetensors") is None
    own = tmp_path / "models" / "loras"
    own.mkdir(parents=True)
    (own / "style.safetensors").write_bytes(b"y")
    assert roots.find_model("loras", "style.safetensors") == own / "style.safetensors"


def test_the_file_is_looked_for_beside_the_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    comfy = tmp_path / "comfy"
    (comfy / "models").mkdir(parents=True)
    assert find_model_paths([comfy / "models"]) == []
    (comfy / "extra_model_paths.yaml").write_text("a: {vae: v}")
    assert find_model_paths([comfy / "models"]) == [comfy / "extra_model_paths.yaml"]
    assert find_model_paths([Path("models")]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1, 2]", "mapping"), ("a: text", "mapping"), ("a: {loras: [x]}", "'loras' names folders"), ("a: {b: 1", "")],
)
def test_what_is_wrong_in_it_is_told_with_its_place(tmp_path: Path, text: str, words: str):
    path = tmp_path / "paths.yaml"
    path.write_text(text)
    with pytest.raises(ProblemError) as caught:
        read_model_paths(path)
    (found,) = caught.value.problems
    assert words in found.message
    assert found.place.file == str(path) and found.place.line == 1

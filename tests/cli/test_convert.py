from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.cli.convert import FORMATS
from nodegraph.graph.converting import SUFFIXES, WRITERS
from tests.cli.support import Outcome
from tests.workflow.ui_files import Canvas, text_to_image

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

YAML = """\
nodegraph: 1
params: {prompt: a red star}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: $prompt}}
  negative: {uses: CLIPTextEncode, with: {clip: $model.clip, text: "no ${prompt}, please"}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with: {model: $model.model, positive: $positive, negative: $negative, latent_image: $canvas, seed: random}
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture}}
"""


def foreign() -> Canvas:
    """Text to image, with a node of a pack that is not here and a model that is not here."""
    canvas = text_to_image()
    canvas.nodes[0]["widgets_values"] = ["gone.safetensors"]
    model = {"name": "gone.safetensors", "url": "https://example.org/gone", "directory": "checkpoints"}
    canvas.nodes[0]["properties"] = {"models": [model]}
    listed = [{"name": "image", "type": "IMAGE", "link": None}]
    listed.append({"name": "strength", "type": "FLOAT", "link": None, "widget": {"name": "strength"}})
    outputs = [{"name": "IMAGE", "type": "IMAGE"}]
    properties = {"cnr_id": "glow-pack", "ver": "1.4"}
    canvas.node(50, "Glow", [0.5], inputs=listed, outputs=outputs, title="make it glow", properties=properties)
    canvas.link(8, 0, 50, "image", "IMAGE")
    canvas.link(50, 0, 9, "images", "IMAGE")
    return canvas


@pytest.fixture
def ui(file: File) -> Callable[[Canvas], Path]:
    def write(canvas: Canvas) -> Path:
        return file("in.json", json.dumps(canvas.file(), indent=2))

    return write


def test_an_editor_file_becomes_readable_yaml(cli: Cli, ui: Callable[[Canvas], Path], tmp_path: Path) -> None:
    canvas = text_to_image()
    canvas.nodes[5]["title"] = "The Picture!"
    canvas.node(20, "Note", ["what this is for\nand more"], title="Read me")
    canvas.groups.append({"title": "Prompts: both", "bounding": [0, 0, 300, 200]})
    done = cli("convert", ui(canvas), "out.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["out.yaml: 7 nodes written"]
    text = (tmp_path / "out.yaml").read_text()
    assert "notes:\n  - text: |-\n      what this is for\n      and more\n    title: Read me\n" in text
    assert 'groups:\n  "Prompts: both": [0, 0, 300, 200]\nnotes:' in text
    for line in (
        "  the_picture:\n    uses: VAEDecode\n    title: The Picture!\n",
        "    with: {samples: $ksampler, vae: $checkpoint_loader_simple.vae}\n",
        "      positive: $positive\n",
        "    with: {images: $the_picture, filename_prefix: star}\n",
    ):
        assert line in text
    assert cli("check", "out.yaml").code == 0
    assert cli("check", ui(canvas), "--schema").code == cli("check", "out.yaml", "--schema").code == 0
    assert cli("run", ui(canvas), "--dry-run").code == 0


def test_yaml_becomes_what_comfyui_runs_and_opens(cli: Cli, file: File, tmp_path: Path) -> None:
    file("in.yaml", YAML)
    assert cli("convert", "in.yaml", "api.json").code == 0
    api = json.loads((tmp_path / "api.json").read_text())
    assert api["positive"] == {
        "class_type": "CLIPTextEncode", "inputs": {"text": "a red star", "clip": ["model", 1]},
        "_meta": {"title": "positive"},
    }  # fmt: skip
    assert api["negative"]["inputs"]["text"] == "no a red star, please"
    assert type(api["latent"]["inputs"]["seed"]) is int
    assert api["latent"]["inputs"]["cfg"] == 8.0
    assert cli("convert", "in.yaml", "ui.json", "--format", "ui").code == 0
    ui = json.loads((tmp_path / "ui.json").read_text())
    nodes = {node["type"]: node for node in ui["nodes"]}
    assert ui["version"] == 0.4
    assert nodes["KSampler"]["widgets_values"] == [0, "randomize", 20, 8.0, "euler", "normal", 1.0]
    assert nodes["PrimitiveNode"]["widgets_values"] == ["a red star"]
    assert nodes["PrimitiveNode"]["title"] == "prompt"
    assert ui["last_node_id"] == max(node["id"] for node in ui["nodes"])
    assert ui["last_link_id"] == len(ui["links"])
    by_id = {node["id"]: node for node in ui["nodes"]}
    for number, origin, output, target, slot, _ in ui["links"]:
        assert number in by_id[origin]["outputs"][output]["links"]
        assert by_id[target]["inputs"][slot]["link"] == number
    for name in ("api.json", "ui.json"):
        assert cli("check", name).lines == [f"{name}: fine, 7 nodes"]
    assert cli("check", "ui.json", "--set", "prompt=a green heart").code == 0


def test_a_file_of_unknown_nodes_converts_and_what_is_missing_is_said(
    cli: Cli, ui: Callable[[Canvas], Path], tmp_path: Path
) -> None:
    done = cli("convert", ui(foreign()), "out.yaml")
    assert done.code == 0
    assert done.lines[1:] == [
        "missing:",
        "  node type Glow from the pack glow-pack@1.4, for node make_it_glow",
        "  model file checkpoints/gone.safetensors, for node checkpoint_loader_simple, from https://example.org/gone",
    ]
    text = (tmp_path / "out.yaml").read_text()
    assert "    with: {strength: 0.5, image: $vae_decode}\n    pack: glow-pack@1.4\n" in text
    again = cli("convert", "out.yaml", "again.json", "--format", "ui")
    assert again.lines[2:] == done.lines[2:]
    back = cli("convert", "again.json", "-").out
    assert "    with: {strength: 0.5, image: $vae_decode}\n    pack: glow-pack@1.4\n" in back
    assert cli("diff", "out.yaml", "again.json").lines[-1] == "8 nodes renamed, 2 changed"  # which have titles now


def test_check_tells_every_unknown_node_with_its_title_and_pack(cli: Cli, ui: Callable[[Canvas], Path]) -> None:
    done = cli("check", ui(foreign()))
    assert done.code == 1
    assert "unknown node type 'Glow' of node '50' (make it glow); it comes from the pack glow-pack@1.4" in done.out
    assert "missing:\n  node type Glow from the pack glow-pack@1.4, for node 50\n" in done.out
    found = cli("check", ui(foreign()), "--json").json["files"][0]["missing"]
    assert found == {
        "nodes": [{"type": "Glow", "pack": "glow-pack@1.4", "count": 1, "nodes": ["50"]}],
        "models": [
            {"name": "gone.safetensors", "folder": "checkpoints", "url": "https://example.org/gone", "nodes": ["4"]}
        ],
        "inputs": [],
    }


def test_model_files_that_only_the_file_names_are_missing_too(cli: Cli, ui: Callable[[Canvas], Path]) -> None:
    canvas = foreign()
    canvas.nodes[-1]["properties"]["models"] = [
        {"name": "glow.pth", "directory": "glows", "url": "https://example.org/g"}
    ]
    canvas.nodes[0]["widgets_values"] = ["tiny"]
    found = cli("check", ui(canvas), "--json").json["files"][0]["missing"]
    assert found["models"] == [{"name": "glow.pth", "folder": "glows", "url": "https://example.org/g", "nodes": ["50"]}]


def test_json_says_what_was_written(cli: Cli, ui: Callable[[Canvas], Path]) -> None:
    told = cli("convert", ui(foreign()), "out.json", "--json").json
    assert (told["file"], told["format"], told["nodes"], told["problems"]) == ("out.json", "api", 8, [])
    assert [each["type"] for each in told["missing"]["nodes"]] == ["Glow"]


def test_standard_output_gets_the_text_alone(cli: Cli, ui: Callable[[Canvas], Path]) -> None:
    done = cli("convert", ui(foreign()), "-")
    assert done.out.startswith("nodegraph: 1\n")
    assert "missing:" in done.err
    assert "missing:" not in done.out
    assert json.loads(cli("convert", ui(foreign()), "-", "--format", "api").out)["50"]["class_type"] == "Glow"
    assert json.loads(cli("convert", ui(foreign()), "-", "--format", "nodegraph").out)["nodegraph"] == 1
    assert cli("convert", ui(foreign()), "-", "--json").code == 1


def test_a_file_is_not_written_over_unless_it_is_meant(cli: Cli, file: File, tmp_path: Path) -> None:
    file("in.yaml", YAML)
    file("out.json", "precious")
    done = cli("convert", "in.yaml", "out.json")
    assert done.code == 1
    assert "out.json is there already; write it with --force" in done.err
    assert (tmp_path / "out.json").read_text() == "precious"
    assert cli("convert", "in.yaml", "out.json", "--force").code == 0
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("out.txt",), "'out.txt' does not end like a file that can be written"),
        (("out.yaml", "--format", "api"), "--format api does not go with the end of 'out.yaml'"),
        (("out.json", "--format", "yaml"), "--format yaml does not go with the end of 'out.json'"),
    ],
)
def test_names_and_formats_that_do_not_go_together(
    arguments: tuple[str, ...], said: str, cli: Cli, file: File, tmp_path: Path
) -> None:
    file("in.yaml", YAML)
    done = cli("convert", "in.yaml", *arguments)
    assert done.code == 1
    assert said in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["in.yaml"]


SWEPT = YAML.replace("{width: 64, height: 64}}", "{width: 64, height: 64}, foreach: {batch_size: [1, 2]}}")


@pytest.mark.parametrize("format_", ["api", "ui"])
def test_what_another_format_cannot_say_is_told_and_nothing_is_written(
    format_: str, cli: Cli, file: File, tmp_path: Path
) -> None:
    file("swept.yaml", SWEPT)
    done = cli("convert", "swept.yaml", "out.json", "--format", format_)
    assert done.code == 1
    assert "the node 'canvas' is swept ('foreach'), and ComfyUI's" in done.err
    file("when.yaml", YAML.replace("uses: VAEDecode,", "uses: VAEDecode, when: $canvas,"))
    assert "depends on another node" in cli("convert", "when.yaml", "out.json", "--format", format_).err
    file("needs.yaml", YAML.replace("prompt: a red star", "prompt: {type: STRING}"))
    assert "has no default" in cli("convert", "needs.yaml", "out.json", "--format", format_).err
    assert not (tmp_path / "out.json").exists()


def test_what_never_runs_is_muted_or_left_out(cli: Cli, file: File, tmp_path: Path) -> None:
    file("in.yaml", YAML.replace("uses: VAEDecode,", "uses: VAEDecode, when: false,"))
    assert cli("convert", "in.yaml", "api.json").code == 0
    assert set(json.loads((tmp_path / "api.json").read_text())) == {"model", "positive", "negative", "canvas", "latent"}
    assert cli("convert", "in.yaml", "ui.json", "--format", "ui").code == 0
    nodes = {node["type"]: node for node in json.loads((tmp_path / "ui.json").read_text())["nodes"]}
    assert (nodes["VAEDecode"]["mode"], nodes["KSampler"]["mode"]) == (2, 0)


PART = """\
nodegraph: 1
params: {side: 64}
nodes:
  c: {uses: EmptyLatentImage, with: {width: $side, height: 64}}
outputs: {latent: $c}
"""


def test_a_program_of_an_editor_file_has_its_names_and_modes(
    cli: Cli, ui: Callable[[Canvas], Path], tmp_path: Path
) -> None:
    canvas = text_to_image()
    canvas.node(60, "SaveImage", ["never"], mode=2)
    canvas.link(8, 0, 60, "images", "IMAGE")
    assert cli("convert", ui(canvas), "out.py").lines == ["out.py: 8 nodes written"]
    text = (tmp_path / "out.py").read_text()
    assert 'graph.node("save_image", SaveImage, images=vae_decode, filename_prefix="star")' in text
    assert 'graph.options("save_image_2", mode="muted")' in text


def test_sub_workflows_become_nodes_of_the_file(cli: Cli, file: File, tmp_path: Path) -> None:
    file("part.yaml", PART)
    whole = "canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}"
    file("in.yaml", YAML.replace(whole, "canvas: {uses: ./part.yaml, with: {side: 32}}"))
    assert cli("convert", "in.yaml", "api.json").code == 0
    api = json.loads((tmp_path / "api.json").read_text())
    assert api["latent"]["inputs"]["latent_image"] == ["canvas/c", 0]
    assert api["canvas/c"]["inputs"]["width"] == 32
    assert cli("convert", "in.yaml", "elsewhere/out.yaml").code == 0
    assert cli("check", "elsewhere/out.yaml").code == 0
    assert cli("convert", "in.yaml", "beside.yaml").code == 0
    assert "uses: ./part.yaml" in (tmp_path / "beside.yaml").read_text()


def test_mistakes_of_the_file_are_told_and_the_rest_is_written(cli: Cli, ui: Callable[[Canvas], Path]) -> None:
    canvas = text_to_image()
    canvas.links.append([1, 2])
    canvas.nodes.append(5)
    done = cli("convert", ui(canvas), "out.yaml")
    assert done.code == 1
    assert done.err.count("in.json:") == 2
    assert done.lines == ["out.yaml: 7 nodes written"]


def test_a_file_that_is_no_workflow_is_told(cli: Cli, file: File, tmp_path: Path) -> None:
    file("in.json", "[1]")
    assert cli("convert", "in.json", "out.yaml").code == 1
    assert not (tmp_path / "out.yaml").exists()


def test_the_formats_that_the_command_offers_are_those_there_are() -> None:
    assert set(FORMATS) == set(WRITERS) == {name for names in SUFFIXES.values() for name in names}

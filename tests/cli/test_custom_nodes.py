"""Packs for ComfyUI on the command line: where they come from, which are loaded, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import Outcome, program
from tests.packs.support import GOOD, PACKS, pack

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

WORKFLOW = """\
nodegraph: 1
nodes:
  text: {uses: PrimitiveString, with: {value: a b}}
  words: {uses: ConvSplit, with: {text: $text}}
  end: {uses: "ShowText|TU", with: {text: $words.words}}
"""

LOUD = """
class Loud:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "go"

    def go(self):
        print("### garbage")
        return {"ui": {"text": ["quiet"]}}


NODE_CLASS_MAPPINGS = {"Loud": Loud}
"""


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_workflow_on_packs_nodes_runs(cli: Cli, file: File):
    path = file("w.yaml", WORKFLOW)
    done = cli("run", path, "--custom-nodes", PACKS)
    assert (done.code, done.err) == (0, "")
    done = cli("check", path)
    assert done.code == 1 and "unknown node type 'ConvSplit'" in done.out


def test_a_file_of_comfyui_on_packs_nodes_runs(cli: Cli, file: File):
    prompt = {
        "1": {"class_type": "LoopForOpen", "inputs": {"remaining": 3, "initial_value1": 1}},
        "2": {"class_type": "MathExpression|7", "inputs": {"expression": "a * 2", "a": ["1", 2]}},
        "3": {"class_type": "LoopForClose", "inputs": {"flow_control": ["1", 0], "initial_value1": ["2", 0]}},
        "5": {"class_type": "ConvShow", "inputs": {"text": ["3", 0]}},
    }
    done = cli("run", file("prompt.json", json.dumps(prompt)), "--custom-nodes", PACKS, "--json")
    assert done.code == 0, done.out + done.err
    shown = [event["shown"] for event in done.events if event.get("node") == "5" and "shown" in event]
    assert shown == [{"text": [8]}]


def test_nodes_are_listed_with_their_pack(cli: Cli):
    done = cli("nodes", "--custom-nodes", PACKS)
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.lines]
    assert "Conv Kinds Takes inputs of all kinds [conventions]" in lines
    assert "SecondRepeat A text several times [second_form]" in lines
    done = cli("nodes", "GridTint", "--custom-nodes", PACKS, "--json")
    (tint,) = done.json["nodes"]
    assert tint["pack"] == "image-grid.nodes" and tint["inputs"][2]["default"] == "#ff0000"


def test_packs_come_from_further_paths_and_the_configuration(cli: Cli, file: File, tmp_path: Path):
    pack(tmp_path / "one", GOOD.format(name="One"), "pack one")
    pack(tmp_path / "two", GOOD.format(name="Two"), "pack-two")

    def known(*options: object) -> set[str]:
        listed = cli("nodes", "--json", *options).json["nodes"]
        return {spec["name"] for spec in listed} & {"One", "Two", "Good"}

    assert known() == set()
    file("extra_model_paths.yaml", f"comfy:\n  base_path: {tmp_path}\n  custom_nodes: one\n  loras: loras\n")
    assert known() == {"One"}
    file("config/nodegraph/nodegraph.toml", f"custom_nodes = '{tmp_path / 'two'}'\n")
    assert known() == {"One", "Two"}
    assert known("--no-custom-nodes") == set()
    assert known("--allow-pack", "pack-two") == {"Two"}
    assert "Two" in cli("schema").out  # also where there are no folders of models
    file("config/nodegraph/nodegraph.toml", f"custom_nodes = ['{tmp_path / 'two'}']\nallow_pack = ['pack one']\n")
    assert known() == {"One"}
    file("config/nodegraph/nodegraph.toml", "custom_nodes = [[1]]\nallow_pack = true\n")
    wrong = cli("nodes")
    assert wrong.code == 1
    assert "'custom_nodes' cannot be [[1]]" in wrong.err
    assert "'allow_pack' cannot be True" in wrong.err


def test_a_folder_that_is_not_there_is_a_mistake(cli: Cli, tmp_path: Path):
    done = cli("nodes", "--custom-nodes", tmp_path / "nowhere")
    assert done.code == 1 and "--custom-nodes: there is no such folder" in done.err


def test_what_is_wrong_with_packs_is_told(cli: Cli, tmp_path: Path):
    pack(tmp_path / "packs", "from comfy.samplers import KSampler", "wants more")
    pack(tmp_path / "packs", GOOD.format(name="KSampler"), "takes")
    done = cli("nodes", "--broken", "--custom-nodes", tmp_path / "packs")
    assert "it wants comfy.samplers.KSampler, which nodegraph does not have" in done.out
    assert "its node 'KSampler' is left out: the pack 'builtin' has a node of this name" in done.out
    found = cli("nodes", "--broken", "--json", "--custom-nodes", tmp_path / "packs").json["broken"]
    assert [(each["name"], each.get("node")) for each in found] == [("takes", "KSampler"), ("wants more", None)]
    warned = cli("nodes", "--custom-nodes", tmp_path / "packs").err
    assert "warning: node pack 'wants more' is left out" in warned


def test_what_packs_print_does_not_reach_the_output_for_programs(tmp_path: Path):
    pack(tmp_path / "packs", LOUD, "loud")
    (tmp_path / "w.yaml").write_text("nodegraph: 1\nnodes:\n  a: {uses: Loud}\n", encoding="utf-8")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = program("run", "w.yaml", "--custom-nodes", "packs", "--json", cwd=tmp_path, env=env)
    assert done.code == 0, done.err
    assert done.events[-1]["event"] == "run_finished"
    assert "### garbage" in done.err


def test_a_program_made_of_a_workflow_finds_its_packs(cli: Cli, file: File, tmp_path: Path):
    path = file("w.yaml", WORKFLOW)
    assert cli("convert", path, tmp_path / "w.py", "--custom-nodes", PACKS).code == 0
    source = (tmp_path / "w.py").read_text(encoding="utf-8")
    assert f'custom_nodes=["{PACKS}"]' in source
    names: dict[str, Callable[[], int]] = {"__name__": "w", "__file__": str(tmp_path / "w.py")}  # type: ignore[dict-item]
    exec(compile(source, "w.py", "exec"), names)
    assert names["main"]() == 0

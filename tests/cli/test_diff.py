from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.workflow.write import dump_json
from tests.cli.support import SUM, Outcome, program
from tests.workflow.support import workflow_of

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

#: SUM with a new name for a node and another number.
OTHER = SUM.replace("  sum:", "  total:").replace("$sum", "$total").replace("b: 3", "b: 4")
#: SUM in the format of ComfyUI's API, with the value of its parameter.
PROMPT = """{
  "first": {"class_type": "Number", "inputs": {"value": 2}},
  "sum": {"class_type": "Add", "inputs": {"a": ["first", 0], "b": 3}},
  "file": {"class_type": "Write", "inputs": {"value": ["sum", 0], "name": "sum"}}
}"""


def test_workflows_that_differ_end_with_1(cli: Cli, file: File):
    file("a.yaml", SUM)
    file("b.yaml", OTHER)
    done = cli("diff", "a.yaml", "b.yaml")
    assert (done.code, done.err) == (1, "")
    assert done.lines == [
        "--- a.yaml",
        "+++ b.yaml",
        "~ node sum → total: Add",
        "~     b: 3 → 4",
        "1 node renamed, 1 changed",
    ]


def test_workflows_that_are_the_same_end_with_0(cli: Cli, file: File):
    file("a.yaml", SUM)
    file("b.json", dump_json(workflow_of(SUM)))
    for arguments in (("a.yaml", "b.json"), ("hello", "hello")):
        done = cli("diff", *arguments)
        assert (done.code, done.err) == (0, "")
        assert "are the same workflow" in done.out


def test_defaults_and_outputs_of_nodes_in_a_folder_are_known(cli: Cli, file: File, pack: Path):
    file("a.yaml", SUM)
    file("b.yaml", SUM.replace("b: 3", "b: 3, ratio: 1, mode: plain").replace("$first", "$first.int"))
    assert cli("diff", "a.yaml", "b.yaml").code == 1
    assert cli("diff", "a.yaml", "b.yaml", "--nodes", pack).code == 0


def test_a_prompt_in_api_format_is_compared_with_a_workflow(cli: Cli, file: File):
    file("prompt.json", PROMPT)
    file("a.yaml", SUM)
    done = cli("diff", "prompt.json", "a.yaml")
    assert done.lines[2:] == [
        "+ param start: 2",
        "~ node first: Number",
        "~     value: 2 → $start",
        "1 node changed; 1 parameter added",
    ]


def test_a_picture_is_the_workflow_that_it_was_made_with(cli: Cli, file: File):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    file("a.yaml", SUM)
    info = PngInfo()
    info.add_text("nodegraph", SUM)
    Image.new("RGB", (1, 1)).save("picture.png", pnginfo=info)
    assert cli("diff", "a.yaml", "picture.png").code == 0


def test_the_difference_as_json(cli: Cli, file: File):
    done = cli("diff", file("a.yaml", SUM), file("b.yaml", OTHER), "--json")
    assert done.code == 1
    assert done.json["same"] is False
    assert Path(done.json["old"]).name == "a.yaml"
    assert done.json["nodes"] == {
        "added": [],
        "removed": [],
        "renamed": [{"old": "sum", "new": "total"}],
        "changed": [
            {
                "old": "sum",
                "new": "total",
                "uses": "Add",
                "inputs": [{"name": "b", "old": 3, "new": 4}],
                "keys": [],
            }
        ],
    }
    same = cli("diff", "hello", "hello", "--json")
    assert (same.code, same.json["same"]) == (0, True)


def test_one_of_the_two_may_come_from_standard_input(tmp_path: Path, file: File):
    file("a.yaml", SUM)
    same = program("diff", "a.yaml", "-", cwd=tmp_path, stdin=SUM.encode())
    assert (same.code, same.err) == (0, "")
    other = program("diff", "-", "a.yaml", cwd=tmp_path, stdin=OTHER.encode())
    assert (other.code, other.lines[0]) == (1, "--- <stdin>")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a.yaml", "none.yaml"), "there is no file or example 'none.yaml'"),
        (("a.yaml", "text.yaml"), "text.yaml:1:1:"),
        (("text.yaml", "a.yaml"), "text.yaml:1:1:"),
        (("half.yaml", "a.yaml"), "did you mean 'with'?"),
        (("a.yaml", "."), "is a folder"),
        (("-", "-"), "only one of the two"),
        (("a.yaml",), "required: B"),
        (("a.yaml", "a.yaml", "--nodes", "nowhere"), "there is no such folder"),
        (("a.yaml", "a.yaml", "--wat"), "--wat"),
    ],
)
def test_what_cannot_be_compared_ends_with_2(cli: Cli, file: File, arguments: tuple[str, ...], told: str):
    file("a.yaml", SUM)
    file("text.yaml", "just text")
    file("half.yaml", SUM.replace("with: {value: $start}", "wiht: {value: $start}"))
    done = cli("diff", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_the_problems_of_both_files_are_told_at_once(cli: Cli, file: File):
    file("one.yaml", "just text")
    file("two.yaml", "[]")
    done = cli("diff", "one.yaml", "two.yaml")
    assert done.code == 2
    assert "one.yaml:1:1:" in done.err
    assert "two.yaml:1:1:" in done.err


def test_its_help_tells_its_own_exit_codes(cli: Cli):
    shown = cli("diff", "--help").out
    assert "0    the workflows are the same" in shown
    assert "1    they differ" in shown
    assert "node failed" not in shown

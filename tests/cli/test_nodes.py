from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.support import Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]


def test_node_types_are_listed_by_category_with_a_sentence(cli: Cli, pack: Path):
    done = cli("nodes", "--nodes", pack)
    assert (done.code, done.err) == (0, "")
    start = done.lines.index("test/numbers")
    assert [line.split(maxsplit=1) for line in done.lines[start + 1 : start + 4]] == [
        ["Add", "The sum of two numbers [light]"],
        ["Dice", "A number that a seed decides [light]"],
        ["Number", "A number [light]"],
    ]
    assert "sampling" in done.lines


def test_a_node_type_is_explained_in_full(cli: Cli, pack: Path):
    done = cli("nodes", "Add", "--nodes", pack)
    assert done.code == 0
    rows = [" ".join(line.split()) for line in done.lines]
    assert rows == [
        "Add",
        "test/numbers, from the pack 'light'",
        "",
        "The sum of two numbers.",
        "",
        "inputs",
        "a INT required",
        "b INT default 1",
        "ratio FLOAT default 1.0",
        'mode COMBO default "plain"; one of plain, twice',
        "",
        "outputs",
        "INT INT",
    ]
    shown = cli("nodes", "Number", "Dice", "Write", "CheckpointLoaderSimple", "--nodes", pack).out
    assert "default 1; 0 … 100" in shown
    assert f"0 … {2**64 - 1}" in shown
    assert "of the file" in shown
    assert "an output node" in shown
    assert "required; one of tiny" in shown


def test_node_types_are_printed_as_markdown(cli: Cli, pack: Path):
    done = cli("nodes", "Add", "Dice", "Write", "PerpNeg", "XYGrid", "LoadImage", "--markdown", "--nodes", pack)
    assert (done.code, done.err, done.lines[0]) == (0, "", "# All nodes")
    assert done.lines[2].startswith("6 node types")
    lines = {line.split("**")[1]: line for line in done.lines if line.startswith("- ")}
    assert lines["Add"] == (
        '- **Add** (`a` INT, `b` INT = `1`, `ratio` FLOAT = `1.0`, `mode` COMBO *(plain/twice)* = `"plain"`) → `INT`. '
        "The sum of two numbers."
    )
    assert lines["Dice"] == "- **Dice** (`seed` INT = `0`) → `INT`. A number that a seed decides."
    assert lines["PerpNeg"].endswith("(Armandpour et al. 2023). *deprecated*")
    assert "→ files." in lines["Write"] and lines["Write"].endswith("*output node*")
    assert lines["XYGrid"].startswith("- **XYGrid** (`images` IMAGE…, ") and "`axes` AXES?" in lines["XYGrid"]
    assert lines["LoadImage"].startswith("- **LoadImage** (`image` COMBO *(file)*) → `IMAGE`, `MASK`.")
    assert done.lines.index("## test/numbers") < done.lines.index(lines["Add"]) < done.lines.index(lines["Dice"])


def test_an_unknown_node_type_gets_a_suggestion(cli: Cli):
    done = cli("nodes", "KSamplr", "VAEDecode")
    assert done.code == 1
    assert "unknown node type 'KSamplr'; did you mean 'KSampler'?" in done.err
    assert done.lines[0].startswith("VAEDecode")


def test_broken_packs_are_listed_with_the_end_of_their_traceback(cli: Cli, file: File, tmp_path: Path):
    assert cli("nodes", "--broken").out == "no node pack is broken\n"
    file("packs/raises.py", "import nothing_of_this_name\n")
    file("packs/leaves.py", "import sys\nsys.exit(3)\n")
    file("packs/wrong.py", "from nodegraph.node import node\n@node(category='x')\ndef Wrong(a) -> int:\n    return 1\n")
    file("packs/good.py", "from nodegraph.node import node\n@node(category='x')\ndef Right() -> int:\n    return 1\n")
    shown = cli("nodes", "--broken", "--nodes", tmp_path / "packs")
    assert shown.code == 0
    assert "it needs the Python package 'nothing_of_this_name', which is not installed" in shown.out
    assert "pip install nothing_of_this_name" in shown.out
    assert "it exits at import (code 3)" in shown.out
    assert "parameter 'a' has no annotation" in shown.out
    assert "import nothing_of_this_name" in shown.out
    packs = cli("nodes", "--broken", "--json", "--nodes", tmp_path / "packs").json["broken"]
    assert [broken["name"] for broken in packs] == ["leaves", "raises", "wrong"]
    assert cli("nodes", "Right", "--nodes", tmp_path / "packs").code == 0


def test_json_has_all_that_is_known(cli: Cli, pack: Path):
    (add,) = cli("nodes", "Add", "--nodes", pack, "--json").json["nodes"]
    assert (add["name"], add["category"], add["pack"]) == ("Add", "test/numbers", "light")
    assert add["inputs"][0] == {"name": "a", "type": "INT", "required": True, "widget": True}
    assert add["inputs"][3] == {
        "name": "mode",
        "type": "COMBO",
        "required": False,
        "default": "plain",
        "choices": ["plain", "twice"],
        "widget": True,
    }
    everything = cli("nodes", "--nodes", pack, "--json").json["nodes"]
    assert {"Add", "KSampler", "SaveImage"} <= {spec["name"] for spec in everything}

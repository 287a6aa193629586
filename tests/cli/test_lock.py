"""`nodegraph lock`, and what insists on locks: what is not as it was locked is told, each with its place and remedy."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nodegraph.errors import ProblemError
from nodegraph.execution.lock_file import read_lock
from tests.cli.support import ROOT, SUM, Outcome, program

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

PICTURE = """\
nodegraph: 1
params: {picture: a.png}
nodes:
  load: {uses: LoadImage, with: {image: $picture}}
  save: {uses: SaveImage, with: {images: $load.image}}
"""


GREETINGS = '''
from nodegraph.node import node


@node(category="test")
def Hello() -> str:
    """Hello."""
    return "hi"
'''


def draw(name: str, colour: str) -> None:
    """A picture in the folder of inputs."""
    path = Path("input") / name
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data, indent=2), encoding="utf-8")


def problems(outcome: Outcome) -> list[dict[str, Any]]:
    """The problems that `check --json` lists."""
    assert outcome.code == 1
    (report,) = outcome.json["files"]
    return report["problems"]


def test_a_locked_workflow_runs_as_long_as_all_is_as_it_was(cli: Cli, file: File):
    draw("a.png", "red")
    file("w.yaml", PICTURE)
    locked = cli("lock", "w.yaml")
    assert (locked.code, locked.err) == (0, "")
    assert locked.out == "locked 1 file and 2 node types in w.lock.json\n"
    text = Path("w.lock.json").read_text(encoding="utf-8")
    assert list(json.loads(text)["files"]) == ["input/a.png"]
    assert cli("lock", "w.yaml", "--check").out == "w.lock.json: everything is as it was locked\n"
    assert cli("check", "w.yaml", "--locked").code == 0
    assert cli("run", "w.yaml", "--locked", "-q").code == 0
    assert cli("lock", "w.yaml").code == 0
    assert Path("w.lock.json").read_text(encoding="utf-8") == text
    file(
        "w.yaml", PICTURE.replace("save: {", "save: {title: Another title, ")
    )  # what the author changes is no difference
    assert cli("run", "w.yaml", "--locked", "-q").code == 0


def test_another_file_under_the_name_is_refused_before_anything_runs(cli: Cli, file: File):
    draw("a.png", "red")
    file("w.yaml", PICTURE)
    cli("lock", "w.yaml")
    draw("a.png", "blue")
    (found,) = problems(cli("check", "w.yaml", "--locked", "--json"))
    assert (found["code"], found["line"], found["node"], found["input"]) == ("lock_differs", 4, "load", "image")
    assert found["got"] != found["expected"]
    assert "'input/a.png' is not the one that was locked" in found["message"]
    assert str(Path("input/a.png").resolve()) in found["message"]
    assert "nodegraph lock w.yaml" in found["hint"]
    ran = cli("run", "w.yaml", "--locked")
    assert (ran.code, "w.yaml:4:" in ran.err) == (1, True)
    assert not Path("output").exists() or list(Path("output").iterdir()) == []
    assert cli("lock", "w.yaml", "--check").code == 1
    assert cli("run", "w.yaml", "-q").code == 0  # nobody insists


def test_a_file_that_is_not_in_the_lock_is_refused(cli: Cli, file: File):
    draw("a.png", "red")
    draw("b.png", "red")
    file("w.yaml", PICTURE)
    cli("lock", "w.yaml")
    (found,) = problems(cli("check", "w.yaml", "--locked", "--set", "picture=b.png", "--json"))
    assert "'input/b.png' is not in the lock" in found["message"]
    assert cli("lock", "w.yaml", "--set", "picture=b.png").code == 0
    assert cli("check", "w.yaml", "--locked", "--set", "picture=b.png").code == 0


def test_all_cells_of_a_sweep_are_locked(cli: Cli, file: File):
    draw("a.png", "red")
    draw("b.png", "blue")
    file("w.yaml", PICTURE.replace("params:", "matrix: {picture: [a.png, b.png]}\nparams:"))
    assert cli("lock", "w.yaml").code == 0
    assert list(json.loads(Path("w.lock.json").read_text())["files"]) == ["input/a.png", "input/b.png"]
    draw("b.png", "green")
    assert "input/b.png" in cli("run", "w.yaml", "--locked").err
    file("v.yaml", PICTURE)
    cli("lock", "v.yaml")
    over = ("sweep", "v.yaml", "--over", "picture=a.png,b.png", "--locked", "-q", "--grid", "grid.png")
    refused = cli(*over)
    assert (refused.code, refused.err.count("is not in the lock")) == (1, 1)
    edit(Path("v.lock.json"), lambda data: data["files"].update({"input/b.png": found_digest("w.yaml", cli)}))
    assert cli(*over).code == 0


def found_digest(name: str, cli: Cli) -> object:
    cli("lock", name)
    return json.loads(Path(name).with_suffix(".lock.json").read_text())["files"]["input/b.png"]


def test_each_version_that_differs_is_told_at_its_line(cli: Cli, file: File, pack: Path):
    file("w.yaml", SUM)
    cli("lock", "w.yaml", "--nodes", pack)

    def other(data: dict[str, Any]) -> None:
        data["versions"]["torch"] = "1.0"
        data["versions"]["oldlib"] = "3"
        del data["versions"]["diffusers"]

    edit(Path("w.lock.json"), other)
    told = {each["message"]: each for each in problems(cli("check", "w.yaml", "--locked", "--json", "--nodes", pack))}
    torch, diffusers = (importlib.metadata.version(name) for name in ("torch", "diffusers"))
    assert list(told) == [
        f"diffusers: none was locked, and {diffusers} is here",
        "oldlib: 3 was locked, and none is here",
        f"torch: 1.0 was locked, and {torch} is here",
    ]
    found = told[f"torch: 1.0 was locked, and {torch} is here"]
    assert (found["file"], found["source"]) == ("w.lock.json", '    "torch": "1.0",')
    assert found["hint"].startswith("install torch==1.0, or ")


def test_node_types_are_locked_with_their_code(cli: Cli, file: File, pack: Path):
    file("w.yaml", SUM)
    cli("lock", "w.yaml", "--nodes", pack)
    source = (pack / "light.py").read_text(encoding="utf-8")
    told = file("packs/light.py", source.replace('"""The sum of two numbers."""', '"""Adds."""')).parent
    assert cli("check", "w.yaml", "--locked", "--nodes", told).code == 0  # what it does is the same
    changed = file("changed/light.py", source.replace("return (a + b)", "return (a - b)")).parent
    (found,) = problems(cli("check", "w.yaml", "--locked", "--json", "--nodes", changed))
    assert (found["line"], found["node"]) == (5, "sum")
    assert "the code of node type 'Add' (pack 'light')" in found["message"]
    moved = file("moved/other.py", source).parent
    assert (
        "was locked as that of pack 'light', and here it is that of 'other'"
        in cli("check", "w.yaml", "--locked", "--nodes", moved).out
    )
    file("w.yaml", SUM + "  more: {uses: Tell, with: {value: 1}}\n")
    assert "node type 'Tell' is not in the lock" in cli("run", "w.yaml", "--locked", "--nodes", pack).err


def test_packs_that_are_installed_are_locked_with_their_version(tmp_path: Path):
    info = tmp_path / "site" / "greetings-1.0.dist-info"
    info.mkdir(parents=True)
    (info.parent / "greetings.py").write_text(GREETINGS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nodegraph.nodes]\ngreetings = greetings\n")
    (tmp_path / "w.yaml").write_text("nodegraph: 1\nnodes: {a: {uses: Hello}}\noutputs: {a: $a}\n")
    env = {"PYTHONPATH": os.pathsep.join([str(info.parent), str(ROOT)])}
    assert program("lock", "w.yaml", cwd=tmp_path, env=env).err == ""
    assert json.loads((tmp_path / "w.lock.json").read_text())["packs"] == {"greetings": "greetings==1.0"}
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.1\n")
    refused = program("run", "w.yaml", "--locked", cwd=tmp_path, env=env)
    assert refused.code == 1
    assert "node pack 'greetings': greetings==1.0 was locked, and greetings==1.1 is here" in refused.err
    assert "install greetings==1.0, or" in refused.err


def test_textual_inversions_that_a_prompt_calls_are_locked(cli: Cli, file: File):
    import torch
    from safetensors.torch import save_file

    folder = Path("models/embeddings/faces")
    folder.mkdir(parents=True)
    save_file({"emb_params": torch.zeros(1, 96)}, folder / "smile.safetensors")
    save_file({"emb_params": torch.zeros(1, 96)}, folder / "frown.safetensors")
    file(
        "w.yaml",
        """\
nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: "a embedding:faces/smile"}}
outputs: {text: $text}
""",
    )
    assert cli("lock", "w.yaml").code == 0
    files = json.loads(Path("w.lock.json").read_text(encoding="utf-8"))["files"]
    assert list(files) == ["checkpoints/tiny", "embeddings/faces/smile.safetensors"]
    save_file({"emb_params": torch.ones(1, 96)}, folder / "smile.safetensors")
    (found,) = problems(cli("check", "w.yaml", "--locked", "--json"))
    assert (found["node"], found["input"]) == ("text", "text")


def test_a_file_that_only_a_run_knows_cannot_be_locked(cli: Cli, file: File):
    draw("a.png", "red")
    file(
        "w.yaml",
        PICTURE.replace("image: $picture", "image: $name") + "  name: {uses: PrimitiveString, with: {value: a.png}}\n",
    )
    outcome = cli("lock", "w.yaml")
    assert outcome.code == 1
    assert "w.yaml:4:" in outcome.err
    assert "known only in a run" in outcome.err
    assert not Path("w.lock.json").exists()


def test_a_lock_that_is_missing_or_damaged_is_told(cli: Cli, file: File):
    draw("a.png", "red")
    file("w.yaml", PICTURE)
    missing = cli("run", "w.yaml", "--locked")
    assert (missing.code, missing.err) == (1, "w.lock.json: there is no lock; write it with 'nodegraph lock w.yaml'\n")
    assert cli("check", "w.yaml", "--locked").code == 1
    cli("lock", "w.yaml")
    whole = Path("w.lock.json").read_text(encoding="utf-8")
    for text in (whole[: len(whole) // 2], "", "[]", whole.replace('"nodegraph-lock": 1', '"nodegraph-lock": 2')):
        file("w.lock.json", text)
        damaged = cli("run", "w.yaml", "--locked")
        assert damaged.code == 1
        assert damaged.err.startswith("w.lock.json:")
        assert "Traceback" not in damaged.err
        assert "the lock is damaged" in damaged.err
    edit(file("w.lock.json", whole), lambda data: data["files"].update({"input/a.png": {"sha256": "short"}}))
    assert "64 digits" in cli("run", "w.yaml", "--locked").err


def test_where_locks_lie(cli: Cli, file: File, pack: Path):
    file("below/w.yaml", SUM)
    assert cli("lock", "below/w.yaml", "--nodes", pack).code == 0
    assert Path("below/w.lock.json").is_file()
    assert cli("lock", "hello").code == 0  # an example's is not written to where nodegraph is installed
    assert Path("hello.lock.json").is_file()
    assert cli("check", "hello", "--locked").code == 0
    assert [path.name for path in Path().rglob(".*")] == []  # no temporary file is left
    stdin = cli("check", "-", "--locked")
    assert stdin.code == 1


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["0" * 64, "1.0"])
keys = st.sampled_from(["pack", "sha256", "format", "a", "torch"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
sections = st.sampled_from(["nodegraph-lock", "workflow", "versions", "packs", "nodes", "files", "more"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(sections, values, max_size=7), st.booleans())
def test_whatever_a_lock_holds_it_is_read_or_refused(tmp_path: Path, data: dict[str, Any], right: bool):
    path = tmp_path / "w.lock.json"
    path.write_text(json.dumps({**data, **({"nodegraph-lock": 1} if right else {})}), encoding="utf-8")
    try:
        lock, problems = read_lock(path, "nodegraph lock w.yaml"), ()
    except ProblemError as error:
        lock, problems = None, error.problems
    assert (lock is None) == bool(problems)
    assert all(each.code == "lock_unusable" and each.place.line and each.hint for each in problems)
    assert lock is None or all(len(digest) == 64 for digest in lock.files.values())

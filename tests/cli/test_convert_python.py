from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.cli.support import PACK, Outcome, environment

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]


def python(script: Path, cwd: Path) -> Outcome:
    """Run a program that was written."""
    done = subprocess.run([sys.executable, script], cwd=cwd, env=environment(), capture_output=True, check=False)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_program_of_hello_draws_the_very_same_picture(cli: Cli, tmp_path: Path):
    assert cli("convert", "hello", "hello.py") == Outcome(0, "hello.py: 7 nodes written\n", "")
    ran = python(tmp_path / "hello.py", tmp_path)
    assert (ran.code, ran.err) == (0, "")
    (drawn,) = [Path(line) for line in ran.out.splitlines()]
    assert cli("run", "hello", "-q", "--cache-dir", "elsewhere", "--output-dir", "run").code == 0
    (expected,) = (tmp_path / "run").glob("*.png")
    with Image.open(tmp_path / drawn) as one, Image.open(expected) as other:
        assert one.tobytes() == other.tobytes()


def test_nodes_of_a_pack_in_a_folder_are_found_again(cli: Cli, file: File, tmp_path: Path):
    file("packs/light.py", PACK)
    file(
        "a.yaml",
        "nodegraph: 1\nnodes:\n  two: {uses: Number, with: {value: 2}}\n  file: {uses: Write, with: {value: $two}}\n",
    )
    assert cli("convert", "a.yaml", "out/a.py", "--nodes", "packs").code == 0
    ran = python(tmp_path / "out" / "a.py", tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert Path(tmp_path / ran.lines[0]).read_text(encoding="utf-8") == "2"


def test_a_program_tells_what_is_wrong_without_a_traceback(cli: Cli, file: File, tmp_path: Path):
    file(
        "a.yaml",
        "nodegraph: 1\nparams: {text: {type: STRING}}\nnodes: {a: {uses: PreviewAny, with: {source: $text}}}\n",
    )
    assert cli("convert", "a.yaml", "a.py").code == 0
    ran = python(tmp_path / "a.py", tmp_path)
    assert ran.code == 1
    assert "'text' has no default" in ran.err
    assert "Traceback" not in ran.err


def test_files_that_cannot_be_converted_are_told_of_and_nothing_is_written(cli: Cli, file: File, tmp_path: Path):
    file("a.yaml", "nodegraph: 1\nnodes:\n  a: {uses: Pass, with: {value: $b}}\n  b: {uses: Pass, with: {value: $a}}\n")
    outcome = cli("convert", "a.yaml", "a.py")
    assert outcome.code == 1
    assert "a.yaml:3:" in outcome.err
    file("b.yaml", "nodegraph: 1\nnods: {}\n")
    assert "b.yaml:2:1" in cli("convert", "b.yaml", "b.py").err
    assert "let it end in .yaml, .yml, .json, .py" in cli("convert", "hello", "hello.doc").err
    assert list(tmp_path.glob("*.py")) == []

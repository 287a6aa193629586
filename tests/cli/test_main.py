from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nodegraph.cli import examine, exit_codes
from nodegraph.version import VERSION
from nodegraph.workflow.document import Loaded
from tests.cli.support import SUM, Outcome, command, environment, program

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

COMMANDS = (
    "run",
    "serve",
    "submit",
    "jobs",
    "logs",
    "cancel",
    "explain",
    "sweep",
    "check",
    "nodes",
    "schema",
    "graph",
    "diff",
    "convert",
    "lock",
    "verify",
    "cache",
    "config",
    "version",
)
HEAVY = {
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "numpy",
    "PIL",
    "yaml",
    "rich",
    "networkx",
    "jsonschema",
    "aiohttp",
    "asyncio",
}

# Runs a command line and writes down which modules that took.
SPY = """
import json, sys
from nodegraph.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump([code, sorted({name.partition(".")[0] for name in sys.modules})], file)
"""


def modules_of(tmp_path: Path, *arguments: str) -> set[str]:
    """The top-level modules that a command line imports."""
    spy = [sys.executable, "-c", SPY, str(tmp_path / "spied.json"), *arguments]
    subprocess.run(spy, cwd=tmp_path, env=environment(), check=True, stdout=subprocess.DEVNULL)
    code, modules = json.loads((tmp_path / "spied.json").read_text(encoding="utf-8"))
    assert code == 0
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(tmp_path: Path, arguments: list[str]):
    assert modules_of(tmp_path, *arguments) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "hello"],
        ["nodes", "KSampler"],
        ["schema"],
        ["graph", "hello"],
        ["diff", "hello", "hello"],
        ["convert", "hello", "hello.py"],
        ["lock", "hello"],
        ["version"],
    ],
)
def test_commands_that_run_nothing_import_neither_torch_nor_what_is_built_on_it(tmp_path: Path, arguments: list[str]):
    assert modules_of(tmp_path, *arguments) & {"torch", "diffusers", "transformers", "numpy", "PIL", "rich"} == set()


def test_the_help_names_every_command_and_every_exit_code(cli: Cli):
    shown = cli("--help").out
    codes = {name: value for name, value in vars(exit_codes).items() if isinstance(value, int)}
    assert set(codes.values()) == set(exit_codes.MEANINGS) == {0, 1, 2, 130, 141, 143}
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"{code:<5}{meaning}" in shown
    assert all(f"\n    {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(cli: Cli, name: str):
    done = cli(name, "--help")
    assert done.code == 0
    assert f"usage: nodegraph {name}" in done.out
    assert "exit codes:" in done.out


@pytest.mark.parametrize(
    "arguments", [[], ["rnu"], ["--nonsense"], ["check"], ["check", "--nonsense", "hello"], ["run", "--see", "1"]]
)
def test_misuse_shows_the_usage_and_ends_with_2(cli: Cli, arguments: list[str]):
    done = cli(*arguments)
    assert done.code == 2
    assert "usage: nodegraph" in done.out + done.err
    assert "Traceback" not in done.err


def test_the_module_is_the_command(tmp_path: Path):
    done = program("--version", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, f"nodegraph {VERSION}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [["nodes", "--json"], ["schema"], ["graph", "hello"], ["check", "hello"], ["run", "sum.yaml", "--json"]],
)
def test_a_closed_pipe_is_silent(file: File, pack: Path, tmp_path: Path, arguments: list[str]):
    file("sum.yaml", SUM)
    reader, writer = os.pipe()
    os.close(reader)
    packs = ["--nodes", str(pack)] if arguments[0] == "run" else []
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            command(*arguments, *packs),
            cwd=tmp_path,
            env=environment(),
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (exit_codes.PIPE_CLOSED, b"")


def test_a_run_whose_reader_went_away_stops(file: File, pack: Path, tmp_path: Path):
    nodes = "  busy: {uses: Busy, with: {value: 1}}\n  file: {uses: Write, with: {value: $busy}}\n"
    arguments = command("run", file("busy.yaml", f"nodegraph: 1\nnodes:\n{nodes}"), "--nodes", pack, "--json")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert json.loads(run.stdout.readline())["event"] == "planned"
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == exit_codes.PIPE_CLOSED
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_text_can_be_shown_in_any_encoding(file: File, tmp_path: Path, encoding: str):
    path = file("日本.yaml", "nodegraph: 1\nnodes:\n  a: {uses: Ünknown-日本}\n")
    done = program("check", path.name, cwd=tmp_path, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
    assert done.code == 1
    assert "unknown node type" in done.out
    assert done.err == ""


def test_closed_standard_streams_do_no_harm(file: File, pack: Path, tmp_path: Path):
    file("sum.yaml", SUM)
    line = " ".join(command("run", "sum.yaml", "--nodes", pack)) + " >&- 2>&-"
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment(), check=False)
    assert done.returncode == 0
    assert (tmp_path / "output" / "sum.txt").is_file()


def test_an_interrupt_before_anything_runs_is_a_word(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> Loaded:
        raise KeyboardInterrupt

    monkeypatch.setattr(examine, "open_workflow", interrupted)
    assert cli("check", "hello") == Outcome(130, "", "interrupted\n")


def test_a_full_disk_is_one_line(tmp_path: Path):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("check", "hello"), cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.decode()) == (1, "output: No space left on device\n")


@pytest.mark.parametrize("name", ["", "a" * 5000, "no/such/folder/x.yaml", "folder", "file/x.yaml", "link", "pipe"])
def test_a_file_that_cannot_be_read_is_told_in_a_line(cli: Cli, file: File, tmp_path: Path, name: str):
    file("folder/workflow.yaml", SUM)
    file("file", SUM)
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for command_name in ("run", "check", "graph"):
        done = cli(command_name, name)
        said = (done.out + done.err).splitlines()
        assert done.code == 1
        assert len(said) == (2 if command_name == "check" else 1), said
        assert "nodegraph has made a mistake" not in said[0]


def test_control_characters_of_a_file_do_not_reach_the_terminal(cli: Cli, file: File):
    done = cli("check", file("evil\x1b[2J.yaml", 'nodegraph: 1\nnodes:\n  a: {uses: "\\e[31mX"}\n'))
    assert done.code == 1
    assert "\x1b" not in done.out


def test_versions_of_what_can_change_a_picture(cli: Cli):
    done = cli("version", "--json")
    assert done.code == 0
    assert done.json["nodegraph"] == VERSION
    assert set(done.json) == {"nodegraph", "python", "torch", "diffusers", "transformers", "platform"}
    text = cli("version").out
    assert all(str(version) in text for version in done.json.values())

"""`--engine` and `--devices`: where heavy nodes run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cli.main import main
from tests.cli.support import ROOT, environment

PACK = ROOT / "tests" / "engines" / "errands_pack.py"
CHAIN = """nodegraph: 1
nodes:
  model: {uses: Recipe}
  a: {uses: Noise, with: {seed: 3}}
  b: {uses: Strong, with: {model: $model, latent: $a}}
  c: {uses: Strong, with: {model: $model, latent: $b, strength: 2}}
"""


def file(folder: Path, text: str) -> str:
    path = folder / "w.yaml"
    path.write_text(text)
    return str(path)


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_run_by_workers_is_known_to_one_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    packs = str(folder_of_pack(tmp_path))
    options = [file(tmp_path, CHAIN), "--nodes", packs, "--only", "c", "--json", "--cache-dir", "kept"]
    assert main(["run", *options, "--devices", "cpu,cpu"]) == 0
    done = events(capsys)
    assert [event["node"] for event in done if event["event"] == "finished"] == ["model", "a", "b", "c"]
    assert main(["run", *options, "--device", "cpu"]) == 0
    assert [event["node"] for event in events(capsys) if event["event"] == "cached"] == ["model", "a", "b", "c"]
    assert main(["explain", *options, "--devices", "cpu,cpu"]) == 0
    (explained,) = events(capsys)
    assert (explained["hits"], explained["runs"]) == (4, 0)


def folder_of_pack(folder: Path) -> Path:
    """A folder that holds nothing but the pack."""
    packs = folder / "packs"
    packs.mkdir()
    (packs / PACK.name).write_text(PACK.read_text(encoding="utf-8"), encoding="utf-8")
    return packs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "procesess"], "did you mean 'processes'?"),
        (["--devices", "cpu,cuda:0"], "of one kind"),
        (["--devices", "cpu,gpu"], "called 'gpu'"),
        (["--device", "cuda", "--devices", "cpu,cpu"], "give one of the two options"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
):
    workflow = "nodegraph: 1\nnodes:\n  a: {uses: EmptyLatentImage}\n"
    assert main(["run", file(tmp_path, workflow), "--only", "a", *options]) == 1
    assert words in capsys.readouterr().err


def test_ctrl_c_stops_workers_too(tmp_path: Path):
    pipe = tmp_path / "begun"
    for path in (pipe, tmp_path / "begun.back"):
        os.mkfifo(path)
    workflow = f"nodegraph: 1\nnodes:\n  w: {{uses: Waits, with: {{pipe: {pipe}}}}}\n"
    command = ["run", file(tmp_path, workflow), "--nodes", str(folder_of_pack(tmp_path)), "--only", "w", "--json"]
    run = subprocess.Popen(
        [sys.executable, "-m", "nodegraph", *command, "--devices", "cpu,cpu"],
        cwd=tmp_path,
        env=environment({"XDG_CACHE_HOME": str(tmp_path / "cache")}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    worker = os.pidfd_open(int(pipe.read_text()))
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate()
    assert run.returncode == 130
    told = [json.loads(line) for line in out.splitlines()]
    assert (told[-1]["event"], told[-1]["status"]) == ("run_finished", "cancelled")
    assert select.select([worker], [], [], 60.0)[0]
    os.close(worker)

"""`serve`, `submit`, `jobs`, `logs` and `cancel`: a real server in a process of its own, asked over its socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.support import ROOT, Outcome, environment

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

SUM = """
nodegraph: 1
params: {value: 2}
nodes:
  n: {uses: Number, with: {value: $value}}
  sum: {uses: Add, with: {a: $n, b: 3}}
  file: {uses: Write, with: {value: $sum, name: sum}}
"""
SLOW = """
nodegraph: 1
nodes:
  slow: {uses: Slow, with: {value: 1}}
  tell: {uses: Tell, with: {value: $slow}}
"""

MAIN = """
nodegraph: 1
nodes:
  part: {uses: ./part.yaml, with: {v: 8}}
  tell: {uses: Tell, with: {value: $part}}
"""


class Served:
    """A server in a process of its own, below a folder."""

    def __init__(self, folder: Path, *options: object) -> None:
        command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", *map(str, options)]
        command += ["--data-dir", "data", "--output-dir", "out", "--cache-dir", "kept", "--log-format", "json"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.stderr.read() if self.process.stderr else "")
        self.url: str = json.loads(line)["url"].rstrip("/")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Stop it by a signal; its exit code, and what it wrote to standard error."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"), "--nodes", pack)
    yield served
    served.end()


@pytest.fixture
def remote(cli: Cli, server: Served, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NODEGRAPH_SERVER", server.url)
    return cli


def test_a_job_is_followed_like_a_run_of_ones_own(remote: Cli, file: File):
    done = remote("submit", file("sum.yaml", SUM), "--set", "value=4", "--follow")
    assert done.code == 0, done.err
    assert "saved output/sum.txt" in done.lines
    assert done.lines[-1].startswith("3 nodes: 3 run")
    again = remote("submit", "sum.yaml", "--set", "value=4", "--follow", "-q")
    assert again.lines == ["output/sum.txt"]


def test_a_job_without_following_is_only_named_and_can_be_looked_at_later(remote: Cli, file: File):
    job = remote("submit", file("sum.yaml", SUM)).out.strip()
    assert remote("logs", job, "--follow").code == 0
    shown = remote("logs", job[:12])
    assert "saved output/sum.txt" in shown.lines
    listed = remote("jobs", "--json").json
    assert listed["jobs"][0]["id"] == job
    assert f"{job[:8]}  " in remote("jobs", "--state", "done").out


def test_a_running_job_is_cancelled(remote: Cli, file: File):
    job = remote("submit", file("slow.yaml", SLOW)).out.strip()
    waiting = remote("submit", file("sum.yaml", SUM), "--set", "value=9").out.strip()
    assert remote("cancel", waiting).out == "1 job cancelled\n"
    assert remote("cancel", "--all").out == "1 job cancelled\n"
    followed = remote("logs", job, "--follow")
    assert (followed.code, remote("jobs", "--json").json["jobs"][0]["state"]) == (1, "cancelled")
    assert remote("cancel", "nobody").code == 1
    assert remote("cancel").code == 1


def test_sub_workflows_travel_with_the_job(remote: Cli, file: File):
    file("part.yaml", "nodegraph: 1\nparams: {v: 1}\nnodes: {n: {uses: Number, with: {value: $v}}}\noutputs: {n: $n}\n")
    main = (
        "nodegraph: 1\nnodes:\n  part: {uses: ./part.yaml, with: {v: 8}}\n  tell: {uses: Tell, with: {value: $part}}\n"
    )
    assert "tell: it is 8" in remote("submit", file("main.yaml", main), "--follow").lines


def test_what_is_wrong_is_told_with_its_line_and_nothing_is_queued(remote: Cli, file: File):
    before = remote("jobs", "--json").json["total"]
    wrong = remote("submit", file("wrong.yaml", SUM.replace("Add", "Ad")))
    assert wrong.code == 1
    assert "unknown node type 'Ad'; did you mean 'Add'?" in wrong.err
    assert remote("jobs", "--json").json["total"] == before


def test_no_server_is_told_with_what_to_do(cli: Cli, file: File):
    file("sum.yaml", SUM)
    nobody = cli("submit", "sum.yaml", "--server", "http://127.0.0.1:9")
    assert nobody.code == 1
    assert "there is no answer from http://127.0.0.1:9" in nobody.err
    assert "nodegraph serve" in nobody.err
    assert "not the address of a server" in cli("jobs", "--server", "here").err


def test_a_token_lets_clients_in_and_is_in_no_log(cli: Cli, tmp_path: Path, pack: Path):
    served = Served(tmp_path, "--nodes", pack, "--token", "open sesame 42", "-v")
    try:
        refused = cli("jobs", "--server", served.url)
        assert refused.code == 1
        assert "token" in refused.err
        assert cli("jobs", "--server", served.url, "--token", "open sesame 42").code == 0
    finally:
        _, log = served.end()
    assert "sesame" not in log


def test_it_does_not_listen_to_everyone_without_a_token_nor_where_somebody_else_does(
    cli: Cli, tmp_path: Path, server: Served
):
    everyone = cli("serve", "--host", "0.0.0.0", "--data-dir", tmp_path / "d")
    assert everyone.code == 1
    assert "open to everyone" in everyone.err
    port = server.url.rpartition(":")[2]
    taken = cli("serve", "--port", port, "--data-dir", tmp_path / "d")
    assert taken.code == 1
    assert f"cannot listen on 127.0.0.1, port {port}" in taken.err
    assert "--port" in taken.err


@pytest.mark.parametrize("text", ["body", "body=x", "nothing=3", "sockets=0", "sockets=-1", "page=1e3"])
def test_limits_that_make_no_sense_are_told_with_those_there_are(cli: Cli, text: str):
    told = cli("serve", "--limit", text)
    assert told.code == 2
    assert "a limit is NAME=N" in told.err and "connections" in told.err


def test_a_limit_holds(cli: Cli, tmp_path: Path, pack: Path):
    served = Served(tmp_path, "--nodes", pack, "--limit", "body=1000", "--limit", "page=2")
    try:
        (tmp_path / "large.yaml").write_text(SUM + "# " + "x" * 1_000)
        assert "larger than 1,000 bytes" in cli("submit", "large.yaml", "--server", served.url).err
    finally:
        served.end()


def test_what_was_queued_is_done_after_a_restart(cli: Cli, file: File, tmp_path: Path, pack: Path):
    first = Served(tmp_path, "--nodes", pack, "--grace", "1")
    slow = cli("submit", file("slow.yaml", SLOW), "--server", first.url).out.strip()
    job = cli("submit", file("sum.yaml", SUM), "--server", first.url).out.strip()
    code, errors = first.end()
    assert code == 143
    assert "Traceback" not in errors
    second = Served(tmp_path, "--nodes", pack)
    try:
        cli("cancel", slow, "--server", second.url)
        assert cli("logs", job, "--follow", "--server", second.url).code == 0
        assert (tmp_path / "out" / "sum.txt").read_text() == "5"
    finally:
        second.end()


def test_it_answers_before_torch_is_there_and_never_imports_it(server: Served):
    with urllib.request.urlopen(server.url + "/healthz", timeout=10) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    code = (
        "import sys, nodegraph.cli.serve, nodegraph.server.app, nodegraph.jobs.service; print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert shown.stdout == "False\n"
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()


def test_interrupting_it_ends_it_in_order(tmp_path: Path, pack: Path):
    code, errors = Served(tmp_path, "--nodes", pack).end(signal.SIGINT)
    assert (code, "Traceback" in errors) == (130, False)
    assert list((tmp_path / "data").iterdir())

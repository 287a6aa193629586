"""A run is stopped by signals, which are sent when an event says that the node is at work."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import command, environment

File = Callable[[str, str], Path]

WORKFLOW = """\
nodegraph: 1
nodes:
  early: {uses: Number}
  kept: {uses: Write, with: {value: $early, name: kept}}
  work: {uses: NODE, with: {value: $early}}
  lost: {uses: Write, with: {value: $work, name: lost}}
"""


def started(pack: Path, cwd: Path, file: File, node: str) -> subprocess.Popen[bytes]:
    """A run whose node `work` is at work."""
    path = file("work.yaml", WORKFLOW.replace("NODE", node))
    arguments = command("run", path, "--nodes", pack, "--json")
    run = subprocess.Popen(arguments, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["node"] == "work":
            return run
    raise AssertionError("the run ended before its node was at work")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_cleanly(pack: Path, tmp_path: Path, file: File, number: signal.Signals, code: int):
    run = started(pack, tmp_path, file, "Slow")
    run.send_signal(number)
    out, err = run.communicate()
    events = [json.loads(line) for line in out.splitlines()]
    assert run.returncode == code
    assert err.decode().strip() == "stopping after this step… (again to stop at once)"
    assert (events[-1]["event"], events[-1]["status"]) == ("run_finished", "cancelled")
    assert {event["node"]: event["because"] for event in events if event["event"] == "skipped"} == {
        "work": None,
        "lost": None,
    }
    assert [path.name for path in (tmp_path / "output").rglob("*")] == ["kept.txt"]


def test_a_second_signal_ends_a_node_that_does_not_listen(pack: Path, tmp_path: Path, file: File):
    run = started(pack, tmp_path, file, "Deaf")
    assert run.stderr is not None
    run.send_signal(signal.SIGINT)
    while b"stopping" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode == 130
    assert not (tmp_path / "output" / "lost.txt").exists()

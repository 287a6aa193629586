"""A server that is killed or told to stop: nothing is lost, and nothing that finished runs again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nodegraph.jobs.service import LocalJobService
from tests.cli.support import ROOT, environment
from tests.jobs.support import PATIENCE, SUM, chain, children_of, gone, in_service


class Server:
    """A service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.jobs.server", str(folder)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def submit(self, text: str, **facts: Any) -> str:
        """Queue a job."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"text": text, **facts}) + "\n")
        self.process.stdin.flush()
        return self.hear(lambda line: "queued" in line and "kind" not in line)["queued"]

    def hear(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line of a kind that it prints."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if wanted(data := json.loads(line)):
                return data
        raise AssertionError("the server ended")

    def event(self, kind: str, job: str | None = None) -> dict[str, Any]:
        """The next event of a kind, of a job."""
        return self.hear(lambda line: line.get("kind") == kind and job in (None, line["job"]))


def noting(path: Path, value: int) -> str:
    return f"""\
nodegraph: 1
nodes:
  noted: {{uses: Note, with: {{value: {value}, path: '{path}'}}}}
  shown: {{uses: Tell, with: {{value: $noted}}}}
"""


def test_after_a_kill_a_restart_finishes_the_queue_and_repeats_nothing(tmp_path: Path):
    ran, go = tmp_path / "ran", tmp_path / "go"
    deaf = f"""\
nodegraph: 1
nodes:
  noted: {{uses: Note, with: {{value: 100, path: '{ran}'}}}}
  long: {{uses: Deaf, with: {{value: $noted, path: '{go}'}}}}
  shown: {{uses: Tell, with: {{value: $long}}}}
"""
    with Server(tmp_path) as server:
        first = server.submit(noting(ran, 1))
        server.event("job_finished", first)
        long = server.submit(deaf)
        waiting = [server.submit(noting(ran, i)) for i in (2, 3)]
        server.event("progress", long)
        (worker,) = children_of(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
        assert gone(worker)  # the worker does not outlive its server
    go.touch()
    with Server(tmp_path) as server:
        ended = {server.event("job_finished")["job"] for _ in range(3)}
        assert ended == {long, *waiting}
    assert sorted(ran.read_text().split()) == ["1", "100", "2", "3"]


def test_a_worker_that_holds_everything_up_does_not_outlive_its_server(tmp_path: Path):
    with Server(tmp_path) as server:
        server.submit(chain("Frozen"))
        server.hear(lambda line: line.get("kind") == "started" and line["data"]["node"] == "middle")
        (worker,) = children_of(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
        assert gone(worker)


def test_a_server_that_is_told_to_stop_lets_its_job_stop_and_takes_it_up_again(tmp_path: Path):
    with Server(tmp_path) as server:
        job = server.submit(chain("Slow"), max_attempts=1)
        server.event("started", job)
        server.process.send_signal(signal.SIGTERM)
        requeued = server.event("job_requeued", job)
        assert requeued["data"]["reason"] == "the server stopped"
        server.hear(lambda line: "down" in line)
        assert server.process.wait(PATIENCE) == 0
    with Server(tmp_path) as server:
        started = server.event("job_started", job)  # the stop did not count as a try
        assert started["data"]["attempt"] == 1
        assert started["seq"] > requeued["seq"]


def test_a_job_that_ran_when_its_server_died_too_often_is_interrupted(tmp_path: Path):
    with Server(tmp_path) as server:
        job = server.submit(chain("Slow"), max_attempts=1)
        server.event("job_started", job)
    with Server(tmp_path) as server:
        other = server.submit(SUM)
        server.event("job_finished", other)

    async def look(service: LocalJobService) -> None:
        found = service.get(job)
        assert found is not None and found.result is not None
        assert (found.state, found.result.error) == ("interrupted", "the server died")

    in_service(tmp_path, look)

"""A server that dies without a word, at the worst moments: what it was told is there, and nothing is half done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from nodegraph.server.leftovers import OLD_SECONDS, sweep_shared
from nodegraph.server.settings import ServerSettings
from tests.jobs.support import SUM, chain, gone
from tests.server.process import Served
from tests.server.support import YAML

SAVED = "/api/v1/workflows/a.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose workers die, for the tests that leave itself alone."""
    with Served(tmp_path_factory.mktemp("served")) as running:
        yield running


def noting(folder: Path, then: str) -> str:
    """A workflow that writes down that it has run, and goes on with another node."""
    return f"""\
nodegraph: 1
nodes:
  noted: {{uses: Note, with: {{value: 1, path: '{folder / "ran"}'}}}}
  next: {{uses: {then}, with: {{value: $noted, path: '{folder / "go"}'}}}}
  file: {{uses: Write, with: {{value: $next}}}}
"""


def test_killed_in_a_node_it_goes_on_with_the_rest_and_repeats_nothing(tmp_path: Path):
    with Served(tmp_path) as server:
        running = server.submit(noting(tmp_path, "Deaf"))["id"]
        waiting = server.submit()["id"]
        server.event("started", running, "next")
        workers = server.children()
        assert (tmp_path / "data").is_dir()
        server.kill()
    assert all(gone(worker) for worker in workers)
    (tmp_path / "go").touch()
    with Served(tmp_path) as server:
        assert [server.wait(job)["state"] for job in (running, waiting)] == ["done", "done"]
        result = server.get(f"/api/v1/jobs/{running}").json["result"]
        assert (result["cached"], result["executed"]) == (["noted"], ["next", "file"])
        assert server.event("job_requeued", running)["data"]["reason"] == "the server died"
        assert (tmp_path / "ran").read_text() == "1\n"
        assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == ["number.txt"]


def test_killed_too_often_a_job_is_interrupted_and_says_so(tmp_path: Path):
    with Served(tmp_path) as server:
        body = {"workflow": chain("Slow"), "max_attempts": 1}
        job = server.post("/api/v1/jobs", body).json["id"]
        server.event("started", job, "middle")
        server.kill()
    with Served(tmp_path) as server:
        found = server.get(f"/api/v1/jobs/{job}").json
        assert (found["state"], found["error"]) == ("interrupted", "the server died")
        again = server.ask("POST", f"/api/v1/jobs/{job}/retry").json["id"]
        server.event("started", again, "middle")
        assert server.post("/api/v1/queue/cancel", {"ids": [again]}).json == {"cancelled": 1}
        assert server.wait(again)["state"] == "cancelled"


@pytest.mark.parametrize("fault", ["in_write", "before_rename"])
def test_killed_while_a_workflow_is_saved_the_old_one_is_whole(tmp_path: Path, fault: str):
    with Served(tmp_path, fault=fault) as server:
        tag = server.ask("PUT", SAVED, SUM, {**YAML, "If-None-Match": "*"}).headers["ETag"]
        server.arm()
        with pytest.raises((HTTPException, ConnectionError)):
            server.ask("PUT", SAVED, SUM.replace("b: 3", "b: 4"), {**YAML, "If-Match": tag})
        assert server.died()
    folder = tmp_path / "data/workflows"
    assert any(path.name.startswith(".saving-") for path in folder.iterdir())
    with Served(tmp_path) as server:
        found = server.get(SAVED)
        assert (found.body.decode(), found.headers["ETag"]) == (SUM, tag)
        assert [path.name for path in folder.iterdir()] == ["a.yaml"]  # what was not ended is swept
        assert server.ask("PUT", SAVED, SUM, {**YAML, "If-Match": tag}).status == 200


def test_killed_while_the_queue_is_written_nothing_that_was_answered_is_lost(tmp_path: Path):
    with Served(tmp_path, fault="in_commit") as server:
        server.ask("POST", "/api/v1/queue/pause")
        told = [server.submit()["id"] for _ in range(3)]
        server.arm()
        with pytest.raises((HTTPException, ConnectionError)):
            server.submit()
        assert server.died()
    with Served(tmp_path) as server:
        listed = server.get("/api/v1/jobs?state=queued&order=oldest").json["jobs"]
        assert [job["id"] for job in listed] == told  # and nothing of the one that was not answered
        server.ask("POST", "/api/v1/queue/resume")
        assert [server.wait(job)["state"] for job in told] == ["done"] * 3


def test_a_worker_that_crashes_fails_its_job_alone(server: Served):
    body = {"workflow": chain("Die"), "max_attempts": 1}
    bad, good = server.post("/api/v1/jobs", body).json["id"], server.submit()["id"]
    dead = server.wait(bad)
    assert (dead["state"], dead["error"]) == ("interrupted", "SIGSEGV")
    (problem,) = dead["result"]["problems"]
    assert (problem["code"], problem["node"]) == ("worker_died", "middle")
    assert server.wait(good)["state"] == "done"
    (worker,) = server.children()
    os.kill(worker, signal.SIGKILL)  # as the system does when memory runs out
    assert server.wait(server.submit()["id"])["state"] == "done"
    assert server.get("/healthz").status == 200


def test_a_node_that_does_not_heed_being_cancelled_is_ended(server: Served):
    deaf, next_ = server.submit(chain("Deaf"))["id"], server.submit()["id"]
    server.event("started", deaf, "middle")
    server.ask("POST", f"/api/v1/jobs/{deaf}/cancel")
    assert server.wait(deaf)["state"] == "cancelled"
    assert server.wait(next_)["state"] == "done"


def test_while_a_node_holds_up_its_whole_process_the_server_answers(server: Served):
    job = server.submit(chain("Frozen"))["id"]
    server.event("started", job, "middle")
    for address in ("/healthz", "/api/v1/queue", "/queue", "/prompt", f"/api/v1/jobs/{job}", "/metrics"):
        assert server.get(address).status == 200
    assert server.get("/api/v1/queue").json["running"] == 1
    told = server.ask("POST", "/api/v1/jobs", SUM, YAML)  # which only a worker with its packs can check
    assert (told.status, told.code) == (503, "not_ready")
    server.post("/api/v1/queue/cancel", {})
    assert server.wait(job)["state"] == "cancelled"
    assert server.wait(server.submit()["id"])["state"] == "done"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_told_to_stop_it_lets_go_of_its_job_and_ends_with_the_code_of_the_signal(
    tmp_path: Path, number: signal.Signals, code: int
):
    with Served(tmp_path) as server:
        job = server.submit(chain("Slow"))["id"]
        server.event("started", job, "middle")
        workers = server.children()
        assert server.end(number) == code
        assert all(gone(worker) for worker in workers)
        assert "Traceback" not in server.said
    with Served(tmp_path) as server:
        assert server.event("job_requeued", job)["data"]["reason"] == "the server stopped"
        server.ask("POST", f"/api/v1/jobs/{job}/cancel")


def test_of_what_others_may_write_only_old_leftovers_are_swept(tmp_path: Path):
    settings = ServerSettings(output=tmp_path / "o", input=tmp_path / "i", temp=tmp_path / "o/temp")
    old, new, other = (tmp_path / "o/a/.writing-1.png", tmp_path / "o/.writing-2.png", tmp_path / "o/x.png")
    old.parent.mkdir(parents=True)
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, path.stat().st_mtime - OLD_SECONDS - 1))
    assert sweep_shared(settings) == 1
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)

"""Starting where something is odd: files of other versions, no home, a strange locale, a library that is missing."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nodegraph.jobs.retention import Limits
from nodegraph.jobs.store import JobStore
from tests.cli.support import ROOT
from tests.jobs.support import SUM
from tests.server.process import Served
from tests.server.support import JSON, YAML

MANY = 10_000


def test_ten_thousand_waiting_jobs_are_listed_and_cancelled_in_bounded_memory(tmp_path: Path):
    store = JobStore(tmp_path / "data/jobs.sqlite", Limits(50_000, 1 << 30, 20_000, 1 << 30, 200_000, 256 << 20))
    with store.changing():
        store.connection.executemany(
            "INSERT INTO job(id, state, priority, number, user, client, max_attempts, created, bytes) "
            "VALUES (?, 'queued', 0, ?, 'default', '', 2, ?, 10)",
            [(f"j{i}", float(i), time.time()) for i in range(MANY)],
        )
        store.execute("INSERT INTO asked SELECT n, ?, '{}' FROM job", (SUM,))
        store.set_meta("paused", 1)
    store.close()
    with Served(tmp_path) as server:
        assert server.get("/prompt").json == {"exec_info": {"queue_remaining": MANY}}
        before = resident(server.process.pid)
        page = server.get("/api/v1/jobs?state=queued&order=oldest&offset=9990").json
        assert (page["total"], page["jobs"][0]["id"]) == (MANY, "j9990")
        assert server.post("/api/v1/queue/cancel", {}).json == {"cancelled": MANY}
        assert server.get("/prompt").json == {"exec_info": {"queue_remaining": 0}}
        assert server.get("/healthz").status == 200
        assert resident(server.process.pid) - before < 64 << 20
        server.ask("POST", "/api/v1/queue/resume")
        assert server.wait(server.submit()["id"])["state"] == "done"


def resident(pid: int) -> int:
    """Bytes of memory of a process that are in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_what_a_newer_version_wrote_is_refused_in_words_and_left_as_it_is(tmp_path: Path):
    with Served(tmp_path) as server:
        job = server.submit()["id"]
        assert server.wait(job)["state"] == "done"
        assert server.end() == 143
    queue = tmp_path / "data/jobs.sqlite"
    known = set_version(queue, 99)
    refused = Served(tmp_path)
    code = refused.process.wait(60)
    refused.__exit__(None, None, None)
    assert (refused.url, code) == ("", 1)
    assert "newer version of nodegraph" in refused.said and "--data-dir" in refused.said
    assert "Traceback" not in refused.said
    set_version(queue, known)
    index = next((tmp_path / "kept").rglob("index*"))
    set_version(index, 99)
    with Served(tmp_path) as server:
        assert server.get(f"/api/v1/jobs/{job}").json["state"] == "done"  # nothing was lost
        assert server.wait(server.submit()["id"])["state"] == "done"  # without the results that are kept
        newer = server.ask("POST", "/api/v1/jobs", SUM.replace("nodegraph: 1", "nodegraph: 99"), YAML)
        assert newer.status == 400 and "99" in newer.json["error"]["message"]


def test_a_queue_of_version_1_is_gone_on_with(tmp_path: Path):
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data/jobs.sqlite")
    connection.executescript((Path(__file__).parent / "data/jobs-v1.sql").read_text(encoding="utf-8"))
    connection.close()
    with Served(tmp_path) as server:
        ended = server.get("/api/v1/jobs/ended").json
        assert (ended["state"], ended["result"]["outputs"]["shown"]["shown"]) == ("done", {"text": ["it is 5"]})
        assert ended["request"]["extra"] == {"kept": 1}
        assert server.event("finished", "ended", "shown")["data"]["shown"] == {"text": ["it is 5"]}
        assert server.get("/api/v1/queue").json == {"queued": 1, "running": 0, "paused": True}
        server.ask("POST", "/api/v1/queue/resume")
        assert server.wait("waiting")["result"]["outputs"]["shown"]["shown"] == {"text": ["it is 8"]}
        assert server.submit()["number"] == 3


def set_version(path: Path, version: int) -> int:
    """Say that a file has the format of another version; gives the one that it has."""
    connection = sqlite3.connect(path)
    (known,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version={version}")
    connection.close()
    return known


def test_where_results_cannot_be_kept_jobs_run_and_it_is_said_once(tmp_path: Path):
    (tmp_path / "kept").write_text("no folder")
    with Served(tmp_path) as server:
        for start in (1, 2):
            assert server.wait(server.submit(SUM.replace("start: 2", f"start: {start}"))["id"])["state"] == "done"
        again = server.wait(server.submit(SUM)["id"])["result"]
        assert (again["executed"], again["cached"]) == ([], ["first", "sum", "shown"])  # kept in memory
        told = [each["data"] for each in happened(server) if each["kind"] == "warning"]
        assert len(told) == 1 and "kept" in str(told[0]["message"]), told
    assert (tmp_path / "kept").read_text() == "no folder"


def happened(server: Served) -> Iterator[dict[str, Any]]:
    """What happened so far, as it is written down."""
    last = server.submit("nodegraph: 1\nnodes: {s: {uses: Tell, with: {value: 12345}}}")["id"]
    for event in server.events("after=0"):
        yield event
        if (event["kind"], event["job"]) == ("job_finished", last):
            return


@pytest.mark.parametrize(
    ("locale", "name"),
    [
        ({"PYTHONUTF8": ""}, "é 😀"),  # as on a machine without a locale: Python takes UTF-8 then
        ({"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "plain"),  # told not to: names are ASCII
    ],
)
def test_no_home_a_bare_locale_and_a_folder_with_spaces_and_signs_do_no_harm(
    tmp_path: Path, locale: dict[str, str], name: str
):
    folder = tmp_path / "mit Leerzeichen, é und 😀"
    folder.mkdir()
    with Served(folder, env={"HOME": "/nonexistent", "LC_ALL": "C", "LANG": "C", **locale}) as server:
        text = f"nodegraph: 1\nnodes: {{file: {{uses: Write, with: {{value: 3, name: '{name}'}}}}}}\n"
        job = server.wait(server.submit(text)["id"])
        assert job["state"] == "done", job
        assert (folder / f"out/{name}.txt").read_text() == "3"
        assert job["result"]["outputs"]["file"]["files"][0]["filename"] == f"{name}.txt"
        assert server.get("/view?filename=" + quote(f"{name}.txt")).body == b"3"
        assert server.end() == 143
    assert "Traceback" not in server.said


def test_without_torch_what_needs_none_works_and_the_rest_says_what_is_missing(tmp_path: Path):
    (tmp_path / "missing/torch").mkdir(parents=True)
    (tmp_path / "missing/torch/__init__.py").write_text("raise ModuleNotFoundError('no torch here', name='torch')")
    with Served(tmp_path, env={"PYTHONPATH": f"{tmp_path / 'missing'}{os.pathsep}{ROOT}"}) as server:
        assert server.wait(server.submit()["id"])["state"] == "done"
        assert "KSampler" in server.get("/object_info").json
        nodes = {
            "e": {"uses": "EmptyImage", "with": {"width": 8, "height": 8}},
            "s": {"uses": "SaveImage", "with": {"images": "$e"}},
        }
        workflow = json.dumps({"nodegraph": 1, "nodes": nodes})
        assert server.ask("POST", "/api/v1/plan", workflow, JSON).json["runnable"]
        job = server.wait(server.ask("POST", "/api/v1/jobs", workflow, JSON).json["id"])
        assert job["state"] == "failed"
        (problem,) = job["result"]["problems"]
        assert "torch" in problem["message"]
        assert server.wait(server.submit()["id"])["state"] == "done"
        assert server.get("/healthz").status == 200

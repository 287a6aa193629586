"""Jobs over HTTP: asking for them in every form, looking at them, and changing what becomes of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any
from urllib.parse import quote

import pytest

from tests.jobs.support import chain
from tests.server.support import JSON, SUM, YAML, Server, form, picture


@pytest.fixture
def paused(server: Server) -> Iterator[Server]:
    """A queue that stands still, so that jobs stay where they are put."""
    server.post("/api/v1/queue/pause")
    yield server
    server.post("/api/v1/queue/cancel")
    server.post("/api/v1/queue/resume")


def test_a_workflow_in_yaml_runs_and_its_result_can_be_read(server: Server):
    job = server.submit()
    done = server.wait(job["id"])
    assert done["state"] == "done"
    assert done["result"]["outputs"]["shown"]["shown"] == {"text": ["it is 5"]}
    assert done["request"]["workflow"] == SUM


API_FORMAT = {
    "1": {"class_type": "Number", "inputs": {"value": 4}},
    "2": {"class_type": "Tell", "inputs": {"value": ["1", 0]}},
}


def test_other_forms_of_asking(server: Server):
    text = json.dumps(API_FORMAT)
    options = b'{"params": {"start": 7}}'
    made = picture(nodegraph=SUM)
    asked = [
        ("it is 4", text, JSON),
        ("it is 4", json.dumps({"workflow": API_FORMAT}), JSON),
        ("it is 13", json.dumps({"workflow": SUM, "params": {"start": 10}}), JSON),
        ("it is 5", made, {"Content-Type": "image/png"}),
        ("it is 10", *form(("picture", "a.png", made, "image/png"), ("options", None, options, "application/json"))),
        ("it is 4", picture(prompt=text), {"Content-Type": "image/png"}),
    ]
    for told, body, headers in asked:
        answer = server.ask("POST", "/api/v1/jobs", body, headers)
        assert answer.status == 201, answer.body
        assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json['id']}"
        outputs: Any = server.wait(answer.json["id"])["result"]["outputs"]
        assert [output["shown"]["text"] for output in outputs.values()] == [[told]]


def test_all_mistakes_are_told_and_nothing_is_queued(server: Server):
    before = server.get("/api/v1/jobs").json["total"]
    text = "nodegraph: 1\nnodes: {a: {uses: Numbr}, b: {uses: Add, with: {a: $c}}, d: {uses: Tell, with: {value: $b}}}"
    answer = server.ask("POST", "/api/v1/jobs", text, YAML)
    assert answer.status == 400
    problems = answer.json["error"]["problems"]
    assert {"unknown_node", "unknown_reference"} <= {problem["code"] for problem in problems}
    assert "did you mean 'Number'?" in [problem.get("hint") for problem in problems]
    assert server.get("/api/v1/jobs").json["total"] == before


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ('{"workflow": NaN}', "bad_number", 1),
        ('{"workflow": {},\n "workflow": {}}', "duplicate_key", 2),
        ("[" * 10_000, "nested_too_deep", 1),
        ("[" * 100 + "]" * 100, "nested_too_deep", 1),
        ('{"a":' * 5_000, "nested_too_deep", 1),
        ('{"priority": 18446744073709551616, "workflow": {}}', "bad_number", 1),
        ('{"workflow": "\\ud800"}', "json_syntax", 1),
        ('{"workflow": 1e999}', "bad_number", 1),
        ('{"workflow"', "json_syntax", 1),
        ("{'workflow': 1}", "json_syntax", 1),
    ],
)
def test_json_that_others_would_misread_is_refused_with_its_place(server: Server, body: str, code: str, line: int):
    answer = server.ask("POST", "/api/v1/jobs", body, JSON)
    assert (answer.status, answer.code) == (400, code)
    assert answer.json["error"]["problems"][0]["line"] == line


@pytest.mark.parametrize(
    "body",
    [
        {"workflow": SUM, "prio": 1},
        {"workflow": 3},
        {"workflow": SUM, "priority": "high"},
        {"workflow": SUM, "max_attempts": 0},
        {"workflow": SUM, "id": "../x"},
    ],
)
def test_an_envelope_says_only_what_envelopes_say(server: Server, body: object):
    answer = server.post("/api/v1/jobs", body)
    assert (answer.status, answer.code) == (400, "bad_request")


@pytest.mark.parametrize("uses", ["./part.yaml", "../part.yaml", "./../../etc/part.json", "./nothing.yaml"])
def test_no_workflow_makes_the_server_read_another_file(server: Server, uses: str):
    (server.folder / "part.yaml").write_text("password: hidden-thing")
    path = os.path.relpath(server.folder / "part.yaml")
    api_format = json.dumps({"1": {"class_type": f"./{path}", "inputs": {}}})
    for body, kind in ((f"nodegraph: 1\nnodes: {{a: {{uses: {uses}}}}}", YAML), (api_format, JSON)):
        for address in ("/api/v1/jobs", "/api/v1/plan"):
            answer = server.ask("POST", address, body, kind)
            assert "came as a text" in answer.body.decode()
            assert "hidden-thing" not in answer.body.decode()


def test_a_picture_without_a_workflow(server: Server):
    for data in (picture(), picture(kind="WEBP")):
        kind = "image/png" if data.startswith(b"\x89") else "image/webp"
        assert server.ask("POST", "/api/v1/jobs", data, {"Content-Type": kind}).code == "no_workflow_in_picture"
    for data in (b"", b"\x89PNG\r\n\x1a\n", picture()[:40], b"<svg/>"):
        answer = server.ask("POST", "/api/v1/jobs", data, {"Content-Type": "image/png"})
        assert (answer.status, answer.code) == (400, "file_unreadable")
        assert "/tmp" not in answer.body.decode()


def test_a_plan_says_what_would_run_and_queues_nothing(server: Server):
    before = server.get("/api/v1/jobs").json["total"]
    planned = server.ask("POST", "/api/v1/plan", SUM, YAML).json
    assert planned["runnable"]
    assert planned["types"] == {"first": "Number", "sum": "Add", "shown": "Tell"}
    assert {node["node"] for node in planned["nodes"]} == {"first", "sum", "shown"}
    wrong = server.ask("POST", "/api/v1/plan", "nodegraph: 1\nnodes: {a: {uses: Nix}}", YAML).json
    assert (wrong["runnable"], wrong["nodes"], wrong["problems"][0]["code"]) == (False, [], "unknown_node")
    assert server.get("/api/v1/jobs").json["total"] == before


def test_jobs_are_moved_listed_in_pages_cancelled_and_deleted(paused: Server):
    first, second, third = (paused.submit()["id"] for _ in range(3))
    queued = "/api/v1/jobs?state=queued&order=oldest"
    assert paused.post(f"/api/v1/jobs/{third}/move", {"front": True}).status == 200
    assert paused.post(f"/api/v1/jobs/{second}/move", {"before": first}).status == 200
    page = paused.get(queued + "&offset=1&limit=1").json
    assert ([job["id"] for job in page["jobs"]], page["total"]) == ([second], 3)
    assert [job["id"] for job in paused.get(queued).json["jobs"]] == [third, second, first]
    assert paused.post(f"/api/v1/jobs/{first}/cancel").json["state"] == "cancelled"
    assert paused.post(f"/api/v1/jobs/{first}/move", {"front": True}).code == "not_possible_now"
    assert paused.post(f"/api/v1/jobs/{second}/retry").code == "not_possible_now"
    assert paused.ask("DELETE", f"/api/v1/jobs/{second}").status == 204
    assert paused.get(f"/api/v1/jobs/{second}").code == "not_found"
    assert paused.get("/api/v1/queue").json == {"queued": 1, "running": 0, "paused": True}
    assert paused.ask("DELETE", "/api/v1/jobs?state=queued").json == {"deleted": 1}
    assert paused.ask("DELETE", "/api/v1/jobs").status == 400


def test_users_take_turns_and_the_queue_is_shown_as_it_will_run(paused: Server):
    def ask(user: str | None, **more: Any) -> str:
        headers = JSON | ({"Comfy-User": user} if user is not None else {})
        answer = paused.ask("POST", "/api/v1/jobs", json.dumps({"workflow": SUM, **more}), headers)
        assert answer.status == 201, answer.body
        assert answer.json["user"] == (user or "default").lower()
        return answer.json["id"]

    many = [ask("Ann") for _ in range(3)]
    one, nobody, tab = ask("bob"), ask(None), ask(None, client="another tab")
    urgent, first = ask("bob", priority=1), ask("ann", front=True)
    expected = [urgent, first, one, nobody, tab, *many]
    queued = paused.get("/api/v1/jobs?state=queued&order=oldest").json["jobs"]
    assert [job["id"] for job in queued] == expected
    assert paused.post(f"/api/v1/jobs/{many[2]}/move", {"before": one}).status == 200
    expected = [urgent, many[2], one, nobody, tab, first, *many[:2]]
    seen = paused.get("/api/v1/queue").json
    assert seen["queued"] == 8
    paused.post("/api/v1/queue/resume")
    ended = [paused.wait(id_) for id_ in expected]
    assert [job["id"] for job in sorted(ended, key=lambda job: job["started"])] == expected
    wrong = paused.ask("POST", "/api/v1/jobs", json.dumps({"workflow": SUM}), JSON | {"Comfy-User": "../x"})
    assert wrong.code == "bad_request"


def test_a_batch_and_a_sweep_are_the_users_too(paused: Server):
    headers = JSON | {"Comfy-User": "ann"}
    batch = paused.ask("POST", "/api/v1/batches", json.dumps({"workflow": SUM, "variations": [{}, {}]}), headers)
    assert [job["user"] for job in batch.json["jobs"]] == ["ann", "ann"]
    sweep = json.dumps({"workflow": SUM, "over": {"start": [1, 2]}, "grid": False})
    assert paused.ask("POST", "/api/v1/sweep", sweep, headers).json["user"] == "ann"


def test_a_running_job_is_cancelled_and_an_ended_one_tried_again(server: Server):
    job = server.submit(chain("Slow"))["id"]
    assert server.post(f"/api/v1/jobs/{job}/cancel").status == 200
    assert server.wait(job)["state"] == "cancelled"
    again = server.post(f"/api/v1/jobs/{job}/retry")
    assert again.status == 201
    assert again.json["id"] != job
    server.post("/api/v1/queue/cancel", {"ids": [again.json["id"]]})
    assert server.wait(again.json["id"])["state"] == "cancelled"


def test_a_batch_runs_one_workflow_with_other_parameters(server: Server):
    made = server.post("/api/v1/batches", {"workflow": SUM, "variations": [{"start": 1}, {"start": 2}]}).json
    told = [server.wait(job["id"])["result"]["outputs"]["shown"]["shown"]["text"] for job in made["jobs"]]
    assert told == [["it is 4"], ["it is 5"]]
    assert {job["batch"] for job in made["jobs"]} == {made["batch"]}


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=x", "limit=1001", "offset=1.5", "state=dead", "order=up", "limit=٣"]
)
def test_queries_that_make_no_sense(server: Server, query: str):
    assert server.get(f"/api/v1/jobs?{quote(query, safe='=')}").code == "bad_request"


def stream(server: Server, query: str, headers: dict[str, str], count: int) -> list[dict[str, Any]]:
    """The first events of a stream."""
    return list(islice(server.events(query, headers), count))


def test_who_comes_back_gets_the_events_that_were_missed_each_once(server: Server):
    job = server.submit()["id"]
    server.wait(job)
    kinds = ["job_queued", "job_started", "planned"]
    first = stream(server, f"after=0&job={job}", {}, 3)
    assert [event["kind"] for event in first] == kinds
    rest = stream(server, f"job={job}", {"Last-Event-ID": str(first[-1]["seq"])}, 2)
    seqs = [event["seq"] for event in (*first, *rest)]
    assert all(a < b for a, b in pairwise(seqs))
    assert stream(server, f"after=0&job={job}", {}, 5) == [*first, *rest]
    assert server.get("/api/v1/events?after=x").code == "bad_request"


def test_an_id_is_given_once(server: Server):
    asked = {"workflow": SUM, "id": "mine"}
    assert server.post("/api/v1/jobs", asked).status == 201
    again = server.post("/api/v1/jobs", asked)
    assert (again.status, again.code) == (409, "job_exists")


def test_a_large_workflow_is_taken_too(server: Server):
    nodes = {str(i): {"class_type": "Number", "inputs": {"value": i}} for i in range(6_000)}
    nodes["last"] = {"class_type": "Tell", "inputs": {"value": ["7", 0]}}
    answer = server.post("/api/v1/jobs", {"workflow": nodes})
    assert answer.status == 201, answer.body[:500]
    assert server.wait(answer.json["id"])["result"]["outputs"]["last"]["shown"] == {"text": ["it is 7"]}

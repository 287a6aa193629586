"""What goes wrong around a running server: disks, memory, files, other programs, clients."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from nodegraph.resources import models_folder
from tests.cli.support import command, environment, program
from tests.jobs.support import PACK
from tests.server.process import Served
from tests.server.support import JSON, picture

TROUBLE = '''

import resource

import torch

from nodegraph.sockets import Clip, Image


@node(category="test", numeric=False)
def Noise(seed: int, size: int = 400) -> Image:
    """A picture that cannot be made smaller."""
    return Image(torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(seed)))


@node(category="test", numeric=False)
def Cramped(value: int, limit: int = 300_000) -> int:
    """From now on files of this process may not grow larger, as on a full disk; 0 takes that back."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or hard, hard))
    return value


@node(category="test", numeric=False)
def Hungry(value: int, size: int = 1) -> int:
    """Takes memory for so many numbers, for a while."""
    return int(torch.zeros(size)[0]) + value


@node(category="test", numeric=False)
def Gate(clip: Clip, path: str) -> Clip:
    """The same, once there is a file."""
    while not Path(path).exists():
        time.sleep(0.01)
    return clip


@node(category="test", numeric=False)
def Mean(image: Image) -> float:
    """How bright a picture is."""
    return round(float(image.mean()), 3)
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for the tests of this file, with a model of its own."""
    folder = tmp_path_factory.mktemp("trouble")
    (folder / "models/checkpoints").mkdir(parents=True)
    with Served(folder, "--model-dir", "models", pack=PACK + TROUBLE) as running:
        yield running


def run(server: Served, nodes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A job of nodes, as it ended."""
    return server.wait(queue(server, nodes))


def queue(server: Served, nodes: dict[str, dict[str, Any]]) -> str:
    """A job of nodes; its id."""
    answer = server.ask("POST", "/api/v1/jobs", json.dumps({"nodegraph": 1, "nodes": nodes}), JSON)
    assert answer.status == 201, answer.body
    return answer.json["id"]


def node(uses: str, **inputs: Any) -> dict[str, Any]:
    return {"uses": uses, "with": inputs}


def problem_of(job: dict[str, Any]) -> dict[str, Any]:
    """The only problem of a job that failed."""
    assert job["state"] == "failed"
    (problem,) = [each for each in job["result"]["problems"] if each["severity"] == "error"]
    return problem


def test_without_room_on_the_disk_results_are_not_kept_and_pictures_are_told_with_what_they_need(server: Served):
    cramped = {"less": node("Cramped", value=0), "told": node("Tell", value="$less")}
    assert run(server, cramped)["state"] == "done"
    try:
        unkept = run(
            server, {"n": node("Noise", seed=1), "m": node("Mean", image="$n"), "s": node("PreviewAny", source="$m")}
        )
        assert unkept["state"] == "done"
        before = sorted((server.folder / "out").rglob("*"))
        problem = problem_of(run(server, {"n": node("Noise", seed=2), "s": node("SaveImage", images="$n")}))
        assert (problem["code"], problem["node"]) == ("disk_full", "s")
        assert "written to out: " in problem["message"] and "bytes needed" in problem["message"]
        assert sorted((server.folder / "out").rglob("*")) == before  # nothing unfinished is left
    finally:
        run(server, {"more": node("Cramped", value=1, limit=0), "told": node("Tell", value="$more")})
    assert run(server, {"n": node("Noise", seed=2), "s": node("SaveImage", images="$n")})["state"] == "done"


def test_without_memory_for_a_node_it_fails_alone_and_what_went_before_goes_again(server: Served):
    def draw(seed: int) -> str:
        text = node("CLIPTextEncode", clip="$c.clip", text="a star")
        latent = {
            "model": "$c.model",
            "positive": "$t",
            "negative": "$t",
            "latent_image": "$e",
            "seed": seed,
            "steps": 1,
        }
        nodes = {"c": node("CheckpointLoaderSimple", ckpt_name="tiny"), "t": text}
        nodes |= {"e": node("EmptyLatentImage", width=64, height=64), "l": node("KSampler", **latent)}
        return run(server, nodes | {"s": node("SaveLatent", samples="$l")})["state"]

    assert draw(1) == "done"
    workers = server.children()
    problem = problem_of(run(server, {"h": node("Hungry", value=1, size=1 << 46), "s": node("Tell", value="$h")}))
    assert (problem["code"], problem["node"]) == ("out_of_memory", "h")
    assert "262,144.0 GiB" in problem["message"] and problem["hint"]
    assert draw(2) == "done"
    assert server.children() == workers


def test_a_kept_folder_that_goes_away_costs_a_run_and_nothing_else(server: Served):
    job = {"a": node("Note", value=1, path=str(server.folder / "noted")), "s": node("Tell", value="$a")}
    assert run(server, job)["state"] == "done"
    gate = server.folder / "gone"
    waiting = queue(server, {"g": node("Deaf", value=3, path=str(gate)), "s": node("Tell", value="$g")})
    server.event("started", waiting, "g")
    shutil.rmtree(server.folder / "kept")
    gate.touch()
    assert server.wait(waiting)["state"] == "done"
    assert run(server, job)["state"] == "done"
    assert run(server, job)["result"]["cached"] == ["a", "s"]


def test_without_room_for_the_queue_a_job_is_refused_and_none_is_lost(server: Served):
    job = json.dumps({"nodegraph": 1, "nodes": {"n": node("Number", value=77), "s": node("Tell", value="$n")}})
    done = server.ask("POST", "/api/v1/jobs", job, JSON).json["id"]
    hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
        refused = server.ask("POST", "/api/v1/jobs", job, JSON)
        assert (refused.status, refused.code) == (507, "disk_full")
        told = server.post("/prompt", {"prompt": {"1": {"class_type": "Tell", "inputs": {"value": 1}}}})
        assert (told.status, told.json["error"]["type"]) == (507, "disk_full")
        assert server.get("/healthz").status == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    again = server.ask("POST", "/api/v1/jobs", job, JSON).json["id"]
    assert {server.wait(each)["state"] for each in (done, again)} == {"done"}


def test_a_command_that_is_killed_at_a_nodes_work_does_not_hold_up_the_server(server: Served):
    gate = server.folder / "killed gate"
    nodes = {"g": node("Deaf", value=21, path=str(gate)), "s": node("Tell", value="$g")}
    (server.folder / "k.yaml").write_text(json.dumps({"nodegraph": 1, "nodes": nodes}))
    options = ["run", "k.yaml", "--nodes", "packs", "--cache-dir", "kept", "--json"]
    with subprocess.Popen(
        command(*options), cwd=server.folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        for line in other.stdout:
            if json.loads(line)["event"] == "started":
                break
        job = queue(server, nodes)
        server.event("planned", job)
        other.kill()
    server.event("started", job, "g")
    gate.touch()
    assert server.wait(job)["state"] == "done"


def test_a_model_that_is_replaced_while_a_job_runs_is_not_taken_for_the_old_one(server: Served):
    folder, gate = server.folder / "models/checkpoints/mine", server.folder / "model gate"
    shutil.copytree(models_folder() / "tiny", folder)
    path = folder / "text_encoder/model.safetensors"
    whole = path.read_bytes()
    assert server.post("/api/v1/cache/free", {"models": True}).status == 204  # those of the same content
    nodes = {
        "c": node("CheckpointLoaderSimple", ckpt_name="mine"),
        "g": node("Gate", clip="$c.clip", path=str(gate)),
        "t": node("CLIPTextEncode", clip="$g", text="a changed star"),
        "s": node("PreviewAny", source="$t"),
    }
    job = queue(server, nodes)
    server.event("started", job, "g")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    gate.touch()
    problem = problem_of(server.wait(job))
    assert (problem["code"], problem["node"]) == ("model_changed", "t")
    gate.unlink()
    job = queue(server, nodes)
    server.event("started", job, "g")
    path.unlink()
    gate.touch()
    problem = problem_of(server.wait(job))
    assert problem["node"] in ("c", "t") and "mine" in problem["message"]
    path.write_bytes(whole)
    assert run(server, nodes)["state"] == "done"  # and nothing of the others is taken for its results


def test_pictures_are_told_apart_by_their_content_whatever_their_time_says(server: Served):
    path = server.folder / "in/same.bmp"
    nodes = {
        "i": node("LoadImage", image="same.bmp"),
        "m": node("Mean", image="$i.image"),
        "s": node("PreviewAny", source="$m"),
    }

    def shown(mode: str, at: int) -> str:
        path.write_bytes(plain[mode])
        os.utime(path, ns=(at, at))
        job = run(server, nodes)
        return job["result"]["outputs"]["s"]["shown"]["text"]

    dark = picture((4, 4), "BMP", "RGB")
    plain = {"dark": dark, "light": dark[:-48] + b"\xc8" * 48}
    now, future = path.parent.stat().st_mtime_ns, path.parent.stat().st_mtime_ns + 10**15
    for at in (now, future):
        first, second = shown("dark", at), shown("light", at)
        assert first != second
        assert shown("dark", at) == first


def test_a_server_and_a_command_share_results_and_do_no_work_twice(server: Served):
    ran, gate = server.folder / "shared", server.folder / "shared gate"
    nodes = {"n": node("Note", value=7, path=str(ran)), "g": node("Deaf", value="$n", path=str(gate))}
    document = {"nodegraph": 1, "nodes": nodes | {"s": node("Tell", value="$g")}}
    (server.folder / "w.yaml").write_text(json.dumps(document))
    job = queue(server, document["nodes"])
    server.event("started", job, "g")
    gate.touch()
    options = ("--nodes", "packs", "--cache-dir", "kept", "--output-dir", "out", "--input-dir", "in")
    done = program("run", "w.yaml", *options, cwd=server.folder)
    assert done.code == 0, done.err
    assert server.wait(job)["state"] == "done"
    assert ran.read_text() == "7\n"


def test_who_drops_out_in_the_midst_of_a_job_gets_the_rest_later_and_nothing_twice(server: Served):
    gate = server.folder / "dropped"
    job = queue(server, {"g": node("Deaf", value=11, path=str(gate)), "s": node("Tell", value="$g")})
    seen: list[dict[str, Any]] = []
    for event in server.events(f"after=0&job={job}"):
        seen.append(event)
        if event["kind"] == "started":
            break  # the connection is closed
    gate.touch()
    assert server.wait(job)["state"] == "done"
    for event in server.events(f"after={seen[-1]['seq']}&job={job}"):
        seen.append(event)
        if event["kind"] == "job_finished":
            break
    numbers = [event["seq"] for event in seen]
    assert numbers == sorted(set(numbers))
    kinds = [event["kind"] for event in seen if event["kind"] != "progress"]
    assert kinds == [
        "job_queued",
        "job_started",
        "planned",
        "started",
        "finished",
        "started",
        "finished",
        "job_finished",
    ]


def test_a_reader_that_does_not_read_holds_nobody_up_and_gets_all_that_lasts(server: Served):
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        nodes = {f"n{i}": node("Steps", value=i, steps=300) for i in range(60)}
        nodes |= {f"s{i}": node("Tell", value=f"$n{i}") for i in range(60)}
        jobs = [queue(server, {**nodes, "x": node("Number", value=1_000 + i)}) for i in range(3)]
        jobs += [queue(server, {"n": node("Number", value=5), "s": node("Tell", value="$n")})]
        assert {server.wait(job)["state"] for job in jobs} == {"done"}
        slow.settimeout(60)
        response = http.client.HTTPResponse(slow)
        response.begin()
        seen: list[tuple[str, str, str | None]] = []
        for line in response:
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                seen.append((event["job"], event["kind"], event["data"].get("node")))
                if event["kind"] == "job_finished" and event["job"] == jobs[-1]:
                    break
    for job in jobs:
        kinds = [kind for id, kind, _ in seen if id == job]
        assert kinds.count("job_finished") == 1
    assert len([1 for id, kind, _ in seen if id == jobs[0] and kind in ("finished", "cached")]) == 120

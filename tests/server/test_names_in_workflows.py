"""Names in workflows that lead elsewhere: refused before anything is queued, or kept inside the output folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.server.support import JSON, YAML, Server, picture, serving

ELSEWHERE = [
    "../../x.png",
    "a/../../x.png",
    "..\\x.png",
    "~/x.png",
    "~root/x.png",
    "C:\\x.png",
    "C:/x.png",
    "\\\\host\\share\\x.png",
    "//host/share/x.png",
    "/etc/passwd",
    "file:///etc/passwd",
    "file://x.png",
    "x.png\0.txt",
    "beside.png",
    "linked/x.png",
]
ADDRESSES = [
    "http://169.254.169.254/latest/meta-data/x.png",
    "https://localhost/x.png",
    "http://127.0.0.1:{port}/metrics",
    "http://[::1]:{port}/x.png",
    "http://2130706433/x.png",
    "http://127.0.0.1.nip.io/x.png",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "ftp://localhost/x.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "//localhost:{port}/x.png",
]
NODES = {
    "LoadImage": "image",
    "LoadImageMask": "image",
    "LoadLatent": "latent",
    "CheckpointLoaderSimple": "ckpt_name",
    "VAELoader": "vae_name",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that was started in a folder with a picture and a workflow, and with a link out of its input folder."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "beside.png").write_bytes(picture())
        (folder / "part.yaml").write_text("nodegraph: 1\nnodes: {a: {uses: Tell, with: {value: 1}}}")
        (folder / "elsewhere").mkdir()
        (folder / "elsewhere/x.png").write_bytes(picture())
        (folder / "input").mkdir()
        (folder / "input/linked").symlink_to(folder / "elsewhere")
        with serving(folder) as running:
            yield running


def prompt(uses: str, input: str, name: str) -> dict[str, Any]:
    """A prompt with a name in an input, and a node that shows something of it."""
    return {
        "1": {"class_type": uses, "inputs": {input: name}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }


def refusals(server: Server, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What all the routes that take a workflow say to one; none of them queues it."""
    before = server.get("/api/v1/jobs").json["total"]
    told = server.post("/prompt", {"prompt": asked})
    assert told.status == 400, told.body
    (error,) = told.json["node_errors"]["1"]["errors"]
    yield {"input": error["extra_info"]["input_name"], "text": told.json["error"]["details"]}
    for address, body in (("/api/v1/jobs", {"workflow": asked}), ("/api/v1/batches", {"workflow": asked})):
        more = {"variations": [{}]} if address.endswith("batches") else {}
        answer = server.post(address, {**body, **more})
        assert (answer.status, answer.code) == (400, "not_a_choice")
        (problem,) = answer.json["error"]["problems"]
        yield {"input": problem["input"], "text": f"{problem['message']}; {problem['hint']}"}
    (problem,) = server.post("/api/v1/plan", {"workflow": asked}).json["problems"]
    yield {"input": problem["input"], "text": f"{problem['message']}; {problem['hint']}"}
    assert server.get("/api/v1/jobs").json["total"] == before


@pytest.mark.parametrize("name", [*ELSEWHERE, *ADDRESSES])
def test_a_file_elsewhere_is_refused_before_queueing_with_the_folders_that_count(server: Server, name: str):
    for uses, input in NODES.items():
        wanted = server.folder / ("input" if input in ("image", "latent") else "models")
        for told in refusals(server, prompt(uses, input, name.format(port=server.port))):
            assert told["input"] == input
            assert str(wanted) in told["text"]


def test_what_lies_in_the_folders_is_found(server: Server):
    (server.folder / "input/good.png").write_bytes(picture())
    answer = server.post("/prompt", {"prompt": prompt("LoadImage", "image", "good.png")})
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("uses", ["./part.yaml", "../part.yaml", "./elsewhere/../part.yaml", "./nothing.yaml"])
def test_no_prompt_makes_the_server_read_another_workflow(server: Server, uses: str):
    answer = server.post("/prompt", {"prompt": {"1": {"class_type": uses, "inputs": {}}}})
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_prompt")


@pytest.mark.parametrize(
    "prefix",
    ["../../x", "a/../../b", "..\\x", "~/x", "C:\\x", "/abs", "CON", "a/nul/b", "x" * 300, "a\nb", "\0", "", "a//b"],
)
def test_a_prefix_that_leads_out_or_is_no_name_fails_its_job_and_writes_nothing(server: Server, prefix: str):
    before = sorted(server.folder.rglob("*.png"))
    workflow = json.dumps(picture_saved_as(prefix))
    answer = server.ask("POST", "/api/v1/jobs", workflow, JSON)
    if answer.status == 201:  # names are filled in when the node runs: most prefixes are refused then
        job = server.wait(answer.json["id"])
        assert job["state"] == "failed"
        assert {problem["input"] for problem in job["result"]["problems"]} == {"filename_prefix"}
    assert sorted(server.folder.rglob("*.png")) == before


@pytest.mark.parametrize(("prefix", "name"), [("😀", "😀_00001_.png"), ("a/b é", "a/b é_00001_.png")])
def test_a_prefix_may_be_any_other_name(server: Server, prefix: str, name: str):
    job = server.wait(server.ask("POST", "/api/v1/jobs", json.dumps(picture_saved_as(prefix)), JSON).json["id"])
    assert job["state"] == "done"
    assert (server.folder / "output" / name).is_file()


def picture_saved_as(prefix: str) -> dict[str, Any]:
    size = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def test_a_workflow_in_yaml_is_held_to_the_same(server: Server):
    text = "nodegraph: 1\nnodes:\n  p: {uses: LoadImage, with: {image: ../../x.png}}\n"
    text += "  s: {uses: PreviewImage, with: {images: $p.image}}\n"
    (problem,) = server.ask("POST", "/api/v1/jobs", text, YAML).json["error"]["problems"]
    assert (problem["input"], problem["line"]) == ("image", 3)


def test_markup_in_names_and_titles_is_text_and_nothing_else(server: Server):
    markup = "<img src=x onerror=alert(1)>"
    asked = prompt("LoadImage", "image", markup) | {markup: {"class_type": markup, "inputs": {markup: markup}}}
    for address, body in (("/prompt", {"prompt": asked}), ("/api/v1/jobs", {"workflow": asked})):
        answer = server.post(address, body)
        assert answer.status == 400
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    path = Path("output") / "shown.png"
    (server.folder / path).write_bytes(picture(prompt=markup, nodegraph=markup))
    shown = server.get("/view?filename=shown.png")
    assert (shown.headers["Content-Type"], shown.headers["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert "sandbox" in shown.headers["Content-Security-Policy"]

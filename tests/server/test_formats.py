"""Workflows in other formats, checks while one types, examples, and sub-workflows of saved ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nodegraph.resources import examples
from nodegraph.server.api.addresses import id_of
from tests.server.support import JSON, SUM, YAML, Server, form, picture

UI = {
    "nodes": [
        {"id": 1, "type": "Number", "pos": [5, 6], "size": [200, 80], "inputs": [],
         "outputs": [{"name": "INT", "type": "INT", "links": [1]}], "widgets_values": [18446744073709551615],
         "bgcolor": "#335533"},
        {"id": 2, "type": "Unheard", "pos": [300, 6], "inputs": [{"name": "value", "type": "INT", "link": 1}],
         "outputs": [], "widgets_values": [], "properties": {"cnr_id": "far-pack"}},
    ],
    "links": [[1, 1, 0, 2, 0, "INT"]],
    "version": 0.4,
}  # fmt: skip


def convert(server: Server, workflow: Any, to: str, **more: str) -> Any:
    answer = server.post("/api/v1/convert", {"workflow": workflow, "to": to, **more})
    assert answer.status == 200, answer.body
    return answer.json


def test_an_editors_file_becomes_yaml_with_its_layout_and_what_is_missing(server: Server):
    found = convert(server, UI, "yaml", name="my flow.json")
    assert (found["format"], found["name"], found["nodes"], found["problems"]) == ("yaml", "my flow.yaml", 2, [])
    assert "value: 18446744073709551615" in found["text"]
    assert 'colour: "#335533"' in found["text"]
    assert found["missing"]["nodes"][0]["type"] == "Unheard"
    assert found["missing"]["nodes"][0]["pack"] == "far-pack"


@pytest.mark.parametrize("to", ["yaml", "json", "api", "ui"])
def test_a_text_goes_into_each_format_and_back(server: Server, to: str):
    found = convert(server, SUM, to)
    back = convert(server, found["text"], "yaml")
    assert set(server.post("/api/v1/check", {"workflow": back["text"]}).json["types"].values()) == {
        "Number", "Add", "Tell",
    }  # fmt: skip
    assert found["name"] == ("workflow.yaml" if to == "yaml" else "workflow.json")


def test_files_are_taken_for_what_they_are(server: Server):
    body, headers = form(("file", "flow.png", picture(nodegraph=SUM), "image/png"))
    found = server.ask("POST", "/api/v1/convert?to=json", body, headers).json
    assert (found["name"], json.loads(found["text"])["nodegraph"]) == ("flow.json", 1)
    body, headers = form(("file", "../../x.yaml", SUM.encode(), "application/octet-stream"))
    assert server.ask("POST", "/api/v1/convert?to=yaml", body, headers).json["name"] == "x.yaml"
    raw = server.ask("POST", "/api/v1/convert?to=api&name=a.yaml", SUM, YAML)
    assert raw.json["name"] == "a.json"
    whole = server.ask("POST", "/api/v1/convert", json.dumps(UI), JSON)
    assert whole.json["format"] == "yaml"
    webp = server.ask("POST", "/api/v1/convert", picture(kind="WEBP"), {"Content-Type": "image/webp"})
    assert (webp.status, webp.code) == (400, "no_workflow_in_picture")


@pytest.mark.parametrize(
    ("workflow", "code"),
    [
        ("nodegraph: 1\nnodes: {a: [", "yaml_syntax"),
        ("nothing", "not_a_workflow"),
        ("nodegraph: 1\nnodes: {a: {uses: ../../../etc/part.yaml}}", "file_not_found"),
        ("nodegraph: 1\nnodes: {a: {uses: Number, foreach: {value: [1, 2]}}}", "not_in_format"),
    ],
)
def test_what_cannot_be_converted_is_told(server: Server, workflow: str, code: str):
    answer = server.post("/api/v1/convert", {"workflow": workflow, "to": "api"})
    assert (answer.status, answer.code) == (400, code)


def test_a_form_with_other_fields_or_another_kind_is_refused(server: Server):
    for fields in ((), (("else", None, b"x", "text/plain"),)):
        body, headers = form(*fields)
        assert server.ask("POST", "/api/v1/convert?to=yaml", body, headers).code == "bad_request"
    assert server.ask("POST", "/api/v1/convert?to=xml", SUM, YAML).code == "bad_request"
    assert server.ask("POST", "/api/v1/convert", SUM, {"Content-Type": "text/plain"}).code == "wrong_origin"


def test_a_check_tells_all_mistakes_with_their_places(server: Server):
    text = "nodegraph: 1\nnodes:\n  a:\n    uses: Numbr\n  b:\n    uses: Add\n    with: {a: $c}\n"
    found = server.ask("POST", "/api/v1/check", text, YAML).json
    assert not found["runnable"]
    assert found["types"] == {"a": "Numbr", "b": "Add"}
    assert {(problem["code"], problem["line"]) for problem in found["problems"]} >= {
        ("unknown_node", 4), ("unknown_reference", 7),
    }  # fmt: skip
    fine = server.ask("POST", "/api/v1/check", SUM, YAML).json
    assert (fine["runnable"], fine["problems"]) == (True, [])
    assert server.get("/api/v1/jobs").json["total"] == 0


def test_a_picture_that_an_example_begins_from_is_shown_and_nothing_else_of_the_folder(server: Server):
    base = "/api/v1/examples/image-to-image/pictures"
    answer = server.get(f"{base}/{id_of('pictures/heart.png')}")
    assert answer.headers["Content-Type"] == "image/png"
    for name in ("hello.yaml", "../README.md", "pictures/../hello.yaml", "pictures/none.png"):
        assert server.get(f"{base}/{id_of(name)}").status == 404
    assert server.get(f"/api/v1/examples/none/pictures/{id_of('pictures/heart.png')}").status == 404


def test_examples_are_listed_with_what_they_lack(server: Server):
    found = {each["name"]: each for each in server.get("/api/v1/examples").json["examples"]}
    assert list(found) == [path.stem for path in examples()]
    assert found["hello"]["runnable"]
    assert found["hello"]["description"]
    assert found["image-to-image"]["runnable"], found["image-to-image"]["problem"]
    for each in found.values():
        assert each["runnable"] or each["problem"]["message"]


def test_the_text_of_an_example_comes_with_a_tag(server: Server):
    answer = server.get("/api/v1/examples/hello")
    assert answer.body.startswith(b"#")
    assert server.get("/api/v1/examples/hello", {"If-None-Match": answer.headers["ETag"]}).status == 304
    for name in ("none", "..%2Fcompose", "pictures"):
        assert server.get(f"/api/v1/examples/{name}").status == 404


def test_an_example_finds_its_pictures_only_if_it_says_which_it_is(server: Server):
    text = server.get("/api/v1/examples/image-to-image").body.decode()
    assert not server.post("/api/v1/check", {"workflow": text}).json["runnable"]
    assert server.post("/api/v1/check", {"workflow": text, "example": "image-to-image"}).json["runnable"]
    assert server.post("/api/v1/check", {"workflow": text, "example": "../x"}).code == "bad_request"


PART = "nodegraph: 1\nparams: {n: 1}\nnodes:\n  sum: {uses: Add, with: {a: $n, b: 40}}\noutputs: {sum: $sum}\n"
MAIN = "nodegraph: 1\nnodes:\n  part: {uses: PATH, with: {n: 2}}\n  tell: {uses: Tell, with: {value: $part.sum}}\n"


def save(server: Server, name: str, text: str) -> None:
    server.ask("PUT", f"/api/v1/workflows/{name.replace('/', '%2F')}", text, {**YAML, "If-None-Match": "*"})


def test_a_saved_workflow_uses_others_of_its_folder(server: Server):
    save(server, "parts/part.yaml", PART)
    save(server, "main.yaml", MAIN)
    text = MAIN.replace("PATH", "./parts/part.yaml")
    assert server.post("/api/v1/jobs", {"workflow": text}).code == "file_not_found"
    job = server.post("/api/v1/jobs", {"workflow": text, "file": "main.yaml"})
    assert job.status == 201, job.body
    ended = server.wait(job.json["id"])
    assert ended["result"]["outputs"]["tell"]["shown"] == {"text": ["it is 42"]}
    assert ended["request"]["file"] == "main.yaml"
    flat = server.post("/api/v1/convert", {"workflow": text, "to": "api", "file": "main.yaml"})
    assert [node["class_type"] for node in json.loads(flat.json["text"]).values()] == ["Tell", "Add"]
    assert flat.json["name"] == "main.json"
    save(server, "parts/main.yaml", MAIN)
    deep = {"workflow": MAIN.replace("PATH", "../parts/part.yaml"), "file": "parts/main.yaml"}
    assert server.post("/api/v1/check", deep).json["runnable"]


@pytest.mark.parametrize(
    "path", ["../part.yaml", "./../../outside.yaml", "./link.yaml", "./linked/part.yaml", "./none.yaml", "./a\\0.yaml"]
)
def test_no_sub_workflow_leads_out_of_the_folder(server: Server, path: str):
    save(server, "main.yaml", MAIN)
    root = server.settings.workflows
    outside = server.folder / "outside"
    outside.mkdir(exist_ok=True)
    for target in (outside / "part.yaml", server.folder / "outside.yaml", root.parent / "part.yaml"):
        target.write_text(PART)
    for link, target in ((root / "link.yaml", outside / "part.yaml"), (root / "linked", outside)):
        if not link.is_symlink():
            link.symlink_to(target)
    body = {"workflow": MAIN.replace("PATH", json.dumps(path).replace("\\\\0", "\\0")), "file": "main.yaml"}
    answer = server.post("/api/v1/jobs", body)
    assert (answer.status, answer.code) == (400, "file_not_found")
    assert str(server.folder).encode() not in answer.body


def test_mistakes_in_a_part_are_told_under_its_name_and_nothing_of_the_disk(server: Server):
    save(server, "wrong.yaml", PART.replace("Add", "Ad"))
    save(server, "main.yaml", MAIN)
    body = {"workflow": MAIN.replace("PATH", "./wrong.yaml"), "file": "main.yaml"}
    found = server.post("/api/v1/check", body)
    assert {problem.get("file") for problem in found.json["problems"]} == {"wrong.yaml"}
    assert str(server.folder).encode() not in found.body


@pytest.mark.parametrize("name", ["none.yaml", "../main.yaml", "/etc/passwd", "link.yaml", ""])
def test_only_a_saved_workflow_can_be_named(server: Server, name: str):
    answer = server.post("/api/v1/jobs", {"workflow": SUM, "file": name})
    assert (answer.status, answer.code in ("file_not_found", "bad_name")) == (400, True)

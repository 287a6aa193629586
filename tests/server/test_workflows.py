"""Saved workflows: nothing is overwritten unseen, nothing leaves its folder, nothing is half written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.server.support import JSON, SUM, YAML, Answer, Server

NEW = {**YAML, "If-None-Match": "*"}


def path_of(name: str) -> str:
    return f"/api/v1/workflows/{quote(name, safe='')}"


def save(server: Server, name: str, text: str = SUM, headers: dict[str, str] | None = None) -> Answer:
    return server.ask("PUT", path_of(name), text, NEW if headers is None else headers)


def test_a_workflow_is_saved_and_read_as_it_was_written(server: Server):
    text = SUM + "# a comment\r\n"
    made = save(server, "folder/first one.yaml", text)
    assert made.status == 201
    read = server.get(path_of("folder/first one.yaml"))
    assert (read.body.decode(), read.headers["ETag"]) == (text, made.headers["ETag"])
    assert read.headers["Content-Type"] == "application/yaml; charset=utf-8"
    assert server.get(path_of("folder/first one.yaml"), {"If-None-Match": made.headers["ETag"]}).status == 304
    listed = server.get("/api/v1/workflows").json
    assert "folder/first one.yaml" in [entry["name"] for entry in listed["workflows"]]
    on_disk = list((server.folder / "data/workflows/folder").iterdir())
    assert [path.name for path in on_disk] == ["first one.yaml"]


def test_two_tabs_do_not_overwrite_each_other(server: Server):
    tag = save(server, "tabs.yaml").headers["ETag"]
    first = save(server, "tabs.yaml", SUM.replace("b: 3", "b: 4"), {**YAML, "If-Match": tag})
    assert first.status == 200
    second = save(server, "tabs.yaml", SUM.replace("b: 3", "b: 5"), {**YAML, "If-Match": tag})
    assert (second.status, second.code) == (412, "changed_meanwhile")
    assert second.headers["ETag"] == first.headers["ETag"] == second.json["error"]["etag"]
    (changed,) = second.json["error"]["diff"]["nodes"]["changed"]
    assert changed["inputs"] == [{"name": "b", "old": 4, "new": 5}]
    assert b"b: 4" in server.get(path_of("tabs.yaml")).body


def test_saving_says_what_is_changed(server: Server):
    answer = save(server, "blind.yaml", SUM, YAML)
    assert (answer.status, answer.code) == (428, "precondition_required")
    assert server.get(path_of("blind.yaml")).status == 404
    assert save(server, "blind.yaml", SUM, {**YAML, "If-Match": '"x"'}).status == 412
    assert save(server, "blind.yaml").status == 201
    assert save(server, "blind.yaml").status == 412


@pytest.mark.parametrize(
    "name",
    ["../x.yaml", "a/../../b.yaml", "/etc/x.yaml", "C:\\x.yaml", "C:x.yaml", "~/x.yaml", "CON.yaml", "a/nul.json",
     "x" * 300 + ".yaml", "a\nb.yaml", "a\0b.yaml", ".hidden.yaml", "a/.git/b.yaml", "x.py", "x", "a//b.yaml",
     "a/./b.yaml", " x.yaml", "\u202ex.yaml", "a\\b.yaml", "a/b/c/d/e/f/g/h/i.yaml"],
)  # fmt: skip
def test_names_that_mean_something_else_somewhere_are_refused(server: Server, name: str):
    for answer in (save(server, name), server.get(path_of(name)), server.ask("DELETE", path_of(name))):
        assert answer.status == 400
        assert answer.code == "bad_name"
        assert str(server.folder) not in answer.body.decode()
    assert not list(server.folder.rglob("x.yaml"))


def test_links_lead_nowhere(server: Server, tmp_path: Path):
    save(server, "there.yaml")
    folder = server.folder / "data/workflows"
    (tmp_path / "secret.yaml").write_text("secret: 1")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.yaml")
    for name in ("link.yaml", "linked/secret.yaml", "pipe.yaml"):
        assert server.get(path_of(name)).status == 404
        assert save(server, name).status in (404, 409)
    assert save(server, "linked/new.yaml").status == 404
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.yaml"]
    assert (tmp_path / "secret.yaml").read_text() == "secret: 1"


def test_what_is_thrown_away_can_be_taken_back(server: Server):
    save(server, "gone/soon.yaml")
    trashed = server.ask("DELETE", path_of("gone/soon.yaml")).json["trashed"]
    assert server.get(path_of("gone/soon.yaml")).status == 404
    assert trashed in [entry["name"] for entry in server.get("/api/v1/trash").json["workflows"]]
    back = server.post(f"/api/v1/trash/{quote(trashed, safe='')}/restore", {"to": "back.yaml"})
    assert back.status == 201
    assert server.get(path_of("back.yaml")).body.decode() == SUM
    assert trashed not in [entry["name"] for entry in server.get("/api/v1/trash").json["workflows"]]


def test_a_new_name_must_be_free(server: Server):
    save(server, "one.yaml")
    save(server, "two.yaml", SUM + "# two\n")
    taken = server.post(path_of("one.yaml") + "/rename", {"to": "two.yaml"})
    assert (taken.status, taken.code) == (409, "name_taken")
    assert server.post(path_of("one.yaml") + "/rename", {"to": "../out.yaml"}).code == "bad_name"
    assert server.post(path_of("one.yaml") + "/rename", {"to": "three.yaml"}).json == {"name": "three.yaml"}
    assert server.get(path_of("one.yaml")).status == 404
    assert server.get(path_of("three.yaml")).body.decode() == SUM


def test_a_workflow_with_mistakes_can_be_saved_but_no_bytes_that_are_no_text(server: Server):
    assert save(server, "draft.yaml", "nodes: [").status == 201
    assert save(server, "draft.json", json.dumps({"half": 1}), {**JSON, "If-None-Match": "*"}).status == 201
    assert server.ask("PUT", path_of("bytes.yaml"), b"\xff\xfe", NEW).code == "bad_encoding"
    assert (
        server.ask("PUT", path_of("page.yaml"), "<html>", {"Content-Type": "text/html"} | {"If-None-Match": "*"}).status
        == 415
    )

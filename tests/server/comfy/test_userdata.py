"""What the web app keeps for its user: settings and files."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.server.comfy.support import Running


def ask(server: Running, method: str, path: str, **more: Any) -> requests.Response:
    return requests.request(method, server.url + path, timeout=60, **more)


def test_settings_are_kept(server: Running) -> None:
    user = {"Comfy-User": "settings"}
    assert ask(server, "GET", "/settings", headers=user).json() == {}
    # the web app sends plain text
    page = user | {"Origin": server.url, "Content-Type": "text/plain;charset=UTF-8"}
    changes = json.dumps({"Comfy.A": 1, "Comfy.B": {"deep": [1]}})
    assert ask(server, "POST", "/api/settings", data=changes, headers=page).status_code == 200
    assert ask(server, "POST", "/settings/Comfy.A", data="false", headers=page).status_code == 200
    assert ask(server, "GET", "/settings", headers=user).json() == {"Comfy.A": False, "Comfy.B": {"deep": [1]}}
    assert ask(server, "GET", "/settings/Comfy.B", headers=user).json() == {"deep": [1]}
    assert ask(server, "GET", "/settings/Comfy.C", headers=user).json() is None
    assert ask(server, "GET", "/settings", headers={"Comfy-User": "another"}).json() == {}
    for body in ("[]", "{", "3", '{"a": NaN}'):
        assert ask(server, "POST", "/settings", data=body, headers=user).status_code == 400


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "-", ".x", "x" * 65, "ü"])
def test_user_names_are_names(server: Running, name: str) -> None:
    headers = {"Comfy-User": name.encode()}
    assert ask(server, "GET", "/settings", headers=headers).status_code == 400
    assert ask(server, "POST", "/userdata/x.json", data="{}", headers=headers).status_code == 400


def test_files_are_kept_listed_moved_and_removed(server: Running) -> None:
    user = {"Comfy-User": "files"}
    assert ask(server, "GET", "/userdata?dir=workflows", headers=user).status_code == 404
    assert ask(server, "GET", "/userdata", headers=user).status_code == 400
    answer = ask(server, "POST", "/userdata/workflows%2Fone.json", data='{"a": 1}', headers=user)
    assert (answer.status_code, answer.json()) == (200, "workflows/one.json")
    answer = ask(server, "POST", "/api/userdata/workflows/sub/two.json?full_info=true", data="{}", headers=user)
    info = answer.json()
    assert (info["path"], info["size"]) == ("workflows/sub/two.json", 2)
    assert info["modified"] > 1_600_000_000_000

    assert ask(server, "GET", "/userdata/workflows%2Fone.json", headers=user).json() == {"a": 1}
    assert ask(server, "GET", "/userdata/nothing.json", headers=user).status_code == 404

    listed = "/userdata?dir=workflows"
    assert ask(server, "GET", listed, headers=user).json() == ["one.json"]
    assert ask(server, "GET", listed + "&recurse=true", headers=user).json() == ["one.json", "sub/two.json"]
    split = ask(server, "GET", listed + "&recurse=true&split=true", headers=user).json()
    assert split == [["one.json", "one.json"], ["sub/two.json", "sub", "two.json"]]
    full = ask(server, "GET", listed + "&recurse=true&full_info=true", headers=user).json()
    assert [each["path"] for each in full] == ["one.json", "sub/two.json"]
    entries = ask(server, "GET", "/v2/userdata?path=workflows", headers=user).json()
    assert [(each["name"], each["path"], each["type"]) for each in entries] == [
        ("one.json", "workflows/one.json", "file"),
        ("sub", "workflows/sub", "directory"),
    ]

    again = ask(server, "POST", "/userdata/workflows%2Fone.json?overwrite=false", data="{}", headers=user)
    assert again.status_code == 409
    move = "/userdata/workflows%2Fone.json/move/workflows%2Fsub%2Ftwo.json"
    assert ask(server, "POST", move, headers=user).status_code == 409
    answer = ask(server, "POST", move + "?overwrite=true", headers=user)
    assert (answer.status_code, answer.json()) == (200, "workflows/sub/two.json")
    assert ask(server, "GET", "/userdata/workflows%2Fsub%2Ftwo.json", headers=user).json() == {"a": 1}
    assert ask(server, "DELETE", "/userdata/workflows%2Fsub%2Ftwo.json", headers=user).status_code == 204
    assert ask(server, "DELETE", "/userdata/workflows%2Fsub%2Ftwo.json", headers=user).status_code == 404


@pytest.mark.parametrize(
    "name", ["..%2Fx.json", "%2E%2E/x.json", "a/../../x.json", "a%00b", ".hidden", "a%5Cb", "x" * 300, "a//b"]
)
def test_files_stay_inside(server: Running, name: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        session = requests.Session()
        request = requests.Request(method, server.url, data="{}" if method == "POST" else None).prepare()
        request.url = f"{server.url}/userdata/{name}"
        answer = session.send(request, timeout=60)
        assert answer.status_code in (400, 404, 405), answer.text
    assert not list(server.settings.data_dir.glob("*.json"))
    assert not list((server.settings.data_dir / "users").glob("*.json"))


def test_a_link_leads_nowhere(server: Running) -> None:
    folder = server.settings.data_dir / "users" / "links"
    folder.mkdir(parents=True)
    (server.settings.data_dir / "secret.json").write_text("{}")
    (folder / "out").symlink_to(server.settings.data_dir)
    (folder / "file.json").symlink_to(server.settings.data_dir / "secret.json")
    user = {"Comfy-User": "links"}
    for path in ("/userdata/out%2Fsecret.json", "/userdata/file.json", "/userdata?dir=out", "/v2/userdata?path=out"):
        assert ask(server, "GET", path, headers=user).status_code == 404
    assert ask(server, "POST", "/userdata/out%2Fnew.json", data="{}", headers=user).status_code == 400
    assert ask(server, "GET", "/v2/userdata", headers=user).json() == []
    (server.settings.data_dir / "secret.json").unlink()

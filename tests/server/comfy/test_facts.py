"""What the server says of itself: node types, models, the machine, files of packs."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import requests

from nodegraph.server.comfy import ROUTES
from tests.helpers import without_shipped
from tests.server.comfy.support import Running, serving

PACK = """
class Shout:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "hi", "multiline": True})}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "loud"

    def run(self, text):
        return (text.upper(),)


NODE_CLASS_MAPPINGS = {"Shout": Shout}
NODE_DISPLAY_NAME_MAPPINGS = {"Shout": "Shout it"}
WEB_DIRECTORY = "./js"
"""


def get(server: Running, path: str, **query: Any) -> requests.Response:
    return requests.get(server.url + path, params=query, timeout=60)


def test_every_route_answers_in_both_places(server: Running) -> None:
    values = {"{id}": "x", "{name}": "KSampler", "{folder}": "checkpoints", "{type}": "input", "{pack}": "x"}
    for method, path, _ in ROUTES:
        if path == "/ws" or method in ("PATCH", "DELETE"):
            continue
        for name, value in values.items():
            path = path.replace(name, value)
        path = path.replace("{path:.+}", "x.js").replace("{file:.+?}", "x").replace("{dest:.+}", "y")
        path = path.replace("{file:.+}", "x.json")
        answers = [requests.request(method, server.url + prefix + path, timeout=60) for prefix in ("", "/api")]
        assert answers[0].status_code == answers[1].status_code, path
        assert answers[0].status_code != 500, path
        assert answers[0].status_code != 405, path


def test_node_types_in_the_shape_that_clients_know(server: Running) -> None:
    answer = get(server, "/object_info")
    types = answer.json()
    sampler = types["KSampler"]
    assert {
        "input",
        "input_order",
        "output",
        "output_is_list",
        "output_name",
        "name",
        "display_name",
        "description",
        "python_module",
        "category",
        "output_node",
    } <= sampler.keys()
    kind, facts = sampler["input"]["required"]["seed"]
    assert kind == "INT"
    assert (facts["min"], facts["max"]) == (0, 2**64 - 1)
    assert "tiny" in types["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    assert get(server, "/api/object_info/KSampler").json() == {"KSampler": sampler}
    assert get(server, "/object_info/Nothing").json() == {}
    known = {"If-None-Match": answer.headers["ETag"]}
    assert requests.get(server.url + "/object_info", headers=known, timeout=60).status_code == 304


def test_models_and_what_they_say_of_themselves(server: Running) -> None:
    folder = server.settings.models[0]
    header = json.dumps({"__metadata__": {"ss_tag": "star"}}).encode()
    for kind, name in (("loras", "deep/star.safetensors"), ("embeddings", "bad.safetensors")):
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(header)) + header)
    (folder / "loras" / "broken.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    assert {"checkpoints", "loras", "vae", "embeddings"} <= set(get(server, "/models").json())
    assert without_shipped(get(server, "/models/loras").json()) == ["broken.safetensors", "deep/star.safetensors"]
    assert get(server, "/models/nothing").status_code == 404
    assert without_shipped(get(server, "/embeddings").json()) == ["bad"]
    told = get(server, "/view_metadata/loras", filename="deep/star.safetensors")
    assert told.json() == {"ss_tag": "star"}
    for name in ("broken.safetensors", "../embeddings/bad.safetensors", "nothing.safetensors", ""):
        assert get(server, "/view_metadata/loras", filename=name).status_code == 404
    assert "loras" in [each["name"] for each in get(server, "/experiment/models").json()]
    files = get(server, "/experiment/models/loras").json()
    assert {"name", "pathIndex", "size", "modified", "created"} == files[0].keys()


def test_the_machine(server: Running) -> None:
    told = get(server, "/system_stats").json()
    assert set(told) == {"system", "devices"}
    assert {"os", "ram_total", "ram_free", "comfyui_version", "python_version", "pytorch_version", "argv"} <= told[
        "system"
    ].keys()
    assert told["system"]["ram_total"] > told["system"]["ram_free"] > 0
    (device,) = told["devices"]
    assert device["type"] == "cpu"
    assert {"name", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free"} <= device.keys()
    assert get(server, "/features").json()["supports_preview_metadata"] is True


def test_what_the_web_app_asks_for_at_its_start(server: Running) -> None:
    for path in ("/i18n", "/workflow_templates"):
        assert get(server, path).json() == {}
    assert get(server, "/users").json() == {"storage": "server", "migrated": True}
    assert get(server, "/extensions").json() == []
    assert isinstance(get(server, "/internal/logs").json(), str)
    assert set(get(server, "/internal/logs/raw").json()) == {"entries", "size"}
    assert (
        requests.patch(server.url + "/internal/logs/subscribe", json={"enabled": True}, timeout=60).status_code == 200
    )
    assert "checkpoints" in get(server, "/internal/folder_paths").json()
    (server.settings.output / "seen.png").write_bytes(b"")
    assert "seen.png" in get(server, "/internal/files/output").json()
    assert get(server, "/internal/files/elsewhere").status_code == 404


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("packed")
    pack = folder / "custom_nodes" / "loud-pack"
    (pack / "js" / "lib").mkdir(parents=True)
    (pack / "__init__.py").write_text(PACK)
    (pack / "js" / "main.js").write_text("export const loud = 1;")
    (pack / "js" / "lib" / "style.css").write_text("a {}")
    with serving(folder, custom_nodes=(folder / "custom_nodes",)) as server:
        yield server


def test_packs_bring_nodes_and_files_for_the_browser(packed: Running) -> None:
    assert get(packed, "/object_info/Shout").json()["Shout"]["display_name"] == "Shout it"
    (address,) = get(packed, "/extensions").json()
    assert address == "/extensions/loud-pack/main.js"
    for prefix in ("", "/api"):
        answer = get(packed, prefix + address)
        assert answer.text == "export const loud = 1;"
        assert answer.headers["Content-Type"].startswith("text/javascript")
    assert get(packed, "/extensions/loud-pack/lib/style.css").headers["Content-Type"].startswith("text/css")
    for name in ("../__init__.py", "%2e%2e/__init__.py", "nothing.js", "lib", ""):
        assert get(packed, f"/extensions/loud-pack/{name}").status_code == 404
    assert get(packed, "/extensions/other/main.js").status_code == 404


def test_the_web_app_is_asked_for_but_not_there(tmp_path: Path) -> None:
    from nodegraph.errors import ProblemError
    from nodegraph.server.comfy.frontend import find_app

    if find_app() is not None:
        pytest.skip("comfyui-frontend-package is installed")
    with pytest.raises(ProblemError) as caught, serving(tmp_path, frontend="comfyui"):
        pass
    assert caught.value.problems[0].code == "missing_package"
    assert "comfyui-frontend" in str(caught.value)

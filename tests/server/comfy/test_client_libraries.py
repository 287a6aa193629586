"""Clients that other people wrote for ComfyUI, used as they are."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.comfy.support import Running, png, txt2img

comfy_api = pytest.importorskip("comfy_api_simplified", reason="comfy-api-simplified is not installed")


@pytest.fixture
def api(server: Running) -> Any:
    return comfy_api.ComfyApiWrapper(server.url + "/")


def workflow(prompt: dict[str, Any], folder: Path) -> Any:
    """A prompt as the library reads it: every node has a title."""
    titled = {node: {"_meta": {"title": entry["class_type"]}, **entry} for node, entry in prompt.items()}
    path = folder / "prompt.json"
    path.write_text(json.dumps(titled))
    return comfy_api.ComfyWorkflowWrapper(str(path))


def test_a_picture_is_queued_waited_for_and_fetched(api: Any, tmp_path: Path) -> None:
    wanted = workflow(txt2img(seed=2001, prefix="simplified"), tmp_path)
    wanted.set_node_param("KSampler", "steps", 8)
    pictures = api.queue_and_wait_images(wanted, "Save Image")
    ((name, data),) = pictures.items()
    assert name.startswith("simplified_")
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    again = api.queue_and_wait_images(wanted, "Save Image")
    assert again == pictures


def test_a_failure_is_an_error_of_the_library(api: Any, tmp_path: Path) -> None:
    prompt = txt2img()
    prompt["4"]["inputs"]["ckpt_name"] = "nothing"
    with pytest.raises(comfy_api.ComfyApiError):
        api.queue_and_wait_images(workflow(prompt, tmp_path), "Save Image")


def test_an_uploaded_picture_is_used(api: Any, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    path.write_bytes(png((120, 60, 30), (64, 64)))
    told = api.upload_image(str(path))
    assert told == {"name": "start.png", "subfolder": "default_upload_folder", "type": "input"}
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"{told['subfolder']}/{told['name']}"}},
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "back"},
            "_meta": {"title": "Save Image"},
        },
    }
    ((_, data),) = api.queue_and_wait_images(workflow(prompt, tmp_path), "Save Image").items()
    assert Image.open(io.BytesIO(data)).getpixel((9, 9)) == (120, 60, 30)


def test_a_run_is_interrupted(api: Any, server: Running) -> None:
    id_ = api.queue_prompt(txt2img(seed=2002, steps=9000))["prompt_id"]
    works, ended = threading.Event(), threading.Event()

    async def follow() -> None:
        async for event in server.service.subscribe(after=0, job=id_):
            if event.kind == "progress":  # pyright: ignore[reportAttributeAccessIssue]
                works.set()
            if event.kind == "job_finished":  # pyright: ignore[reportAttributeAccessIssue]
                break
        ended.set()

    asyncio.run_coroutine_threadsafe(follow(), server.loop)
    assert works.wait(60)
    assert api.get_queue_size_before(id_) == 0
    api.interrupt()
    assert ended.wait(60)
    status = api.get_history(id_)[id_]["status"]
    assert status["messages"][-1][0] == "execution_interrupted"


def test_what_the_library_asks_of_the_server(api: Any) -> None:
    assert "KSampler" in api.get_object_info()
    assert set(api.get_object_info("KSampler")) == {"KSampler"}
    assert api.get_system_stats()["devices"]
    assert isinstance(api.get_embeddings(), list)
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}

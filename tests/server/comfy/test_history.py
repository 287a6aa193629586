"""The queue and the history, as clients list and change them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.server.comfy.support import Client, Running, empty_picture, serving


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with five prompts that have ended: `run-0` to `run-4`."""
    with serving(tmp_path_factory.mktemp("history")) as server:

        async def main() -> None:
            async with Client(server.url, "me") as client:
                for i in range(5):
                    await client.run(empty_picture(i), prompt_id=f"run-{i}")

        asyncio.run(main())
        yield server


def history(server: Running, **query: Any) -> Any:
    answer = requests.get(server.url + "/history", params=query, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"max_items": 2}, [3, 4]),
        ({"max_items": 2, "offset": -1}, [3, 4]),
        ({"max_items": 2, "offset": 0}, [0, 1]),
        ({"max_items": 2, "offset": 3}, [3, 4]),
        ({"offset": 4}, [4]),
        ({"max_items": 99, "offset": 1}, [1, 2, 3, 4]),
        ({"offset": 5}, []),
        ({"max_items": 3, "offset": 1000000}, []),
        ({"max_items": 0}, []),
    ],
)
def test_pages_of_the_history(ended: Running, query: dict[str, int], numbers: list[int]) -> None:
    assert list(history(ended, **query)) == [f"run-{i}" for i in numbers]


@pytest.mark.parametrize("query", [{"max_items": "x"}, {"offset": "1.5"}, {"max_items": "9" * 5000}, {"offset": "-"}])
def test_pages_that_make_no_sense(ended: Running, query: dict[str, str]) -> None:
    assert requests.get(ended.url + "/history", params=query, timeout=60).status_code == 400


def test_an_entry_of_the_history(ended: Running) -> None:
    for path in ("/history/run-1", "/api/history/run-1"):
        body = requests.get(ended.url + path, timeout=60).json()
        assert list(body) == ["run-1"]
        entry = body["run-1"]
        assert set(entry) == {"prompt", "outputs", "status", "meta"}
        number, id_, prompt, extra, outputs = entry["prompt"]
        assert isinstance(number, int)
        assert (id_, prompt, extra, outputs) == ("run-1", empty_picture(1), {"client_id": "me"}, ["2"])
        (image,) = entry["outputs"]["2"]["images"]
        assert set(image) == {"filename", "subfolder", "type"}
        assert entry["meta"] == {"2": {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}}
        status = entry["status"]
        assert (status["status_str"], status["completed"]) == ("success", True)
        assert [name for name, _ in status["messages"]] == [
            "execution_start",
            "execution_cached",
            "execution_success",
        ]
        for _, data in status["messages"]:
            assert data["prompt_id"] == "run-1"
            assert isinstance(data["timestamp"], int)
    assert requests.get(ended.url + "/history/nothing", timeout=60).json() == {}


def test_entries_are_forgotten_one_by_one_or_all(tmp_path: Path) -> None:
    with serving(tmp_path) as server:

        async def main() -> None:
            async with Client(server.url, "me") as client:
                for i in range(3):
                    await client.run(empty_picture(i), prompt_id=f"run-{i}")

        asyncio.run(main())
        body = {"delete": ["run-1", "nothing"]}
        assert requests.post(server.url + "/history", json=body, timeout=60).status_code == 200
        assert list(history(server)) == ["run-0", "run-2"]
        assert requests.post(server.url + "/history", json={"clear": True}, timeout=60).status_code == 200
        assert history(server) == {}

        server.call(server.service.pause)
        for i in range(4):
            body = {"prompt": empty_picture(i), "prompt_id": f"next-{i}"}
            assert requests.post(server.url + "/prompt", json=body, timeout=60).status_code == 200
        url = server.url + "/api/queue"
        assert requests.post(url, json={"delete": ["next-2", "nothing"]}, timeout=60).status_code == 200
        queue = requests.get(url, timeout=60).json()
        assert set(queue) == {"queue_running", "queue_pending"}
        assert queue["queue_running"] == []
        assert [item[1] for item in queue["queue_pending"]] == ["next-0", "next-1", "next-3"]
        assert requests.post(url, json={"clear": True}, timeout=60).status_code == 200
        assert requests.get(url, timeout=60).json() == {"queue_running": [], "queue_pending": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, body) for path in ("/queue", "/history", "/interrupt", "/free") for body in ("[]", "3", "{", "NaN")),
        *((path, body) for path in ("/queue", "/history") for body in ('{"delete": 3}', '{"delete": [3]}')),
        ("/interrupt", '{"prompt_id": 3}'),
    ],
)
def test_changes_that_make_no_sense(ended: Running, path: str, body: str) -> None:
    answer = requests.post(ended.url + path, data=body, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert len(history(ended)) == 5


def test_models_and_memory_are_let_go(ended: Running) -> None:
    for body in ({}, {"unload_models": True}, {"free_memory": True}):
        assert requests.post(ended.url + "/free", json=body, timeout=60).status_code == 200

"""What the server tells of itself, its node types and its models; and websockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from nodegraph.server.settings import ServerLimits
from tests.helpers import without_shipped
from tests.server.support import Server, serving


def test_node_types_come_with_a_tag(server: Server):
    answer = server.get("/api/v1/nodes")
    assert {"Add", "KSampler"} <= set(answer.json["nodes"])
    assert server.get("/api/v1/nodes", {"If-None-Match": answer.headers["ETag"]}).status == 304
    assert server.get("/api/v1/nodes/Add").json["name"] == "Add"
    assert server.get("/api/v1/nodes/Nix").code == "not_found"


def test_models_are_listed_by_kind(server: Server):
    folder = server.folder / "models/loras/styles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "blue.safetensors").touch()
    answer = server.get("/api/v1/models")
    assert without_shipped(answer.json["models"]["loras"]) == ["styles/blue.safetensors"]
    assert server.get("/api/v1/models", {"If-None-Match": answer.headers["ETag"]}).status == 304


def test_health_system_cache_and_metrics(server: Server):
    server.wait(server.submit()["id"])
    health = server.get("/healthz").json
    assert (health["status"], [worker["device"] for worker in health["workers"]]) == ("ok", ["cpu"])
    assert server.get("/api/v1/system").json["workers"][0]["device"] == "cpu"
    assert server.get("/api/v1/cache").json == {"enabled": False, "results": 0, "bytes": 0}
    assert server.post("/api/v1/cache/free", {"models": True}).status == 204
    assert server.post("/api/v1/cache/free", {"disk": True}).code == "bad_request"
    server.get("/made/up/address")
    text = server.get("/metrics").body.decode()
    assert 'nodegraph_jobs{state="done"} 1.0' in text
    assert 'nodegraph_requests_total{method="POST",route="/api/v1/jobs",status="201"} 1.0' in text
    assert "made/up" not in text


def test_kept_results_are_counted(tmp_path: Path):
    with serving(tmp_path, cache_dir=tmp_path / "kept") as server:
        server.wait(server.submit()["id"])
        assert server.get("/api/v1/cache").json["enabled"]


def test_the_server_imports_no_torch():
    code = (
        "import sys; from pathlib import Path; from nodegraph.jobs.service import LocalJobService as S;"
        "from nodegraph.jobs.settings import JobSettings; from nodegraph.server.app import make_app;"
        "from nodegraph.server.settings import ServerSettings; make_app(S(JobSettings(Path('x'))), ServerSettings());"
        "print([name for name in ('torch', 'diffusers', 'numpy', 'PIL', 'networkx') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def with_socket(server: Server, query: str, work: Any, **options: Any) -> Any:
    """Do something with a websocket of events."""

    async def go() -> Any:
        async with (
            aiohttp.ClientSession() as session,
            asyncio.timeout(60),
            session.ws_connect(f"http://127.0.0.1:{server.port}/api/v1/events?{query}", **options) as socket,
        ):
            return await work(socket)

    return asyncio.run(go())


def test_a_websocket_tells_the_same_as_a_stream(server: Server):
    job = server.submit()["id"]

    async def collect(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
        found: list[Any] = []
        async for message in socket:
            found.append(json.loads(message.data))
            if found[-1]["kind"] == "job_finished":
                break
        return found

    found = with_socket(server, f"after=0&job={job}", collect)
    assert [found[0]["kind"], found[-1]["data"]["state"]] == ["job_queued", "done"]
    assert [event["seq"] for event in found] == sorted({event["seq"] for event in found})


def test_a_huge_message_ends_a_websocket(server: Server):
    async def send(socket: aiohttp.ClientWebSocketResponse) -> int | None:
        await socket.send_bytes(b"x" * 1_500_000)
        async for _ in socket:
            pass
        return socket.close_code

    assert with_socket(server, "after=1000000", send) == 1009


def test_there_are_not_more_streams_than_the_limit_allows(tmp_path: Path):
    with serving(tmp_path, limits=ServerLimits(sockets=1)) as server:

        async def second(_: aiohttp.ClientWebSocketResponse) -> None:
            answer = await asyncio.to_thread(server.get, "/api/v1/events")
            assert (answer.status, answer.code) == (503, "server_busy")

        with_socket(server, "", second)


def test_who_goes_makes_room_for_others_even_if_nothing_happens(tmp_path: Path):
    with serving(tmp_path, limits=ServerLimits(sockets=1)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/api/v1/events?job=none")
        response = connection.getresponse()
        assert response.status == 200
        assert server.ask("HEAD", "/api/v1/events").status == 503
        response.close()
        connection.close()
        for _ in range(20_000):
            if server.ask("HEAD", "/api/v1/events").status == 200:
                return
        raise AssertionError("the place of a client that has gone is never free again")

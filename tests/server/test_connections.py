"""Many clients, silent ones, and those that look on: what a server bears, and whom it makes previews for."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from nodegraph.server.settings import ServerLimits
from tests.server.support import JSON, Server, serving

LIMIT = 40


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that bears few clients at once."""
    with serving(tmp_path_factory.mktemp("small"), limits=ServerLimits(connections=LIMIT, sockets=3)) as running:
        yield running


def test_silent_connections_leave_room_for_who_asks(small: Server):
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", small.port))) for _ in range(300)]
        half = b"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/yaml\r\n"
        for _ in range(2 * LIMIT):  # these have begun to say something, and never go on
            stack.enter_context(socket.create_connection(("127.0.0.1", small.port))).sendall(half)
        assert small.get("/healthz").status == 200
        assert small.wait(small.submit()["id"])["state"] == "done"
        assert sum(is_open(each) for each in opened) < LIMIT


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed a connection on which it has nothing to say."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_where_nobody_is_idle_who_comes_last_is_told_to_come_again(tmp_path: Path):
    with serving(tmp_path, limits=ServerLimits(connections=2)) as server, ExitStack() as stack:
        for _ in range(2):
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            reader.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 " in reader.recv(100)
        answer = server.get("/healthz")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_clients_of_both_interfaces_share_the_places_and_who_comes_again_has_one(small: Server):
    async def main() -> None:
        url = f"http://127.0.0.1:{small.port}"
        async with aiohttp.ClientSession(url) as http:
            first = await http.ws_connect("/ws?clientId=a")
            other = await http.ws_connect("/api/v1/events")
            stream = await http.get("/api/v1/events")
            for path in ("/ws?clientId=b", "/api/v1/events"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect(path)
                assert refused.value.status == 503
            again = await http.ws_connect("/ws?clientId=a")
            assert json.loads((await again.receive()).data)["data"]["sid"] == "a"
            while not first.closed:  # the one before it ends
                await first.receive()
            stream.close()
            for each in (first, again, other):
                await each.close()

    asyncio.run(main())


def test_clients_that_go_in_the_midst_of_an_answer_leave_no_traceback(server: Server, caplog: pytest.LogCaptureFixture):
    server.wait(server.submit()["id"])  # a worker is up, so that events follow each other closely
    for path in ("/api/v1/events", "/object_info", "/api/v1/nodes", "/api/v1/openapi.yaml", "/history"):
        for linger in (0, 1) * 5:
            with socket.create_connection(("127.0.0.1", server.port)) as gone:
                # Cut off, or closed in order: that is not the same to the server.
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
                gone.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                gone.recv(65_536)
        assert server.wait(server.submit()["id"])["state"] == "done"
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


WATCHED = """\
nodegraph: 1
nodes:
  asked: {{uses: Watched, with: {{value: {value}}}}}
  shown: {{uses: Tell, with: {{value: $asked}}}}
"""


def watched(server: Server, value: int) -> bool:
    """Whether the nodes of a job are told that somebody looks at previews."""
    job = server.wait(server.submit(WATCHED.format(value=2 * value))["id"])
    (text,) = job["result"]["outputs"]["shown"]["shown"]["text"]
    return text == f"it is {2 * value + 1}"


@pytest.mark.parametrize(
    ("path", "looks"), [("/ws", True), ("/api/v1/events?previews=true", True), ("/api/v1/events", False)]
)
def test_previews_are_made_for_those_who_look_and_for_nobody_else(server: Server, path: str, looks: bool):
    async def main() -> bool:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
            async with http.ws_connect(path) as socket:
                asked = await asyncio.to_thread(watched, server, 2 * len(path))
                await socket.close()
            return asked

    assert not watched(server, 1)
    assert asyncio.run(main()) is looks
    for value in range(1_000, 2_000):  # a while may pass until it is noticed that the client has gone
        if not watched(server, value):
            return
    raise AssertionError("previews are made for somebody who has gone")


def test_ids_of_others_and_of_nobody_look_the_same(server: Server):
    for id in ("none", "00000000-0000-4000-8000-000000000000", "%2e%2e", "a%00b", "x" * 300, "😀".encode().hex()):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")):
            answer = server.ask(method, f"/api/v1/jobs/{id}{path}")
            assert (answer.status, answer.code) == (404, "not_found")
        assert server.get(f"/history/{id}").json == {}
        assert server.ask("POST", "/interrupt", json.dumps({"prompt_id": id}), JSON).status == 200


def test_an_id_cannot_be_taken_twice_and_a_session_of_another_token_is_none(server: Server, tmp_path: Path):
    body = {
        "prompt": {
            "1": {"class_type": "Number", "inputs": {}},
            "2": {"class_type": "Tell", "inputs": {"value": ["1", 0]}},
        }
    }
    assert server.post("/prompt", {**body, "prompt_id": "mine"}).status == 200
    again = server.post("/prompt", {**body, "prompt_id": "mine"})
    assert (again.status, again.json["error"]["type"]) == (400, "job_exists")
    with (
        serving(tmp_path / "a", token="one-secret-of-two") as one,
        serving(tmp_path / "b", token="two-secret-of-two") as two,
    ):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        cookie = one.ask("POST", "/login", "token=one-secret-of-two", form).headers["Set-Cookie"].split(";")[0]
        assert one.get("/api/v1/jobs", {"Cookie": cookie}).status == 200
        moved = cookie.replace(f"nodegraph_{one.port}", f"nodegraph_{two.port}")
        for id in ("", "/mine"):
            assert two.get(f"/api/v1/jobs{id}", {"Cookie": moved}).status == 401


@pytest.mark.parametrize(
    "path",
    ["/artifacts/../../etc/passwd", "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/..%5c..%5cetc", "/....//....//etc/passwd",
     "//etc/passwd", "/view/../../etc/passwd", "/userdata/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/userdata/..%5cx",
     "/extensions/x/%2e%2e/%2e%2e/etc/passwd", "/extensions/%2e%2e/x.js", "/api/v1/outputs/%00/file",
     "/models/%2e%2e", "/view_metadata/%2e%2e?filename=passwd", "/view?filename=%00", "/" + "x" * 5_000,
     "/view?filename=passwd&subfolder=/etc", "/internal/files/%2e%2e", "/view?filename=..%2f..%2fetc%2fpasswd"],
)  # fmt: skip
def test_no_address_leads_to_another_file(server: Server, path: str):
    for prefix in ("", "/api"):
        answer = server.get(prefix + path)
        assert answer.status in (400, 404)
        assert b"root:" not in answer.body and str(server.folder).encode() not in answer.body
        assert answer.code

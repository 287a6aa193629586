"""What a websocket tells of a run, in its order."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import aiohttp
import pytest

from tests.server.comfy.support import END, Client, Running, empty_picture, serving, txt2img


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def data_of(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message["data"] for message in messages if message["type"] == kind]


def test_a_run_tells_its_events_in_order(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "order") as client:
            greeting = await client.next()
            assert greeting == {
                "type": "status",
                "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "order"},
            }
            prompt, told = await client.run(txt2img(seed=1001, steps=3))
        kinds = types(told)
        assert kinds[:3] == ["status", "execution_start", "execution_cached"]
        assert kinds[-3:] == ["execution_success", "status", "executing"]
        assert told[0]["data"] == {"status": {"exec_info": {"queue_remaining": 1}}}
        assert told[-2]["data"] == {"status": {"exec_info": {"queue_remaining": 0}}}
        assert told[-1]["data"] == {"node": None, "prompt_id": prompt}
        for kind in ("execution_start", "execution_cached", "execution_success"):
            (data,) = data_of(told, kind)
            assert data["prompt_id"] == prompt
            assert data["timestamp"] > 1_600_000_000_000
        executing = [data["node"] for data in data_of(told, "executing")]
        cached = data_of(told, "execution_cached")[0]["nodes"]
        assert sorted([*cached, *executing[:-1]]) == ["3", "4", "5", "6", "7", "8", "9"]
        for node in ("3", "8", "9"):  # the state of a node is told before it is said to run
            first = next(i for i, m in enumerate(told) if m["type"] == "progress_state" and node in m["data"]["nodes"])
            runs = {"node": node, "display_node": node, "prompt_id": prompt}
            assert first < told.index({"type": "executing", "data": runs})
        steps = [data for data in data_of(told, "progress") if data["node"] == "3"]
        assert steps[-1] == {"value": 3, "max": 3, "prompt_id": prompt, "node": "3"}
        (executed,) = data_of(told, "executed")
        assert executed["node"] == executed["display_node"] == "9"
        (image,) = executed["output"]["images"]
        assert image["type"] == "output"
        assert (server.settings.output / image["filename"]).is_file()

    asyncio.run(main())


def test_states_of_nodes_are_told_when_they_change_and_no_oftener(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "changes") as client:
            prompt, told = await client.run(txt2img(seed=1002))
        states = data_of(told, "progress_state")
        last: dict[str, Any] = {}
        for state in states:
            assert state["prompt_id"] == prompt
            for node, facts in state["nodes"].items():
                assert facts != last.get(node)
                last[node] = facts
        assert last["3"] == {
            "value": 2,
            "max": 2,
            "state": "finished",
            "node_id": "3",
            "prompt_id": prompt,
            "display_node_id": "3",
            "parent_node_id": None,
            "real_node_id": "3",
        }

    asyncio.run(main())


def test_a_thousand_nodes_are_told_within_a_megabyte(server: Running) -> None:
    prompt: dict[str, Any] = {"start": {"class_type": "PrimitiveString", "inputs": {"value": "x"}}}
    for i in range(1000):
        joins = {"string_a": [f"n{i - 1}" if i % 20 else "start", 0], "string_b": str(i), "delimiter": ""}
        prompt[f"n{i}"] = {"class_type": "StringConcatenate", "inputs": joins}
        if i % 20 == 19:
            prompt[f"show{i}"] = {"class_type": "PreviewAny", "inputs": {"source": [f"n{i}", 0]}}

    async def main() -> None:
        async with Client(server.url, "many") as client:
            _, told = await client.run(prompt)
        assert sum(len(json.dumps(message, separators=(",", ":"))) for message in told) < 1_000_000
        assert len({data["node"] for data in data_of(told, "executing")}) == len(prompt) + 1
        assert len(data_of(told, "executed")) == 50
        ended = {
            node for s in data_of(told, "progress_state") for node, f in s["nodes"].items() if f["value"] == f["max"]
        }
        assert ended == set(prompt)

    asyncio.run(main())


def test_a_client_that_does_not_read_holds_nobody_up(server: Running) -> None:
    prompt: dict[str, Any] = {}
    for i in range(300):
        prompt[f"n{i}"] = {"class_type": "PrimitiveString", "inputs": {"value": f"{i} " + "x" * 2000}}
        prompt[f"show{i}"] = {"class_type": "PreviewAny", "inputs": {"source": [f"n{i}", 0]}}

    async def main() -> None:
        host, port = server.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        writer.write(f"GET /ws?clientId=slow HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n{key}\r\n\r\n".encode())
        async with Client(server.url, "quick") as quick:
            for i in range(12):
                prompt["n0"]["inputs"]["value"] = str(i)
                await quick.queue(prompt, client_id="slow")
            await quick.run(empty_picture(30, "behind"))
            slow = server.call(lambda: server.hub.listeners["slow"])
            assert len(slow.outbox) <= 1000
            assert len(slow.subscription.waiting) <= 1000
        writer.transport.abort()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_what_is_cached_is_told_with_its_pictures(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "cached") as client:
            _, before = await client.run(empty_picture(7, "again"))
            prompt, told = await client.run(empty_picture(7, "again"))
        (cached,) = data_of(told, "execution_cached")
        assert set(cached["nodes"]) == {"1", "2"}
        kinds = [kind for kind in types(told) if kind != "status"]  # which comes whenever the queue changed
        assert kinds == ["execution_start", "execution_cached", "executed", "execution_success", "executing"]
        assert data_of(told, "executed")[0]["output"] == data_of(before, "executed")[0]["output"]
        assert data_of(told, "executed")[0]["prompt_id"] == prompt

    asyncio.run(main())


def test_previews_are_frames_of_two_numbers_and_a_jpeg(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "previews") as client:
            await client.run(txt2img(seed=1003, steps=6))
        assert client.frames
        for frame in client.frames:
            assert struct.unpack(">II", frame[:8]) == (1, 1)
            assert frame[8:11] == b"\xff\xd8\xff"

    asyncio.run(main())


def test_a_client_that_says_so_gets_previews_with_what_they_are_of(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "flags") as client:
            await client.next()
            hello = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            await client.socket.send_json(hello)
            answer = await client.next()
            assert answer["type"] == "feature_flags"
            assert answer["data"]["supports_preview_metadata"] is True
            prompt, _ = await client.run(txt2img(seed=1004, steps=6))
        assert client.frames
        for frame in client.frames:
            kind, length = struct.unpack(">II", frame[:8])
            assert kind == 4
            assert json.loads(frame[8 : 8 + length]) == {
                "node_id": "3",
                "prompt_id": prompt,
                "display_node_id": "3",
                "parent_node_id": None,
                "real_node_id": "3",
                "image_type": "image/jpeg",
            }
            assert frame[8 + length :][:3] == b"\xff\xd8\xff"

    asyncio.run(main())


@pytest.mark.parametrize("knows", [True, False])
def test_warnings_of_nodes_are_texts_for_clients_that_know_more_than_pictures(server: Running, knows: bool) -> None:
    prompt = txt2img(seed=1005, prefix=f"warned-{knows}")
    prompt["6"]["inputs"]["text"] = f"a star by embedding:nobody{knows}"

    async def main() -> None:
        async with Client(server.url, f"warned-{knows}") as client:
            await client.next()
            if knows:
                data = {"supports_preview_metadata": True}
                await client.socket.send_json({"type": "feature_flags", "data": data})
                await client.next()
            await client.run(prompt)
        texts = [frame for frame in client.frames if struct.unpack(">I", frame[:4]) == (3,)]
        assert len(texts) == knows
        for frame in texts:
            (length,) = struct.unpack(">I", frame[4:8])
            assert frame[8 : 8 + length] == b"6"
            assert "no textual inversion 'nobodyTrue'" in frame[8 + length :].decode()

    asyncio.run(main())


def test_a_failure_names_the_node_and_what_went_wrong(server: Running) -> None:
    prompt = empty_picture(3)
    prompt["2"] = {
        "class_type": "LoadImage",
        "inputs": {"image": "broken.png"},
    }
    (server.settings.input / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    prompt["3"] = {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "never"}}

    async def main() -> None:
        async with Client(server.url, "failing") as client:
            id_, told = await client.run(prompt)
            assert types(told)[-3:] == ["execution_error", "status", "executing"]
            (error,) = data_of(told, "execution_error")
            assert error["prompt_id"] == id_
            assert (error["node_id"], error["node_type"]) == ("2", "LoadImage")
            assert "broken.png" in error["exception_message"]
            assert isinstance(error["traceback"], list)
            assert {"executed", "exception_type", "current_inputs", "current_outputs"} <= error.keys()
            history = await client.get(f"/history/{id_}")
            status = history[id_]["status"]
            assert (status["status_str"], status["completed"]) == ("error", False)
            assert status["messages"][-1][0] == "execution_error"
            assert status["messages"][-1][1]["node_id"] == "2"

    asyncio.run(main())


def test_interrupting_ends_a_run_and_says_so(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "stopping") as client:
            id_ = (await client.queue(txt2img(seed=1005, steps=9000)))["prompt_id"]
            await client.until(lambda m: m["type"] == "progress" and m["data"]["node"] == "3")
            async with client.http.post("/interrupt", json={"prompt_id": "another"}) as answer:
                assert answer.status == 200  # and nothing happens
            async with client.http.post("/api/interrupt", json={"prompt_id": id_}) as answer:
                assert answer.status == 200
            told = await client.until_end(id_)
            assert types(told)[-3:] == ["execution_interrupted", "status", "executing"]
            (data,) = data_of(told, "execution_interrupted")
            assert (data["prompt_id"], data["node_id"], data["node_type"]) == (id_, "3", "KSampler")
            assert "4" in data["executed"]
            status = (await client.get(f"/history/{id_}"))[id_]["status"]
            assert status["status_str"] == "error"
            assert status["messages"][-1][0] == "execution_interrupted"

    asyncio.run(main())


def test_events_go_to_the_client_that_asked_and_to_nobody_else(server: Running) -> None:
    async def main() -> None:
        async with (
            Client(server.url, "one") as one,
            Client(server.url, "other") as other,
            Client(server.url, None) as no,
        ):
            await other.next()
            sid = (await no.next())["data"]["sid"]
            assert sid
            no.id = None
            quiet = (await no.queue(empty_picture(11, "quiet")))["prompt_id"]
            id_, _ = await one.run(empty_picture(12, "loud"))
            mark, _ = await other.run(empty_picture(13, "mark"))
        for client in (other, no):
            for message in client.messages:
                assert message["type"] == "status" or message["data"]["prompt_id"] == mark
        assert quiet not in {m["data"].get("prompt_id") for m in one.messages}
        assert id_ in {m["data"].get("prompt_id") for m in one.messages}

    asyncio.run(main())


def test_a_client_that_comes_back_replaces_its_socket_and_hears_how_things_stand(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "back") as first:
            id_ = (await first.queue(txt2img(seed=1006, steps=9000)))["prompt_id"]
            await first.until(lambda m: m["type"] == "progress" and m["data"]["node"] == "3")
            async with Client(server.url, "back") as second:
                told = [await second.next() for _ in range(3)]
                assert types(told) == ["status", "progress_state", "executing"]
                assert told[0]["data"]["sid"] == "back"
                assert told[0]["data"]["status"]["exec_info"]["queue_remaining"] == 1
                assert told[1]["data"]["nodes"]["3"]["state"] == "running"
                assert told[1]["data"]["nodes"]["3"]["max"] == 9000
                assert told[2]["data"] == {"node": "3", "display_node": "3", "prompt_id": id_}
                while not first.socket.closed:
                    await first.socket.receive(60)
                await second.until(lambda m: m["type"] == "progress")
                async with second.http.post("/interrupt") as answer:
                    assert answer.status == 200
                await second.until(lambda m: m["type"] in END)

    asyncio.run(main())


def test_a_frame_over_the_limit_ends_the_connection(server: Running) -> None:
    async def main() -> None:
        async with Client(server.url, "large") as client:
            await client.next()
            await client.socket.send_str("x" * (server.settings.limits.frame + 1))
            received = await client.socket.receive(60)
            assert received.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert client.socket.close_code == 1009

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": 3}', '{"type": "feature_flags", "data": 1}', "[" * 5000])
def test_nonsense_from_a_client_is_let_be(server: Running, text: str) -> None:
    async def main() -> None:
        async with Client(server.url, "nonsense") as client:
            await client.next()
            await client.socket.send_str(text)
            await client.run(empty_picture(14, "nonsense"))

    asyncio.run(main())


def test_no_more_clients_than_the_limit(tmp_path: Any) -> None:
    from nodegraph.server.settings import ServerLimits

    async def main(url: str) -> None:
        async with Client(url, "a") as one, Client(url, "b") as two:
            await one.next()
            await two.next()
            async with aiohttp.ClientSession(url) as http:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await http.ws_connect("/ws?clientId=c")
                assert refused.value.status == 503
            async with Client(url, "a") as again:  # who is there already may come back
                assert (await again.next())["data"]["sid"] == "a"

    with serving(tmp_path, limits=ServerLimits(sockets=2)) as server:
        asyncio.run(main(server.url))

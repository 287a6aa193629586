"""A server with real workers on a real socket, in a thread of its own, so that clients of every kind can talk to it."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from PIL import Image

from nodegraph.execution.settings import Settings
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings
from nodegraph.resources import models_folder
from nodegraph.server.app import make_app, make_runner
from nodegraph.server.comfy.hub import HUB, Hub
from nodegraph.server.settings import ServerSettings

END = ("execution_success", "execution_error", "execution_interrupted")


@dataclass
class Running:
    """A server that runs."""

    url: str
    settings: ServerSettings
    service: LocalJobService
    loop: asyncio.AbstractEventLoop
    hub: Hub

    def call(self, work: Callable[[], Any]) -> Any:
        """Do something where the server runs."""

        async def there() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result(60)


@contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[Running]:
    """A server whose files lie below `folder`."""
    places: dict[str, Any] = {name: folder / name for name in ("output", "input", "temp")}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    models = (folder / "models", models_folder())
    custom = changes.pop("custom_nodes", ())
    settings = ServerSettings(port=0, models=models, data_dir=folder / "data", **(places | changes))
    runs = Settings(
        output=places["output"],
        inputs=(places["input"],),
        temp=places["temp"],
        models=models,
        device="cpu",
        custom_nodes=custom,
        cache_dir=folder / "cache",
    )
    ready: list[Running] = []
    failed: list[BaseException] = []
    up, down = threading.Event(), threading.Event()

    async def main() -> None:
        service = LocalJobService(JobSettings(folder / "data", runs, threads=1))
        await service.start()
        try:
            app = make_app(service, settings)
            runner = make_runner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            url, loop = f"http://127.0.0.1:{port}", asyncio.get_running_loop()
            ready.append(Running(url, settings, service, loop, app[HUB]))
            up.set()
            await asyncio.to_thread(down.wait)
            await runner.cleanup()
        finally:
            await service.stop(1.0)

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=work, name="server")
    thread.start()
    up.wait()
    try:
        if failed:
            raise failed[0]
        yield ready[0]
    finally:
        down.set()
        thread.join()
    if failed:
        raise failed[0]


def txt2img(seed: int = 1, *, steps: int = 2, prefix: str = "comfy", size: int = 64) -> dict[str, Any]:
    """The usual prompt, for the model that comes with nodegraph."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": size, "height": size, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red star", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": steps,
                "cfg": 4.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
            "_meta": {"title": "KSampler"},
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["8", 0], "filename_prefix": prefix},
            "_meta": {"title": "Save Image"},
        },
    }


def empty_picture(colour: int = 0, prefix: str = "plain") -> dict[str, Any]:
    """A prompt that takes no model."""
    inputs = {"width": 16, "height": 16, "batch_size": 1, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def png(colour: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (8, 8), format: str = "PNG") -> bytes:
    """A picture's bytes."""
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, format)
    return out.getvalue()


class Client:
    """A client with a websocket, as ComfyUI's users write it."""

    def __init__(self, url: str, id: str | None) -> None:
        self.url, self.id = url, id
        self.messages: list[dict[str, Any]] = []
        self.frames: list[bytes] = []

    async def __aenter__(self) -> Client:
        self.http = aiohttp.ClientSession(self.url)
        self.socket = await self.http.ws_connect("/ws" if self.id is None else f"/ws?clientId={self.id}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()
        await self.http.close()

    async def next(self) -> dict[str, Any]:
        """The next message that is not a picture."""
        while True:
            received = await self.socket.receive(60)
            if received.type is aiohttp.WSMsgType.BINARY:
                self.frames.append(received.data)
                continue
            assert received.type is aiohttp.WSMsgType.TEXT, received
            message = json.loads(received.data)
            self.messages.append(message)
            return message

    async def until(self, done: Callable[[Mapping[str, Any]], bool]) -> list[dict[str, Any]]:
        """All messages up to the one that is waited for."""
        found: list[dict[str, Any]] = []
        while not found or not done(found[-1]):
            found.append(await self.next())
        return found

    async def until_end(self, prompt: str) -> list[dict[str, Any]]:
        """All messages up to the one that says that a prompt is over."""
        return await self.until(
            lambda m: m["type"] == "executing" and m["data"]["node"] is None and m["data"]["prompt_id"] == prompt
        )

    async def queue(self, prompt: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Queue a prompt."""
        body = {"prompt": prompt, **({"client_id": self.id} if self.id else {}), **more}
        async with self.http.post("/prompt", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def run(self, prompt: Mapping[str, Any], **more: Any) -> tuple[str, list[dict[str, Any]]]:
        """Queue a prompt and wait for its end; its id, and what was told meanwhile."""
        id_ = (await self.queue(prompt, **more))["prompt_id"]
        return id_, await self.until_end(id_)

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON at an address."""
        async with self.http.get(path, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

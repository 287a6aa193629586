"""ComfyUI's web app in a browser, where both are installed: it starts, queues a prompt, and shows the picture."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from nodegraph.server.comfy.frontend import find_app
from tests.server.comfy.support import serving, txt2img

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.skipif(find_app() is None, reason="comfyui-frontend-package is not installed"),
    pytest.mark.skipif(BROWSER is None, reason="there is no chromium"),
]


class Page:
    """A page of a browser, steered over its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.said: list[str] = []

    async def ask(self, method: str, **params: Any) -> Any:
        """Have the browser do something, and wait until it has."""
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = json.loads((await self.socket.receive(60)).data)
            if message.get("id") == number:
                return message.get("result", message)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.said.append(json.dumps(message["params"])[:500])

    async def value(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = await self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression, as soon as it is true."""
        for _ in range(120):
            if found := await self.value(script):
                return found
            await asyncio.sleep(0.25)
        raise AssertionError(f"{script} did not become true; the page said {self.said}")


@asynccontextmanager
async def browsing(folder: Path, url: str) -> AsyncIterator[Page]:
    """A page at an address."""
    assert BROWSER is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=1200,800"]
    command = [BROWSER, *options, f"--user-data-dir={folder}", "about:blank"]
    silent: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(*command, **silent)
    try:
        port = folder / "DevToolsActivePort"
        for _ in range(120):
            if port.exists() and len(lines := port.read_text().splitlines()) > 1:
                break
            await asyncio.sleep(0.25)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{lines[0]}") as http:
            async with http.get("/json/list") as answer:
                target = next(each for each in await answer.json() if each["type"] == "page")
            async with http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                await page.ask("Runtime.enable")
                await page.ask("Log.enable")
                await page.ask("Page.enable")
                await page.ask("Page.navigate", url=url)
                yield page
    finally:
        process.kill()
        await process.wait()


def test_the_web_app_starts_queues_and_shows(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with browsing(tmp_path / "browser", url) as page:
            await page.until("window.app?.graph && Object.keys(LiteGraph.registered_node_types).length > 100")
            assert await page.value("LiteGraph.registered_node_types.KSampler !== undefined")
            prompt = json.dumps(txt2img(seed=5001))
            await page.value(f"app.loadApiJson({prompt}, 'test').then?.(() => 0)")
            await page.until("app.graph._nodes.length === 7")
            await page.value("app.queuePrompt(0, 1).then(() => 0)")
            await page.until("app.nodeOutputs['9']?.images?.length === 1")
            # where the node is drawn it loads its picture
            node = "app.graph._nodes.find((node) => node.type === 'SaveImage')"
            await page.value(
                f"app.canvas.ds.offset = {node}.pos.map((at) => 100 - at), app.canvas.setDirty(true, true)"
            )
            await page.until(f"{node}.imgs?.[0]?.naturalWidth === 64")
            assert "/view?" in await page.value(f"{node}.imgs[0].src")

    with serving(tmp_path / "files", frontend="comfyui") as server:
        asyncio.run(main(server.url))

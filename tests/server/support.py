"""What the tests of the server share: a real service behind a real socket, and a client that sends what it is told."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import PIL.Image
from aiohttp import web
from multidict import CIMultiDict
from PIL.PngImagePlugin import PngInfo

from nodegraph.execution.settings import Settings
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings
from nodegraph.server.app import make_app, make_runner
from nodegraph.server.settings import ServerSettings
from tests.jobs.support import PACK, SUM

__all__ = ["SUM"]

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an answer that is an error, which must have the shape of all errors."""
        error = self.json["error"]
        assert set(error) >= {"code", "message", "hint", "problems"}
        assert b"Traceback" not in self.body
        return error["code"]


class Client:
    """Asks the server on a port of this machine."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Send a request as it is; a header that is None is left out."""
        sent: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        data = body.encode() if isinstance(body, str) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            return Answer(response.status, CIMultiDict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str | None] | None = None) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, data: object = None) -> Answer:
        return self.ask("POST", path, None if data is None else json.dumps(data), JSON)

    def raw(self, data: bytes) -> bytes:
        """Send bytes, and take what comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(data)
            parts: list[bytes] = []
            while part := connection.recv(65_536):
                parts.append(part)
            return b"".join(parts)

    def events(self, query: str, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
        """The events of a stream as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"/api/v1/events?{query}", headers=headers or {})
            with connection.getresponse() as response:
                assert response.headers["Content-Type"].startswith("text/event-stream")
                for line in response:
                    if line.startswith(b"data: "):
                        yield json.loads(line[6:])
        finally:
            connection.close()

    def wait(self, id: str) -> Any:
        """A job once it has ended, as the stream of events tells."""
        for event in self.events(f"after=0&job={id}"):
            if event["kind"] == "job_finished":
                break
        return self.get(f"/api/v1/jobs/{id}").json

    def submit(self, text: str = SUM) -> Any:
        """Queue a workflow; the job."""
        found = self.ask("POST", "/api/v1/jobs", text, YAML)
        assert found.status == 201, found.body
        return found.json


@dataclass
class Server(Client):
    """A running server."""

    settings: ServerSettings
    app: web.Application
    service: LocalJobService
    loop: asyncio.AbstractEventLoop
    port: int = 0
    folder: Path = field(default_factory=Path)


@contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[Server]:
    """A server with a service of its own, in a thread, so that the test can talk to it over its socket."""
    nodes = folder / "nodes"
    nodes.mkdir(parents=True, exist_ok=True)
    (nodes / "pack.py").write_text(PACK)
    for name in ("output", "input"):
        (folder / name).mkdir(exist_ok=True)
    settings = replace(
        ServerSettings(
            port=0,
            output=folder / "output",
            input=folder / "input",
            temp=folder / "output/temp",
            models=(folder / "models",),
            data_dir=folder / "data",
        ),
        **changes,
    )
    execution = Settings(
        output=settings.output,
        inputs=(settings.input,),
        temp=settings.temp,
        models=settings.models,
        cache_dir=folder / "kept",
    )
    jobs = JobSettings(data_dir=settings.data_dir, execution=execution, nodes=(nodes,), warm=False)
    ready = threading.Event()
    ended = threading.Event()
    found: list[Server] = []
    failed: list[BaseException] = []

    async def run() -> None:
        service = LocalJobService(jobs)
        app = make_app(service, settings)
        runner = make_runner(app)
        await service.start()
        try:
            await runner.setup()
            listener = socket.create_server(("127.0.0.1", 0))
            await web.SockSite(runner, listener).start()
            loop = asyncio.get_running_loop()
            found.append(Server(settings, app, service, loop, listener.getsockname()[1], folder))
            ready.set()
            await asyncio.to_thread(ended.wait)
            await runner.cleanup()
        finally:
            await service.stop(1.0)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        ended.set()
        thread.join()


def picture(size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB", **texts: str) -> bytes:
    """A picture file, with texts inside."""
    out = io.BytesIO()
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    options = {"pnginfo": info} if kind == "PNG" else {}
    PIL.Image.new(mode, size).save(out, kind, **options)
    return out.getvalue()


def form(*fields: tuple[str, str | None, bytes, str]) -> tuple[bytes, dict[str, str]]:
    """A form of fields (name, file name, content, type), and the header that says it is one."""
    parts: list[bytes] = []
    for name, filename, data, kind in fields:
        file = f'; filename="{filename}"' if filename is not None else ""
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\nContent-Type: {kind}\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    return b"".join([*parts, b"--edge--\r\n"]), {"Content-Type": "multipart/form-data; boundary=edge"}

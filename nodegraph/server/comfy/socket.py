"""`/ws`: what happens, told to the client that asked for it.

Each websocket has a subscription of its own. One task reads it into a short outbox, another sends what has gathered
there, joined; while sending is slow the outbox is full, nothing is read, and the subscription drops what it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import WSCloseCode, WSMsgType, web

from nodegraph.jobs.model import OPEN, JobEvent, JobService, PreviewEvent
from nodegraph.server.comfy.frames import preview_frame, preview_frame_with_metadata, text_frame
from nodegraph.server.comfy.hub import HUB, Hub
from nodegraph.server.comfy.messages import Message, Run, joined
from nodegraph.server.comfy.system import server_features
from nodegraph.server.connections import SOCKETS
from nodegraph.server.errors import bad_request
from nodegraph.server.keys import SERVICE, SETTINGS

HEARTBEAT: Final = 30.0  # seconds; who does not answer within half of it is gone
OUTBOX: Final = 500  # messages
MAX_ID: Final = 200


@dataclass(frozen=True, slots=True)
class Text:
    """What a node says beside its results."""

    node: str
    text: str


Item = Message | PreviewEvent | Text


async def websocket(request: web.Request) -> web.StreamResponse:
    """Accept a client, and tell it what happens until it goes."""
    hub = request.app[HUB]
    client = request.query.get("clientId") or uuid.uuid4().hex
    if len(client) > MAX_ID or not client.isprintable():
        raise bad_request("'clientId' must be a short text", input="clientId")
    with request.app[SOCKETS].taken(again=client in hub.listeners):
        return await _listen_as(request, client)


async def _listen_as(request: web.Request, client: str) -> web.StreamResponse:
    hub, limits = request.app[HUB], request.app[SETTINGS].limits
    socket = web.WebSocketResponse(max_msg_size=limits.frame, heartbeat=HEARTBEAT, compress=False)
    await socket.prepare(request)
    listener = Listener(client, socket, request.app[SERVICE], hub, server_features(request.app[SETTINGS]))
    replaced, hub.listeners[client] = hub.listeners.get(client), listener
    try:
        if replaced is not None:
            await replaced.close()
        await listener.serve()
    finally:
        if hub.listeners.get(client) is listener:
            del hub.listeners[client]
    return socket


class Listener:
    """One websocket."""

    def __init__(
        self, client: str, socket: web.WebSocketResponse, service: JobService, hub: Hub, features: Mapping[str, object]
    ) -> None:
        self.client, self.socket, self.service, self.hub, self.features = client, socket, service, hub, features
        self.with_metadata = False
        self.greeted = False
        self.told: int | None = None  # jobs that wait or run, as the client knows it
        self.runs: dict[str, Run] = {}
        self.outbox: list[Item] = []
        self.filled, self.emptied = asyncio.Event(), asyncio.Event()
        self.subscription = service.subscribe(after=hub.seq, previews=True)
        self._begin()

    async def serve(self) -> None:
        """Tell what happens and read what the client says, until one of them ends."""
        tasks = [asyncio.create_task(work()) for work in (self._gather, self._send, self._listen)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.subscription.close()
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, ConnectionError):
                raise end

    async def close(self) -> None:
        """End the connection; whoever serves it notices."""
        self.subscription.close()
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            await asyncio.wait_for(self.socket.close(code=WSCloseCode.GOING_AWAY), 1)

    def _begin(self) -> None:
        """What a client is told first: how many jobs there are, its id, and how its jobs stand."""
        self.told = self.service.count(OPEN)
        self._put(Message("status", _status(self.told) | {"sid": self.client}))
        self.runs = self.hub.runs_of(self.client)
        for run in self.runs.values():
            for message in run.now():
                self._put(message)

    async def _gather(self) -> None:
        async for event in self.subscription:
            if isinstance(event, PreviewEvent):
                if self._wants(event):
                    self._put(event)
            else:
                for message in self._messages(event):
                    self._put(message)
                if self._is_told(event):
                    self._put(Text(str(event.data["node"]), str(event.data.get("message", ""))))
            while len(self.outbox) >= OUTBOX:
                self.emptied.clear()
                await self.emptied.wait()

    def _wants(self, event: PreviewEvent) -> bool:
        """Whether a preview is for this client, of a node that it has been told runs."""
        run = self.runs.get(event.job) if event.client == self.client else None
        heard = self.with_metadata or self.hub.heard(event.job)
        return heard and run is not None and event.node in run.running

    def _is_told(self, event: JobEvent) -> bool:
        """Whether an event is a warning of a node, for a client that knows more than pictures among binary frames."""
        mine = event.client == self.client and self.with_metadata
        return mine and event.kind == "warning" and bool(event.data.get("node"))

    def _messages(self, event: JobEvent) -> Iterator[Message]:
        if event.kind == "queue":
            yield from self._count(event)
        if not self.client or event.client != self.client or not event.job:
            return
        if event.kind == "job_queued":  # before its start is told
            yield from self._count()
        run = self.runs.setdefault(event.job, Run(event.job))
        yield from run.take(event)
        if event.kind in ("job_finished", "job_removed"):
            del self.runs[event.job]
        if event.kind == "job_finished" and run.started:
            yield from self._count()
            yield Message("executing", {"node": None, "prompt_id": event.job})

    def _count(self, event: JobEvent | None = None) -> Iterator[Message]:
        """How many jobs there are, if the client knows otherwise."""
        count = self.service.count(OPEN) if event is None else _counted(event)
        if count != self.told:
            self.told = count
            yield Message("status", _status(count))

    def _put(self, item: Item) -> None:
        self.outbox.append(item)
        self.filled.set()

    async def _send(self) -> None:
        while not self.socket.closed:
            await self.filled.wait()
            self.filled.clear()
            items, self.outbox = self.outbox, []
            self.emptied.set()
            for item in _fewer(items):
                if isinstance(item, PreviewEvent):
                    frame = preview_frame_with_metadata if self.with_metadata else preview_frame
                    await self.socket.send_bytes(frame(item))
                elif isinstance(item, Text):
                    await self.socket.send_bytes(text_frame(item.node, item.text))
                else:
                    told = {"type": item.type, "data": item.data}
                    await self.socket.send_str(json.dumps(told, separators=(",", ":")))

    async def _listen(self) -> None:
        async for received in self.socket:
            if received.type is WSMsgType.TEXT and not self.greeted:
                self.greeted = True
                self._greet(cast(str, received.data))

    def _greet(self, text: str) -> None:
        """The first message of a client may say what it can do; anything else is let be."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        message = cast(Mapping[str, object], said)
        data = message.get("data")
        if message.get("type") != "feature_flags" or not isinstance(data, dict):
            return
        flags = cast(Mapping[str, object], data)
        self.with_metadata = flags.get("supports_preview_metadata") is True
        self._put(Message("feature_flags", dict(self.features)))


def _fewer(items: list[Item]) -> Iterator[Item]:
    """What has gathered, joined; of previews of a node only the newest."""
    newest = {item.node: item for item in items if isinstance(item, PreviewEvent)}
    stretch: list[Message] = []
    for item in items:
        if isinstance(item, Message):
            stretch.append(item)
        elif isinstance(item, Text) or newest[item.node] is item:
            yield from joined(stretch)
            stretch = []
            yield item
    yield from joined(stretch)


def _counted(event: JobEvent) -> int:
    numbers = [event.data.get(key) for key in ("queued", "running")]
    return sum(number for number in numbers if isinstance(number, int))


def _status(count: int) -> dict[str, object]:
    return {"status": {"exec_info": {"queue_remaining": count}}}

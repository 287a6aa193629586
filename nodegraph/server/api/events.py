"""/api/v1/events: what happens, over a websocket or as an event stream, from any number on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from typing import Final

from aiohttp import WSMsgType, hdrs, web

from nodegraph.jobs.model import JobEvent, PreviewEvent, Subscription
from nodegraph.server.api.addresses import with_addresses
from nodegraph.server.api.common import flag, service_of, settings_of
from nodegraph.server.connections import SOCKETS
from nodegraph.server.errors import bad_request

HEARTBEAT: Final = 20.0
KEPT_TEXTS: Final = 1_000
LOOK: Final = 0.5  # seconds between looks at whether the client is still there


STREAMS: Final[web.AppKey[set[Subscription]]] = web.AppKey("streams", set)


def event_json(event: JobEvent | PreviewEvent) -> dict[str, object]:
    """An event as JSON data."""
    if isinstance(event, JobEvent):
        return {
            "seq": event.seq,
            "job": event.job,
            "kind": event.kind,
            "at": event.at,
            "data": with_addresses(event.data),
        }
    data: dict[str, object] = {
        "node": event.node,
        "display": event.display,
        "parent": event.parent,
        "width": event.width,
        "height": event.height,
        "jpeg": base64.b64encode(event.image).decode(),
    }
    return {"job": event.job, "kind": "preview", "data": data}


class Texts:
    """The newest events as JSON texts, each written once however many clients get it."""

    def __init__(self) -> None:
        self.kept: dict[int, str] = {}

    def of(self, event: JobEvent | PreviewEvent) -> str:
        """An event as JSON."""
        if not isinstance(event, JobEvent):
            return json.dumps(event_json(event), ensure_ascii=False)
        text = self.kept.get(event.seq)
        if text is None:
            text = self.kept[event.seq] = json.dumps(event_json(event), ensure_ascii=False)
            if len(self.kept) > KEPT_TEXTS:
                del self.kept[next(iter(self.kept))]
        return text


TEXTS: Final[web.AppKey[Texts]] = web.AppKey("texts", Texts)


def after_of(request: web.Request) -> int | None:
    """The number of the last event that the client has seen. Raises ProblemError."""
    text = request.query.get("after", request.headers.get("Last-Event-ID"))
    if text is None or text == "":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad_request(f"after: {text[:40]!r} is not the number of an event", input="after")
    return int(text)


async def get_events(request: web.Request) -> web.StreamResponse:
    """Send events until the client goes."""
    after = after_of(request)
    previews = flag(request, "previews")
    job = request.query.get("job")
    with request.app[SOCKETS].taken():
        subscription = service_of(request).subscribe(after=after, job=job, previews=previews)
        request.app[STREAMS].add(subscription)
        try:
            if "websocket" in request.headers.get(hdrs.UPGRADE, "").lower():
                return await over_websocket(request, subscription)
            return await as_stream(request, subscription)
        finally:
            request.app[STREAMS].discard(subscription)
            subscription.close()


async def over_websocket(request: web.Request, subscription: Subscription) -> web.WebSocketResponse:
    """A JSON text for each event. Nothing that the client says matters, except that it goes."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=settings_of(request).limits.frame)
    await socket.prepare(request)
    sender = asyncio.create_task(send_all(socket, subscription, request.app[TEXTS]))
    try:
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sender
    return socket


async def send_all(socket: web.WebSocketResponse, subscription: Subscription, texts: Texts) -> None:
    """Send events until there are no more; the client is told to come again."""
    async for event in subscription:
        await socket.send_str(texts.of(event))
    await socket.close(code=1001)


async def as_stream(request: web.Request, subscription: Subscription) -> web.StreamResponse:
    """The events as text/event-stream, with a comment now and then so that nobody takes the line for dead."""
    headers = {hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(b": nodegraph\n\n")
    alive = asyncio.create_task(keep_alive(request, response, subscription))
    try:
        async for event in subscription:
            await response.write(sse(event, request.app[TEXTS].of(event)))
    finally:
        alive.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await alive
    return response


def sse(event: JobEvent | PreviewEvent, data: str) -> bytes:
    """An event in the form of text/event-stream. data: its JSON."""
    kind = event.kind if isinstance(event, JobEvent) else "preview"
    head = f"id: {event.seq}\n" if isinstance(event, JobEvent) else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode("utf-8", "replace")


async def keep_alive(request: web.Request, response: web.StreamResponse, subscription: Subscription) -> None:
    """Write a comment now and then, and end the subscription of a client that has gone; no event may ever tell."""
    waited = 0.0
    try:
        while request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(LOOK)
            waited += LOOK
            if waited >= HEARTBEAT:
                waited = 0.0
                await response.write(b": alive\n\n")
    finally:
        subscription.close()


async def close_all(app: web.Application) -> None:
    """End all streams, so that the server need not wait for readers that stay for ever."""
    for subscription in tuple(app[STREAMS]):
        subscription.close()


def add_routes(app: web.Application) -> None:
    """Add the route of events."""
    app[STREAMS] = set()
    app[TEXTS] = Texts()
    app.on_shutdown.append(close_all)
    app.router.add_get("/api/v1/events", get_events)

"""How many may be connected: websockets and event streams of both interfaces together, and connections at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.keys import SETTINGS

BUSY_ANSWER: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


class Sockets:
    """How many websockets and event streams are open, and how many may be."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0

    @contextmanager
    def taken(self, *, again: bool = False) -> Generator[None]:
        """A place, held meanwhile; again: of a client whose other websocket ends for this one. Raises ProblemError."""
        if self.open >= self.limit and not again:
            message = f"{self.limit} websockets and event streams are open already"
            raise ProblemError(Problem("server_busy", message, hint="close some, or raise the limit"))
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


class Guard:
    """Makes the protocol of each new connection. At the limit, those that have been idle longest are closed for it;
    where too few are idle, nobody is heard. What comes at the same moment may go beyond the limit until the next one.
    """

    def __init__(self, server: web.Server, limit: int, busy: Collection[asyncio.BaseProtocol]) -> None:
        self.server, self.limit, self.busy = server, limit, busy
        self.closing: set[RequestHandler] = set()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a connection."""
        there = self.server.connections  # the oldest first
        if len(there) < self.limit:
            return self.server()
        self.closing.intersection_update(there)
        surplus = len(there) - len(self.closing) - self.limit + 1
        idle = (each for each in there if each not in self.busy and each not in self.closing)
        closed = list(islice(idle, max(0, surplus)))
        self.closing.update(closed)
        for each in closed:
            each.force_close()
        return self.server() if len(closed) >= surplus else Refusal()


class Refusal(asyncio.Protocol):
    """Says that there are too many, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything was asked."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(BUSY_ANSWER)
        transport.close()


class Runner(web.AppRunner):
    """Runs the application for a bounded number of connections."""

    @property
    def server(self) -> Callable[[], asyncio.Protocol] | None:  # type: ignore[override]  # only ever called
        """What makes the protocols of connections."""
        server = super().server
        return None if server is None else Guard(server, self.app[SETTINGS].limits.connections, self.app[BUSY])


SOCKETS: Final[web.AppKey[Sockets]] = web.AppKey("sockets", Sockets)
BUSY: Final[web.AppKey[set[asyncio.BaseProtocol]]] = web.AppKey("busy", set)


@web.middleware
async def connections_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note which connections are at something."""
    busy, protocol = request.app[BUSY], request.protocol
    busy.add(protocol)
    try:
        return await handler(request)
    finally:
        busy.discard(protocol)


def add_connections(app: web.Application) -> None:
    """Add what counts sockets and connections; the middleware is the application's."""
    app[SOCKETS] = Sockets(app[SETTINGS].limits.sockets)
    app[BUSY] = set()

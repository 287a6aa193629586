"""A server from its start to its end: listening, saying where, waiting for a signal, ending in order."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from nodegraph.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from aiohttp.web import Application, AppRunner

    from nodegraph.jobs.settings import JobSettings
    from nodegraph.server.settings import ServerSettings

TERMINATED: Final = 143  # as shells have it for a program that ended by SIGTERM


def run_server(jobs: JobSettings, server: ServerSettings, arguments: argparse.Namespace) -> int:
    """Serve until a signal says to stop; returns the exit code. Raises ProblemError."""
    try:
        with logs(arguments):
            return asyncio.run(serve(jobs, server, arguments))
    except KeyboardInterrupt:  # before the handlers of signals were there
        return INTERRUPTED


async def serve(jobs: JobSettings, server: ServerSettings, arguments: argparse.Namespace) -> int:
    """Start the service, listen, wait for a signal, and end in order. Raises ProblemError."""
    from nodegraph.jobs.service import LocalJobService
    from nodegraph.server.app import make_app, make_runner

    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if stopped.done():  # asked twice: at once. The queue is on disk, and workers end with the server
            os._exit(code)
        stopped.set_result(code)

    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)):
        loop.add_signal_handler(number, stop, code)
    service = LocalJobService(jobs)
    app = make_app(service, server)
    runner = make_runner(app)
    await service.start()
    try:
        await runner.setup()
        port = await listen(runner, server)
        announce(arguments, server, port, app)
        return await stopped
    finally:
        await runner.cleanup()
        await service.stop(float(arguments.grace))


async def listen(runner: AppRunner, server: ServerSettings) -> int:
    """Listen on the address, and say on which port. Raises ProblemError."""
    from aiohttp import web

    from nodegraph.errors import Problem, ProblemError

    site = web.TCPSite(runner, server.host, server.port)
    try:
        await site.start()
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"the server cannot listen on {server.host}, port {server.port}: {reason}"
        hint = "another program may be there; choose another one with --port"
        raise ProblemError(Problem("cannot_listen", message, got=str(server.port), hint=hint)) from None
    return int(runner.addresses[0][1])


def announce(arguments: argparse.Namespace, server: ServerSettings, port: int, app: Application) -> None:
    """Say where the server is, with a link that lets one browser in if there is a token."""
    from nodegraph.cli.terminal import say
    from nodegraph.server.login import login_path
    from nodegraph.version import VERSION

    host = f"[{server.host}]" if ":" in server.host else server.host
    address = f"http://{host}:{port}/"
    path = login_path(app) if server.token is not None else None
    link = address + path.lstrip("/") if path is not None else address
    if arguments.log_format == "json":
        say(json.dumps({"event": "listening", "version": VERSION, "url": address, "pid": os.getpid()}))
    else:
        say(f"nodegraph {VERSION} is at {address}", style="green")
        if path is not None:
            say(f"to log a browser in, once: {link}")
    sys.stdout.flush()
    if arguments.open:
        import webbrowser

        webbrowser.open(link)


class AsJson(logging.Formatter):
    """A line of JSON for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, with its time in UTC."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        facts = {"at": at, "level": record.levelname.lower(), "from": record.name, "message": record.getMessage()}
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


@contextmanager
def logs(arguments: argparse.Namespace) -> Generator[None]:
    """Have what is logged meanwhile go to standard error, as lines for people or as JSON."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(AsJson() if arguments.log_format == "json" else plain)
    logger = logging.getLogger("nodegraph")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    # On the handler: the server keeps lines for its clients, too, whatever is shown here.
    handler.setLevel(logging.INFO if arguments.verbose or arguments.log_format == "json" else logging.WARNING)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]

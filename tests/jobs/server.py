"""A service as a process of its own, which a test may kill: `python -m tests.jobs.server FOLDER`.

It submits what comes on its standard input, a JSON request a line, and prints each event as a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nodegraph.jobs.model import JobEvent, Request
from nodegraph.jobs.service import LocalJobService
from tests.jobs.support import settings_in


def say(data: object) -> None:
    """A line for the test."""
    print(json.dumps(data), flush=True)  # noqa: T201


async def serve(folder: Path) -> None:
    """Run until SIGTERM."""
    service = LocalJobService(settings_in(folder))
    await service.start()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def submit(data: dict[str, Any]) -> None:
        say({"queued": service.submit(Request(**data)).id})

    def hear() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(submit, json.loads(line))

    import threading

    threading.Thread(target=hear, daemon=True).start()

    async def tell() -> None:
        async for event in service.subscribe():
            if isinstance(event, JobEvent):
                say(asdict(event))

    telling = asyncio.create_task(tell())
    say({"up": [worker.pid for worker in service.workers()]})
    await stop.wait()
    await service.stop(5)
    await telling
    say({"down": True})


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

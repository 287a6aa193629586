"""Files that a server began to write and never ended, because it was killed: swept when the next one starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from nodegraph.server.keys import SETTINGS
from nodegraph.server.settings import ServerSettings

#: How the names of unfinished files begin, in the folders of the server and in those that others write to as well.
OWN: Final = (".saving-",)
SHARED: Final = (".upload-", ".writing-")
OLD_SECONDS: Final = 3_600.0  # what is younger, another program may be at


def sweep_own(settings: ServerSettings) -> int:
    """Remove unfinished files where only one server writes; returns how many there were."""
    return _sweep(settings.workflows, OWN, time.time())


def sweep_shared(settings: ServerSettings) -> int:
    """Remove old unfinished files where other programs write as well; returns how many there were."""
    folders = dict.fromkeys((settings.input, settings.output, settings.temp))
    return sum(_sweep(folder, SHARED, time.time() - OLD_SECONDS) for folder in folders)


def _sweep(folder: Path, beginnings: tuple[str, ...], before: float) -> int:
    gone = 0
    for root, _, names in os.walk(folder):
        for name in names:
            if name.startswith(beginnings):
                path = Path(root, name)
                with contextlib.suppress(OSError):
                    if path.lstat().st_mtime <= before:
                        path.unlink()
                        gone += 1
    return gone


async def _sweeping(app: web.Application) -> AsyncIterator[None]:
    await asyncio.to_thread(sweep_own, app[SETTINGS])
    rest = asyncio.create_task(asyncio.to_thread(sweep_shared, app[SETTINGS]))  # may take long, and nobody waits
    yield
    await rest


def add_sweeping(app: web.Application) -> None:
    """Have leftovers swept when the application starts."""
    app.cleanup_ctx.append(_sweeping)

"""/api/v1/system, /api/v1/cache, /api/v1/logs and /healthz: how the server does."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from aiohttp import web

from nodegraph.server.api.common import answer, number, read_body, service_of, settings_of
from nodegraph.server.journal import JOURNAL, KEPT
from nodegraph.version import VERSION

STARTED: Final[web.AppKey[float]] = web.AppKey("started", float)


async def get_system(request: web.Request) -> web.Response:
    """Versions, workers, folders' free space."""
    settings = settings_of(request)
    service = service_of(request)
    disk = await asyncio.to_thread(free_space, settings.output)
    data = {
        "version": VERSION,
        "python": platform.python_version(),
        "platform": sys.platform,
        "uptime": time.monotonic() - request.app[STARTED],
        "workers": [asdict(worker) for worker in service.workers()],
        "paused": service.paused,
        "disk": disk,
        "limits": asdict(settings.limits),
    }
    return answer(data)


def free_space(folder: Path) -> dict[str, int] | None:
    """Bytes of the disk that a folder lies, or will lie, on."""
    try:
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        usage = shutil.disk_usage(nearest)
    except (OSError, StopIteration):
        return None
    return {"total": usage.total, "free": usage.free}


async def get_health(request: web.Request) -> web.Response:
    """That the server answers, and how its workers do. It waits for nothing, and tells nobody's secrets."""
    service = service_of(request)
    workers = [{"device": worker.device, "state": worker.state} for worker in service.workers()]
    fine = any(worker["state"] in ("ready", "busy") for worker in workers)
    return answer({"status": "ok" if fine else "starting", "workers": workers, "paused": service.paused})


async def get_cache(request: web.Request) -> web.Response:
    """How much is kept of earlier runs."""
    folder = settings_of(request).cache_dir
    if folder is None:
        return answer({"enabled": False, "results": 0, "bytes": 0})
    results, size = await asyncio.to_thread(kept, folder)
    return answer({"enabled": True, "results": results, "bytes": size})


def kept(folder: Path) -> tuple[int, int]:
    """How many results a cache holds, and their bytes; nothing if it cannot be read now."""
    from nodegraph.cache import upkeep
    from nodegraph.cache.disk import DiskStore

    if not folder.is_dir():
        return 0, 0
    store = DiskStore(folder, free=0, warn=lambda _: None)
    try:
        found = upkeep.info(store)
        return found.results, found.bytes
    finally:
        store.close()


async def get_logs(request: web.Request) -> web.Response:
    """The last lines of the log, or those after a number."""
    journal = request.app[JOURNAL]
    lines = journal.after(number(request, "after", 0, most=10**15), number(request, "limit", KEPT, most=KEPT))
    return answer({"lines": [line.to_json() for line in lines], "last": journal.seq})


async def free_memory(request: web.Request) -> web.Response:
    """Let go of loaded models, and of results kept in memory."""
    body = await read_body(request, "Free")
    await service_of(request).free(models=body.get("models", False), memory=body.get("memory", False))
    return web.Response(status=204)


def add_routes(app: web.Application) -> None:
    """Add the routes about the server itself."""
    app[STARTED] = time.monotonic()
    app.router.add_get("/healthz", get_health)
    app.router.add_get("/api/v1/system", get_system)
    app.router.add_get("/api/v1/cache", get_cache)
    app.router.add_post("/api/v1/cache/free", free_memory)
    app.router.add_get("/api/v1/logs", get_logs)

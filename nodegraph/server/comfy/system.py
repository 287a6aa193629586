"""`/system_stats`, `/features` and what the web app asks for at its start."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import Final

from aiohttp import web

from nodegraph.jobs.model import WorkerInfo
from nodegraph.server.comfy.models import kinds_of, roots_of
from nodegraph.server.errors import not_found
from nodegraph.server.files import ROOTS, root_of
from nodegraph.server.keys import SERVICE, SETTINGS
from nodegraph.server.settings import ServerSettings
from nodegraph.version import VERSION

#: The version of ComfyUI whose interface this is.
INTERFACE: Final = "0.3.64"
KEPT_LINES: Final = 300


def server_features(settings: ServerSettings) -> dict[str, object]:
    """What this server can do beside what every client expects."""
    return {"supports_preview_metadata": True, "max_upload_size": settings.limits.upload}


async def get_features(request: web.Request) -> web.Response:
    """What this server can do."""
    return web.json_response(server_features(request.app[SETTINGS]))


async def get_system_stats(request: web.Request) -> web.Response:
    """The machine and the devices that work."""
    total, free = memory()
    system: dict[str, object] = {
        "os": os.name,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": INTERFACE,
        "nodegraph_version": VERSION,
        "python_version": sys.version,
        "pytorch_version": _version_of("torch"),
        "embedded_python": False,
        "argv": ["nodegraph"],
    }
    devices = [device_of(worker, total, free) for worker in request.app[SERVICE].workers()]
    return web.json_response({"system": system, "devices": devices})


def device_of(worker: WorkerInfo, total: int, free: int) -> dict[str, object]:
    """A device as clients know it. What a graphics card has free, only its worker knows: 0 stands for that."""
    kind, _, index = worker.device.partition(":")
    shared = kind in ("cpu", "mps")
    return {
        "name": worker.device,
        "type": kind,
        "index": int(index) if index.isdigit() else None,
        "vram_total": total if shared else 0,
        "vram_free": free if shared else 0,
        "torch_vram_total": total if shared else 0,
        "torch_vram_free": free if shared else 0,
    }


def memory() -> tuple[int, int]:
    """Bytes of memory that this machine has, and that are free; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = {key: int(rest.split()[0]) * 1024 for key, _, rest in (line.partition(":") for line in lines)}
        return facts["MemTotal"], facts["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 0
    except (AttributeError, OSError, ValueError):
        return 0, 0


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


async def get_nothing(request: web.Request) -> web.Response:
    """An empty object: there are no translations and no templates of packs."""
    return web.json_response({})


async def get_folder_paths(request: web.Request) -> web.Response:
    """The folders of models by kind."""
    roots = roots_of(request.app[SETTINGS])
    kinds = await asyncio.to_thread(kinds_of, roots)
    return web.json_response({kind: [str(path) for path in roots.model_folders(kind)] for kind in kinds})


async def get_root_files(request: web.Request) -> web.Response:
    """Names of the files in the output, input or temp folder, the newest first."""
    kind, settings = request.match_info["type"], request.app[SETTINGS]
    if kind not in ROOTS:
        raise not_found("folder")
    return web.json_response(await asyncio.to_thread(_newest, root_of(settings, kind), settings.limits.listed))


def _newest(folder: Path, limit: int) -> list[str]:
    found: list[tuple[float, str]] = []
    try:
        entries = os.scandir(folder)
    except OSError:
        return []
    with entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                found.append((-entry.stat().st_mtime, entry.name))
            if len(found) >= limit:
                break
    return [name for _, name in sorted(found)]


class Lines(logging.Handler):
    """The last lines of the server's log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[tuple[float, str]] = deque(maxlen=KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.created, record.getMessage()))


LINES: Final = web.AppKey("comfy_lines", Lines)


async def keep_lines(app: web.Application) -> AsyncIterator[None]:
    """Keep the last lines of the log while the application runs."""
    logger = logging.getLogger("nodegraph.server")
    app[LINES] = Lines()
    logger.addHandler(app[LINES])
    yield
    logger.removeHandler(app[LINES])


async def get_logs(request: web.Request) -> web.Response:
    """The last lines of the log as one text."""
    return web.json_response("".join(f"{_clock(at)} - {text}\n" for at, text in request.app[LINES].lines))


async def get_raw_logs(request: web.Request) -> web.Response:
    """The last lines of the log with their times."""
    entries = [{"t": _clock(at), "m": f"{text}\n"} for at, text in request.app[LINES].lines]
    return web.json_response({"entries": entries, "size": {"cols": 80, "rows": 24}})


async def subscribe_logs(request: web.Request) -> web.Response:
    """Accepted, and without effect: log lines are not sent over the websocket."""
    return web.Response()


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

"""What handlers find in the application."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from nodegraph.jobs.model import JobService
from nodegraph.server.settings import ServerSettings

SERVICE: Final[web.AppKey[JobService]] = web.AppKey("service", JobService)
SETTINGS: Final[web.AppKey[ServerSettings]] = web.AppKey("settings", ServerSettings)

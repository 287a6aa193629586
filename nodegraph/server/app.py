"""The application: routes, with what protects them around."""

from __future__ import annotations

from aiohttp import web

from nodegraph.jobs.model import JobService
from nodegraph.server import api, comfy
from nodegraph.server.errors import errors_middleware
from nodegraph.server.keys import SERVICE, SETTINGS
from nodegraph.server.settings import ServerSettings, check_settings


def make_app(service: JobService, settings: ServerSettings) -> web.Application:
    """The application that serves a running service. Raises ProblemError for settings that would let anyone in.

    Starting and stopping the service is up to the caller.
    """
    check_settings(settings)
    app = web.Application(middlewares=[errors_middleware], client_max_size=settings.limits.body)
    app[SERVICE] = service
    app[SETTINGS] = settings
    api.add_routes(app)
    comfy.add_routes(app)
    return app

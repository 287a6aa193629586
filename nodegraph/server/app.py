"""The application: routes, with what protects them around."""

from __future__ import annotations

import logging

from aiohttp import web

from nodegraph.jobs.model import JobService
from nodegraph.server import api, comfy
from nodegraph.server.canvas import add_canvas
from nodegraph.server.connections import Runner, add_connections, connections_middleware
from nodegraph.server.errors import errors_middleware
from nodegraph.server.journal import add_journal
from nodegraph.server.keys import SERVICE, SETTINGS
from nodegraph.server.leftovers import add_sweeping
from nodegraph.server.login import add_login
from nodegraph.server.metrics import add_metrics, metrics_middleware
from nodegraph.server.pictures import add_pictures
from nodegraph.server.security import AccessLog, add_security, security_middleware
from nodegraph.server.settings import ServerSettings, check_settings


def make_app(service: JobService, settings: ServerSettings) -> web.Application:
    """The application that serves a running service. Raises ProblemError for settings that would let anyone in.

    Starting and stopping the service is up to the caller.
    """
    check_settings(settings)
    app = web.Application(
        middlewares=[connections_middleware, metrics_middleware, errors_middleware, security_middleware],
        client_max_size=settings.limits.body,
    )
    app[SERVICE] = service
    app[SETTINGS] = settings
    add_connections(app)
    add_security(app)
    add_pictures(app, settings)
    add_metrics(app)
    add_login(app)
    add_sweeping(app)
    add_journal(app)
    api.add_routes(app)
    comfy.add_routes(app)
    add_canvas(app)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """What runs the application on a socket, with its access log and without aiohttp's signal handlers."""
    return Runner(
        app,
        access_log_class=AccessLog,
        access_log=logging.getLogger("nodegraph.access"),
        handle_signals=False,
        shutdown_timeout=2.0,
    )

"""The native API, one module a resource. openapi.yaml beside it says what each route takes and answers."""

from __future__ import annotations

from aiohttp import web

from nodegraph.server.api import (
    catalogue,
    converting,
    description,
    events,
    examples,
    jobs,
    outputs,
    system,
    workflows,
)
from nodegraph.server.api.common import end_preparing, prepare


def add_routes(app: web.Application) -> None:
    """Add the routes of the native API."""
    for resource in (jobs, events, workflows, converting, examples, catalogue, outputs, system, description):
        resource.add_routes(app)
    app.on_startup.append(prepare)
    app.on_cleanup.append(end_preparing)

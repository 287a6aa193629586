"""The native API, one module a resource."""

from __future__ import annotations

from aiohttp import web


def add_routes(app: web.Application) -> None:
    """Add the routes of the native API."""

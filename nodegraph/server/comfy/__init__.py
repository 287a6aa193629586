"""ComfyUI's routes and events."""

from __future__ import annotations

from aiohttp import web


def add_routes(app: web.Application) -> None:
    """Add ComfyUI's routes."""

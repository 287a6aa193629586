"""The browser canvas at `/`: the files of the folder `web`, as they are, in front of nobody else's addresses.

Each file and folder at its top gets a route when the server starts, so that an address of nothing stays one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from nodegraph.server.assets import send_asset
from nodegraph.server.errors import not_found
from nodegraph.server.keys import SETTINGS

START: Final = "index.html"
SUFFIXES: Final = frozenset((".html", ".js", ".css", ".svg", ".png", ".json", ".woff2", ".map", ".txt"))
#: What the parts of the canvas are made from; a browser needs none of it.
LEFT_OUT: Final = frozenset(("vendor-src", "node_modules", "test", "package.json", "tsconfig.json"))
#: Its own scripts and styles, pictures it was given or has drawn, and its own server; nothing that stands in a page.
POLICY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}


def add_canvas(app: web.Application) -> None:
    """Serve the canvas, unless another web app is wanted in its place. Comes after all other routes."""
    root = app[SETTINGS].canvas
    if app[SETTINGS].frontend is not None or not (root / START).is_file():
        return
    app.router.add_get("/", _sender(root, START))
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT:
            continue
        if path.is_dir():
            app.router.add_get(f"/{path.name}/{{path:.+}}", _sender(root, path.name, below=True))
        elif path.suffix in SUFFIXES:
            app.router.add_get(f"/{path.name}", _sender(root, path.name))


def _sender(root: Path, name: str, *, below: bool = False) -> Handler:
    async def send(request: web.Request) -> web.StreamResponse:
        """Send a file of the canvas. Raises ProblemError."""
        wanted = f"{name}/{request.match_info['path']}" if below else name
        if Path(wanted).suffix not in SUFFIXES or not LEFT_OUT.isdisjoint(wanted.split("/")):
            raise not_found("file")
        return await send_asset(request, root, wanted, POLICY)

    return send

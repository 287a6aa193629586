"""ComfyUI's own web app at `/`, unmodified, from the package that its users install: `comfyui-frontend-package`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.assets import send_asset
from nodegraph.server.comfy.assets import APP_FILES
from nodegraph.server.keys import SETTINGS

PACKAGE: Final = "comfyui_frontend_package"
NAME: Final = "comfyui"
START: Final = "index.html"
TAKEN: Final = ("extensions", "api")  # pack files and routes lie there already
#: The app makes workers and pictures out of its own data, and styles and code in its page.
POLICY: Final = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
}


def find_app() -> Path | None:
    """The folder of the installed web app's files; None if it is not installed."""
    spec = find_spec(PACKAGE)
    places = [Path(place) / "static" for place in spec.submodule_search_locations or ()] if spec is not None else []
    return next((place for place in places if (place / START).is_file()), None)


def add_frontend(app: web.Application) -> None:
    """Serve the web app if the settings ask for it. Raises ProblemError if it is not installed."""
    app[APP_FILES] = None
    if app[SETTINGS].frontend != NAME:
        return
    root = find_app()
    if root is None:
        message = "ComfyUI's web app is not installed"
        hint = "pip install 'nodegraph[comfyui-frontend]', or leave out --frontend comfyui"
        raise ProblemError(Problem("missing_package", message, got=PACKAGE, hint=hint))
    app[APP_FILES] = root
    app.router.add_get("/", _sender(root, START))
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in TAKEN:
            app.router.add_get(f"/{path.name}/{{path:.+}}", _sender(root, path.name, below=True))
        elif path.is_file():
            app.router.add_get(f"/{path.name}", _sender(root, path.name))


def _sender(root: Path, name: str, *, below: bool = False) -> Handler:
    async def send(request: web.Request) -> web.StreamResponse:
        """Send a file of the web app."""
        wanted = f"{name}/{request.match_info['path']}" if below else name
        return await send_asset(request, root, wanted, POLICY)

    return send

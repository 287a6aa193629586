"""ComfyUI's routes and events: every one of them bare, and under `/api`."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from nodegraph.server.comfy import assets, history, models, object_info, prompt, queue, system, uploads, userdata, users
from nodegraph.server.comfy.frontend import add_frontend
from nodegraph.server.comfy.hub import add_hub
from nodegraph.server.comfy.socket import websocket
from nodegraph.server.comfy.view import view

#: Method, path, handler.
ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/ws", websocket),
    ("GET", "/prompt", prompt.get_prompt),
    ("POST", "/prompt", prompt.post_prompt),
    ("GET", "/queue", queue.get_queue),
    ("POST", "/queue", queue.post_queue),
    ("POST", "/interrupt", queue.interrupt),
    ("POST", "/free", queue.free),
    ("GET", "/history", history.get_history),
    ("POST", "/history", history.post_history),
    ("GET", "/history/{id}", history.get_history_of),
    ("GET", "/object_info", object_info.get_object_info),
    ("GET", "/object_info/{name}", object_info.get_object_info_of),
    ("GET", "/view", view),
    ("POST", "/upload/image", uploads.upload_image),
    ("POST", "/upload/mask", uploads.upload_mask),
    ("GET", "/system_stats", system.get_system_stats),
    ("GET", "/features", system.get_features),
    ("GET", "/embeddings", models.get_embeddings),
    ("GET", "/models", models.get_models),
    ("GET", "/models/{folder}", models.get_models_of),
    ("GET", "/view_metadata/{folder}", models.get_metadata),
    ("GET", "/experiment/models", models.get_folders),
    ("GET", "/experiment/models/{folder}", models.get_files),
    ("GET", "/extensions", assets.get_extensions),
    ("GET", "/extensions/{pack}/{path:.+}", assets.get_extension),
    ("GET", "/users", users.get_users),
    ("GET", "/settings", users.get_settings),
    ("POST", "/settings", users.post_settings),
    ("GET", "/settings/{id}", users.get_setting),
    ("POST", "/settings/{id}", users.post_setting),
    ("GET", "/v2/userdata", userdata.get_userdata_v2),
    ("GET", "/userdata", userdata.get_userdata),
    ("POST", "/userdata/{file:.+?}/move/{dest:.+}", userdata.move_file),
    ("GET", "/userdata/{file:.+}", userdata.get_file),
    ("POST", "/userdata/{file:.+}", userdata.post_file),
    ("DELETE", "/userdata/{file:.+}", userdata.delete_file),
    ("GET", "/i18n", system.get_nothing),
    ("GET", "/workflow_templates", system.get_nothing),
    ("GET", "/internal/logs", system.get_logs),
    ("GET", "/internal/logs/raw", system.get_raw_logs),
    ("PATCH", "/internal/logs/subscribe", system.subscribe_logs),
    ("GET", "/internal/folder_paths", system.get_folder_paths),
    ("GET", "/internal/files/{type}", system.get_root_files),
)


def add_routes(app: web.Application) -> None:
    """Add ComfyUI's routes, what they share, and its web app if that is asked for."""
    app[users.WRITING] = asyncio.Lock()
    add_hub(app)
    app.cleanup_ctx.append(system.keep_lines)
    for prefix in ("", "/api"):
        for method, path, handler in ROUTES:
            app.router.add_route(method, prefix + path, handler)
            if method == "GET" and path != "/ws":
                app.router.add_route("HEAD", prefix + path, handler)
    add_frontend(app)

"""/api/v1/nodes and /api/v1/models: what workflows can be made of."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from aiohttp import hdrs, web

from nodegraph.context import MODEL_FOLDERS, Roots
from nodegraph.resources import models_folder
from nodegraph.server.api.common import answer_tagged, service_of, settings_of
from nodegraph.server.errors import not_found
from nodegraph.server.files import matches
from nodegraph.server.settings import ServerSettings


class Written:
    """The catalogue as it was last sent: it is large, and writing it anew each time would hold up everybody else."""

    def __init__(self) -> None:
        self.digest = ""
        self.body = b""


WRITTEN: Final[web.AppKey[Written]] = web.AppKey("written", Written)


async def list_nodes(request: web.Request) -> web.Response:
    """All node types, how their sockets look, and the packs that could not be loaded."""
    found = await service_of(request).catalogue()
    digest = str(found.get("digest"))
    etag = f'"{digest}"'
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers={hdrs.ETAG: etag})
    written = request.app[WRITTEN]
    if written.digest != digest:
        data = {"nodes": found.get("nodes", {}), "sockets": found.get("sockets", {}), "broken": found.get("broken", [])}
        written.body = await asyncio.to_thread(lambda: json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
        written.digest = digest
    return web.Response(body=written.body, content_type="application/json", headers={hdrs.ETAG: etag})


async def get_node(request: web.Request) -> web.Response:
    """One node type."""
    found = await service_of(request).catalogue()
    nodes = cast("Mapping[str, Any]", found.get("nodes", {}))
    name = request.match_info["name"]
    if name not in nodes:
        raise not_found("node type")
    return answer_tagged(request, nodes[name], str(found.get("digest")))


async def list_models(request: web.Request) -> web.Response:
    """The model files by kind, looked up now."""
    kinds = await asyncio.to_thread(models_of, settings_of(request))
    tag = hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:32]
    return answer_tagged(request, {"models": kinds}, tag)


def models_of(settings: ServerSettings) -> dict[str, list[str]]:
    """Kind → names of the model files, for all folders that there are."""
    models = tuple(dict.fromkeys((*settings.models, models_folder())))
    roots = Roots(models=models, extra_models=settings.extra_models)
    folders = {path.name for root in models if root.is_dir() for path in root.iterdir() if path.is_dir()}
    names = {other: kind for kind, others in MODEL_FOLDERS.items() for other in others}
    found = {names.get(name, name) for name in (*folders, *(kind for kind, _ in settings.extra_models))}
    kinds = sorted(kind for kind in found if not kind.startswith("."))
    return {kind: roots.list_models(kind) for kind in kinds}


def add_routes(app: web.Application) -> None:
    """Add the routes of node types and models."""
    app[WRITTEN] = Written()
    app.router.add_get("/api/v1/nodes", list_nodes)
    app.router.add_get("/api/v1/nodes/{name}", get_node)
    app.router.add_get("/api/v1/models", list_models)

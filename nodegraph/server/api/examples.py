"""/api/v1/examples: the workflows that come with nodegraph, and which of them could run here and now."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from nodegraph.jobs.model import JobService, Request
from nodegraph.resources import example, examples, shipped
from nodegraph.server.api.addresses import name_of
from nodegraph.server.api.common import answer, service_of
from nodegraph.server.errors import not_found
from nodegraph.server.files import PICTURES, matches, send_file
from nodegraph.workflow.read import load_text

BASE: Final = "/api/v1/examples"


@dataclass(slots=True)
class Known:
    """The list as it was when the node types, and the files that they find, were last others."""

    digest: str = ""
    entries: tuple[dict[str, object], ...] = ()


KNOWN: Final[web.AppKey[Known]] = web.AppKey("examples", Known)
LOCK: Final[web.AppKey[asyncio.Lock]] = web.AppKey("examples_lock", asyncio.Lock)


async def list_examples(request: web.Request) -> web.Response:
    """All examples by name."""
    service, known = service_of(request), request.app[KNOWN]
    async with request.app[LOCK]:
        digest = str((await service.catalogue()).get("digest"))
        if known.digest != digest:
            known.entries = tuple([await entry(service, path) for path in await asyncio.to_thread(examples)])
            known.digest = digest
    return answer({"examples": list(known.entries)})


async def entry(service: JobService, path: Path) -> dict[str, object]:
    """An example as the list has it."""
    text = await asyncio.to_thread(path.read_text, "utf-8")
    workflow = (await asyncio.to_thread(load_text, text, file=path.name, specs=dict)).workflow
    report = await service.check(Request(text, path.name, str(path.parent)))
    errors = [problem for problem in report.problems if problem.get("severity") != "warning"]
    return {
        "name": path.stem,
        "description": workflow.description if workflow is not None else "",
        "runnable": report.runnable,
        "problem": errors[0] if errors else None,
    }


async def get_example(request: web.Request) -> web.Response:
    """The text of an example."""
    path = example(request.match_info["name"])
    if path is None:
        raise not_found("example")
    data = await asyncio.to_thread(path.read_bytes)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers={hdrs.ETAG: etag})
    return web.Response(body=data, content_type="application/yaml", charset="utf-8", headers={hdrs.ETAG: etag})


async def get_picture(request: web.Request) -> web.StreamResponse:
    """A picture that examples begin from."""
    name = name_of(request.match_info["id"])
    if example(request.match_info["name"]) is None or Path(name).suffix.lower() not in PICTURES:
        raise not_found("picture")
    return await send_file(request, shipped("workflows"), name)


def add_routes(app: web.Application) -> None:
    """Add the routes of examples."""
    app[KNOWN] = Known()
    app[LOCK] = asyncio.Lock()
    app.router.add_get(BASE, list_examples)
    app.router.add_get(f"{BASE}/{{name}}", get_example)
    app.router.add_get(f"{BASE}/{{name}}/pictures/{{id}}", get_picture)

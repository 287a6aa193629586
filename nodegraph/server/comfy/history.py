"""`/history`: prompts that have ended, the oldest first."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from nodegraph.jobs.model import FINAL
from nodegraph.server.comfy.bodies import json_body, texts_of
from nodegraph.server.comfy.shapes import history_entry
from nodegraph.server.errors import bad_request
from nodegraph.server.keys import SERVICE, SETTINGS

MAX_DIGITS: Final = 12


async def get_history(request: web.Request) -> web.Response:
    """A page of the history: `max_items` entries from `offset` on; without one, or with a negative one, the newest."""
    service = request.app[SERVICE]
    most, offset = _number(request, "max_items"), _number(request, "offset")
    page = request.app[SETTINGS].limits.page
    limit = page if most is None or most < 0 else min(most, page)
    if limit == 0:
        return web.json_response({})
    if offset is None or offset < 0:
        jobs = service.jobs(FINAL, limit=limit, newest_first=True)[::-1]
    else:
        jobs = service.jobs(FINAL, offset=offset, limit=limit)
    return web.json_response({job.id: history_entry(job) for job in jobs})


async def get_history_of(request: web.Request) -> web.Response:
    """One prompt's history; an empty object as long as it has not ended, or if there is none."""
    job = request.app[SERVICE].get(request.match_info["id"])
    if job is None or job.state not in FINAL:
        return web.json_response({})
    return web.json_response({job.id: history_entry(job)})


async def post_history(request: web.Request) -> web.Response:
    """Forget all prompts that have ended, or those that are named."""
    service, body = request.app[SERVICE], await json_body(request)
    ids = texts_of(body, "delete")
    if body.get("clear"):
        service.clear(FINAL)
    elif ids:
        service.delete([id_ for id_ in ids if (job := service.get(id_)) is not None and job.state in FINAL])
    return web.Response()


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if len(text) > MAX_DIGITS or not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
        raise bad_request(f"'{name}' must be a whole number", input=name)
    return int(text)

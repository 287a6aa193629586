"""`/queue`, `/interrupt` and `/free`: what waits and runs, and how to stop it."""

from __future__ import annotations

from aiohttp import web

from nodegraph.server.comfy.bodies import json_body, text_of, texts_of
from nodegraph.server.comfy.shapes import queue_item
from nodegraph.server.keys import SERVICE


async def get_queue(request: web.Request) -> web.Response:
    """All prompts that run or wait, in the order in which they will run."""
    service = request.app[SERVICE]
    running, pending = service.jobs(("running",)), service.jobs(("queued",))
    shown = {
        "queue_running": [queue_item(job) for job in running],
        "queue_pending": [queue_item(job) for job in pending],
    }
    return web.json_response(shown)


async def post_queue(request: web.Request) -> web.Response:
    """Take prompts out of those that wait. Ones that run are stopped with `/interrupt`."""
    service, body = request.app[SERVICE], await json_body(request)
    ids = texts_of(body, "delete")
    if body.get("clear"):
        service.clear(("queued",))
    elif ids:
        service.delete([id_ for id_ in ids if (job := service.get(id_)) is not None and job.state == "queued"])
    return web.Response()


async def interrupt(request: web.Request) -> web.Response:
    """Stop the prompt that is named if it runs, or whatever runs if none is named."""
    service, body = request.app[SERVICE], await json_body(request)
    named = text_of(body, "prompt_id")
    if not named:
        service.cancel_running()
    elif (job := service.get(named)) is not None and job.state == "running":
        service.cancel([named])
    return web.Response()


async def free(request: web.Request) -> web.Response:
    """Let go of models, or of all that is kept in memory."""
    body = await json_body(request)
    models, memory = body.get("unload_models") is True, body.get("free_memory") is True
    if models or memory:
        await request.app[SERVICE].free(models=models or memory, memory=memory)
    return web.Response()

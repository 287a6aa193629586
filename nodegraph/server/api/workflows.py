"""/api/v1/workflows: saved workflows. Who saves says what was changed, so that nothing is overwritten unseen."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import hdrs, web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.api import workflow_files
from nodegraph.server.api.common import answer, page, read_body, settings_of
from nodegraph.server.api.submitting import YAML_KINDS
from nodegraph.server.bodies import is_json, media_type, read_bytes, wrong_kind
from nodegraph.server.errors import error_response, not_found
from nodegraph.server.files import ARTEFACT_POLICY, disposition, matches
from nodegraph.workflow.read import load_text

BASE: Final = "/api/v1/workflows"
#: One change at a time: the version is compared and the file written with nothing in between.
LOCK: Final[web.AppKey[asyncio.Lock]] = web.AppKey("workflows", asyncio.Lock)


async def list_workflows(request: web.Request) -> web.Response:
    """A page of saved workflows, by name."""
    offset, limit = page(request)
    settings = settings_of(request)
    found = await asyncio.to_thread(workflow_files.entries, settings.workflows, settings.limits.listed)
    shown = [
        {"name": each.name, "size": each.size, "modified": each.modified} for each in found[offset : offset + limit]
    ]
    return answer({"workflows": shown, "total": len(found), "offset": offset, "limit": limit})


def kind_of(name: str) -> str:
    """The media type that a workflow is sent with."""
    return "application/json" if name.lower().endswith(".json") else "application/yaml"


async def get_workflow(request: web.Request) -> web.Response:
    """The text of a workflow, as it was saved."""
    name = workflow_files.check_name(request.match_info["name"])
    data = await asyncio.to_thread(workflow_files.read, settings_of(request).workflows, name)
    if data is None:
        raise not_found("workflow")
    etag = f'"{workflow_files.tag_of(data)}"'
    headers = {hdrs.ETAG: etag, "Content-Security-Policy": ARTEFACT_POLICY}
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), etag):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_DISPOSITION] = disposition(name.rsplit("/", 1)[-1], inline=False)
    return web.Response(body=data, content_type=kind_of(name), charset="utf-8", headers=headers)


async def save_workflow(request: web.Request) -> web.Response:
    """Save a workflow, if it still is what the client has seen."""
    name = workflow_files.check_name(request.match_info["name"])
    settings = settings_of(request)
    if_match, if_none_match = request.headers.get(hdrs.IF_MATCH), request.headers.get(hdrs.IF_NONE_MATCH)
    if if_match is None and if_none_match is None:
        hint = "send the ETag of the version you have as If-Match, or 'If-None-Match: *' for a new workflow"
        raise ProblemError(Problem("precondition_required", "this may overwrite what somebody else saved", hint=hint))
    kind = media_type(request)
    if kind not in YAML_KINDS and not is_json(kind):
        raise wrong_kind(kind, "application/yaml", "application/json")
    data = await read_bytes(request, min(workflow_files.MAX_FILE, settings.limits.body))
    checked_text(data)
    async with request.app[LOCK]:
        present = await asyncio.to_thread(workflow_files.read, settings.workflows, name)
        if not holds(present, if_match, if_none_match):
            return await changed_meanwhile(present, data)
        await asyncio.to_thread(workflow_files.write, settings.workflows, name, data)
    headers = {"ETag": f'"{workflow_files.tag_of(data)}"'}
    return answer({"name": name, "size": len(data)}, status=201 if present is None else 200, headers=headers)


def checked_text(data: bytes) -> str:
    """The text of a body: a workflow with mistakes may be saved, something that is no text not. Raises ProblemError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: byte {error.start}"
        raise ProblemError(Problem("bad_encoding", message, hint="save it as UTF-8")) from None
    if "\0" in text:
        raise ProblemError(Problem("bad_encoding", "the body holds a zero byte, so it is no text"))
    return text


def holds(present: bytes | None, if_match: str | None, if_none_match: str | None) -> bool:
    """Whether what is saved is what the client has seen."""
    etag = None if present is None else f'"{workflow_files.tag_of(present)}"'
    if if_match is not None and (etag is None or not matches(if_match, etag)):
        return False
    return if_none_match is None or etag is None or not matches(if_none_match, etag)


async def changed_meanwhile(present: bytes | None, mine: bytes) -> web.Response:
    """The answer to who would overwrite something unseen: what differs between the saved text and theirs."""
    if present is None:
        problem = Problem("changed_meanwhile", "the workflow is not there any more", hint="save it as a new one")
        return error_response(problem)
    message = "somebody else has saved this workflow meanwhile"
    problem = Problem("changed_meanwhile", message, hint="load it anew, or save yours under another name")
    etag = f'"{workflow_files.tag_of(present)}"'
    difference = await asyncio.to_thread(difference_of, present, mine)
    return error_response(problem, headers={hdrs.ETAG: etag}, diff=difference, etag=etag)


def difference_of(saved: bytes, mine: bytes) -> object:
    """What differs between two texts as workflows; None where one of them is none."""
    from nodegraph.workflow.diff import diff

    old = load_text(saved, specs=dict).workflow
    new = load_text(mine, specs=dict).workflow
    return None if old is None or new is None else diff(old, new).to_json()


async def delete_workflow(request: web.Request) -> web.Response:
    """Move a workflow to the trash."""
    name = workflow_files.check_name(request.match_info["name"])
    settings = settings_of(request)
    if_match = request.headers.get(hdrs.IF_MATCH)
    async with request.app[LOCK]:
        if if_match is not None:
            present = await asyncio.to_thread(workflow_files.read, settings.workflows, name)
            if present is not None and not holds(present, if_match, None):
                return await changed_meanwhile(present, present)
        kept = await asyncio.to_thread(workflow_files.throw_away, settings.workflows, settings.trash, name)
    return answer({"trashed": kept})


async def rename_workflow(request: web.Request) -> web.Response:
    """Give a workflow another name."""
    body = await read_body(request, "Rename")
    old = workflow_files.check_name(request.match_info["name"])
    new = workflow_files.check_name(body["to"])
    async with request.app[LOCK]:
        await asyncio.to_thread(workflow_files.rename, settings_of(request).workflows, old, new)
    return answer({"name": new})


async def list_trash(request: web.Request) -> web.Response:
    """What was thrown away."""
    settings = settings_of(request)
    offset, limit = page(request)
    found = await asyncio.to_thread(workflow_files.entries, settings.trash, settings.limits.listed)
    shown = [
        {"name": each.name, "size": each.size, "modified": each.modified} for each in found[offset : offset + limit]
    ]
    return answer({"workflows": shown, "total": len(found), "offset": offset, "limit": limit})


async def restore_workflow(request: web.Request) -> web.Response:
    """Take a workflow out of the trash, under a name that is free."""
    body = await read_body(request, "Rename")
    settings = settings_of(request)
    name = workflow_files.check_name(request.match_info["name"])
    async with request.app[LOCK]:
        data = await asyncio.to_thread(workflow_files.read, settings.trash, name)
        if data is None:
            raise not_found("workflow")
        if await asyncio.to_thread(workflow_files.read, settings.workflows, body["to"]) is not None:
            message = f"there is a workflow {body['to'][:80]!r} already"
            raise ProblemError(Problem("name_taken", message, input="to", hint="choose another name"))
        await asyncio.to_thread(workflow_files.write, settings.workflows, body["to"], data)
        await asyncio.to_thread((settings.trash / name).unlink, missing_ok=True)
    return answer({"name": body["to"]}, status=201)


def add_routes(app: web.Application) -> None:
    """Add the routes of saved workflows."""
    app[LOCK] = asyncio.Lock()
    router = app.router
    router.add_get(BASE, list_workflows)
    router.add_get(f"{BASE}/{{name}}", get_workflow)
    router.add_put(f"{BASE}/{{name}}", save_workflow)
    router.add_delete(f"{BASE}/{{name}}", delete_workflow)
    router.add_post(f"{BASE}/{{name}}/rename", rename_workflow)
    router.add_get("/api/v1/trash", list_trash)
    router.add_post("/api/v1/trash/{name}/restore", restore_workflow)

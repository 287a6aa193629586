"""/api/v1/convert: a workflow from any format that can be read, also out of pictures, into the one that is wanted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import web

from nodegraph.errors import ProblemError
from nodegraph.jobs.model import Request
from nodegraph.server.api.common import answer, check_body, service_of, settings_of
from nodegraph.server.api.submitting import (
    MULTIPART,
    PICTURE_KINDS,
    TEXTS,
    YAML_KINDS,
    form_parts,
    lies_at,
    text_of,
    texts_in,
    workflow_in,
)
from nodegraph.server.bodies import is_json, media_type, parse_json, read_bytes, wrong_kind
from nodegraph.server.errors import bad_request, refused
from nodegraph.server.settings import ServerSettings
from nodegraph.workflow.read import holds_metadata

TARGETS: Final = ("yaml", "json", "api", "ui")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be converted: a text, or the texts of a picture as JSON."""

    text: str
    to: str
    name: str = ""
    picture: bool = False
    file: str | None = None
    folder: str | None = None


async def convert(request: web.Request) -> web.Response:
    """Write a workflow in another format."""
    asked = await read_asked(request)
    wanted = Request(asked.text, asked.file, asked.folder)
    try:
        found = await service_of(request).convert(wanted, asked.to, picture=asked.picture)
    except ProblemError as error:
        raise refused(error) from None
    return answer({**found, "format": asked.to, "name": file_name(asked)})


def file_name(asked: Asked) -> str:
    """What the new file may be called."""
    stem = re.sub(r"[^\w\- ()]+", "_", re.split(r"[\\/]", asked.name)[-1].rsplit(".", 1)[0])[:100].strip(" _")
    return (stem or "workflow") + (".yaml" if asked.to == "yaml" else ".json")


async def read_asked(request: web.Request) -> Asked:
    """What a client wants converted. Raises ProblemError."""
    kind = media_type(request)
    limits = settings_of(request).limits
    if is_json(kind):
        data = await read_bytes(request, limits.body)
        body = parse_json(data)
        if isinstance(body, dict) and "workflow" in body and "nodegraph" not in body:
            return from_envelope(check_body(cast("object", body), "ConvertRequest"), settings_of(request))
        return Asked(text_of(data), target(request), request.query.get("name", ""))
    if kind in YAML_KINDS:
        return Asked(text_of(await read_bytes(request, limits.body)), target(request), request.query.get("name", ""))
    if kind in PICTURE_KINDS:
        return of_file(await read_bytes(request, limits.upload), target(request), request.query.get("name", ""))
    if kind == MULTIPART:
        return await from_form(request)
    raise wrong_kind(kind, "application/json", "application/yaml", *PICTURE_KINDS, MULTIPART)


def from_envelope(body: Any, settings: ServerSettings) -> Asked:
    """A workflow with what is wanted of it. Raises ProblemError."""
    file, folder = lies_at(body, settings)
    return Asked(workflow_in(body), body["to"], body.get("name", file or ""), file=file, folder=folder)


async def from_form(request: web.Request) -> Asked:
    """A form with the file `file`, whatever it is. Raises ProblemError."""
    found: Asked | None = None
    to = target(request)
    async for part, data in form_parts(request, settings_of(request).limits.upload):
        if part.name != "file" or found is not None:
            raise bad_request(f"the form has an unknown field {str(part.name)[:60]!r}", hint="send one file, 'file'")
        found = of_file(data, to, part.filename or "")
    if found is None:
        raise bad_request("the form has no file 'file'", input="file")
    return found


def of_file(data: bytes, to: str, name: str) -> Asked:
    """A file, by its content a picture or a text. Raises ProblemError."""
    if not holds_metadata(data):
        return Asked(text_of(data), to, name)
    texts = {key: text for key, text in texts_in(data).items() if key in TEXTS}
    return Asked(json.dumps(texts), to, name, picture=True)


def target(request: web.Request) -> str:
    """The format of the query. Raises ProblemError."""
    to = request.query.get("to", "yaml")
    if to not in TARGETS:
        raise bad_request(f"{to[:40]!r} is no format", hint=f"one of {', '.join(TARGETS)}", input="to")
    return to


def add_routes(app: web.Application) -> None:
    """Add the route of conversions."""
    app.router.add_post("/api/v1/convert", convert)

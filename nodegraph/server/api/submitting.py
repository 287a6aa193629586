"""From the body of a request to what a service takes: YAML, JSON, an envelope around them, or a picture."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.jobs.model import Request
from nodegraph.resources import example
from nodegraph.server.api.common import check_body, settings_of
from nodegraph.server.api.workflow_files import check_name, is_saved
from nodegraph.server.bodies import LARGE, is_json, media_type, parse_json, read_bytes, too_large, wrong_kind
from nodegraph.server.errors import bad_request
from nodegraph.server.settings import ServerSettings

YAML_KINDS: Final = ("application/yaml", "application/x-yaml", "text/yaml")
PICTURE_KINDS: Final = ("image/png", "image/webp")
MULTIPART: Final = "multipart/form-data"
#: The texts of a picture that may be a workflow; the first there is counts.
TEXTS: Final = ("nodegraph", "prompt", "workflow")
OTHER_KEYS: Final = ("params", "only", "priority", "front", "extra", "client", "id", "max_attempts", "cache")


async def read_request(request: web.Request) -> Request:
    """What a client asks for. Raises ProblemError."""
    kind = media_type(request)
    limits = settings_of(request).limits
    if kind in YAML_KINDS:
        return Request(text_of(await read_bytes(request, limits.body)))
    if is_json(kind):
        data = await read_bytes(request, limits.body)
        settings = settings_of(request)
        large = len(data) > LARGE
        return await asyncio.to_thread(from_json, data, settings) if large else from_json(data, settings)
    if kind in PICTURE_KINDS:
        return await from_picture(await read_bytes(request, limits.upload), {})
    if kind == MULTIPART:
        return await from_form(request)
    raise wrong_kind(kind, "application/yaml", "application/json", *PICTURE_KINDS, MULTIPART)


def text_of(data: bytes) -> str:
    """The text of a body. Raises ProblemError."""
    if not data.strip():
        raise ProblemError(Problem("not_a_workflow", "the body is empty", Place("body", 1, 1)))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem("bad_encoding", f"the body is not UTF-8: byte {error.start}", hint="send UTF-8")
        raise ProblemError(problem) from None


def from_json(data: bytes, settings: ServerSettings) -> Request:
    """A workflow in JSON (any format), or an envelope with one under `workflow`."""
    body = parse_json(data)
    if isinstance(body, Mapping) and "workflow" in body:
        return from_envelope(check_body(cast("object", body), "JobRequest"), settings)
    return Request(text_of(data))


def from_envelope(body: Mapping[str, Any], settings: ServerSettings) -> Request:
    """What an envelope asks for. Raises ProblemError."""
    file, folder = lies_at(body, settings)
    return Request(workflow_in(body), file, folder, **others(body))


def workflow_in(body: Mapping[str, Any]) -> str:
    """The text of the workflow in an envelope, which may also have it as the JSON that it is."""
    given: Any = body["workflow"]
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def lies_at(body: Mapping[str, Any], settings: ServerSettings) -> tuple[str | None, str | None]:
    """Name and folder of what an envelope says the workflow is: a saved one, or an example. Raises ProblemError.

    Sub-workflows and pictures are looked for beside it, and never outside of the folder.
    """
    if "example" in body:
        path = example(body["example"])
        if path is None:
            raise bad_request(f"there is no example {body['example'][:80]!r}", input="example")
        return path.name, str(path.parent)
    if "file" not in body:
        return None, None
    name = check_name(body["file"])
    if not is_saved(settings.workflows, name):
        message = f"there is no saved workflow {name[:80]!r}"
        raise ProblemError(Problem("file_not_found", message, input="file", got=name[:80], hint="save it first"))
    return name, str(settings.workflows.resolve())


def others(body: Mapping[str, Any]) -> dict[str, Any]:
    """What an envelope says beside the workflow."""
    found = {key: body[key] for key in OTHER_KEYS if key in body}
    if "only" in found:
        found["only"] = tuple(found["only"])
    return found


async def from_form(request: web.Request) -> Request:
    """A form with the file `picture`, and the rest of an envelope as JSON in `options`."""
    limits = settings_of(request).limits
    picture: bytes | None = None
    options: object = {}
    async for part, data in form_parts(request, limits.upload):
        if part.name == "picture" and picture is None:
            picture = data
        elif part.name == "options":
            options = parse_json(data, file="options") if data else {}
        else:
            raise bad_request(f"the form has an unknown field {str(part.name)[:60]!r}", hint="send picture and options")
    if picture is None:
        raise bad_request("the form has no file 'picture'", input="picture")
    return await from_picture(picture, check_body(options, "JobOptions"))


async def form_parts(request: web.Request, limit: int):  # noqa: ANN201
    """The parts of a form with their bytes, which together stay within a limit. Raises ProblemError."""
    left = limit
    try:
        reader = await request.multipart()
        async for part in reader:
            if not isinstance(part, BodyPartReader):
                raise bad_request("a form inside a form is not taken")
            data = bytearray()
            while chunk := await part.read_chunk(65_536):
                left -= len(chunk)
                if left < 0:
                    raise ProblemError(too_large(limit))
                data += chunk
            yield part, bytes(data)
    except (ValueError, KeyError, AssertionError, RuntimeError, HttpProcessingError):
        raise bad_request("the form cannot be read") from None


async def from_picture(data: bytes, options: Mapping[str, Any]) -> Request:
    """The workflow that a picture was made with. Raises ProblemError."""
    texts = await asyncio.to_thread(texts_in, data)
    for key in TEXTS:
        if key in texts:
            return Request(texts[key], **others(options))
    hint = "only pictures saved by nodegraph, or by ComfyUI with its metadata, hold one"
    raise ProblemError(Problem("no_workflow_in_picture", "the picture holds no workflow", hint=hint))


def texts_in(data: bytes) -> dict[str, str]:
    """The texts of a PNG or WebP picture by their keys. Raises ProblemError, which names no file."""
    from nodegraph.workflow.png import read_text_chunks
    from nodegraph.workflow.read import PNG_SIGNATURE
    from nodegraph.workflow.webp import is_webp, read_exif_texts

    if data.startswith(PNG_SIGNATURE):
        return read_text_chunks(data)
    if not is_webp(data):
        raise ProblemError(Problem("file_unreadable", "this is neither a PNG nor a WebP picture"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture")
        path.write_bytes(data)
        try:
            return read_exif_texts(path)
        except ProblemError as error:
            message = re.sub(re.escape(str(path)), "the picture", error.problems[0].message)
            raise ProblemError(Problem(error.problems[0].code, message)) from None

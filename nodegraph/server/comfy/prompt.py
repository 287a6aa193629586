"""`/prompt`: queue a prompt in API format, or ask how many there are."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from aiohttp import web

from nodegraph.errors import ProblemError, shorten
from nodegraph.jobs.model import OPEN, CheckReport, JobService, Request
from nodegraph.server.comfy.bodies import JsonObject, json_body, text_of, texts_of
from nodegraph.server.comfy.hub import HUB
from nodegraph.server.comfy.prompt_errors import NodeErrors, judge, output_nodes, pruned
from nodegraph.server.comfy.shapes import members, number_of
from nodegraph.server.errors import STATUS, bad_request
from nodegraph.server.keys import SERVICE
from nodegraph.server.users import user_name

Json = Mapping[str, object]

MAX_ID: Final = 200


class Refused(Exception):
    """A prompt that cannot be queued, as the answer says it."""

    def __init__(
        self, kind: str, message: str, details: str = "", nodes: NodeErrors | None = None, **info: object
    ) -> None:
        super().__init__(message)
        self.body: dict[str, object] = {
            "error": {"type": kind, "message": message, "details": details, "extra_info": info},
            "node_errors": nodes or {},
        }


@dataclass(frozen=True, slots=True)
class Accepted:
    """What of a prompt is to run, and what is wrong with the rest."""

    text: str
    outputs: tuple[str, ...]
    errors: NodeErrors


async def get_prompt(request: web.Request) -> web.Response:
    """How many prompts wait or run."""
    return web.json_response({"exec_info": {"queue_remaining": request.app[SERVICE].count(OPEN)}})


async def post_prompt(request: web.Request) -> web.Response:
    """Queue a prompt; of one that is wrong in parts, the outputs that do not need those."""
    service = request.app[SERVICE]
    try:
        body = await json_body(request)
        prompt, asked = prompt_of(body), replace(request_of(body), user=user_name(request))
        accepted = await accept(service, prompt, asked, texts_of(body, "partial_execution_targets"))
        job = service.submit(replace(asked, text=accepted.text, only=accepted.outputs))
    except Refused as refusal:
        return web.json_response(refusal.body, status=400)
    except ProblemError as error:
        first = error.problems[0]
        details = f"{first.place} {first.hint or ''}".strip()
        refusal = Refused(first.code, first.message, details, problems=[each.to_json() for each in error.problems])
        status = STATUS.get(first.code, 400)
        return web.json_response(refusal.body, status=400 if status in (404, 409) else status)
    request.app[HUB].queued(job.id, asked.client)
    return web.json_response({"prompt_id": job.id, "number": number_of(job), "node_errors": accepted.errors})


def prompt_of(body: JsonObject) -> JsonObject:
    """The prompt in a body. Raises Refused."""
    prompt = body.get("prompt")
    if prompt is None:
        raise Refused("no_prompt", "the body has no 'prompt'", 'send {"prompt": {id: {class_type, inputs}}}')
    if not isinstance(prompt, dict):
        raise Refused("invalid_prompt", "'prompt' must be an object with the nodes by their ids")
    nodes = cast(JsonObject, prompt)
    if not nodes:
        raise Refused("prompt_no_outputs", "the prompt has no nodes")
    for node, entry in nodes.items():
        facts = members(entry)
        if not isinstance(facts.get("class_type"), str):
            raise Refused("invalid_prompt", f"the node {shorten(node)} has no 'class_type'", f"node {shorten(node)}")
        if not isinstance(facts.get("inputs", {}), dict):
            raise Refused("invalid_prompt", f"the 'inputs' of node {shorten(node)} are no object")
    return nodes


def request_of(body: JsonObject) -> Request:
    """What a body asks for, still without its outputs. Raises ProblemError."""
    extra, number, client = body.get("extra_data"), body.get("number"), text_of(body, "client_id")
    if extra is not None and not isinstance(extra, dict):
        raise bad_request("'extra_data' must be an object", input="extra_data")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
        raise bad_request("'number' must be a number", input="number")
    if number is not None and not math.isfinite(number):
        raise bad_request("'number' must be finite", input="number")
    id_ = text_of(body, "prompt_id") or None
    if id_ is not None and (len(id_) > MAX_ID or not id_.isprintable() or "/" in id_):
        raise bad_request("'prompt_id' must be a short text without '/'", input="prompt_id")
    kept = dict(cast(JsonObject, extra)) if extra is not None else {}
    if client:
        kept["client_id"] = client
    place = None if number is None else float(number)
    return Request("", number=place, front=body.get("front") is True, client=client, extra=kept, id=id_)


async def accept(service: JobService, prompt: JsonObject, asked: Request, targets: list[str] | None) -> Accepted:
    """Check a prompt and say what of it can run. Raises Refused."""
    text = _written(prompt)
    if targets is None:
        report = await service.check(replace(asked, text=text))
        if report.runnable and report.outputs:
            return Accepted(text, tuple(report.outputs), {})
    info = cast(Json, (await service.catalogue())["object_info"])
    for node, entry in prompt.items():
        class_type = cast(Json, entry)["class_type"]
        if class_type not in info:
            await _refuse_unknown(service, asked, text, node, str(class_type))
    outputs = output_nodes(prompt, info)
    if targets is not None:
        outputs = [node for node in outputs if node in set(targets)]
    if not outputs:
        raise Refused("prompt_no_outputs", "nothing in the prompt is an output node that is asked for")
    report = await service.check(replace(asked, text=text, only=tuple(outputs)))
    if report.runnable:
        return Accepted(text, tuple(outputs), {})
    verdict = await asyncio.to_thread(judge, prompt, report.problems, outputs, info)
    if verdict.everything or not verdict.good:
        raise Refused("prompt_outputs_failed_validation", *_summary(report), nodes=verdict.errors)
    rest = _written(pruned(prompt, verdict.good))
    again = await service.check(replace(asked, text=rest, only=tuple(verdict.good)))
    if not again.runnable:
        raise Refused("prompt_outputs_failed_validation", *_summary(again), nodes=verdict.errors)
    return Accepted(rest, tuple(verdict.good), verdict.errors)


async def _refuse_unknown(service: JobService, asked: Request, text: str, node: str, class_type: str) -> None:
    report = await service.check(replace(asked, text=text))
    told = [each for each in report.problems if each.get("code") == "unknown_node" and each.get("node") == node]
    found = members(told[0] if told else None)
    message = str(found.get("message") or f"unknown node type {shorten(class_type)}")
    details = f"node {shorten(node)}: {found['hint']}" if found.get("hint") else f"node {shorten(node)}"
    raise Refused("invalid_prompt", message, details, node_id=node, class_type=class_type)


def _summary(report: CheckReport) -> tuple[str, str]:
    """A sentence for the whole, and a line for each error."""
    errors = [problem for problem in report.problems if problem.get("severity") != "warning"]
    lines = [f"{each.get('message')}" + (f"; {each['hint']}" if each.get("hint") else "") for each in errors]
    return "no output of the prompt can run", "\n".join(lines)


def _written(prompt: Json) -> str:
    return json.dumps(prompt, ensure_ascii=False, separators=(",", ":"))

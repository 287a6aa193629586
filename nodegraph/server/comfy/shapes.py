"""Jobs and their results in the shapes of `/queue`, `/history` and the `executed` event."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from nodegraph.jobs.model import Job, Json, Result

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")


def members(value: object) -> Json:
    """A JSON object as it is; of anything else, one without members."""
    return cast(Json, value) if isinstance(value, Mapping) else {}


def queue_item(job: Job) -> list[object]:
    """`[number, id, prompt, extra_data, outputs]`."""
    return [number_of(job), job.id, prompt_of(job), dict(job.request.extra), list(job.request.only)]


def number_of(job: Job) -> float:
    """A job's place in the queue, whole if it is."""
    return int(job.number) if job.number == int(job.number) else job.number


def prompt_of(job: Job) -> Json:
    """The job's workflow in API format; empty if that is not known (of a YAML file that has not run yet)."""
    if job.result is not None and job.result.prompt is not None and not _is_api(job.request.text):
        return job.result.prompt
    if not _is_api(job.request.text):
        return {}
    try:
        prompt = json.loads(job.request.text)
    except (ValueError, RecursionError):
        return {}
    return cast(Json, prompt) if isinstance(prompt, dict) and "nodes" not in prompt else {}


def _is_api(text: str) -> bool:
    return text.startswith("{")


def history_entry(job: Job) -> dict[str, object]:
    """What `/history` says of a job that has ended."""
    result = job.result or Result()
    outputs: dict[str, object] = {}
    meta: dict[str, object] = {}
    for node, output in result.outputs.items():
        shown = output_of(cast(Json, output))
        if shown:
            facts = members(result.nodes.get(node))
            outputs[node] = shown
            meta[node] = {
                "node_id": node,
                "display_node": facts.get("display") or node,
                "parent_node": facts.get("parent"),
                "real_node_id": node,
            }
    return {"prompt": queue_item(job), "outputs": outputs, "status": status_of(job, result), "meta": meta}


def output_of(output: Json) -> dict[str, object]:
    """What an output node wrote and showed: files below the names that clients look for them at, and the rest."""
    found: dict[str, object] = {}
    for file in cast("Sequence[Json]", output.get("files") or ()):
        name = str(file.get("filename", ""))
        key = "images" if name.lower().endswith(PICTURES) else "latents" if name.endswith(".latent") else "files"
        entry = {"filename": name, "subfolder": file.get("subfolder", ""), "type": file.get("type", "output")}
        cast("list[object]", found.setdefault(key, [])).append(entry)
    for key, value in members(output.get("shown")).items():
        if key not in found:  # clients iterate over every value
            found[key] = list(cast("Iterable[object]", value)) if isinstance(value, list | tuple) else [value]
    return found


def status_of(job: Job, result: Result) -> dict[str, object]:
    """How a job ended, with the events that tell it."""
    began, ended = milliseconds(job.started or job.created), milliseconds(job.finished or job.created)
    messages: list[list[object]] = [
        ["execution_start", {"prompt_id": job.id, "timestamp": began}],
        ["execution_cached", {"nodes": list(result.cached), "prompt_id": job.id, "timestamp": began}],
    ]
    there = [*result.cached, *result.executed]
    if job.state == "done":
        messages.append(["execution_success", {"prompt_id": job.id, "timestamp": ended}])
    elif job.state == "cancelled":
        messages.append(["execution_interrupted", interrupted(job.id, there, _stopped(result), ended)])
    else:
        errors = [each for each in result.problems if each.get("severity") != "warning"]
        failure = members(errors[0] if errors else None)
        node = str(failure.get("node") or "")
        facts = members(result.nodes.get(node))
        text = str(failure.get("message") or result.error or "the job did not end")
        error = failed(job.id, node or None, facts.get("type"), text, str(failure.get("code") or job.state))
        messages.append(["execution_error", error | {"executed": there, "timestamp": ended}])
    done = job.state == "done"
    return {"status_str": "success" if done else "error", "completed": done, "messages": messages}


def _stopped(result: Result) -> tuple[str, object] | None:
    """The node that ran when the job was stopped, with its type."""
    facts = ((node, members(of)) for node, of in result.nodes.items())
    return next(((node, of.get("type")) for node, of in facts if of.get("state") == "started"), None)


def failed(
    job: str, node: str | None, type_: object, message: str, kind: str, traceback: str = ""
) -> dict[str, object]:
    """The data of `execution_error`. Inputs are told nowhere: they may be large, and are in the prompt."""
    return {
        "prompt_id": job,
        "node_id": node,
        "node_type": type_,
        "executed": [],
        "exception_message": message,
        "exception_type": kind,
        "traceback": traceback.splitlines(keepends=True),
        "current_inputs": {},
        "current_outputs": [],
    }


def interrupted(job: str, executed: Sequence[str], node: tuple[str, object] | None, at: int) -> dict[str, object]:
    """The data of `execution_interrupted`; `node` is the one that ran, with its type."""
    data: dict[str, object] = {"prompt_id": job, "node_id": None, "node_type": None}
    if node is not None:
        data |= {"node_id": node[0], "node_type": node[1]}
    return data | {"executed": list(executed), "timestamp": at}


def milliseconds(seconds: float) -> int:
    """Times as the protocol has them."""
    return int(seconds * 1000)

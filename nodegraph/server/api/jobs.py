"""/api/v1/jobs and /api/v1/queue: asking for jobs, looking at them, and changing what becomes of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, get_args

from aiohttp import web

from nodegraph.errors import CATALOGUE, Place, Problem, ProblemError
from nodegraph.jobs.model import FINAL, CheckReport, Job, Json, Request, Result, State
from nodegraph.server.api.addresses import with_addresses
from nodegraph.server.api.common import answer, flag, page, read_body, service_of, settings_of
from nodegraph.server.api.submitting import from_envelope, read_request
from nodegraph.server.errors import RefusedError, bad_request, error_response, not_found, refused
from nodegraph.server.users import user_name

BASE = "/api/v1/jobs"


def summary(job: Job) -> dict[str, object]:
    """A job as lists have it."""
    result = job.result
    return {
        "id": job.id,
        "state": job.state,
        "number": job.number,
        "priority": job.request.priority,
        "user": job.request.user,
        "batch": job.request.batch,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "attempts": job.attempts,
        "device": job.device,
        "error": error_of(result),
    }


def error_of(result: Result | None) -> str | None:
    """Why a job did not end well, in a line."""
    if result is None:
        return None
    errors = [problem for problem in result.problems if problem.get("severity") != "warning"]
    return result.error or (str(errors[0].get("message")) if errors else None)


def details(job: Job) -> dict[str, object]:
    """All that is known of a job."""
    request = job.request
    asked: dict[str, object] = {
        "workflow": request.text,
        "file": request.file,
        "params": dict(request.params),
        "only": list(request.only),
        "priority": request.priority,
        "max_attempts": request.max_attempts,
        "cache": request.cache,
        "extra": dict(request.extra),
    }
    return summary(job) | {"request": asked, "result": None if job.result is None else result_json(job.result)}


def result_json(result: Result) -> dict[str, object]:
    """How a job ended. Where its files lie on the server's disk is left out."""
    return {
        "outputs": {node: with_addresses(output) for node, output in result.outputs.items()},
        "problems": list(result.problems),
        "executed": list(result.executed),
        "cached": list(result.cached),
        "skipped": list(result.skipped),
        "seconds": result.seconds,
        "nodes": dict(result.nodes),
        "error": result.error,
    }


def wanted(request: web.Request) -> Job:
    """The job that the address names. Raises ProblemError."""
    job = service_of(request).get(request.match_info["id"])
    if job is None:
        raise not_found("job")
    return job


def states_of(request: web.Request) -> tuple[State, ...]:
    """The states of the query. Raises ProblemError."""
    known = get_args(State)
    found = [state for text in request.query.getall("state", []) for state in text.split(",") if state]
    for state in found:
        if state not in known:
            raise bad_request(f"{state[:40]!r} is no state", hint=f"one of {', '.join(known)}", input="state")
    return tuple(cast("State", state) for state in dict.fromkeys(found))


async def list_jobs(request: web.Request) -> web.Response:
    """A page of jobs."""
    states = states_of(request)
    offset, limit = page(request)
    order = request.query.get("order", "newest")
    if order not in ("newest", "oldest"):
        raise bad_request(f"{order[:40]!r} is no order", hint="newest or oldest", input="order")
    service = service_of(request)
    found = service.jobs(states, offset=offset, limit=limit, newest_first=order == "newest")
    jobs = [summary(job) for job in found]
    return answer({"jobs": jobs, "total": service.count(states), "offset": offset, "limit": limit})


async def submit(request: web.Request) -> web.Response:
    """Check a workflow and queue it."""
    asked = replace(await read_request(request), user=user_name(request))
    await check(request, asked)
    job = service_of(request).submit(asked)
    return answer(summary(job), status=201, headers={"Location": f"{BASE}/{job.id}"})


async def check(request: web.Request, asked: Request) -> None:
    """Refuse a workflow that cannot run, with all that is wrong. Raises ProblemError."""
    report = await service_of(request).check(asked)
    if not report.runnable:
        raise RefusedError([problem_of(data) for data in report.problems] or nothing_to_run())


def nothing_to_run() -> Problem:
    """The answer to a workflow of which nothing can run."""
    return Problem("no_outputs", "nothing in the workflow can run")


def problem_of(data: Json) -> Problem:
    """A problem from its JSON data."""
    facts: dict[str, Any] = {key: data.get(key) for key in ("node", "input", "got", "expected", "hint")}
    found: Any = data
    place = Place(found.get("file"), found.get("line"), found.get("column"), found.get("source"))
    code = found.get("code") if found.get("code") in CATALOGUE else "bad_request"
    return Problem(str(code), str(found.get("message", "")), place, **facts, severity=found.get("severity", "error"))


async def plan(request: web.Request) -> web.Response:
    """What a run would do, and why, without running it."""
    asked = await read_request(request)
    service = service_of(request)
    report = await service.check(asked)
    nodes: Sequence[Json] = await service.explain(asked) if report.runnable else ()
    return answer({**report_json(report), "nodes": list(nodes)})


async def tell(request: web.Request) -> web.Response:
    """What is wrong with a workflow: quick enough to be asked while one types."""
    return answer(report_json(await service_of(request).check(await read_request(request))))


def report_json(report: CheckReport) -> dict[str, object]:
    """What a check has found."""
    return {
        "runnable": report.runnable,
        "outputs": list(report.outputs),
        "types": dict(report.nodes),
        "problems": list(report.problems),
    }


async def submit_batch(request: web.Request) -> web.Response:
    """Queue one workflow several times, with other parameters each time."""
    body = await read_body(request, "BatchRequest")
    first = from_envelope(body, settings_of(request))
    first = replace(first, batch=secrets.token_hex(8), user=user_name(request))
    asked = [replace(first, params={**first.params, **params}) for params in body["variations"]]
    for each in asked:
        await check(request, each)
    service = service_of(request)
    jobs = [service.submit(each) for each in asked]
    return answer({"batch": first.batch, "jobs": [summary(job) for job in jobs]}, status=201)


async def submit_sweep(request: web.Request) -> web.Response:
    """Queue a workflow once for all combinations of values, with a sheet of its pictures."""
    body = await read_body(request, "SweepRequest")
    asked = replace(from_envelope(body, settings_of(request)), user=user_name(request))
    service = service_of(request)
    try:
        zipped, grid = body.get("zip", False), body.get("grid", True)
        swept: Any = await service.sweep(asked, body["over"], zipped=zipped, grid=grid)
    except ProblemError as error:
        raise refused(error) from None
    only = (*asked.only, *swept["sheets"]) if asked.only else ()
    asked = replace(asked, text=swept["text"], params=swept["params"], only=only)
    await check(request, asked)
    job = service.submit(asked)
    headers = {"Location": f"{BASE}/{job.id}"}
    return answer(summary(job) | {"sheets": list(swept["sheets"])}, status=201, headers=headers)


async def get_job(request: web.Request) -> web.Response:
    """All that is known of a job."""
    return answer(details(wanted(request)))


async def delete_job(request: web.Request) -> web.Response:
    """Take a job out of the queue or the history."""
    service_of(request).delete([wanted(request).id])
    return web.Response(status=204)


async def cancel_job(request: web.Request) -> web.Response:
    """Cancel a job; one that has ended stays as it is."""
    job = wanted(request)
    service = service_of(request)
    service.cancel([job.id])
    return answer(summary(service.get(job.id) or job))


async def retry_job(request: web.Request) -> web.Response:
    """Queue an ended job anew."""
    job = wanted(request)
    again = service_of(request).retry(job.id) if job.state in FINAL else None
    if again is None:
        return conflict(f"the job is {job.state}, and only ended ones can be tried again")
    return answer(summary(again), status=201, headers={"Location": f"{BASE}/{again.id}"})


async def move_job(request: web.Request) -> web.Response:
    """Put a queued job elsewhere among those of its user."""
    body = await read_body(request, "JobMove")
    job = wanted(request)
    before = body.get("before")
    service = service_of(request)
    target = service.get(before) if before is not None else job
    if target is None or target.state != "queued" or job.state != "queued":
        return conflict("only a queued job can be moved, and only before a queued one")
    moved = service.move(job.id, front=body.get("front", False), before=before, priority=body.get("priority"))
    return answer(summary(moved)) if moved is not None else conflict("the job is not queued any more")


def conflict(message: str) -> web.Response:
    """The answer to what a job's state does not allow."""
    return error_response(Problem("not_possible_now", message))


async def clear_jobs(request: web.Request) -> web.Response:
    """Delete all jobs of the states that the query names."""
    states = states_of(request)
    if not states or "running" in states:
        raise bad_request("name the states of the jobs to delete; running ones are cancelled instead", input="state")
    return answer({"deleted": service_of(request).clear(states)})


async def cancel_jobs(request: web.Request) -> web.Response:
    """Cancel the jobs that the body names, or all."""
    body = await read_body(request, "JobSelection")
    service = service_of(request)
    ids = body.get("ids")
    if ids is None:
        ids = [job.id for job in service.jobs(("queued", "running"))]
    return answer({"cancelled": service.cancel(ids)})


async def get_queue(request: web.Request) -> web.Response:
    """How long the queue is, and whether it moves."""
    return answer(queue_json(request))


def queue_json(request: web.Request) -> dict[str, object]:
    """The queue in numbers."""
    service = service_of(request)
    return {"queued": service.count(("queued",)), "running": service.count(("running",)), "paused": service.paused}


async def pause(request: web.Request) -> web.Response:
    """Begin no more jobs; with `interrupt`, end those that run."""
    service = service_of(request)
    interrupt = flag(request, "interrupt")
    service.pause()
    if interrupt:
        service.cancel_running()
    return answer(queue_json(request))


async def resume(request: web.Request) -> web.Response:
    """Begin jobs again."""
    service_of(request).resume()
    return answer(queue_json(request))


def add_routes(app: web.Application) -> None:
    """Add the routes of jobs and of the queue."""
    router = app.router
    router.add_get(BASE, list_jobs)
    router.add_post(BASE, submit)
    router.add_delete(BASE, clear_jobs)
    router.add_post("/api/v1/plan", plan)
    router.add_post("/api/v1/check", tell)
    router.add_post("/api/v1/batches", submit_batch)
    router.add_post("/api/v1/sweep", submit_sweep)
    router.add_get(f"{BASE}/{{id}}", get_job)
    router.add_delete(f"{BASE}/{{id}}", delete_job)
    router.add_post(f"{BASE}/{{id}}/cancel", cancel_job)
    router.add_post(f"{BASE}/{{id}}/retry", retry_job)
    router.add_post(f"{BASE}/{{id}}/move", move_job)
    router.add_get("/api/v1/queue", get_queue)
    router.add_post("/api/v1/queue/pause", pause)
    router.add_post("/api/v1/queue/resume", resume)
    router.add_post("/api/v1/queue/cancel", cancel_jobs)

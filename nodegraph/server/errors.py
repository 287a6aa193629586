"""One shape for all errors, and the status code of each problem. No traceback is ever sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from nodegraph.errors import Problem, ProblemError

log = logging.getLogger("nodegraph.server")

#: Status codes of problems; any other is a mistake in what the client sent.
STATUS: Final[Mapping[str, int]] = {
    "not_found": 404,
    "wrong_host": 421,
    "wrong_origin": 403,
    "wrong_media_type": 415,
    "not_logged_in": 401,
    "too_many_attempts": 429,
    "wrong_method": 405,
    "file_too_large": 413,
    "body_too_large": 413,
    "changed_meanwhile": 412,
    "precondition_required": 428,
    "not_possible_now": 409,
    "name_taken": 409,
    "server_failed": 500,
    "cannot_write": 500,
    "disk_full": 507,
    "server_busy": 503,
    "queue_full": 503,
    "not_ready": 503,
    "job_exists": 409,
}
#: Problems of aiohttp's own exceptions.
CODES: Final[Mapping[int, str]] = {
    401: "not_logged_in",
    403: "wrong_origin",
    404: "not_found",
    405: "wrong_method",
    409: "not_possible_now",
    412: "changed_meanwhile",
    413: "body_too_large",
    415: "wrong_media_type",
    421: "wrong_host",
    428: "precondition_required",
    429: "too_many_attempts",
    503: "server_busy",
}
KEPT_HEADERS: Final = ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate")
#: What the access log has where nobody is left to be answered.
GONE: Final = 499


def error_response(
    problems: Problem | Iterable[Problem],
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> web.Response:
    """The answer to a request that went wrong. The first error gives the code; `more` goes beside it."""
    listed = (problems,) if isinstance(problems, Problem) else tuple(problems)
    first = next((problem for problem in listed if problem.severity == "error"), listed[0])
    body: dict[str, object] = {"error": error_json(first, listed) | more}
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    status = status or STATUS.get(first.code, 400)
    return web.Response(body=text, status=status, content_type="application/json", headers=headers)


def error_json(first: Problem, problems: Sequence[Problem]) -> dict[str, object]:
    """What stands below `error`."""
    return {
        "code": first.code,
        "message": first.message,
        "hint": first.hint,
        "problems": [problem.to_json() for problem in problems],
    }


class RefusedError(ProblemError):
    """Problems of what a client sent: whatever they are, the request was wrong, and not the address or the server."""


def refused(error: ProblemError) -> ProblemError:
    """The exception for what was wrong with a workflow; that no worker could look at it is no mistake of the client."""
    return error if error.problems[0].code in ("not_ready", "worker_died") else RefusedError(error.problems)


def not_found(what: str) -> ProblemError:
    """The exception for something that is not there, or that nobody may see."""
    return ProblemError(Problem("not_found", f"there is no such {what}"))


def bad_request(message: str, *, hint: str | None = None, input: str | None = None) -> ProblemError:
    """The exception for a request that makes no sense."""
    return ProblemError(Problem("bad_request", message, input=input, hint=hint))


def of_http(error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's exceptions in the shape of all others. Redirects and successes stay as they are."""
    if error.status < 400:
        return error
    phrase = HTTPStatus(error.status).phrase.lower()
    message = {
        404: "there is nothing at this address",
        405: "this address does not have this method",
        413: "the body is larger than the server takes",
    }.get(error.status, f"the request was refused: {phrase}")
    headers = {name: error.headers[name] for name in KEPT_HEADERS if name in error.headers}
    problem = Problem(CODES.get(error.status, "bad_request" if error.status < 500 else "server_failed"), message)
    return error_response(problem, status=error.status, headers=headers)


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer; what nobody expected goes to the log, whole."""
    try:
        return await handler(request)
    except RefusedError as error:
        return error_response(error.problems, status=400)
    except ProblemError as error:
        return error_response(error.problems)
    except web.HTTPException as error:
        return of_http(error)
    except ConnectionError:  # the client has gone, or must notice that what it gets is not whole
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=GONE)
    except TimeoutError:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        message = "the server made a mistake; its log has the details"
        return error_response(Problem("server_failed", message))

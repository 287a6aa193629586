"""Talking to a server from the terminal: `submit`, `jobs`, `logs` and `cancel`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from nodegraph.errors import Problem

DEFAULT: Final = "http://127.0.0.1:8188"
SERVER: Final = "NODEGRAPH_SERVER"
TOKEN: Final = "NODEGRAPH_TOKEN"
SECONDS: Final = 30.0


def add_server(parser: argparse.ArgumentParser) -> None:
    """Which server is meant, and what lets one in."""
    parser.add_argument("--server", metavar="URL", help=f"where the server is, also ${SERVER} (default: {DEFAULT})")
    parser.add_argument("--token", help=f"what the server wants to know, also ${TOKEN}")


@dataclass(frozen=True, slots=True)
class Server:
    """A server, by its address; whatever it objects to is raised as a ProblemError."""

    url: str
    token: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Server:
        """The server that the options name. Raises ProblemError for what is no address."""
        from nodegraph.errors import Problem, ProblemError

        url: str = arguments.server or os.environ.get(SERVER) or DEFAULT
        if not url.startswith(("http://", "https://")):
            hint = f"write it as {DEFAULT}"
            raise ProblemError(Problem("usage", f"--server: {url!r} is not the address of a server", hint=hint))
        return cls(url.rstrip("/"), arguments.token or os.environ.get(TOKEN) or None)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON that a route answers with, None for an empty answer."""
        with self._open(method, path, body, SECONDS) as response:
            data = response.read()
        return json.loads(data) if data else None

    def events(self, job: str, after: int) -> Iterator[Mapping[str, Any]]:
        """The events of a job after number `after`, as they come."""
        with self._open("GET", f"/api/v1/events?job={job}&after={after}", None, None) as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield cast("Mapping[str, Any]", json.loads(line[6:]))

    def _open(self, method: str, path: str, body: object, seconds: float | None) -> Any:
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        from nodegraph.errors import Problem, ProblemError

        headers = {"Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
            headers["Content-Type"] = "application/json"
        try:
            return urlopen(Request(self.url + path, data, headers, method=method), timeout=seconds)
        except HTTPError as error:
            raise ProblemError(problems_in(error.read(), error.code)) from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            message = f"there is no answer from {self.url}: {getattr(reason, 'strerror', None) or reason}"
            hint = "start one with 'nodegraph serve', or say where it is with --server"
            raise ProblemError(Problem("no_server", message, got=self.url, hint=hint)) from None


def problems_in(data: bytes, status: int) -> list[Problem]:
    """What a server objects to, from the body of its answer."""
    from nodegraph.errors import Problem

    try:
        error = json.loads(data)["error"]
        listed: list[dict[str, Any]] = error.get("problems") or [error]
        return [problem_in(each) for each in listed]
    except (ValueError, KeyError, TypeError, AttributeError):
        return [Problem("bad_request", f"the server answers with status {status}")]


def problem_in(data: Mapping[str, Any]) -> Problem:
    """A problem from its JSON."""
    from nodegraph.errors import CATALOGUE, Place, Problem

    code = data.get("code") if data.get("code") in CATALOGUE else "bad_request"
    place = Place(data.get("file"), data.get("line"), data.get("column"), data.get("source"))
    facts: dict[str, Any] = {key: data.get(key) for key in ("node", "input", "got", "expected", "hint")}
    severity = "warning" if data.get("severity") == "warning" else "error"
    return Problem(str(code), str(data.get("message", "")), place, **facts, severity=severity)

"""What every request must pass before a handler sees it, and the headers that every answer carries.

The rule for other sites follows what browsers say of themselves: `Sec-Fetch-Site` and `Origin`. Programs send neither.
"""

from __future__ import annotations

import logging
import re
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.errors import error_response
from nodegraph.server.keys import SETTINGS
from nodegraph.server.login import check_token, login_page, wants_page
from nodegraph.server.settings import LOOPBACK_NAMES, ServerSettings

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
METHODS: Final = SAFE | {"POST", "PUT", "PATCH", "DELETE"}
HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::([0-9]{1,5}))?")
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
CONTENT_POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": CONTENT_POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
    "Cache-Control": "private, no-cache",
}


def host_names(settings: ServerSettings) -> frozenset[str]:
    """The names that the server goes by, in lower case."""
    bound = f"[{settings.host}]" if ":" in settings.host else settings.host
    own = () if settings.host in ("0.0.0.0", "::", "") else (bound,)
    return frozenset(name.lower() for name in (*LOOPBACK_NAMES, *own, *settings.allowed_hosts))


def is_known_host(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this server."""
    header = header.lower()
    match = HOST.fullmatch(header)
    return match is not None and (match.group(1) in names or header in names)


def check_host(request: web.Request, names: frozenset[str]) -> None:
    """Refuse a request to a name that is not the server's, as rebound ones of other sites are. Raises ProblemError."""
    given = request.headers.getall(hdrs.HOST, [])
    if len(given) != 1 or not is_known_host(given[0], names):
        shown = given[0][:80] if given else "(none)"
        message = f"this server does not go by the name {shown!r}"
        hint = "name it with --allow-host when starting the server, if it is yours"
        raise ProblemError(Problem("wrong_host", message, got=shown, hint=hint))


def check_origin(request: web.Request) -> None:
    """Refuse what another site makes a browser send: changes, and websockets. Raises ProblemError."""
    upgrade = "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()
    if request.method in SAFE and not upgrade:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origins = request.headers.getall(hdrs.ORIGIN, [])
    fine = site is None or site.lower() in ("same-origin", "none")
    if fine and all(is_own(origin, request.headers.get(hdrs.HOST, "")) for origin in origins):
        return
    got = origins[0][:80] if origins else f"Sec-Fetch-Site: {(site or '')[:40]}"
    message = "this comes from a page of another site"
    raise ProblemError(Problem("wrong_origin", message, got=got, hint="open the server's own page"))


def is_own(origin: str, host: str) -> bool:
    """Whether an origin is the server's own, as seen from the request's Host; the scheme may be a proxy's."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(parts.scheme)
    if default is None or parts.path or parts.query or parts.fragment:
        return False
    return with_port(parts.netloc, default) == with_port(host.lower(), default)


def with_port(host: str, default: str) -> tuple[str, str] | None:
    """Name and port of a host, or None."""
    match = HOST.fullmatch(host)
    return None if match is None else (match.group(1), match.group(2) or default)


def check_method(request: web.Request) -> web.Response | None:
    """Answer OPTIONS, and refuse methods that no route has."""
    error = request.match_info.http_exception
    allowed = error.allowed_methods if isinstance(error, web.HTTPMethodNotAllowed) else None
    if request.method == "OPTIONS" and allowed is not None:
        return web.Response(status=204, headers={hdrs.ALLOW: ", ".join(sorted({*allowed, "OPTIONS"}))})
    if request.method in METHODS:
        return None
    names = ", ".join(sorted({*(allowed or SAFE), "OPTIONS"}))
    problem = Problem("wrong_method", f"the method {request.method[:20]} is not taken", expected=names)
    return error_response(problem, headers={hdrs.ALLOW: names})


NAMES: Final[web.AppKey[frozenset[str]]] = web.AppKey("host_names", frozenset)


@web.middleware
async def security_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request pass, or answer it."""
    check_host(request, request.app[NAMES])
    check_origin(request)
    try:
        check_token(request)
    except ProblemError:
        if wants_page(request):
            return login_page()
        raise
    return check_method(request) or await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer; a handler that set one knows better."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers[hdrs.SERVER] = "nodegraph"
    if response.status == 401:
        response.headers.setdefault(hdrs.WWW_AUTHENTICATE, "Bearer")
    if response.status == 429:
        response.headers.setdefault(hdrs.RETRY_AFTER, "60")


class AccessLog(AbstractAccessLogger):
    """A line for each request, without its query, which may hold what nobody should read in a log."""

    @property
    def enabled(self) -> bool:
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line."""
        path = request.rel_url.raw_path[:300]
        size = response.body_length
        self.logger.info("%s %s %s %d %d %.4f", request.remote, request.method, path, response.status, size, time)


def add_security(app: web.Application) -> None:
    """Add the names of the server and the headers; the middleware is the application's."""
    app[NAMES] = host_names(app[SETTINGS])
    app.on_response_prepare.append(add_headers)

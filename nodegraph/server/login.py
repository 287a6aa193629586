"""Who may come in: the token of a header, or the cookie that a browser gets for it once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import deque
from typing import Final
from urllib.parse import parse_qs

from aiohttp import hdrs, web

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.bodies import media_type, read_bytes
from nodegraph.server.errors import error_response
from nodegraph.server.keys import SETTINGS
from nodegraph.server.settings import ServerSettings

#: Addresses that answer without a token.
OPEN_PATHS: Final = frozenset(("/healthz", "/login"))
LINK_SECONDS: Final = 3600.0
WINDOW_SECONDS: Final = 60.0
MAX_ADDRESSES: Final = 10_000

PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>nodegraph</title>
<meta name="viewport" content="width=device-width">
<h1>nodegraph</h1>
<p>{text}</p>
<form method="post" action="/login">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Log in</button>
</form></html>
"""


class Door:
    """The token, the links that stand for it once, and the failures of each address."""

    def __init__(self, settings: ServerSettings) -> None:
        self.token = settings.token
        self._limit = settings.limits.failures
        self._links: dict[str, float] = {}
        self._failures: dict[str, deque[float]] = {}

    def session(self) -> str:
        """What the cookie holds: made of the token, which cannot be found out from it."""
        return hmac.new((self.token or "").encode(), b"nodegraph session", hashlib.sha256).hexdigest()

    def issue(self) -> str:
        """A code that lets one browser in, once, within an hour."""
        code = secrets.token_urlsafe(24)
        self._links[code] = time.monotonic() + LINK_SECONDS
        return code

    def redeem(self, code: str) -> bool:
        """Whether a code is good; it is not any more afterwards."""
        found = [known for known in self._links if same(known, code)]
        return any(self._links.pop(known) > time.monotonic() for known in found)

    def is_blocked(self, address: str) -> bool:
        """Whether an address has failed too often within the last minute."""
        failures = self._failures.get(address)
        if failures is None:
            return False
        while failures and failures[0] < time.monotonic() - WINDOW_SECONDS:
            failures.popleft()
        if not failures:
            del self._failures[address]
        return len(failures) >= self._limit

    def fail(self, address: str) -> None:
        """Note a wrong token."""
        if address not in self._failures and len(self._failures) >= MAX_ADDRESSES:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(address, deque(maxlen=self._limit)).append(time.monotonic())


def cookie_name(request: web.Request) -> str:
    """What the cookie is called: servers on other ports of a machine have others."""
    transport = request.transport
    address = transport.get_extra_info("sockname") if transport is not None else None
    return f"nodegraph_{address[1] if isinstance(address, tuple) else request.app[SETTINGS].port}"


DOOR: Final[web.AppKey[Door]] = web.AppKey("door", Door)


def same(known: str, given: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of how much of them is."""
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "replace"))


def login_path(app: web.Application) -> str:
    """The path of a link that logs one browser in, once; `/` where there is no token."""
    door = app[DOOR]
    return "/" if door.token is None else f"/login?code={door.issue()}"


def check_token(request: web.Request) -> None:
    """Refuse a request that has neither the token nor the cookie. Raises ProblemError."""
    door = request.app[DOOR]
    if door.token is None or request.path in OPEN_PATHS:
        return
    cookie = request.cookies.get(cookie_name(request))
    if cookie is not None and same(door.session(), cookie):
        return
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and given:
        try_token(request, door, given.strip())
        return
    hint = "send 'Authorization: Bearer TOKEN', or open the link that the server printed when it started"
    raise ProblemError(Problem("not_logged_in", "this server wants a token", hint=hint))


def try_token(request: web.Request, door: Door, given: str) -> None:
    """Compare a token, and count it if it is wrong. Raises ProblemError."""
    address = request.remote or ""
    if door.is_blocked(address):
        message = "there were too many wrong tokens from this address"
        raise ProblemError(Problem("too_many_attempts", message, hint="wait a minute"))
    if not same(door.token or "", given):
        door.fail(address)
        raise ProblemError(Problem("not_logged_in", "the token is wrong"))


def wants_page(request: web.Request) -> bool:
    """Whether a person waits for a page, rather than a program for data."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get(hdrs.ACCEPT, "")


def login_page(status: int = 401, text: str = "This server wants its token.") -> web.Response:
    """The page that asks for the token."""
    return web.Response(text=PAGE.format(text=text), status=status, content_type="text/html")


async def get_login(request: web.Request) -> web.StreamResponse:
    """Log in with the code of a link, or ask for the token."""
    door = request.app[DOOR]
    code = request.query.get("code")
    if door.token is None:
        return see_start()
    if code is None or request.method == "HEAD":
        return login_page(200)
    address = request.remote or ""
    if door.is_blocked(address):
        return login_page(429, "There were too many wrong tokens from this address. Wait a minute.")
    if not door.redeem(code):
        door.fail(address)
        return login_page(401, "This link was used already, or is too old.")
    return let_in(request, door)


async def post_login(request: web.Request) -> web.StreamResponse:
    """Log in with the token of the form."""
    door = request.app[DOOR]
    if door.token is None:
        return see_start()
    if media_type(request) != "application/x-www-form-urlencoded":
        problem = Problem("wrong_media_type", "the login takes a form", expected="application/x-www-form-urlencoded")
        return error_response(problem)
    fields = parse_qs((await read_bytes(request, 10_000)).decode("utf-8", "replace"), max_num_fields=8)
    try:
        try_token(request, door, fields.get("token", [""])[0])
    except ProblemError as error:
        status = 429 if error.problems[0].code == "too_many_attempts" else 401
        return login_page(status, error.problems[0].message.capitalize() + ".")
    return let_in(request, door)


def let_in(request: web.Request, door: Door) -> web.Response:
    """The answer that hands out the cookie."""
    answer = see_start()
    name, month = cookie_name(request), 30 * 86_400
    answer.set_cookie(name, door.session(), httponly=True, samesite="Strict", secure=request.secure, max_age=month)
    return answer


def see_start() -> web.Response:
    """Send the browser to the first page."""
    return web.Response(status=303, headers={hdrs.LOCATION: "/"})


def add_login(app: web.Application) -> None:
    """Add the door and its routes."""
    app[DOOR] = Door(app[SETTINGS])
    app.router.add_get("/login", get_login)
    app.router.add_post("/login", post_login)

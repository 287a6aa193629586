"""Who somebody says to be: the header `Comfy-User`, which both interfaces know.

A user name tells one person's settings and turns in the queue from another's; it protects nothing. Who may ask at all
is decided before.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from nodegraph.server.errors import bad_request

HEADER: Final = "Comfy-User"
DEFAULT_USER: Final = "default"
USER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def user_name(request: web.Request) -> str:
    """The name of whoever asks, in small letters. Raises ProblemError for what is no user name."""
    name = request.headers.get(HEADER) or DEFAULT_USER
    if not USER_NAME.fullmatch(name):
        raise bad_request("this is no user name", hint="letters, digits, '-' and '_'; at most 64 of them")
    return name.lower()

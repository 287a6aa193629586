"""Whether a Ray cluster may be used at all: whoever can reach one that asks for no token can run programs on it.

Ray runs what it is sent, and listens on all addresses of a machine. So nodegraph starts and joins only clusters with
token authentication. That this process is in token mode is not enough: a cluster that asks for no token lets those in
who have one. Therefore the cluster is asked, by a process that has none.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal

from nodegraph.errors import Problem, ProblemError

MODE: Final = "RAY_AUTH_MODE"
TOKEN: Final = "RAY_AUTH_TOKEN"
TOKEN_PATH: Final = "RAY_AUTH_TOKEN_PATH"
OVERRIDE: Final = "--allow-unauthenticated-ray"
REACH_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 60.0  # importing Ray is most of it; on a busy machine that takes a while

Answer = Literal["open", "refused", "silent"]

#: Asks the cluster's table of keys for one that is not there. Ray itself would try for 20 s.
_PROBE: Final = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_get(b"nodegraph", b"", 5)
except AuthenticationError:
    print("refused")
else:
    print("open")
"""


def token_file(environ: Mapping[str, str]) -> Path:
    """Where Ray looks for the token."""
    named = environ.get(TOKEN_PATH)
    return Path(named or os.path.expanduser("~/.ray/auth_token"))  # noqa: PTH111 (Path.home fails without a home)


def has_token(environ: Mapping[str, str]) -> bool:
    """Whether there is a token for Ray to use."""
    if environ.get(TOKEN, "").strip():
        return True
    try:
        return bool(token_file(environ).read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return False


def make_token(environ: Mapping[str, str]) -> None:
    """Write a token, unless there is one, that nobody else can read; Ray's own would be readable for all."""
    path = token_file(environ)
    if has_token(environ):
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_hex(32))
    part.replace(path)


def hide_token(environ: Mapping[str, str]) -> None:
    """Make the token's file readable for its owner alone: Ray writes it for all to read."""
    path = token_file(environ)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)
    except OSError:  # not there, or not ours: then it is for whoever made it to protect
        pass


def token_problem(environ: Mapping[str, str], *, starting: bool) -> Problem | None:
    """What keeps this process from using a cluster in token mode. starting: a new one, for which a token can be made
    and the mode set."""
    mode = environ.get(MODE)
    if mode is None and starting:
        return None
    if mode is None or mode.lower() != "token":
        return Problem(
            "cluster_unprotected",
            f"Ray would be used without token authentication ({MODE} is {mode or 'not set'}): whoever "
            "reaches such a cluster can run any program on it",
            got=mode,
            expected="token",
            hint=f"set {MODE}=token here and wherever `ray start` is called, with the same token; {OVERRIDE} uses it "
            "all the same",
        )
    if not starting and not has_token(environ):
        return Problem(
            "cluster_unprotected",
            f"there is no token for the Ray cluster: neither {TOKEN} nor {token_file(environ)}",
            hint=f"copy the cluster's token into that file, or name another file with {TOKEN_PATH}",
        )
    return None


def check_reachable(address: str) -> None:
    """Raises ProblemError if nothing listens at `host:port`; Ray would try for long."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ProblemError(
            Problem(
                "cluster_unreachable",
                f"no Ray cluster can be reached at {address}: {reason}",
                got=address,
                hint="the address is that of the head, HOST:6379 unless `ray start` was told another port; a firewall "
                "between the machines has to let all of Ray's ports through",
            )
        ) from None


def check_protected(address: str, environ: Mapping[str, str]) -> None:
    """Raises ProblemError if the cluster at `host:port` takes those in who have no token, or not those who have this
    one. What it was once found to be, it stays."""
    names = (TOKEN, TOKEN_PATH, "HOME")
    _check(address, tuple([(name, environ[name]) for name in names if name in environ]))


@cache
def _check(address: str, credentials: tuple[tuple[str, str], ...]) -> None:
    stranger = _probe(address, (), "disabled")
    friend = _probe(address, credentials, "token")
    try:
        answers = _answer(stranger), _answer(friend)
    finally:
        for process in (stranger, friend):
            process.kill()
            process.communicate()
    problem = _verdict(address, *answers)
    if problem is not None:
        raise ProblemError(problem)


def _verdict(address: str, stranger: Answer, friend: Answer) -> Problem | None:
    """What is wrong with a cluster, by its answers to somebody without a token, and to somebody with ours."""
    if stranger == "open":
        return Problem(
            "cluster_unprotected",
            f"the Ray cluster at {address} asks for no token: whoever reaches it can run any program on it",
            got=address,
            hint=f"start it with {MODE}=token and a token on each machine; {OVERRIDE}, with {MODE}=disabled here, uses "
            "it all the same",
        )
    if friend == "refused":
        return Problem(
            "cluster_unprotected",
            f"the Ray cluster at {address} does not take the token of this machine",
            got=address,
            hint=f"copy the token of the cluster's head into {token_file(os.environ)}, or set {TOKEN}",
        )
    if "silent" in (stranger, friend):
        return Problem(
            "cluster_unreachable",
            f"what listens at {address} does not answer as a Ray cluster does",
            got=address,
            hint="name the address of the head (HOST:6379), neither the dashboard's nor a Ray Client's",
        )
    return None


def _probe(address: str, credentials: Sequence[tuple[str, str]], mode: str) -> subprocess.Popen[str]:
    others = {name: value for name, value in os.environ.items() if name not in (TOKEN, TOKEN_PATH)}
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.Popen(
        [sys.executable, "-c", _PROBE, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**others, **dict(credentials), MODE: mode, "PYTHONPATH": path},
    )


def _answer(process: subprocess.Popen[str]) -> Answer:
    try:
        said, _ = process.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return "silent"
    return "open" if said.strip() == "open" else "refused" if said.strip() == "refused" else "silent"

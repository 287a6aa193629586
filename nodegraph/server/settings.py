"""How the server listens, which folders it shows, and how much it takes from anyone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.errors import Problem, ProblemError
from nodegraph.resources import web_folder

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How much the server takes. Sizes are bytes.

    body: of a request that is not an upload. upload: of an uploaded picture. pixels: of a picture that is decoded for a
    preview or a thumbnail. frame: of a message that a client sends over a websocket. sockets: websockets and event
    streams at once. connections: of clients at once, those included; one that is idle makes room for a new one. page:
    entries of a list in one answer. listed: files of a folder that are looked at. failures: wrong tokens of one address
    within a minute.
    """

    body: int = 16_000_000
    upload: int = 100_000_000
    pixels: int = 100_000_000
    frame: int = 1_000_000
    sockets: int = 500
    connections: int = 700
    page: int = 1_000
    listed: int = 100_000
    failures: int = 10


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server listens, and what it shows.

    output, input, temp: the folders that files are served from and uploaded to. models, extra_models: folders of
    models, the latter with their kind. data_dir: workflows, settings and the queue. cache_dir: kept results, None for
    none. token: what a client must know; None only on this machine's own address. allowed_hosts: names beside those of
    this machine that the server goes by, as a browser's address line has them, with or without a port.
    frontend: the web app served at `/` instead of the canvas, whose files lie in the folder `canvas`.
    """

    host: str = "127.0.0.1"
    port: int = 8188
    output: Path = Path("output")
    input: Path = Path("input")
    temp: Path = Path("output/temp")
    models: tuple[Path, ...] = (Path("models"),)
    extra_models: tuple[tuple[str, Path], ...] = ()
    data_dir: Path = Path("data")
    cache_dir: Path | None = None
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    frontend: str | None = None
    canvas: Path = field(default_factory=web_folder)
    limits: ServerLimits = field(default_factory=ServerLimits)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def workflows(self) -> Path:
        """The folder of saved workflows."""
        return self.data_dir / "workflows"

    @property
    def trash(self) -> Path:
        """The folder of workflows that were thrown away."""
        return self.data_dir / "trash"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_settings(settings: ServerSettings) -> None:
    """Refuse settings that would let anyone in. Raises ProblemError."""
    if settings.token is not None and len(settings.token) < 8:
        message = "the token has fewer than 8 characters"
        raise ProblemError(Problem("usage", message, hint="give a longer one, or none to have one made"))
    if settings.token is None and not settings.is_local:
        message = f"the server would be open to everyone who can reach {settings.host}"
        hint = "give a token, which clients must then know, or listen on 127.0.0.1"
        raise ProblemError(Problem("usage", message, got=settings.host, hint=hint))

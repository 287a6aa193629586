"""Where clients find the files that nodes save: what a file is called in addresses, and what is told of it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from nodegraph.server.errors import not_found
from nodegraph.server.files import RootName

OUTPUTS: Final = "/api/v1/outputs"
UPLOADS: Final = "/api/v1/uploads"
PREVIEWS: Final = "/api/v1/previews"
BASES: Final[Mapping[RootName, str]] = {"output": OUTPUTS, "input": UPLOADS, "temp": PREVIEWS}


def id_of(name: str) -> str:
    """What a file is called in addresses."""
    return base64.urlsafe_b64encode(name.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def name_of(id: str) -> str:
    """The name behind an id. Raises ProblemError."""
    try:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,1400}", id):
            raise not_found("file")
        return base64.b64decode(id + "=" * (-len(id) % 4), altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise not_found("file") from None


def with_addresses(data: object) -> object:
    """What a node gave: its files with their addresses, and without where they lie on the server's disk."""
    if not isinstance(data, Mapping):
        return data
    found = dict(cast("Mapping[str, Any]", data))
    if isinstance(found.get("files"), list | tuple):
        found["files"] = [file_facts(file) for file in found["files"]]
    return found


def file_facts(file: Mapping[str, Any]) -> dict[str, object]:
    """A file for clients."""
    told: dict[str, object] = {key: value for key, value in file.items() if key != "path"}
    base = BASES.get(file.get("type", "output"))
    if base is not None:
        subfolder = str(file.get("subfolder") or "").strip("/")
        name = str(file.get("filename", ""))
        id = id_of(f"{subfolder}/{name}" if subfolder else name)
        told |= {"id": id, "file": f"{base}/{id}/file"}
        if file.get("width"):
            told["thumbnail"] = f"{base}/{id}/thumbnail"
    return told

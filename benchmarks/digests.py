"""Digests of files that another process computed, as a session's store would know them."""

from __future__ import annotations

import json
from pathlib import Path

from nodegraph.files import FileDigests, FileState


class Known:
    """Digests by path, from and to JSON."""

    def __init__(self, text: str = "{}") -> None:
        self._known: dict[str, tuple[list[int], str]] = json.loads(text)

    def recall(self, path: str) -> tuple[FileState, str] | None:
        found = self._known.get(path)
        return None if found is None else (FileState(*found[0]), found[1])

    def remember(self, path: str, state: FileState, digest: str) -> None:
        self._known[path] = (list(state), digest)

    def text(self, path: Path) -> str:
        """The JSON, with the digest of this file."""
        FileDigests(self).digest(path)
        return json.dumps(self._known)

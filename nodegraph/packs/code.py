"""What counts as the code of a pack's node: its class, and all of the pack, for classes lean on each other's code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nodegraph.source import source_digest

MAX_FILES = 5000


class PackCode:
    """The Python files of a pack; they are read when somebody asks."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def digest(self) -> str:
        """Digest of all files of the pack, with their names."""
        hasher = hashlib.sha256()
        for file in self._files():
            try:
                data = file.read_bytes()
            except OSError:
                continue
            name = file.relative_to(self.path).as_posix() if file != self.path else ""
            hasher.update(f"{len(name)}:{name}{len(data)}:".encode("utf-8", "surrogatepass") + data)
        return hasher.hexdigest()

    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        found = [
            file
            for file in self.path.rglob("*.py")
            if not any(part.startswith(".") for part in file.relative_to(self.path).parts)
        ]
        return sorted(found)[:MAX_FILES]


@dataclass(frozen=True)
class ClassCode:
    """The code of a node: its class, and the pack around it."""

    cls: type
    pack: PackCode | None = None

    @cached_property
    def source_digest(self) -> str:
        """Digest of the class and of the pack."""
        texts = [source_digest(self.cls), self.pack.digest if self.pack is not None else ""]
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

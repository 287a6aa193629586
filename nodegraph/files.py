"""Files by what they hold: content digests, computed once for a file that does not change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class FileDigests:
    """Content digests of files and folders, remembered by (path, size, mtime_ns, inode)."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], str] = {}

    def digest(self, path: Path) -> str:
        """Hex digest of a file's bytes, or of a folder's files by relative name. Raises OSError."""
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".md")
            parts = [f"{file.relative_to(path).as_posix()}\0{self._file(file)}" for file in files]
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._file(path)

    def _file(self, path: Path) -> str:
        status = path.stat()
        memo = (os.fspath(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino)
        if memo not in self._known:
            with path.open("rb") as file:
                self._known[memo] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._known[memo]

"""Saved workflows on disk: one file each below one folder, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nodegraph.errors import Problem, ProblemError
from nodegraph.server.errors import bad_request, not_found
from nodegraph.server.files import is_good_name, open_file

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILE: Final = 10_000_000
MAX_PARTS: Final = 8
#: Names that Windows keeps for devices; a folder that is copied there should stay readable.
DEVICES: Final = frozenset(
    ("con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10)))
)
FORBIDDEN: Final = frozenset('<>:"|?*')


@dataclass(frozen=True, slots=True)
class Entry:
    """A saved workflow as a list has it."""

    name: str
    size: int
    modified: float


def check_name(name: str) -> str:
    """A name that a workflow may be saved under. Raises ProblemError."""
    parts = name.split("/")
    good = is_good_name(name) and len(parts) <= MAX_PARTS and name.lower().endswith(SUFFIXES) and name.isprintable()
    if not good or any(is_bad_part(part) for part in parts):
        hint = "use letters, digits, spaces, - and _, with .yaml, .yml or .json at the end; / makes folders"
        message = f"{name[:80]!r} is no name for a workflow"
        raise ProblemError(Problem("bad_name", message, input="name", got=name[:80], hint=hint))
    return name


def is_bad_part(part: str) -> bool:
    """Whether a part of a name means something else on some system."""
    return (
        bool(FORBIDDEN & set(part))
        or part.split(".")[0].strip().lower() in DEVICES
        or part != part.strip()
        or part.endswith(".")
    )


def tag_of(data: bytes) -> str:
    """The entity tag of a content, without quotes."""
    return hashlib.sha256(data).hexdigest()[:32]


def entries(folder: Path, limit: int) -> list[Entry]:
    """The workflows below a folder by name, at most so many files looked at."""
    found: list[Entry] = []
    for path in walk(folder, limit):
        if path.suffix.lower() in SUFFIXES:
            status = path.stat()
            found.append(Entry(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.name)


def walk(folder: Path, limit: int) -> Iterator[Path]:
    """The regular files below a folder; links are not followed, hidden ones not seen."""
    seen = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                seen += 1
                if seen > limit:
                    return
                yield path


def read(folder: Path, name: str) -> bytes | None:
    """The content of a workflow, or None if there is none. Raises ProblemError."""
    try:
        file = open_file(folder, check_name(name))
    except ProblemError as error:
        if error.problems[0].code == "not_found":
            return None
        raise
    with file.stream:
        return file.stream.read(MAX_FILE + 1)


def is_saved(folder: Path, name: str) -> bool:
    """Whether there is such a workflow. Raises ProblemError for a name that none can have."""
    try:
        open_file(folder, check_name(name)).stream.close()
    except ProblemError as error:
        if error.problems[0].code == "not_found":
            return False
        raise
    return True


def target(folder: Path, name: str) -> Path:
    """Where a workflow is written: really below the folder, its folder made if need be. Raises ProblemError."""
    path = folder / check_name(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        root = folder.resolve(strict=True)
        parent = next(parent for parent in path.parents if parent.exists() or parent.is_symlink())
        if not parent.resolve(strict=True).is_relative_to(root):
            raise not_found("folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise bad_request(f"{name[:80]!r} lies in something that is no folder", input="name") from None
    except OSError as error:
        raise cannot_write(error) from None
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ProblemError(Problem("name_taken", f"there is something else called {name[:80]!r}", input="name"))
    return path


def write(folder: Path, name: str, data: bytes) -> None:
    """Save a workflow: under another name first, so that there is never half of it. Raises ProblemError."""
    path = target(folder, name)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".saving-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(error) from None


def rename(folder: Path, old: str, new: str) -> None:
    """Give a workflow another name, which must be free. Raises ProblemError."""
    if read(folder, old) is None:
        raise not_found("workflow")
    path = target(folder, new)
    if path.exists():
        hint = "choose another name, or throw that one away first"
        raise ProblemError(Problem("name_taken", f"there is a workflow {new[:80]!r} already", input="to", hint=hint))
    try:
        (folder / old).rename(path)
    except OSError as error:
        raise cannot_write(error) from None


def throw_away(folder: Path, trash: Path, name: str) -> str:
    """Move a workflow to the trash; returns what it is called there. Raises ProblemError."""
    if read(folder, name) is None:
        raise not_found("workflow")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    flat = Path(name.replace("/", "_"))
    try:
        trash.mkdir(parents=True, exist_ok=True)
        for count in range(10_000):
            kept = f"{short(flat.stem)} {stamp}{f' {count}' if count else ''}{flat.suffix}"
            if not (trash / kept).exists():
                (folder / name).rename(trash / kept)
                return kept
    except OSError as error:
        raise cannot_write(error) from None
    raise bad_request("the trash is full")


def short(stem: str) -> str:
    """A name that leaves room for more; systems count its bytes."""
    return stem.encode()[:150].decode("utf-8", "ignore")


def cannot_write(error: OSError) -> ProblemError:
    """The exception for a file that cannot be written, without its path."""
    code = "disk_full" if error.errno == 28 else "cannot_write"
    return ProblemError(Problem(code, f"this cannot be written: {error.strerror or type(error).__name__}"))

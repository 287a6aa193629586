"""Saving files below the output folder: numbered names, whole or not at all, and what goes wrong told as problems."""

from __future__ import annotations

import datetime
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nodegraph.errors import Problem, ProblemError
from nodegraph.sockets import SavedFile


def file_name(prefix: str, width: int = 0, height: int = 0) -> str:
    """A prefix with the date and the size filled in. Raises UnusablePrefix (see `saving`)."""
    from nodes.diffusion.numbered import expand_prefix

    return expand_prefix(prefix, width, height, datetime.datetime.now().astimezone())


def saved_file(path: Path, root: Path, kind: str = "output", width: int = 0, height: int = 0) -> SavedFile:
    """What an output node says of a file that it wrote below `root`."""
    subfolder = path.parent.relative_to(root).as_posix()
    return SavedFile(str(path), path.name, "" if subfolder == "." else subfolder, kind, width, height)


@contextmanager
def saving(what: str, prefix: str, root: Path) -> Generator[None]:
    """While `what` ("the picture") is written below `root`: tells bad prefixes, rights and full disks as problems."""
    from nodes.diffusion.numbered import UnusablePrefix, is_full

    try:
        yield
    except UnusablePrefix as error:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=str(error),
                input="filename_prefix",
                got=prefix,
                hint="use letters, digits, - and _, and / for subfolders",
            )
        ) from error
    except OSError as error:
        full = is_full(error)
        raise ProblemError(
            Problem(
                code="disk_full" if full else "cannot_write",
                message=f"{what} cannot be written to {root}: {error.strerror or error}",
                hint="free some space" if full else "choose another folder with --output-dir",
            )
        ) from error

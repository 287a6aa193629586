"""Files that are written whole, under the next free number, and never in place of another one."""

from __future__ import annotations

import errno
import os
import re
import secrets
from pathlib import Path

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LeadsOut(ValueError):
    """A prefix that leads out of the folder that files are written to, through a link."""


def write_numbered(data: bytes, root: Path, prefix: str, suffix: str) -> Path:
    """Write `root/PREFIX_00001_SUFFIX`, or the next number that is free; returns its path.

    prefix: checked already (`pictures.expand_prefix`). The file appears whole under its name or not at all; two
    programs at once never get the same one. Raises OSError and LeadsOut.
    """
    folder = (root / prefix).parent
    root.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)  # before any folder is made behind a link
    folder.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)
    temporary = folder / f".writing-{secrets.token_hex(8)}{suffix}"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _claim(temporary, folder, prefix.rsplit("/", 1)[-1], suffix)
    except OSError as error:
        if error.errno in FULL:
            raise OSError(error.errno, f"{error.strerror}, {len(data):,} bytes needed", str(folder)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _check_inside(folder: Path, root: Path, prefix: str) -> None:
    if not folder.resolve().is_relative_to(root.resolve()):
        raise LeadsOut(f"the file name prefix {prefix[:80]!r} leads out of the output folder through a link")


def _claim(temporary: Path, folder: Path, stem: str, suffix: str) -> Path:
    """Give a finished file the next free number."""
    number = _last_number(folder, stem, suffix)
    while True:
        number += 1
        target = folder / f"{stem}_{number:05}_{suffix}"
        try:
            target.hardlink_to(temporary)
            return target
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        if _move(temporary, target):
            return target


def _move(temporary: Path, target: Path) -> bool:
    """Rename a file on a file system without hard links; False if the name is taken."""
    try:
        target.open("xb").close()
    except FileExistsError:
        return False
    try:
        temporary.replace(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True


def _last_number(folder: Path, stem: str, suffix: str) -> int:
    pattern = re.compile(re.escape(stem) + r"_(\d{5,9})_" + re.escape(suffix))
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)

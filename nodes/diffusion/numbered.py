"""Files named by a counting number, below a folder that they never leave: PREFIX_00001_.safetensors and so on."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from nodes.diffusion.pictures import NO_LINKS, UnusablePicture


def write_numbered(root: Path, prefix: str, suffix: str, write: Callable[[BinaryIO], object]) -> Path:
    """Have `write` fill `root/PREFIX_00001_SUFFIX`, or the next number that is free; returns the file's path.

    prefix: checked and filled in (`expand_prefix`). The file appears whole under its name or not at all, and never in
    place of another. Raises OSError, and UnusablePicture if a link below `root` leads out of it.
    """
    folder = (root / prefix).parent
    root.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)  # before any folder is made behind a link
    folder.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)
    temporary = folder / f".writing-{secrets.token_hex(8)}{suffix}"
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        return _claim(temporary, folder, prefix.rsplit("/", 1)[-1], suffix)
    finally:
        temporary.unlink(missing_ok=True)


def _check_inside(folder: Path, root: Path, prefix: str) -> None:
    if not folder.resolve().is_relative_to(root.resolve()):
        raise UnusablePicture(f"the file name prefix {prefix[:80]!r} leads out of the output folder through a link")


def _claim(temporary: Path, folder: Path, stem: str, suffix: str) -> Path:
    """Give a finished file the next free number; two programs at once never get the same one."""
    number = _last_number(folder, stem, suffix) + 1
    while True:
        target = folder / f"{stem}_{number:05}_{suffix}"
        try:
            target.hardlink_to(temporary)
            return target
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if _move(temporary, target):
                return target
        number += 1


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


def is_full(error: OSError) -> bool:
    """Whether a file could not be written for want of room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

"""Files named by a counting number, below a folder that they never leave: PREFIX_00001_.safetensors and so on."""

from __future__ import annotations

import datetime
import errno
import os
import re
import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_FOLDERS = 10
DATE = re.compile(r"%date(?::([^%]*))?%")
DATE_FIELDS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}
BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # they make a name look like another
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class UnusablePrefix(ValueError):
    """A file name prefix that leads out of its folder, or that no file can have; the message says why."""


def expand_prefix(prefix: str, width: int, height: int, now: datetime.datetime) -> str:
    """A file name prefix with `%width%`, `%height%` and `%date:yyyy-MM-dd%` filled in, checked to stay inside.

    Raises UnusablePrefix for a prefix that leads out of the output folder or that no file can have.
    """
    text = prefix.replace("%width%", str(width)).replace("%height%", str(height))
    text = DATE.sub(lambda match: _date(match[1] or "yyyyMMddhhmmss", now), text)
    parts = text.split("/")
    reason = None
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in BIDI for c in text):
        reason = "holds control characters"
    elif "\\" in text or ":" in text or text.startswith(("/", "~")) or ".." in parts:
        reason = "leads out of the output folder"
    elif any(not part.strip(" .") for part in parts):
        reason = "has an empty part"
    elif any(RESERVED.fullmatch(part.strip()) for part in parts):
        reason = "is a name that Windows reserves"
    elif any(len(part.encode()) > 200 for part in parts):
        reason = "is longer than 200 bytes"
    elif len(parts) > MAX_FOLDERS:
        reason = f"has more than {MAX_FOLDERS} parts"
    if reason is not None:
        raise UnusablePrefix(f"the file name prefix {prefix[:80]!r} {reason}")
    return text


def _date(pattern: str, now: datetime.datetime) -> str:
    return re.sub("yyyy|yy|MM|dd|hh|mm|ss", lambda match: now.strftime(DATE_FIELDS[match[0]]), pattern)


def write_numbered(root: Path, prefix: str, suffix: str, write: bytes | Callable[[BinaryIO], object]) -> Path:
    """Have `write` fill `root/PREFIX_00001_SUFFIX`, or the next number that is free; returns the file's path.

    prefix: checked and filled in (`expand_prefix`). write: may be the bytes themselves. The file appears whole under
    its name or not at all, and never in place of another. Raises OSError, and UnusablePrefix if a link below `root`
    leads out of it.
    """
    folder = (root / prefix).parent
    root.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)  # before any folder is made behind a link
    folder.mkdir(parents=True, exist_ok=True)
    _check_inside(folder, root, prefix)
    temporary = folder / f".writing-{secrets.token_hex(8)}{suffix}"
    try:
        with temporary.open("xb") as file:
            file.write(write) if isinstance(write, bytes) else write(file)
            file.flush()
            os.fsync(file.fileno())
        return _claim(temporary, folder, prefix.rsplit("/", 1)[-1], suffix)
    except OSError as error:
        if is_full(error) and isinstance(write, bytes):
            raise OSError(error.errno, f"{error.strerror}, {len(write):,} bytes needed", str(folder)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _check_inside(folder: Path, root: Path, prefix: str) -> None:
    if not folder.resolve().is_relative_to(root.resolve()):
        raise UnusablePrefix(f"the file name prefix {prefix[:80]!r} leads out of the output folder through a link")


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
    return error.errno in FULL

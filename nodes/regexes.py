"""Regular expressions, worked in a process of their own.

Python's `re` may take for ever on some patterns ((a+)+$ on a row of a's), and while it does, nothing else in its
process runs, not even what would stop it. So this file is also a program: it reads a task as JSON from standard input
and writes the answer to standard output. It imports nothing but Python's own modules, and starts in some milliseconds.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Literal

Extraction = Literal["First Match", "All Matches", "First Group", "All Groups"]
MAX_RESULT = 10_000_000  # characters
REFERENCE = re.compile(r"\\(?:\d|g<)")  # to a group, in a replacement


class TooLong(ValueError):
    """A result that grows without measure."""


def compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """A pattern. Raises re.error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other releases of Python will make of it
        try:
            return re.compile(pattern, flags)
        except (OverflowError, RecursionError) as error:
            raise re.error(str(error) or "it is nested too deeply") from error


def matches(text: str, pattern: str, flags: int) -> bool:
    """Whether a pattern is found anywhere in a text."""
    return compiled(pattern, flags).search(text) is not None


def extract(text: str, pattern: str, flags: int, mode: Extraction, group: int) -> str:
    """Matches, or their groups number `group`, one a line; empty if there are none."""
    known = compiled(pattern, flags)
    number = group if mode.endswith(("Group", "Groups")) else 0
    if number > known.groups:
        return ""
    if mode.startswith("First"):
        first = known.search(text)
        return (first[number] or "") if first is not None else ""
    return _joined(match[number] for match in known.finditer(text) if match[number] is not None)


def _joined(pieces: Iterator[str]) -> str:
    kept: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece) + 1
        if length > MAX_RESULT:
            raise TooLong
        kept.append(piece)
    return "\n".join(kept)


def replaced(text: str, pattern: str, flags: int, replacement: str, count: int) -> str:
    """A text with matches replaced, the first `count` or all (0); \\1 and \\g<name> are groups. Raises re.error."""
    known = compiled(pattern, flags)
    try:
        known.sub(replacement, "")  # is the replacement a template that fits the pattern?
    except IndexError as error:
        raise re.error(str(error)) from error
    references = len(REFERENCE.findall(replacement))
    length = len(text)
    for match in itertools.islice(known.finditer(text), count or None):  # at most so long; expanding each would be slow
        longest = max([len(group) for group in (match[0], *match.groups("")) if group], default=0)
        length += len(replacement) + references * longest
        if length > MAX_RESULT:
            raise TooLong
    return known.sub(replacement, text, count=count)


TASKS = {"matches": matches, "extract": extract, "replaced": replaced}


def answer(task: dict[str, Any]) -> dict[str, Any]:
    """The answer to a task: `result`, or what is wrong with the pattern (`error`), or that it is `too_long`."""
    try:
        return {"result": TASKS[task["name"]](*task["arguments"])}
    except re.error as error:
        return {"error": str(error)}
    except TooLong:
        return {"too_long": True}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)

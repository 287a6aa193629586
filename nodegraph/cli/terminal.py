"""Writing to terminals, files and pipes: colours only where they are wanted, and text that each of them can take."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, TextIO

from nodegraph.errors import Problem

Style = Literal["bold", "dim", "red", "yellow", "green", "cyan"]

SGR: Final[dict[Style, str]] = {"bold": "1", "dim": "2", "red": "1;31", "yellow": "1;33", "green": "32", "cyan": "36"}
# Control characters, and marks that turn the direction of writing: a file's text must not steer the terminal.
STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def prepare_streams() -> None:
    """Have characters that a stream's encoding lacks replaced, and a stream that is closed swallow what it gets."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def silence_streams() -> None:
    """Send what is still to be written nowhere: its reader has gone away, or the disk is full."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at `stream`, through something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: Style, stream: TextIO) -> str:
    """The text in a colour, on terminals only and never against NO_COLOR (https://no-color.org)."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{SGR[style]}m{text}\x1b[0m"


def printable(text: str) -> str:
    """The text without anything that would steer a terminal."""
    return STEERING.sub("·", text)


def say(text: str = "", *, stream: TextIO | None = None, style: Style | None = None) -> None:
    """Print a line, at once."""
    out: TextIO = stream or sys.stdout
    text = printable(text)
    print(paint(text, style, out) if style else text, file=out, flush=True)


def show_problem(problem: Problem, *, stream: TextIO | None = None) -> None:
    """Print a problem: what and where it is, the source line, a caret."""
    out: TextIO = stream or sys.stderr
    caret: Style = "red" if problem.severity == "error" else "yellow"
    first, *source = printable(problem.render()).split("\n")
    print(paint(first, "bold", out), file=out)
    for line in source:
        print(paint(line, caret, out) if line.strip() == "^" else line, file=out)
    out.flush()


def show_problems(problems: Iterable[Problem], *, stream: TextIO | None = None) -> None:
    """Print problems one after the other."""
    for problem in problems:
        show_problem(problem, stream=stream)


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as people like to read it: relative where it lies below the current folder."""
    text = os.fspath(path)
    try:
        return str(Path(text).relative_to(Path.cwd())) if Path(text).is_absolute() else text
    except (ValueError, OSError):
        return text


def count(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

"""What the YAML and the JSON reader both make: plain data that knows where each piece stands in its file."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from nodegraph.errors import Place, Problem, ProblemError, Severity
from nodegraph.workflow.document import Scalar
from nodegraph.workflow.limits import Limits

# libyaml, which follows YAML 1.1 here, counts these as line ends too; JSON has only the first two.
LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Unreadable(enum.Enum):
    """Stands for a value that could not be read and was reported; who meets it passes it over in silence."""

    UNREADABLE = "unreadable"


UNREADABLE: Final = Unreadable.UNREADABLE


@dataclass(slots=True)
class Located:
    """A value with its place (counted from 0) and, inside a mapping, the place of its key."""

    value: Scalar | list[Located] | dict[str, Located] | Literal[Unreadable.UNREADABLE]
    line: int
    column: int
    key_line: int = 0
    key_column: int = 0


@dataclass(slots=True)
class Source:
    """The text of a document, and its lines for the caret."""

    text: str
    file: str | None = None
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = LINE_END.split(self.text)

    def place(self, line: int, column: int) -> Place:
        """The place of a line and a column that count from 0; past the end it is the end."""
        last = len(self.lines) - 1
        if line > last:
            line, column = last, len(self.lines[last])
        return Place(self.file, line + 1, column + 1, self.lines[line])

    def place_at(self, index: int) -> Place:
        """The place of the character at `index` of the text."""
        return self.place(*position(line_starts(self.text), index))


def line_starts(text: str) -> list[int]:
    """The index of each line's first character."""
    return [0, *(match.end() for match in LINE_END.finditer(text))]


def position(starts: list[int], index: int) -> tuple[int, int]:
    """Line and column, from 0, of the character at `index`; `starts` is from `line_starts`."""
    line = bisect_right(starts, index) - 1
    return line, index - starts[line]


class Report:
    """Collects the problems of one document; after `limits.problems` it gives up with a `ProblemError`."""

    __slots__ = ("limits", "problems", "source")

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source = source
        self.limits = limits
        self.problems: list[Problem] = []

    def add(
        self,
        code: str,
        message: str,
        place: Place,
        *,
        node: str | None = None,
        input: str | None = None,
        got: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        severity: Severity = "error",
    ) -> None:
        """Note one problem."""
        if len(self.problems) >= self.limits.problems:
            message = f"There are more than {self.limits.problems} problems; the rest is not listed."
            raise ProblemError(Problem("too_large", message, place))
        self.problems.append(Problem(code, message, place, node, input, got, expected, hint, severity))

    def at(self, located: Located) -> Place:
        """The place of a value."""
        return self.source.place(located.line, located.column)

    def at_key(self, located: Located) -> Place:
        """The place of a value's key."""
        return self.source.place(located.key_line, located.key_column)


def by_place(problem: Problem) -> tuple[int, int]:
    """Sort key: problems without a place come first."""
    return (problem.place.line or 0, problem.place.column or 0)


def kind_of(value: object) -> str:
    """The kind of a document's value in words, for messages."""
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "nothing"
    kinds: Mapping[type, str] = {
        str: "a text",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return kinds.get(type(value), "something else")

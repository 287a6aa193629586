"""JSON text → located data, with the place of every value.

`json.loads` keeps no places and does not notice duplicate keys. This reader descends recursively, but counts
its depth and stops at the limit; a token costs one match of one expression, with the space around it.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from nodegraph.errors import Problem, ProblemError, shorten
from nodegraph.workflow import complaints, scalars
from nodegraph.workflow.document import Scalar
from nodegraph.workflow.tree import (
    UNREADABLE,
    Located,
    Report,
    Source,
    Unreadable,
    line_starts,
    position,
)

SPACE: Final = re.compile(r"[ \t\n\r]*")
TEXT: Final = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
TOKEN: Final = re.compile(
    f"(?P<text>{TEXT})"
    r"|(?P<punctuation>[{}\[\],:])"
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![0-9A-Za-z.+-]))"
    r"|(?P<word>-?[A-Za-z]+)"
)
# A key with the colon after it, and what stands after a value, each with the space up to what follows.
KEY: Final = re.compile(rf"({TEXT})[ \t\n\r]*:[ \t\n\r]*")
AFTER: Final = re.compile(r"[ \t\n\r]*([,\]}])[ \t\n\r]*")
SHORT: Final = 18  # digits that fit any limit
WORDS: Final[dict[str, Scalar]] = {"true": True, "false": False, "null": None}
NOT_FINITE: Final = frozenset(("NaN", "Infinity", "-Infinity"))
SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read_json(source: Source, report: Report) -> Located:
    """The document in `source`.

    Raises:
        ProblemError: when the text cannot be parsed or exceeds a limit.
    """
    return Parser(source, report).parse()


class Parser:
    """One pass over the tokens of a text; methods take the index they begin at and give where they ended."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source = source
        self.text = source.text
        self.report = report
        self.limits = report.limits
        self.starts = line_starts(source.text)
        self.values = 0

    def parse(self) -> Located:
        """The whole text, which is one value."""
        root, index = self.value(self.skip(0), 0)
        end = self.skip(index)
        if end < len(self.text):
            raise self.syntax("nothing may follow the end of the document", end)
        return root

    def value(self, index: int, depth: int) -> tuple[Located, int]:
        """The value at `index` (where no space is), inside `depth` lists and mappings."""
        self.values += 1
        if self.values > self.limits.values:
            raise ProblemError(complaints.too_many_values(self.limits, self.source.place_at(index)))
        line, column = position(self.starts, index)
        match = TOKEN.match(self.text, index)
        kind = match.lastgroup if match else None
        if match is None or kind is None:
            message, hint = self.no_token(index)
            raise self.syntax(message, index, hint)
        token = match.group()
        if kind == "text":
            return Located(self.string(token, index), line, column), match.end()
        if kind == "number":
            return Located(self.number(token, index), line, column), match.end()
        if kind == "word":
            return Located(self.word(token, index), line, column), match.end()
        if token not in "[{":
            raise self.syntax(f"a value must come here, not '{token}'", index)
        if depth >= self.limits.depth:
            raise ProblemError(complaints.too_deep(self.limits, self.source.place_at(index)))
        if token == "[":
            items, index = self.items(match.end(), depth + 1)
            return Located(items, line, column), index
        members, index = self.members(match.end(), depth + 1)
        return Located(members, line, column), index

    def items(self, index: int, depth: int) -> tuple[list[Located], int]:
        """What stands between `[` and `]`, from after the `[`."""
        items: list[Located] = []
        index = self.skip(index)
        if self.text[index : index + 1] == "]":
            return items, index + 1
        while True:
            item, index = self.value(index, depth)
            items.append(item)
            index, ended = self.separator(index, "]")
            if ended:
                return items, index

    def members(self, index: int, depth: int) -> tuple[dict[str, Located], int]:
        """What stands between `{` and `}`, from after the `{`; of equal keys the first one stays."""
        members: dict[str, Located] = {}
        index = self.skip(index)
        if self.text[index : index + 1] == "}":
            return members, index + 1
        while True:
            start = index
            match = KEY.match(self.text, index)
            if match is not None:
                key, index = self.key_text(match.group(1), index), match.end()
            else:
                key, index = self.key(index)
                index = self.skip(index)
                if self.text[index : index + 1] != ":":
                    raise self.syntax("a ':' must follow the key", index)
                index = self.skip(index + 1)
            member, index = self.value(index, depth)
            member.key_line, member.key_column = position(self.starts, start)
            if isinstance(key, str) and key in members:
                message = f"the key {shorten(key)} is given twice; the first is in line {members[key].key_line + 1}"
                place = self.source.place_at(start)
                self.report.add("duplicate_key", message, place, hint="remove one of the two")
            elif isinstance(key, str):
                members[key] = member
            index, ended = self.separator(index, "}")
            if ended:
                return members, index

    def key(self, index: int) -> tuple[str | Literal[Unreadable.UNREADABLE], int]:
        """The key of a member."""
        match = TOKEN.match(self.text, index)
        if match is None or match.lastgroup != "text":
            message, hint = "a key must be a text in double quotes", None
            if match is None and self.text[index : index + 1] == '"':
                message, hint = self.no_token(index)
            raise self.syntax(message, index, hint)
        return self.key_text(match.group(), index), match.end()

    def key_text(self, token: str, index: int) -> str | Literal[Unreadable.UNREADABLE]:
        """The key that a token in quotes means."""
        key = self.string(token, index)
        if isinstance(key, str) and len(key) > self.limits.key:
            message = f"a key of {len(key):,} characters is longer than {self.limits.key:,}"
            self.report.add("too_large", message, self.source.place_at(index))
            key = UNREADABLE
        return key

    def separator(self, index: int, end: str) -> tuple[int, bool]:
        """What follows a value: a comma (then the next value's index), or the end."""
        match = AFTER.match(self.text, index)
        if match is not None and match.group(1) == end:
            return match.start(1) + 1, True
        if match is not None and match.group(1) == "," and self.text[match.end() : match.end() + 1] != end:
            return match.end(), False
        index = self.skip(index)
        found = self.text[index : index + 1]
        if found == end:
            return index + 1, True
        if found != ",":
            raise self.syntax(f"',' or '{end}' must come here", index)
        following = self.skip(index + 1)
        if self.text[following : following + 1] == end:
            raise self.syntax(f"a comma stands before '{end}'", index, "remove the comma")
        return following, False

    def string(self, token: str, index: int) -> str | Literal[Unreadable.UNREADABLE]:
        """The text that a token in quotes means."""
        text = token[1:-1]
        if len(text) > self.limits.text:
            raise ProblemError(complaints.text_too_long(len(text), self.limits, self.source.place_at(index)))
        if "\\" not in text:
            return text
        import json

        text = json.loads(token)
        assert isinstance(text, str)
        if text.isascii() or not SURROGATE.search(text):
            return text
        message = "an escape gives half of a surrogate pair, which is not a character"
        self.report.add("json_syntax", message, self.source.place_at(index), hint="write the character itself")
        return UNREADABLE

    def number(self, token: str, index: int) -> Scalar | Literal[Unreadable.UNREADABLE]:
        """The number that a token means."""
        if len(token) < SHORT and token.isdigit():
            return int(token)
        try:
            return scalars.integer(token) if scalars.INT.fullmatch(token) else scalars.floating(token)
        except scalars.BadNumberError as error:
            place = self.source.place_at(index)
            self.report.add("bad_number", complaints.number(token, error), place, hint=complaints.NUMBER_HINT)
        return UNREADABLE

    def word(self, token: str, index: int) -> Scalar | Literal[Unreadable.UNREADABLE]:
        """true, false or null; JavaScript's NaN and Infinity are refused without stopping."""
        if token in WORDS:
            return WORDS[token]
        if token in NOT_FINITE:
            message = complaints.number(token, ValueError("is not finite"))
            self.report.add("bad_number", message, self.source.place_at(index))
            return UNREADABLE
        raise self.syntax(f"{shorten(token)} is not a JSON value", index, "put texts in double quotes")

    def skip(self, index: int) -> int:
        """The index of the next character that is not white space."""
        match = SPACE.match(self.text, index)
        return match.end() if match else index

    def no_token(self, index: int) -> tuple[str, str | None]:
        """What is wrong where no token can be read, and a remedy."""
        found = self.text[index : index + 1]
        if found == '"':
            return (
                "a text is never closed, or holds a bad escape or a control character",
                "write control characters as escapes",
            )
        if found == "'":
            return "texts stand in double quotes", None
        return f"{shorten(self.text[index : index + 20])} is not a JSON value", None

    def syntax(self, message: str, index: int, hint: str | None = None) -> ProblemError:
        """The exception for a text that is not JSON; two common reasons are named whatever was expected."""
        found = self.text[index : index + 1]
        if not found:
            message, hint = "the file ends before the document does", None
        elif found in "#/":
            message, hint = "JSON has no comments", "remove the comment, or save the file as .yaml"
        return ProblemError(Problem("json_syntax", message, self.source.place_at(index), hint=hint))

"""Texts: joining, cutting, searching, replacing. Positions and cases are those of Python's strings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import Annotated, Any, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError, shorten
from nodegraph.node import Help, Multiline, Range, node
from nodes import regexes

Text = Annotated[str, Multiline()]
CaseSensitive = Annotated[bool, Help("whether A and a are different letters")]
CaseInsensitive = Annotated[bool, Help("whether A and a are the same letter")]
Lines = Annotated[bool, Help("^ and $ stand for the ends of each line")]
DotAll = Annotated[bool, Help(". stands for line breaks too")]

MAX_TEXT = 1_000_000  # characters that a regular expression may search
MAX_PATTERN = 10_000
SECONDS = 10.0  # that a regular expression may take
LOOK_SECONDS = 0.1  # between looks at whether the run was cancelled


class Length(NamedTuple):
    """A number of characters."""

    length: int


class Contains(NamedTuple):
    """Whether a text is in another one."""

    contains: bool


class Matches(NamedTuple):
    """Whether a pattern fits."""

    matches: bool


@node(category="utils/string", display_name="Concatenate", light=True, numeric=False)
def StringConcatenate(string_a: Text, string_b: Text, delimiter: str = "") -> str:
    """Two texts with a delimiter between them."""
    _check_length(len(string_a) + len(delimiter) + len(string_b))
    return string_a + delimiter + string_b


@node(category="utils/string", display_name="Substring", light=True, numeric=False)
def StringSubstring(string: Text, start: int, end: int) -> str:
    """The characters from `start` up to `end`, which is not included; positions below 0 count from the end."""
    return string[start:end]


@node(category="utils/string", display_name="Length", light=True, numeric=False)
def StringLength(string: Text) -> Length:
    """How many characters a text has."""
    return Length(len(string))


@node(category="utils/string", display_name="Case Converter", light=True, numeric=False)
def CaseConverter(
    string: Text, mode: Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"] = "UPPERCASE"
) -> str:
    """A text in capital or small letters; Capitalize: only its first letter large; Title Case: that of each word."""
    convert = {"UPPERCASE": str.upper, "lowercase": str.lower, "Capitalize": str.capitalize, "Title Case": str.title}
    return convert[mode](string)


@node(category="utils/string", display_name="Trim", light=True, numeric=False)
def StringTrim(string: Text, mode: Literal["Both", "Left", "Right"] = "Both") -> str:
    """A text without the spaces, tabs and line breaks at its ends."""
    return {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}[mode](string)


@node(category="utils/string", display_name="Replace", light=True, numeric=False)
def StringReplace(string: Text, find: Text, replace: Text) -> str:
    """A text with every occurrence of another text replaced."""
    _check_length(len(string) + string.count(find) * (len(replace) - len(find)))
    return string.replace(find, replace)


@node(category="utils/string", display_name="Contains", light=True, numeric=False)
def StringContains(string: Text, substring: Text, case_sensitive: CaseSensitive = True) -> Contains:
    """Whether a text is in another one."""
    return Contains(substring in string if case_sensitive else substring.casefold() in string.casefold())


@node(category="utils/string", display_name="Compare", light=True, numeric=False)
def StringCompare(
    string_a: Text,
    string_b: Text,
    mode: Literal["Starts With", "Ends With", "Equal"] = "Starts With",
    case_sensitive: CaseSensitive = True,
) -> bool:
    """Whether the first text begins with, ends with, or equals the second."""
    if not case_sensitive:
        string_a, string_b = string_a.casefold(), string_b.casefold()
    return {"Starts With": str.startswith, "Ends With": str.endswith, "Equal": str.__eq__}[mode](string_a, string_b)


@node(category="utils/string", display_name="Regex Match", numeric=False)
def RegexMatch(
    string: Text,
    regex_pattern: Text,
    case_insensitive: CaseInsensitive = True,
    multiline: Lines = False,
    dotall: DotAll = False,
    context: Context = NO_CONTEXT,
) -> Matches:
    """Whether a regular expression (of Python's kind) fits anywhere in a text."""
    flags = _flags(case_insensitive, multiline, dotall)
    return Matches(_worked("matches", string, regex_pattern, (flags,), context))


@node(category="utils/string", display_name="Regex Extract", numeric=False)
def RegexExtract(
    string: Text,
    regex_pattern: Text,
    mode: regexes.Extraction = "First Match",
    case_insensitive: CaseInsensitive = True,
    multiline: Lines = False,
    dotall: DotAll = False,
    group_index: Annotated[int, Range(0, 100), Help("which group, from 1; 0 is the whole match")] = 1,
    context: Context = NO_CONTEXT,
) -> str:
    """What a regular expression (of Python's kind) finds in a text: whole matches, or one of their groups.

    All of them are given one a line; nothing found is an empty text.
    """
    flags = _flags(case_insensitive, multiline, dotall)
    return _worked("extract", string, regex_pattern, (flags, mode, group_index), context)


@node(category="utils/string", display_name="Regex Replace", numeric=False)
def RegexReplace(
    string: Text,
    regex_pattern: Text,
    replace: Annotated[str, Multiline(), Help("\\1 or \\g<name> stand for what a group matched")],
    case_insensitive: CaseInsensitive = True,
    multiline: Lines = False,
    dotall: DotAll = False,
    count: Annotated[int, Range(0, 100), Help("how many are replaced; 0: all")] = 0,
    context: Context = NO_CONTEXT,
) -> str:
    """A text with what a regular expression (of Python's kind) finds replaced."""
    flags = _flags(case_insensitive, multiline, dotall)
    return _worked("replaced", string, regex_pattern, (flags, replace, count), context)


def _flags(case_insensitive: bool, multiline: bool, dotall: bool) -> int:
    chosen = {re.IGNORECASE: case_insensitive, re.MULTILINE: multiline, re.DOTALL: dotall}
    return sum(int(flag) for flag, wanted in chosen.items() if wanted)


def _check_length(length: int) -> None:
    """Raise ProblemError for a result of more characters than any text may need."""
    if length > regexes.MAX_RESULT:
        message = f"the result would have {length:,} characters, more than {regexes.MAX_RESULT:,}"
        raise ProblemError(Problem(code="bad_value", message=message))


def _worked(name: str, text: str, pattern: str, arguments: tuple[object, ...], context: Context) -> Any:
    """The result of a task of `regexes`. Raises ProblemError for a pattern that is wrong or takes too long."""
    for input_, value, limit in (("string", text, MAX_TEXT), ("regex_pattern", pattern, MAX_PATTERN)):
        if len(value) > limit:
            raise _bad_value(input_, f"a regular expression works on up to {limit:,} characters, not {len(value):,}")
    reply = _ask({"name": name, "arguments": [text, pattern, *arguments]}, context)
    if "result" in reply:
        return reply["result"]
    if "error" in reply:
        message = f"the regular expression cannot be used: {reply['error']}"
        raise _bad_value(
            "regex_pattern", message, got=shorten(pattern), hint="write \\ before a sign that is meant as such"
        )
    raise _bad_value("string", f"the result would have more than {regexes.MAX_RESULT:,} characters")


def _ask(task: dict[str, object], context: Context) -> dict[str, Any]:
    """The answer to a task from a process of its own, which ends with the run, and when its time is over."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", regexes.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="ascii",
    )
    with process:
        try:
            output = _output(process, json.dumps(task), context)
        finally:
            process.kill()
    if output is None or process.returncode != 0:
        raise _bad_value(
            "regex_pattern",
            f"the regular expression was given up: it takes more than {SECONDS:g} seconds, or too much memory",
            hint="avoid repeats within repeats, such as (a+)+",
        )
    reply: dict[str, Any] = json.loads(output)
    return reply


def _output(process: subprocess.Popen[str], task: str, context: Context) -> str | None:
    """What a process has to say to a task; None if that takes too long. Raises Cancelled."""
    end = time.monotonic() + SECONDS
    waiting: str | None = task
    while True:
        try:
            return process.communicate(waiting, timeout=LOOK_SECONDS)[0]
        except subprocess.TimeoutExpired:
            waiting = None  # it is on its way
        context.check_cancelled()
        if time.monotonic() > end:
            return None


def _bad_value(name: str, message: str, *, got: str | None = None, hint: str | None = None) -> ProblemError:
    return ProblemError(Problem(code="bad_value", message=message, input=name, got=got, hint=hint))

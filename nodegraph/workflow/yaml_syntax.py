"""PyYAML's syntax errors in words that say what to do.

libyaml and PyYAML's own parser word most errors alike, not all; what is matched here occurs in both or in
either.
"""

from __future__ import annotations

from typing import Any

from nodegraph.errors import Place, Problem
from nodegraph.workflow.tree import Source


def syntax_problem(error: Exception, source: Source, last: tuple[int, int]) -> Problem:
    """The problem for an exception of PyYAML's parser.

    Args:
        error: a `yaml.YAMLError`, or a ValueError that the parser let slip through.
        source: the text that was parsed.
        last: line and column, from 0, of what was parsed last.
    """
    context = str(getattr(error, "context", None) or "")
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        last = (mark.line, mark.column)
    start: Any = getattr(error, "context_mark", None)
    if "quoted scalar" in context and "end of stream" in what and start is not None:
        # The end of the file says nothing; the quote that is never closed does.
        return problem(
            "a quoted text is never closed",
            source.place(start.line, start.column),
            "add the quote at its end",
        )
    place = source.place(*last)
    line, column = place.text or "", (place.column or 1) - 1
    here, before = line[column : column + 1], line[:column]
    if here == "\t" or "tab" in what or ("\t" in line[: len(line) - len(line.lstrip())]):
        return problem("a tab stands where YAML wants spaces", place, "indent with spaces")
    if here == "{" and before.endswith("$"):
        return problem("'${' ends an unquoted text between { and }", place, "put the text in quotes")
    if "cannot start any token" in what:
        return problem(f"a text cannot begin with '{here}' unless it is quoted", place, "put the text in quotes")
    if "mapping values are not allowed" in what:
        hint = "put a text that contains ': ' in quotes, and check the indentation"
        return problem("a ':' stands where no key can be", place, hint)
    return problem(": ".join(filter(None, (context, what))), place, guess(what))


def guess(what: str) -> str | None:
    """A remedy for what the parser says."""
    if "expected ':'" in what:
        return "write 'key: value'"
    if "expected ',' or" in what:
        return "close the bracket, or put a text that contains brackets or commas in quotes"
    if "expected <block end>" in what or "did not find expected key" in what or "'-' indicator" in what:
        return "check the indentation of this line and the ones before it"
    return None


def problem(message: str, place: Place, hint: str | None) -> Problem:
    """A `yaml_syntax` problem."""
    return Problem("yaml_syntax", message, place, hint=hint)

"""TOML → located data, for configuration files. `tomllib` tells no places, so keys are looked up in the text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final, cast

from nodegraph.errors import Problem, ProblemError
from nodegraph.workflow.tree import Located, Report, Source

HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))\s*=\s*""")
WHERE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")

#: Table and key → line and column of the key, and the column of its value, all from 0.
Places = Mapping[tuple[str, str], tuple[int, int, int]]


def read_toml(source: Source, report: Report) -> Located:
    """The tables of a text, each key with its place as far as it stands on a line of its own. Raises ProblemError."""
    try:
        data = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        found = WHERE.search(str(error))
        place = source.place(int(found[1]) - 1, int(found[2]) - 1) if found else source.place(len(source.lines), 0)
        reason = WHERE.sub("", str(error)).strip().rstrip(".")
        raise ProblemError(Problem("toml_syntax", f"the TOML cannot be parsed: {reason}", place)) from None
    except RecursionError:
        raise ProblemError(Problem("nested_too_deep", "the file is nested too deeply", source.place(0, 0))) from None
    return _located(data, "", _places(source), 0, 0)


def _places(source: Source) -> Places:
    found: dict[tuple[str, str], tuple[int, int, int]] = {}
    table = ""
    for line, text in enumerate(source.lines):
        if header := HEADER.match(text):
            table = header[1]
            parent, _, name = table.rpartition(".")
            found.setdefault((parent, name), (line, header.start(1), header.start(1)))
        elif key := KEY.match(text):
            found.setdefault((table, key[1].strip("\"'")), (line, key.start(1), key.end()))
    return found


def _located(value: object, table: str, places: Places, line: int, column: int) -> Located:
    if isinstance(value, dict):
        members: dict[str, Located] = {}
        for name, item in cast("dict[str, Any]", value).items():
            row, key_column, value_column = places.get((table, name), (line, column, column))
            inner = f"{table}.{name}" if table else name
            member = _located(item, inner, places, row, value_column)
            member.key_line, member.key_column = row, key_column
            members[name] = member
        return Located(members, line, column)
    if isinstance(value, list):
        return Located([_located(item, table, places, line, column) for item in cast("list[Any]", value)], line, column)
    plain = value if isinstance(value, str | int | float | bool) else str(value)
    return Located(plain, line, column)

"""Python's text: names, literals, and calls laid out as ruff and black do."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nodegraph.workflow.texts import snake_case

WIDTH: Final = 88  # what fits into a line of this length is never broken, nor is it joined by those who allow more
LONGEST: Final = 120  # longer texts are written in pieces
PIECE: Final = re.compile(r"[^\n]{0,71}(?:[ \n]|$)|[^\n]{1,72}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Plain:
    """An expression that is written as it is; `prefix` stands before it, such as `seed=`."""

    text: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as a literal."""

    value: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between brackets, with commas: the arguments of a call, a list, a mapping."""

    open: str
    items: tuple[Node, ...]
    close: str
    prefix: str = ""


Node = Plain | Text | Group


def plain(text: str, prefix: str = "") -> Node:
    """An expression that is written as it is."""
    return Plain(text, prefix)


def called(head: str, arguments: Sequence[Node], prefix: str = "") -> Node:
    """A call."""
    return Group(f"{head}(", tuple(arguments), ")", prefix)


def lay(indent: str, node: Node, tail: str = "") -> Iterator[str]:
    """The lines of an expression: one if it fits, otherwise one for each item, with a comma after the last."""
    line = f"{indent}{flat(node)}{tail}"
    if isinstance(node, Group) and node.items and len(line) > WIDTH:
        yield f"{indent}{node.prefix}{node.open}"
        for item in node.items:
            yield from lay(f"{indent}    ", item, ",")
        yield f"{indent}{node.close}{tail}"
    elif isinstance(node, Text) and len(line) > LONGEST:
        yield f"{indent}{node.prefix}("
        yield from [f"{indent}    {quoted(piece)}" for piece in PIECE.findall(node.value) if piece]
        yield f"{indent}){tail}"
    else:
        yield line


def flat(node: Node) -> str:
    """An expression in one line."""
    if isinstance(node, Plain):
        return node.prefix + node.text
    if isinstance(node, Text):
        return node.prefix + quoted(node.value)
    return f"{node.prefix}{node.open}{', '.join([flat(item) for item in node.items])}{node.close}"


def quoted(text: str) -> str:
    """A text as a literal, in double quotes unless that takes more backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join([_escaped(c, quote) for c in text]) + quote


def _escaped(character: str, quote: str) -> str:
    if character in (quote, "\\"):
        return f"\\{character}"
    return character if character.isprintable() else repr(character)[1:-1]


def variable_name(name: str) -> str:
    """A name of a variable that is like `name`, and hides nothing that Python has."""
    found = snake_case(name)
    found = found if found[:1].isalpha() or found[:1] == "_" else f"_{found}"
    return f"{found}_" if keyword.iskeyword(found) or hasattr(builtins, found) else found


def is_keyword_argument(name: str) -> bool:
    """Whether an argument can be given as `name=`. Python reads some letters outside of ASCII as others."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


def import_order(name: str) -> tuple[int, tuple[tuple[int, str | int], ...], str]:
    """Where a name stands among those that are imported together: constants, classes, others, each by alphabet."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts: list[str] = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return kind, tuple([(0, int(part)) if part[0].isdigit() else (1, part) for part in parts]), name

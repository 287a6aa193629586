"""Names, and what `$` means in a text: `$name`, `$name.output`, `${name}` and `$$`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from nodegraph.workflow.document import Ref, Scalar, Slot, Template

NAME_HELP: Final = "a name is a letter or _, then letters, digits, _ and -, at most 64 in all"
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# Names that mean something to every object in a browser.
FORBIDDEN: Final = frozenset(("__proto__", "constructor", "prototype"))
# An output may be named as a node's author likes (`clip vision`), but only plain ones can be written after
# the dot.
REFERENCE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_-]{0,63})(?:\.([A-Za-z0-9_][A-Za-z0-9_-]{0,99}))?")
PIECE: Final = re.compile(r"\$(?:\$|\{(?P<inside>[^{}$]*)\}|(?P<open>\{))")
MAX_API_ID: Final = 200
WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class BadReference:
    """A text in which `${` cannot be read: the piece, and what is wrong with it."""

    piece: str
    message: str
    hint: str


def name_fault(name: str) -> str | None:
    """What forbids `name` as the name of a node or parameter, or None."""
    if not name:
        return "it is empty"
    if len(name) > 64:
        return f"it has {len(name):,} characters"
    if name in FORBIDDEN:
        return "browsers give it a meaning of their own"
    if NAME.fullmatch(name):
        return None
    wrong = next((c for c in name if not (c.isascii() and (c.isalnum() or c in "_-"))), None)
    return f"{character_name(wrong)} cannot stand in it" if wrong else f"it begins with '{name[0]}'"


def api_id_fault(name: str) -> str | None:
    """What forbids `name` as a node id of an API-format file, where nearly any text is one, or None."""
    if not name or len(name) > MAX_API_ID:
        return f"it has {len(name):,} characters"
    if name in FORBIDDEN:
        return "browsers give it a meaning of their own"
    wrong = next((c for c in name if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")), None)
    return f"{character_name(wrong)} cannot stand in it" if wrong else None


def snake_case(name: str) -> str:
    """A name in small letters, with `_` between its words: `CLIPTextEncode` is `clip_text_encode`."""
    return re.sub(r"[^a-z0-9_]", "_", WORDS.sub("_", name).lower())


def character_name(character: str) -> str:
    """A character for a message; invisible ones by number."""
    return f"'{character}'" if character.isprintable() and character != " " else f"the character U+{ord(character):04X}"


def parse_text(text: str) -> str | Ref | Slot | Template | BadReference:
    """What a text of a workflow means.

    Only a whole text can be a reference (`$model.clip`; `$model.0` is the first output); inside a longer one
    `$` is a dollar unless `{` or another `$` follows it.
    """
    if "$" not in text:
        return text
    if match := REFERENCE.fullmatch(text):
        name, output = match.groups()
        if output is not None and output.isdigit():
            return Slot(name, int(output[:9]))
        return Ref(name, output)
    parts: list[str | Ref] = []
    literal = ""
    end = 0
    for match in PIECE.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        inside = match["inside"]
        if match["open"] or (inside is not None and not NAME.fullmatch(inside)):
            return bad_reference(text, match)
        if inside is None:
            literal += "$"
            continue
        if literal:
            parts.append(literal)
        parts.append(Ref(inside))
        literal = ""
    literal += text[end:]
    if not parts:
        return literal
    return Template((*parts, literal) if literal else tuple(parts))


def bad_reference(text: str, match: re.Match[str]) -> BadReference:
    """What is wrong with the `${` that `match` found."""
    inside = match["inside"]
    hint = "write ${name}, or $${ for a dollar and a brace"
    if inside is None:
        return BadReference(text[match.start() : match.start() + 20], "a '${' is not closed by '}' after a name", hint)
    piece = match.group()
    last = inside.strip().rpartition(".")[2]
    if inside.strip() == last and NAME.fullmatch(last):
        return BadReference(piece, f"'{piece}' has spaces around its name", f"write ${{{last}}}")
    if "." in inside and len(inside) < 130:
        message = f"'{piece}' is not the name of a parameter; only parameters can be filled into a text"
        return BadReference(
            piece, message, f"write ${{{last}}} if '{last}' is a parameter" if NAME.fullmatch(last) else hint
        )
    return BadReference(
        piece, f"'{piece if len(piece) < 60 else piece[:60] + '…'}' is not the name of a parameter", hint
    )


def free_name(stem: str, *taken: Container[str], joint: str = "_") -> str:
    """The stem, or with a number behind it if that is taken."""
    name, number = stem, 1
    while any(name in names for names in taken):
        number += 1
        name = f"{stem}{joint}{number}"
    return name


def filled_in(value: Scalar) -> str:
    """A parameter's value as it stands in a text that it is filled into."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def escape(text: str) -> str:
    """The text that `parse_text` reads as `text`, literally."""
    return text.replace("$", "$$")


def write_text(value: str | Ref | Slot | Template) -> str:
    """The text that `parse_text` reads as `value`."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, Slot):
        return f"${value.name}.{value.index}"
    return "".join(escape(part) if isinstance(part, str) else f"${{{part.name}}}" for part in value.parts)

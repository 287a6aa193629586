"""Problems that the YAML and the JSON reader word alike."""

from __future__ import annotations

from typing import Final

from nodegraph.errors import Place, Problem
from nodegraph.workflow.limits import Limits

NUMBER_HINT: Final = "put it in quotes if a text is meant"


def number(text: str, reason: ValueError) -> str:
    """The message for a number that cannot be used."""
    return f"the number {text if len(text) <= 40 else text[:40] + '…'} {reason}"


def text_too_long(length: int, limits: Limits, place: Place) -> Problem:
    """A text over the limit."""
    message = f"a text of {length:,} characters is longer than {limits.text:,}"
    return Problem("too_large", message, place, hint="keep long texts in a file of their own")


def too_many_values(limits: Limits, place: Place) -> Problem:
    """A file with more values than the limit."""
    return Problem("too_large", f"the file holds more than {limits.values:,} values", place)


def too_deep(limits: Limits, place: Place) -> Problem:
    """Nesting over the limit."""
    message = f"lists and mappings are nested more than {limits.depth} levels deep"
    return Problem("nested_too_deep", message, place)


def too_many_aliases(limits: Limits, place: Place) -> Problem:
    """Aliases over the limit, by themselves or by what they unfold to."""
    message = (
        f"there are more than {limits.aliases:,} aliases, or they unfold to more than {limits.aliased_values:,} values"
    )
    return Problem("too_many_aliases", message, place, hint="write the values out")


def unprintable(character: str, place: Place) -> Problem:
    """A control character, or half a surrogate pair, in a file."""
    code = f"U+{ord(character):04X}"
    return Problem(
        "yaml_syntax",
        f"the character {code} cannot stand in YAML",
        place,
        got=code,
        hint='remove it, or write it as an escape such as "\\x00" in double quotes',
    )

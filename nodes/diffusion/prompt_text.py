"""The grammar of prompts: emphasis in parentheses, and textual inversions by name. Nothing here imports torch.

`(cat)` weighs 1.1, `((cat))` 1.21, `(cat:1.3)` exactly 1.3; `\\(` and `\\)` are parentheses. Square brackets, BREAK and
braces mean nothing. `embedding:name` calls a textual inversion.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

EMPHASIS = 1.1
MAX_NESTING = 100
"""Parentheses nested deeper than this are read as text."""

# Escaped parentheses wait as characters that no keyboard types, and that are removed from the prompt first.
_OPEN, _CLOSE = "\ue000", "\ue001"
_HIDE = str.maketrans({_OPEN: None, _CLOSE: None})
_REVEAL = str.maketrans({_OPEN: "(", _CLOSE: ")"})


def _groups(text: str) -> Iterator[str]:
    """Cut a text before each parenthesis that opens at depth 0 and after each that closes back to it.

    A closing parenthesis too many takes the depth below 0, where no group opens (as in ComfyUI, so that a
    prompt with an odd `:)` in it means the same here).
    """
    depth = begin = 0
    for i, character in enumerate(text):
        if character == "(":
            if depth == 0:
                if i > begin:
                    yield text[begin:i]
                begin = i
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                yield text[begin : i + 1]
                begin = i + 1
    if begin < len(text):
        yield text[begin:]


def _weighted(inner: str, weight: float) -> tuple[str, float]:
    """What stands in a pair of parentheses, and its weight: the number after its last colon, or 1.1 times."""
    text, colon, number = inner.rpartition(":")
    if colon and text:
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return text, value
    return inner, weight * EMPHASIS


def parse_weights(text: str) -> list[tuple[str, float]]:
    """Split a prompt into segments of one weight each, in order; escapes are resolved.

    Never fails: parentheses that do not pair up, and weights that are no finite number, are text.
    """
    text = text.translate(_HIDE).replace("\\)", _CLOSE).replace("\\(", _OPEN)
    segments: list[tuple[str, float]] = []
    # Groups still to be looked at, the next one last: (text, weight, depth).
    stack = [(group, 1.0, 0) for group in _groups(text)][::-1]
    while stack:
        group, weight, depth = stack.pop()
        if len(group) > 1 and group[0] == "(" and group[-1] == ")" and depth < MAX_NESTING:
            inner, inner_weight = _weighted(group[1:-1], weight)
            stack.extend([(part, inner_weight, depth + 1) for part in _groups(inner)][::-1])
        else:
            segments.append((group.translate(_REVEAL), weight))
    return segments


EMBEDDING = "embedding:"
MENTION = re.compile(rf"(?:(?<=\s)|^){EMBEDDING}(\S+)")


def mentions(text: str) -> list[str]:
    """The names of textual inversions that a prompt asks for by `embedding:name`, in order, each once.

    A name may be followed by a comma; whether that belongs to it, only the files can tell.
    """
    found = [match[1] for segment, _ in parse_weights(text) for match in MENTION.finditer(segment)]
    return list(dict.fromkeys(found))

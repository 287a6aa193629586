"""Plain scalars by the core schema of YAML 1.2, https://yaml.org/spec/1.2.2/#103-core-schema.

So `on`, `no`, `1:30`, `2026-11-22` and `1_000` are texts, `010` is ten, `0o10` is eight and `1e-4` is a
number.
"""

from __future__ import annotations

import math
import re
from typing import Final

from nodegraph.workflow.document import Scalar

# Seeds go to 2**64 - 1; nothing that nodes take is larger.
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
# The longest number that is converted at all; conversion takes quadratic time.
MAX_DIGITS: Final = 400

WORDS: Final[dict[str, Scalar]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
# Every scalar that is not a text begins with one of these.
FIRST: Final = frozenset("~nNtTfF+-.0123456789")
INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class BadNumberError(ValueError):
    """A number that no node can take; the text says why."""


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar.

    Raises:
        BadNumberError: for infinities, NaN and numbers too large to represent.
    """
    if not text:
        return None
    if text[0] not in FIRST:
        return text
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text):
        return integer(text)
    if FLOAT.fullmatch(text):
        return floating(text)
    if NOT_FINITE.fullmatch(text):
        raise BadNumberError("is not finite")
    return text


def integer(text: str) -> int:
    """The whole number that `text` (matched by `INT`) means, between -2^63 and 2^64 - 1."""
    if len(text) > MAX_DIGITS:
        raise BadNumberError("is too long")
    # The base is given, since int(text, 0) refuses leading zeros.
    value = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if not INT_MIN <= value <= INT_MAX:
        raise BadNumberError("is not between -2^63 and 2^64 - 1")
    return value


def floating(text: str) -> float:
    """The finite number that `text` (matched by `FLOAT`) means."""
    if len(text) > MAX_DIGITS:
        raise BadNumberError("is too long")
    value = float(text)
    if not math.isfinite(value):
        raise BadNumberError("is too large")
    return value

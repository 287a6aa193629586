"""Which values a parameter takes.

Whole numbers are taken where decimal ones are wanted (and become them); decimal numbers are never taken where
whole ones are wanted, nor true and false where numbers are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from nodegraph.errors import Problem, did_you_mean, listing, shorten
from nodegraph.workflow.document import Param, ParamType, Scalar

KINDS: Final[dict[ParamType, tuple[type, ...]]] = {
    "STRING": (str,),
    "INT": (int,),
    "FLOAT": (float, int),
    "BOOLEAN": (bool,),
    "ANY": (str, int, float, bool, type(None)),
}
TYPE_WORDS: Final[dict[ParamType, str]] = {
    "STRING": "a text (STRING)",
    "INT": "a whole number (INT)",
    "FLOAT": "a number (FLOAT)",
    "BOOLEAN": "true or false (BOOLEAN)",
    "ANY": "a text, a number, true, false or nothing",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a parameter does not take a value; the facts of a `Problem` that is still without place."""

    code: str
    message: str
    got: str
    expected: str
    hint: str | None = None

    def problem(self) -> Problem:
        """The fault as a problem."""
        return Problem(self.code, self.message, got=self.got, expected=self.expected, hint=self.hint)


def type_of(value: Scalar) -> ParamType:
    """The type of a parameter whose default is `value`."""
    by_kind: dict[type, ParamType] = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}
    return by_kind.get(type(value), "ANY")


def fit(param: Param, value: object) -> Scalar | Fault:
    """The value as the parameter takes it, or why it does not."""
    got, name = shorten(value), shorten(param.name)
    if type(value) not in KINDS[param.type]:
        expected = TYPE_WORDS[param.type]
        message = f"the parameter {name} takes {expected}, not {got}"
        return Fault("type_mismatch", message, got, expected, type_hint(param, value))
    assert isinstance(value, str | int | float | bool | None)
    if isinstance(value, float) and not math.isfinite(value):
        return Fault("type_mismatch", f"the parameter {name} takes finite numbers, not {got}", got, "a finite number")
    if param.type == "FLOAT" and isinstance(value, int):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = param.minimum, param.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            expected = bounds_text(param)
            return Fault("out_of_range", f"the parameter {name} is {expected}, not {got}", got, expected)
    # Compared with their types, so that 1 is not true.
    if param.choices is not None and not any(type(c) is type(value) and c == value for c in param.choices):
        expected = "one of " + listing([shorten(choice) for choice in param.choices])
        hint = closest_choice(param, value)
        return Fault("not_a_choice", f"the parameter {name} is {expected}, not {got}", got, expected, hint)
    return value


def bounds_text(param: Param) -> str:
    """The bounds of a parameter in words."""
    if param.minimum is None:
        return f"at most {param.maximum}"
    return f"at least {param.minimum}" if param.maximum is None else f"between {param.minimum} and {param.maximum}"


def type_hint(param: Param, value: object) -> str | None:
    """What the author may have meant by a value of the wrong type."""
    if param.type == "INT" and isinstance(value, float):
        if value.is_integer():
            return f"write {int(value)}"
        default = value if param.default is None else param.default
        return f"declare it as {{type: FLOAT, default: {default}}} if fractions are meant"
    if param.type == "STRING" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if param.type in ("INT", "FLOAT", "BOOLEAN") and isinstance(value, str):
        return "write it without quotes"
    return None


def closest_choice(param: Param, value: Scalar) -> str | None:
    """`did you mean …` for a text."""
    if not isinstance(value, str):
        return None
    return did_you_mean(value, [choice for choice in param.choices or () if isinstance(choice, str)])

"""Logic: what is computed at all, and what follows from comparing. A node's `when:` takes what these give.

What is not chosen is not computed: inputs that may not be needed are lazy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Lazy, Range, node

T = TypeVar("T")

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


@node(category="logic", display_name="Switch", light=True, numeric=False)
def SwitchValue(condition: bool, on_true: Lazy[T], on_false: Lazy[T]) -> T:
    """One of two values; the other one is not computed."""
    return on_true.get() if condition else on_false.get()


@node(category="logic", display_name="First Of", light=True, numeric=False)
def FirstOf(
    first: Lazy[T] | None = None,
    second: Lazy[T] | None = None,
    third: Lazy[T] | None = None,
    fourth: Lazy[T] | None = None,
) -> T:
    """The first value that is there, which joins branches that `when:` switches. Those after it are not computed."""
    for each in (first, second, third, fourth):
        if each is not None:
            return each.get()
    message = "none of its inputs has a value: all of them were left out, or are switched off"
    raise ProblemError(Problem("missing_input", message, hint="give it an input that is always there as the last one"))


@node(category="logic", display_name="Compare Numbers", light=True, numeric=False)
def CompareNumbers(
    a: int | float, b: int | float = 0, comparison: Literal["<", "<=", "=", "!=", ">=", ">"] = "<"
) -> bool:
    """Whether a number is less than, equal to, or more than another."""
    return COMPARISONS[comparison](a, b)


@node(category="logic", display_name="Combine Conditions", light=True, numeric=False)
def CombineConditions(a: bool, b: Lazy[bool], rule: Literal["and", "or", "xor"] = "and") -> bool:
    """Whether both, at least one, or only one of two conditions holds. The second is computed only if it matters."""
    if rule == "xor":
        return a != b.get()
    return a and b.get() if rule == "and" else a or b.get()


@node(category="logic", display_name="Not", light=True, numeric=False)
def InvertCondition(condition: bool) -> bool:
    """True for false, and false for true."""
    return not condition


@node(category="logic/lists", display_name="List Of", light=True, numeric=False)
def ListOf(first: T | None = None, second: T | None = None, third: T | None = None, fourth: T | None = None) -> list[T]:
    """Several values, for each of which what follows runs. Inputs that are left out or switched off do not count."""
    return [each for each in (first, second, third, fourth) if each is not None]


@node(category="logic/lists", display_name="Item Of", light=True, numeric=False)
def ItemOf(
    items: list[T], index: Annotated[int, Range(-10_000, 10_000), Help("from 0; below 0: from the end")] = 0
) -> T:
    """One of several values, by its number."""
    if not -len(items) <= index < len(items):
        message = f"there are {len(items)} items, and none has the number {index}"
        raise ProblemError(Problem("bad_value", message, input="index", got=str(index), hint="numbers begin at 0"))
    return items[index]

"""Small nodes of the graph language: lazy inputs, several items, no value, more nodes."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.node import Blocked, Expansion, Lazy, node
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Call, Out
from tests.toys import registry

T = TypeVar("T")
CALLS: list[str] = []  # what has run, by name


@node(category="toys", light=True, numeric=False)
def Loud(value: int = 0, name: str = "") -> int:
    """A number that says when it is made."""
    CALLS.append(name or str(value))
    return value


@node(category="toys", numeric=False)
def Heavy(value: int = 0, name: str = "") -> int:
    """The same off the event loop."""
    CALLS.append(name or str(value))
    return value


@node(category="toys", light=True, numeric=False)
def Truth(value: bool = True) -> bool:
    """True or false."""
    return value


@node(category="toys", light=True, numeric=False)
def Less(left: int, right: int) -> bool:
    """Whether a number is less than another."""
    return left < right


@node(category="toys", light=True, numeric=False)
def Choose(first: bool, a: Lazy[T], b: Lazy[T]) -> T:
    """One of two values; the other is not computed."""
    CALLS.append("choose")
    return a.get() if first else b.get()


@node(category="toys", numeric=False)
def FirstPositive(a: Lazy[int], b: Lazy[int], c: Lazy[int] | None = None) -> int:
    """The first number above zero; the ones after it are not computed."""
    for each in (a, b):
        if each.get() > 0:
            return each.get()
    return c.get() if c is not None else 0


@node(category="toys", numeric=False)
async def ChooseSlowly(first: bool, a: Lazy[int], b: Lazy[int]) -> int:
    """The same, on the event loop."""
    return a.get() if first else b.get()


@node(category="toys", light=True, numeric=False)
def Range3(count: int = 3, first: int = 0) -> list[int]:
    """Several numbers."""
    return list(range(first, first + count))


@node(category="toys", light=True, numeric=False)
def Sum(values: list[int]) -> int:
    """The sum of all numbers."""
    CALLS.append(f"sum of {len(values)}")
    return sum(values)


class Parts(NamedTuple):
    odd: list[int]
    even: list[int]


@node(category="toys", light=True, numeric=False)
def ByParity(values: list[int]) -> Parts:
    """Odd and even numbers."""
    return Parts([v for v in values if v % 2], [v for v in values if not v % 2])


@node(category="toys", light=True, numeric=False)
def Positive(value: int) -> int | Blocked:
    """The number, or none at all."""
    return value if value > 0 else Blocked()


@node(category="toys", light=True, numeric=False)
def Refuse(value: int) -> int | Blocked:
    """No number, and why."""
    return Blocked(f"there is no {value}")


@node(category="toys", light=True, numeric=False)
def Either(a: int | None = None, b: int | None = None) -> int:
    """The number that is there."""
    return a if a is not None else b if b is not None else -1


@node(category="toys", light=True, numeric=False)
def Twice(value: int) -> Expansion[int]:
    """Twice the number, by adding two nodes."""
    calls = {"a": Call("Loud", {"value": value, "name": f"inner {value}"})}
    calls["sum"] = Call("Add", {"left": Out("a"), "right": Out("a")})
    return Expansion(calls, (Out("sum"),))


@node(category="toys", light=True, numeric=False)
def CountTo(limit: int, value: int = 0) -> int | Expansion[int]:
    """Counts by adding a node that counts on."""
    if value >= limit:
        return value
    calls = {
        "next": Call("Add", {"left": value, "right": 1}),
        "more": Call("CountTo", {"limit": limit, "value": Out("next")}),
    }
    return Expansion(calls, (Out("more"),))


@node(category="toys", light=True, numeric=False)
def Nested(depth: int) -> int | Expansion[int]:
    """An expansion in an expansion."""
    return Expansion({"in": Call("Nested", {"depth": depth - 1})}, (Out("in"),)) if depth else 7


@node(category="toys", light=True, numeric=False)
def Adds(what: Any) -> Expansion[int]:
    """Adds whatever it is told to."""
    return Expansion(what["calls"], tuple(what["results"]))


@node(category="toys", light=True, numeric=False)
def Saves(value: int) -> Expansion[int]:
    """Shows its number by adding a node."""
    return Expansion({"show": Call("Show", {"value": value})}, (value,))


@node(category="toys", light=True, numeric=False)
def Circle(value: int, context: Context = NO_CONTEXT) -> Expansion[int]:
    """Adds a node that waits for itself."""
    return Expansion({"add": Call("Add", {"left": Out(context.node), "right": value})}, (Out("add"),))


@node(category="toys", light=True, numeric=False)
def Keywords(first: int = 0, **others: Any) -> int:
    """The sum of all that it is given."""
    return first + sum(others.values())


@node(category="toys", light=True, numeric=False)
def Broken(value: int) -> int:
    """Fails."""
    raise ValueError(f"no {value}")


FLOW = (
    Loud, Heavy, Truth, Less, Choose, FirstPositive, ChooseSlowly, Range3, Sum, ByParity, Positive, Refuse, Either,
    Twice, CountTo, Nested, Adds, Saves, Circle, Keywords, Broken,
)  # fmt: skip


def types() -> Registry:
    """All toys."""
    return registry(*FLOW)

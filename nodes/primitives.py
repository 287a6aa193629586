"""Plain values as nodes, so that several inputs can share one."""

from __future__ import annotations

from typing import Annotated

from nodegraph.node import Multiline, Range, SeedControl, node

LIMIT = 2**63 - 1


@node(category="utils/primitive", display_name="String", light=True, numeric=False)
def PrimitiveString(value: str) -> str:
    """A text."""
    return value


@node(category="utils/primitive", display_name="String (Multiline)", light=True, numeric=False)
def PrimitiveStringMultiline(value: Annotated[str, Multiline()]) -> str:
    """A text of several lines."""
    return value


@node(category="utils/primitive", display_name="Int", light=True, numeric=False)
def PrimitiveInt(value: Annotated[int, Range(-LIMIT, LIMIT), SeedControl()]) -> int:
    """A whole number."""
    return value


@node(category="utils/primitive", display_name="Float", light=True, numeric=False)
def PrimitiveFloat(value: Annotated[float, Range(-LIMIT, LIMIT)]) -> float:
    """A decimal number."""
    return float(value)


@node(category="utils/primitive", display_name="Boolean", light=True, numeric=False)
def PrimitiveBoolean(value: bool) -> bool:
    """Yes or no."""
    return value

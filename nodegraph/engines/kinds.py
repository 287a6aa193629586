"""Whether what a node returned is of the type that it declares, as far as a look at it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from nodegraph.errors import Problem, shorten
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.codecs import as_tensor
from nodegraph.sockets.flow import Blocked, Many, Out
from nodegraph.sockets.types import SocketType


def _tensor(*dimensions: int) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        tensor = as_tensor(value)
        return tensor is not None and (not dimensions or tensor.dim() in dimensions)

    return fits


def _number(value: object) -> bool:
    """Also of numpy, and torch's with one element."""
    return hasattr(value, "__float__") and not isinstance(value, str)


#: What values of a type are like; types that are not here are not looked at.
KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "INT": (lambda value: _number(value) or hasattr(value, "__index__"), "a whole number"),
    "FLOAT": (_number, "a number"),
    "STRING": (lambda value: isinstance(value, str), "a text"),
    "BOOLEAN": (lambda value: isinstance(value, bool) or _number(value), "true or false"),
    "IMAGE": (_tensor(4), "a tensor [B, H, W, C]"),
    "MASK": (_tensor(2, 3, 4), "a tensor [B, H, W]"),
    "SIGMAS": (_tensor(1), "a tensor [N]"),
    "LATENT": (lambda value: isinstance(value, Mapping) and "samples" in value, "a mapping with 'samples'"),
    "CONDITIONING": (lambda value: isinstance(value, Sequence) and not isinstance(value, str), "a list of pairs"),
}
NEVER_LOOKED_AT = (Out, Blocked)


def wrong_kinds(node: GraphNode, values: Sequence[object]) -> list[Problem]:
    """What is wrong with the values of a node's outputs."""
    spec = node.spec
    problems: list[Problem] = []
    for output, value in zip(spec.outputs, values, strict=True):
        items = cast("Many[object]", value).items if type(value) is Many else (value,)
        for item in items:
            if type(item) in NEVER_LOOKED_AT or (not spec.checks_arrivals and _is_tolerated(output.type, item)):
                continue
            if expected := _misfit(output.type, item):
                problems.append(
                    Problem(
                        code="wrong_output",
                        message=f"{spec.name} returned {_shown(item)} as '{output.name}', which is {output.type}",
                        got=_shown(item),
                        expected=expected,
                        hint=f"it should be {expected}; this is a mistake in the node pack '{spec.pack}'",
                    )
                )
                break
    return problems


def _is_tolerated(type_: SocketType, value: object) -> bool:
    """What packs of other programs get away with there: nothing at all, and numbers for texts."""
    return value is None or ("STRING" in type_.names and isinstance(value, bool | int | float))


def _misfit(type_: SocketType, value: object) -> str | None:
    """What a value should have been like, if it is not."""
    expected: list[str] = []
    for name in type_.names:
        known = KINDS.get(name)
        if known is None or known[0](value):
            return None
        expected.append(known[1])
    return " or ".join(expected)


def _shown(value: object) -> str:
    tensor = as_tensor(value)
    if tensor is not None:
        return f"a tensor of shape {list(tensor.shape)}"
    return (
        f"{type(value).__name__} {shorten(value)}"
        if isinstance(value, str | int | float)
        else f"a {type(value).__name__}"
    )

"""Values that steer how a graph runs: several items at once, no value at all, values only if asked for, more nodes.

    def Batches(images: Image, size: int = 4) -> list[Image]: ...         # several items; what follows runs for each
    def Count(images: list[Image]) -> int: ...                            # takes all items at once
    def Choose(first: bool, a: Lazy[T], b: Lazy[T]) -> T:                 # only one of the two is computed
        return a.get() if first else b.get()
    def Twice(image: Image) -> Expansion[Image]: ...                      # more nodes, which make the result

The ideas are those of ComfyUI's documented node interface; here they are types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from nodegraph.sockets.values import Saved

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Many(Generic[T]):
    """The items of an output that gives several. Nodes never see it: they are called for each item, or take a list."""

    items: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """Stands where an output has no value: what depends on it does not run, which is no error.

    message: told as a warning where something would have run.
    """

    message: str | None = None


class Needed(BaseException):
    """Raised when a node asks for a lazy input that has not been computed; the node is called again once it is."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Lazy(Generic[T_co]):
    """An input that is computed only if the node asks for it.

    A node that asks for one that is not there yet is left, and called again from its beginning when it is; so a node
    does its work after it has asked.
    """

    __slots__ = ("_name", "_there", "_value")

    def __init__(self, value: T_co) -> None:
        self._value, self._name, self._there = value, "", True

    @classmethod
    def later(cls, name: str) -> Lazy[T_co]:
        """The input `name`, which has not been computed."""
        lazy = cls(cast(T_co, None))
        lazy._name, lazy._there = name, False
        return lazy

    def get(self) -> T_co:
        """The value, which is computed now if it has not been."""
        if not self._there:
            raise Needed(self._name)
        return self._value


@dataclass(frozen=True, slots=True)
class Out:
    """Output number `output` of the node `node`: of the same expansion, or any node that is in the graph already."""

    node: str
    output: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One node of an expansion: its type, and its inputs (values, or `Out` for links).

    display: the node of the workflow that it is shown as, instead of the one that was expanded.
    """

    type: str
    inputs: Mapping[str, object]
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Expansion(Generic[T_co]):
    """What a node returns to have more nodes run in its place.

    calls: the nodes, by id. results: one for each output of the node, a value or an `Out`. complete_ids: the ids are
    known to be unlike any other; otherwise they are put below the id of the node.
    """

    calls: Mapping[str, Call]
    results: tuple[object, ...]
    complete_ids: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a call of a node can come to: a value for each output, what it saved or shows, more nodes to run.

    Of an output that gives several items, the value is a list of them. With `calls`, values may be `Out`.
    """

    values: tuple[object, ...] = ()
    saved: Saved | None = None
    calls: Mapping[str, Call] | None = None
    complete_ids: bool = False

"""Workflows as they are compared: what each node is given, with the names of nodes set apart from everything else.

What is written differently but means the same becomes equal here: `$canvas` and `$canvas.latent` of a node with one
output, `["4", 0]` and `$4.0`, 4 and 4.0 where decimal numbers are wanted, and an input left out or given its default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from nodegraph.errors import Place
from nodegraph.node import NodeSpec
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Span, Sweep, Template, Workflow

LONG: Final = 10_000


class Given(NamedTuple):
    """A value without the names of nodes in it: equal shapes are equal values if their targets are the same nodes."""

    shape: Hashable
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """A node as it is compared. `inputs` is all that it is given, `content` only what differs from the defaults."""

    uses: str
    inputs: Mapping[str, Given]
    content: Mapping[str, Given]


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean in one workflow. `types` are the node types that are known; others are compared as written."""

    workflow: Workflow
    types: Mapping[str, NodeSpec]
    _defaults: dict[str, Mapping[str, Given]] = field(default_factory=dict[str, Mapping[str, Given]])

    def defaults(self, uses: str) -> Mapping[str, Given]:
        """What a node of this type takes for inputs that are left out."""
        if uses not in self._defaults:
            spec = self.types.get(uses)
            known = spec.inputs if spec is not None else ()
            self._defaults[uses] = {
                given.name: self.given(uses, given.name, given.default) for given in known if not given.required
            }
        return self._defaults[uses]

    def given(self, uses: str, name: str, value: object) -> Given:
        """What an input is given."""
        if type(value) is int:
            spec = self.types.get(uses)
            if spec is not None and name in spec.float_inputs:
                value = decimal(value)
        return self.outline(value)

    def outline(self, value: object) -> Given:
        """A value of an input, or of anything else that may refer to nodes."""
        if type(value) is str:
            return Given(value)
        targets: list[str] = []
        shape = shape_of(value, self, targets)
        return Given(shape, tuple(targets))

    def node(self, entry: NodeEntry) -> Outline:
        """A node."""
        uses = entry.uses
        inputs = {name: self.given(uses, name, value) for name, value in entry.inputs.items()}
        defaults = self.defaults(uses)
        plain = {name for name, given in inputs.items() if name in defaults and defaults[name] == given}
        content = {name: given for name, given in inputs.items() if name not in plain} if plain else inputs
        return Outline(uses, inputs, content)


def decimal(value: int) -> int | float:
    """The number as an input for decimal numbers takes it; one that is too large stays what it is."""
    try:
        return float(value)
    except OverflowError:
        return value


def shape_of(value: object, scope: Scope, targets: list[str]) -> Hashable:
    """A value as something to compare; the nodes it refers to are appended to `targets`, in order.

    Types count (1, 1.0, true and "1" differ), the order of a mapping's keys does not, and places never.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, int):
        return (type(value).__name__, value)
    if isinstance(value, Ref | Slot):
        return reference_shape(value, scope, targets)
    if isinstance(value, Template):
        return ("template", *((part if isinstance(part, str) else ("param", part.name)) for part in value.parts))
    if isinstance(value, Span):
        return span_shape(value)
    if isinstance(value, Sweep):
        return sweep_shape(value, scope, targets)
    if isinstance(value, list | tuple):
        items = cast("tuple[object, ...]", value)
        return ("list", *(shape_of(item, scope, targets) for item in items))
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        keys = sorted(members, key=str)
        return ("mapping", *((str(key), shape_of(members[key], scope, targets)) for key in keys))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [spec.name for spec in dataclasses.fields(value)]
        parts = [(name, getattr(value, name)) for name in names if not is_place(name)]
        kept = [(name, part) for name, part in parts if not isinstance(part, Place)]
        return (type(value).__name__, *((name, shape_of(part, scope, targets)) for name, part in kept))
    return (type(value).__name__, repr(value))


def span_shape(span: Span) -> Hashable:
    """Whole numbers at equal steps: the same as the list of them, unless that would be long."""
    if span.step and len(span.numbers) <= LONG:
        return ("list", *(("int", number) for number in span.numbers))
    return ("span", span.first, span.last, span.step)


def sweep_shape(sweep: Sweep, scope: Scope, targets: list[str]) -> Hashable:
    """A sweep. The order of a matrix counts, since it says which of the inputs varies slowest."""
    names = sorted(sweep.values) if sweep.zipped else list(sweep.values)
    return (sweep.key, *((name, shape_of(sweep.values[name], scope, targets)) for name in names))


def reference_shape(value: Ref | Slot, scope: Scope, targets: list[str]) -> Hashable:
    """A reference: the output of a node by its number where that is known, by its name where it is not."""
    target = scope.workflow.nodes.get(value.name)
    if target is None:
        kind = "param" if value.name in scope.workflow.params else "unknown"
        return (kind, value.name) if isinstance(value, Ref) and value.output is None else (kind, str(value))
    targets.append(value.name)
    if isinstance(value, Slot):
        return ("link", value.index)
    spec = scope.types.get(target.uses)
    if value.output is None:  # a node's only output, so the first one
        return ("link", 0 if spec is None or len(spec.outputs) == 1 else "")
    index = spec.output_index(value.output) if spec is not None else None
    return ("link", value.output.casefold() if index is None else index)


def is_place(name: str) -> bool:
    """Whether a field of a document says where something stands in its file, which does not count."""
    return name.endswith(("place", "places"))

"""The document: a workflow as immutable data, exactly as its author wrote it.

Nothing here knows which nodes exist; names are resolved by `nodegraph.graph`. Places point into the file the
document came from, so that any later problem can show the source line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from nodegraph.errors import Place, Problem

Scalar = str | int | float | bool | None
CachePolicy = Literal["auto", "off"]
ParamType = Literal["STRING", "INT", "FLOAT", "BOOLEAN", "ANY"]

EMPTY: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ref:
    """`$name` or `$name.output`: a parameter, or an output of a node."""

    name: str
    output: str | None = None

    def __str__(self) -> str:
        return f"${self.name}" if self.output is None else f"${self.name}.{self.output}"


@dataclass(frozen=True, slots=True)
class Slot:
    """An output of a node by number, which is how API-format files link: `["4", 0]`."""

    name: str
    index: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text with `${name}` in it: alternately literal pieces (str) and parameters (Ref)."""

    parts: tuple[str | Ref, ...]


#: What an input may be given: a scalar, a link, a template, or lists and mappings of such.
Value = Scalar | Ref | Slot | Template | tuple["Value", ...] | Mapping[str, "Value"]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: `seed: 7`, or the long form with type, bounds, choices and description.

    `broken`: the declaration contradicts itself, which was reported; the parameter has no value then.
    """

    name: str
    type: ParamType
    default: Scalar = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] | None = None
    description: str = ""
    place: Place = Place()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One entry below `nodes:`. `places` has the place of each input's value; `key_places` that of its name.

    What could not be read was reported by the reader and must not be reported again: `uses` is then empty,
    and an input whose value was unreadable is in `key_places` but not in `inputs`.
    """

    id: str
    uses: str
    inputs: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    title: str | None = None
    note: str | None = None
    cache: CachePolicy = "auto"
    place: Place = Place()
    uses_place: Place = Place()
    places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    key_places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Workflow:
    """A whole workflow file.

    `text` is the source as it was read (None for a workflow built in code); `outputs` names results for
    callers; `layout` holds canvas positions and never matters to a result.
    """

    nodes: Mapping[str, NodeEntry]
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Ref] = field(default_factory=lambda: MappingProxyType({}))
    output_places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    layout: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    name: str | None = None
    description: str = ""
    version: int = 1
    file: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading a file gave: a workflow if one could be made out at all, and every problem met."""

    workflow: Workflow | None
    problems: tuple[Problem, ...] = ()

"""The document: a workflow as immutable data, exactly as its author wrote it.

Nothing here knows which nodes exist; names are resolved by `nodegraph.graph`. Places point into the file the
document came from, so that any later problem can show the source line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from nodegraph.errors import Place, Problem

Scalar = str | int | float | bool | None
CachePolicy = Literal["auto", "memory", "off", "refresh"]
"""auto: reuse results and keep them. memory: never on disk. off: run every time. refresh: run now and keep the new."""
Mode = Literal["run", "muted", "bypassed"]
"""run: as ever. muted: it does not run, nor does what needs it. bypassed: outputs are inputs of their type."""
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
class Span:
    """Whole numbers at equal steps, written `1..4`, `0..100:25` or `9..1:-4`; `last` is included if it is met."""

    first: int
    last: int
    step: int = 1

    def __str__(self) -> str:
        usual = 1 if self.last >= self.first else -1
        return f"{self.first}..{self.last}" + (f":{self.step}" if self.step != usual else "")

    @property
    def numbers(self) -> range:
        """The numbers, in order; none if the step leads away from `last`. Raises ValueError for a step of 0."""
        return range(self.first, self.last + (1 if self.step > 0 else -1), self.step)


#: What a sweep gives to one input or parameter: the values one after another.
Series = tuple["Value", ...] | Span


@dataclass(frozen=True, slots=True)
class Sweep:
    """`foreach` or `matrix`: values that are tried one after another.

    zipped: `foreach`, where the first values belong together, then the second ones …; otherwise (`matrix`) every
    combination is meant, the first name varying slowest. `values` are by input for the sweep of a node; for that of a
    workflow by parameter, or by `node.input`. `places` has the places of a series' values (of a Span only one),
    `key_places` that of its name.
    """

    zipped: bool
    values: Mapping[str, Series]
    place: Place = Place()
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=lambda: MappingProxyType({}))
    key_places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def key(self) -> str:
        """The key that it is written under."""
        return "foreach" if self.zipped else "matrix"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model file that a workflow says it needs: its name, its folder of models, and where it can be had."""

    name: str
    folder: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One entry below `nodes:`. `places` has the place of each input's value; `key_places` that of its name.

    What could not be read was reported by the reader and must not be reported again: `uses` is then empty,
    and an input whose value was unreadable is in `key_places` but not in `inputs`.

    `when` decides whether the node runs (None: it says nothing). `pack` is where its type comes from, `wanted` the
    model files it needs, as far as a file of another program says so; neither matters to a result.
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
    sweep: Sweep | None = None
    mode: Mode = "run"
    when: Value = None
    when_place: Place = Place()
    pack: str | None = None
    wanted: tuple[Wanted, ...] = ()


#: A place on the canvas, or a width and a height.
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """How a node looks on the canvas, beside where it stands. pinned: it is not moved. colour: a name or `#rrggbb`."""

    size: Point | None = None
    collapsed: bool = False
    pinned: bool = False
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A text on the canvas that belongs to no node: `at` is its left upper corner, `size` its width and height."""

    text: str
    title: str = ""
    at: Point = (0, 0)
    size: Point = (0, 0)
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A titled frame on the canvas: left, top, width and height."""

    title: str
    bounds: tuple[float, float, float, float]
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A whole workflow file.

    `text` is the source as it was read (None for a workflow built in code); `outputs` names results for
    callers; `sweep` is over parameters and inputs of several nodes; `layout` holds canvas positions, `looks` how
    nodes look, `routes` the points that the link into an input (node, input) passes from its source on; like `groups`
    and `notes` they never matter to a result. `folder`, if there is one, is where `file` counts from: sub-workflows
    may not lead out of it, and nobody is told where it is.
    """

    nodes: Mapping[str, NodeEntry]
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[str, Ref] = field(default_factory=lambda: MappingProxyType({}))
    output_places: Mapping[str, Place] = field(default_factory=lambda: MappingProxyType({}))
    layout: Mapping[str, Point] = field(default_factory=lambda: MappingProxyType({}))
    name: str | None = None
    description: str = ""
    version: int = 1
    file: str | None = None
    text: str | None = None
    sweep: Sweep | None = None
    groups: tuple[Group, ...] = ()
    notes: tuple[Note, ...] = ()
    looks: Mapping[str, Look] = field(default_factory=lambda: MappingProxyType({}))
    routes: Mapping[tuple[str, str], tuple[Point, ...]] = field(default_factory=lambda: MappingProxyType({}))
    folder: str | None = None

    @property
    def path(self) -> str | None:
        """Where the file lies on this machine's disk; None if it lies nowhere."""
        return self.file if self.file is None or self.folder is None else str(Path(self.folder, self.file))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading a file gave: a workflow if one could be made out at all, and every problem met."""

    workflow: Workflow | None
    problems: tuple[Problem, ...] = ()

"""From nodes and axes to cells: a node that varies along axes becomes one node for each combination of positions.

A node varies along the axes that its own inputs and parameters name, and along those of the nodes it takes from; an
input that collects takes all cells at once, and there an axis ends. Nodes that vary along no axis stay what they were.

Cells are numbered so that models are swapped as seldom as dependencies allow: all cells of one setting of the axes
that feed model loaders come before those of the next, and within a setting node by node.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Final, NamedTuple

from nodegraph.errors import Problem
from nodegraph.graph.axes import Axis
from nodegraph.graph.draft import DraftNode, NamedLink
from nodegraph.graph.gather import gathering_spec, part_name
from nodegraph.graph.model import Graph, GraphNode, Link
from nodegraph.node import NodeSpec
from nodegraph.sockets.sweeps import AXES
from nodegraph.workflow.limits import DEFAULT_LIMITS

#: Outputs that stand for weights; changing what makes one means loading a model.
MODEL_TYPES: Final = frozenset(
    {"MODEL", "CLIP", "VAE", "CONTROL_NET", "CLIP_VISION", "STYLE_MODEL", "GLIGEN", "IPADAPTER", "UPSCALE_MODEL"}
)

Positions = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """A node for each position along the axes of its own, which are given by number."""

    axes: tuple[int, ...]
    drafts: Mapping[Positions, DraftNode]


class Cell(NamedTuple):
    """One cell: a node (by its place in the order) at a position on each of the axes it varies along."""

    node: int
    positions: Positions


@dataclass(slots=True)
class _Sweep:
    """What expanding a workflow needs to know, worked out once."""

    names: Sequence[str]
    drafts: Mapping[str, DraftNode]
    axes: Sequence[Axis]
    own: Mapping[str, Variants]
    along: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    number: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self.number = {name: i for i, name in enumerate(self.names)}
        for name in self.names:
            found = set(self.own[name].axes) if name in self.own else set[int]()
            draft = self.drafts[name]
            for input_name, link in draft.links.items():
                if input_name not in draft.spec.collecting:
                    found.update(self.along[link.name])
            for link in draft.when:
                found.update(self.along[link.name])
            self.along[name] = tuple(sorted(found))

    def size(self, along: Iterable[int]) -> int:
        return prod([len(self.axes[a].rows) for a in along])

    def sources(self, cell: Cell, link: NamedLink) -> Iterator[Cell]:
        """The cells that a link takes from; several where an axis ends."""
        at = dict(zip(self.along[self.names[cell.node]], cell.positions, strict=True))
        ranges = [(at[a],) if a in at else range(len(self.axes[a].rows)) for a in self.along[link.name]]
        node = self.number[link.name]
        return (Cell(node, positions) for positions in product(*ranges))

    def variant(self, name: str, positions: Positions) -> DraftNode:
        own = self.own.get(name)
        if own is None:
            return self.drafts[name]
        at = dict(zip(self.along[name], positions, strict=True))
        return own.drafts[tuple([at[a] for a in own.axes])]


def expand(
    order: Sequence[str],
    drafts: Mapping[str, DraftNode],
    axes: Sequence[Axis],
    own: Mapping[str, Variants],
    outputs: Mapping[str, NamedLink],
) -> tuple[tuple[GraphNode, ...], Mapping[str, Link]] | Problem:
    """The nodes of a swept workflow in the order in which they are to run, and its named outputs.

    `order` is topological. A cell is called `node[3,1]`, after its positions; so is an output of a swept node. A
    Problem if there would be more cells than a workflow may have nodes.
    """
    sweep = _Sweep(order, drafts, axes, own)
    if problem := _too_many(sweep):
        return problem
    cells = [
        Cell(i, positions)
        for i, name in enumerate(order)
        for positions in product(*[range(len(axes[a].rows)) for a in sweep.along[name]])
    ]
    sequence = _sequence(sweep, cells)
    index = {cell: i for i, cell in enumerate(sequence)}
    call = _namer(sweep)
    specs: dict[tuple[int, tuple[tuple[str, int], ...]], NodeSpec] = {}
    nodes = [_node(sweep, cell, index, call(cell), specs) for cell in sequence]
    named: dict[str, Link] = {}
    for name, link in outputs.items():
        for positions in product(*[range(len(axes[a].rows)) for a in sweep.along[link.name]]):
            cell = Cell(sweep.number[link.name], positions)
            named[name + _suffix(sweep, cell)] = Link(index[cell], link.output)
    return tuple(nodes), MappingProxyType(named)


def numbers_of(graph: Graph, name: str) -> list[int]:
    """The numbers of the nodes that a name stands for: the node itself, or all cells of a swept one, or none."""
    number = graph.index.get(name)
    if number is not None:
        return [number]
    return [i for i, node in enumerate(graph.nodes) if node.entry.id == name]


def _too_many(sweep: _Sweep) -> Problem | None:
    """The answer to sweeps that make too many nodes, or links into collecting inputs."""
    total = 0
    for name in sweep.names:
        draft, along = sweep.drafts[name], sweep.along[name]
        gathered = 0
        for input_name in draft.spec.collecting & draft.links.keys():
            gathered += sweep.size(set(sweep.along[draft.links[input_name].name]).difference(along))
        total += sweep.size(along) * (1 + gathered)
    if total <= DEFAULT_LIMITS.nodes:
        return None
    largest = max(sweep.axes, key=lambda axis: len(axis.rows))
    message = f"the sweeps make {total:,} nodes of this workflow; {DEFAULT_LIMITS.nodes:,} are allowed"
    return Problem("too_large", message, largest.place, largest.targets[0].node, hint="sweep over fewer values")


def _sequence(sweep: _Sweep, cells: Sequence[Cell]) -> list[Cell]:
    """The cells, each after those it takes from; of those that could be next, the one of the current models."""
    loading = _loading_axes(sweep)
    waiting: dict[Cell, int] = {}
    dependants: dict[Cell, list[Cell]] = {}
    for cell in cells:
        draft = sweep.drafts[sweep.names[cell.node]]
        sources = [s for link in (*draft.links.values(), *draft.when) for s in sweep.sources(cell, link)]
        waiting[cell] = len(sources)
        for source in sources:
            dependants.setdefault(source, []).append(cell)

    def urgency(cell: Cell) -> tuple[Positions, Cell]:
        at = dict(zip(sweep.along[sweep.names[cell.node]], cell.positions, strict=True))
        return tuple([at.get(a, -1) for a in loading]), cell

    heap = [urgency(cell) for cell in cells if waiting[cell] == 0]
    heapq.heapify(heap)
    sequence: list[Cell] = []
    while heap:
        _, cell = heapq.heappop(heap)
        sequence.append(cell)
        for dependant in dependants.get(cell, ()):
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                heapq.heappush(heap, urgency(dependant))
    return sequence


def _loading_axes(sweep: _Sweep) -> list[int]:
    """The axes that decide which weights are loaded, those that enter first foremost."""
    found: dict[int, None] = {}
    for name in sweep.names:
        if any(MODEL_TYPES.intersection(output.type.names) for output in sweep.drafts[name].spec.outputs):
            found.update(dict.fromkeys(sweep.along[name]))
    return list(found)


def _suffix(sweep: _Sweep, cell: Cell) -> str:
    along = sweep.along[sweep.names[cell.node]]
    at = ",".join([sweep.axes[a].ids[i] for a, i in zip(along, cell.positions, strict=True)])
    return f"[{at}]" if at else ""


def _namer(sweep: _Sweep) -> Callable[[Cell], str]:
    """Gives ids to cells. Nodes of API-format files may be called anything, so what is taken gets a mark."""
    taken = {name for name in sweep.names if not sweep.along[name]}

    def call(cell: Cell) -> str:
        name = sweep.names[cell.node] + _suffix(sweep, cell)
        while cell.positions and name in taken:
            name += "'"
        taken.add(name)
        return name

    return call


def _node(
    sweep: _Sweep,
    cell: Cell,
    index: Mapping[Cell, int],
    id_: str,
    specs: dict[tuple[int, tuple[tuple[str, int], ...]], NodeSpec],
) -> GraphNode:
    draft = sweep.variant(sweep.names[cell.node], cell.positions)
    spec, values = draft.spec, draft.values
    links: dict[str, Link] = {}
    parts: dict[str, int] = {}
    for name, link in draft.links.items():
        numbers = [index[source] for source in sweep.sources(cell, link)]
        if name in spec.collecting:
            parts[name] = len(numbers)
            links |= {part_name(name, i): Link(number, link.output) for i, number in enumerate(numbers)}
        else:
            links[name] = Link(numbers[0], link.output)
    if parts:
        values = _with_axes(sweep, cell, draft)
        key = (id(spec), tuple(parts.items()))
        if key not in specs:
            specs[key] = gathering_spec(spec, parts)
        spec = specs[key]
    when = tuple([Link(index[next(iter(sweep.sources(cell, link)))], link.output) for link in draft.when])
    return GraphNode(id_, spec, values, links, draft.entry, when, draft.absent)


def _with_axes(sweep: _Sweep, cell: Cell, draft: DraftNode) -> dict[str, object]:
    """The node's values, with the labels of the cells it collects where it asks for them and was given none."""
    wanted = next((given.name for given in draft.spec.inputs if AXES in given.type.names), None)
    if wanted is None or wanted in draft.links or draft.values.get(wanted) is not None:
        return draft.values
    first = next(name for name in draft.links if name in draft.spec.collecting)
    here = set(sweep.along[sweep.names[cell.node]])
    ended = [a for a in sweep.along[draft.links[first].name] if a not in here]
    return draft.values | {wanted: tuple([sweep.axes[a].labels for a in ended])}

"""Where nodes stand on a canvas, for workflows that do not say: columns in the direction of the data's flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nodegraph.workflow.document import Ref, Slot, Workflow

Json = dict[str, Any]

WIDTH: Final = 315
COLUMN: Final = 400
ROW: Final = 24
HEAD: Final = 40
TEXT: Final = 110
GAP: Final = 60


def sizes_and_places(workflow: Workflow, written: Mapping[str, Json], all_nodes: Sequence[Json]) -> None:
    """Give every node a size and a place; places that the workflow has are kept."""
    for node in all_nodes:
        values = node["widgets_values"]
        texts = sum(isinstance(value, str) and (len(value) > 40 or "\n" in value) for value in values)
        rows = max(len(node["inputs"]), len(node["outputs"])) + len(values)
        node["size"] = [WIDTH + 85 * bool(texts), HEAD + ROW * rows + TEXT * texts]
    for name, look in workflow.looks.items():
        if look.size is not None and name in written:
            written[name]["size"] = list(look.size)
    columns = depths(workflow)
    lowest = max((y for _, y in workflow.layout.values()), default=-GAP)
    top = lowest + 400 if workflow.layout else 0
    heights: dict[int, float] = {}
    for name, node in written.items():
        at = workflow.layout.get(name)
        node["pos"] = list(at) if at is not None else placed(node, columns[name] + 1, heights, top)
    own = {id(node) for node in written.values()}
    for node in all_nodes:
        if id(node) not in own:
            node["pos"] = placed(node, 0, heights, top)


def placed(node: Json, column: int, heights: dict[int, float], top: float) -> list[float]:
    """The next free place in a column."""
    y = heights.get(column, top)
    heights[column] = y + node["size"][1] + GAP
    return [column * COLUMN, y]


def depths(workflow: Workflow) -> dict[str, int]:
    """How many nodes there are before each one, on the longest way; on a circle, as far as that goes."""
    sources = {
        name: {value.name for value in entry.inputs.values() if isinstance(value, Ref | Slot)} & workflow.nodes.keys()
        for name, entry in workflow.nodes.items()
    }
    takers: dict[str, list[str]] = {name: [] for name in sources}
    for name, names in sources.items():
        for source in names:
            takers[source].append(name)
    found = dict.fromkeys(sources, 0)
    left = {name: len(names) for name, names in sources.items()}
    ready = [name for name, number in left.items() if number == 0]
    for name in ready:  # it grows meanwhile
        for taker in takers[name]:
            found[taker] = max(found[taker], found[name] + 1)
            left[taker] -= 1
            if left[taker] == 0:
                ready.append(taker)
    return found

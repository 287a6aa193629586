"""Contact sheets for swept workflows: nodes that put the pictures of all cells on one labelled sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from nodegraph.graph.model import Graph
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Value, Workflow
from nodegraph.workflow.texts import free_name

GRID: Final = "XYGrid"


def with_sheets(
    workflow: Workflow, registry: Registry, graph: Graph, uses: str, inputs: Mapping[str, Value]
) -> tuple[Workflow, dict[str, str]]:
    """The workflow with a sheet for each picture that is swept and shown or saved.

    uses, inputs: the type of node that is given the sheet as `images`, and what else it is given. Returns these nodes,
    too, each with the picture that its sheet is of.
    """
    swept = {node.entry.id for node in graph.nodes if node.id != node.entry.id}
    pictures = list(dict.fromkeys(p for e in workflow.nodes.values() if e.id in swept for p in shown(e, registry)))
    nodes: dict[str, NodeEntry] = dict(workflow.nodes)
    sheets: dict[str, str] = {}
    for picture in pictures:
        grid, file = (free_name(stem, nodes, workflow.params, joint="-") for stem in ("grid", "grid-file"))
        nodes[grid] = NodeEntry(grid, GRID, MappingProxyType({"images": picture}))
        nodes[file] = NodeEntry(file, uses, MappingProxyType({"images": Ref(grid), **inputs}))
        sheets[file] = str(picture) if isinstance(picture, Ref) else picture.name
    return replace(workflow, nodes=MappingProxyType(nodes)), sheets


def shown(entry: NodeEntry, registry: Registry) -> list[Ref | Slot]:
    """The pictures that a node saves or shows."""
    spec = registry.get(entry.uses)
    if spec is None or not spec.output_node:
        return []
    given = [entry.inputs.get(i.name) for i in spec.inputs if i.type.names == ("IMAGE",) and not i.collects]
    return [value for value in given if isinstance(value, Ref | Slot)]

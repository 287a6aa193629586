"""Questions about a workflow's shape, answered by networkx (imported when asked: it takes a while).

They work on the document, so a workflow that does not check can be looked at too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from nodegraph.graph.export import edges
from nodegraph.workflow.document import Workflow

if TYPE_CHECKING:
    import networkx


def to_networkx(workflow: Workflow) -> networkx.DiGraph[str]:
    """The workflow as a directed graph of node names, links in the direction of the data."""
    import networkx

    graph: networkx.DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(workflow.nodes)
    graph.add_edges_from((edge.source, edge.target) for edge in edges(workflow))
    return graph


def needed_by(workflow: Workflow, names: Collection[str]) -> Workflow:
    """The workflow with only the nodes in `names` and all that they need. KeyError for a name that is not there."""
    import networkx

    graph = to_networkx(workflow)
    kept = set(names)
    for name in names:
        if name not in graph:
            raise KeyError(name)
        kept |= set(networkx.bfs_tree(graph, name, reverse=True))
    return replace(
        workflow, nodes=MappingProxyType({name: entry for name, entry in workflow.nodes.items() if name in kept})
    )


def implied_links(workflow: Workflow) -> set[tuple[str, str]]:
    """Pairs of nodes whose link says nothing new about the order, since a longer way leads from one to the other.

    (The links that a transitive reduction leaves out.) Empty for a workflow with a cycle, which has no reduction.
    """
    import networkx

    graph = to_networkx(workflow)
    if not networkx.is_directed_acyclic_graph(graph):
        return set()
    return set(graph.edges) - set(networkx.transitive_reduction(graph).edges)


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow in numbers: nodes, links, how many steps one after another, and how wide its widest step is."""

    nodes: int
    links: int
    depth: int
    width: int


def shape_of(workflow: Workflow) -> Shape:
    """The workflow in numbers; depth and width are 0 when it runs in a circle."""
    import networkx

    graph = to_networkx(workflow)
    acyclic = networkx.is_directed_acyclic_graph(graph)
    layers: Iterable[list[str]] = networkx.topological_generations(graph) if acyclic else ()
    sizes = [len(layer) for layer in layers]
    return Shape(len(graph), graph.number_of_edges(), len(sizes), max(sizes, default=0))

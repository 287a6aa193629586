"""Graphs: building, checking and ordering them."""

from nodegraph.graph.build import check
from nodegraph.graph.model import Checked, Graph, GraphNode, Link

__all__ = ["Checked", "Graph", "GraphNode", "Link", "check"]

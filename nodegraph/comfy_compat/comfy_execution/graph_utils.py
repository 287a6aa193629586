"""`comfy_execution.graph_utils` of ComfyUI's interface."""

from nodegraph.comfy_compat.graphs import ExecutionBlocker, GraphBuilder, Node, add_graph_prefix, is_link

__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]
